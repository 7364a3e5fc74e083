// An application with the OpenTelemetry SDK that knows which of its items were taken; over OTLP/HTTP with protobuf, the
// SDK's default. What it is told and what it prints stands in ../README.md.

import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import { AggregationTemporality, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const ID = 'spillway.test.id';
const NEVER = 2 ** 31 - 1; // the longest that a timer can wait, in milliseconds

// Notes how the export of each item ends.
class Outcomes {
  ok = [];
  failed = [];
  open = new Set();

  watch(exporter, idsOf) {
    const send = exporter.export.bind(exporter);
    exporter.export = (batch, done) => {
      const ids = idsOf(batch);
      const ended = new Promise((resolve) =>
        send(batch, (result) => {
          (result.code === 0 ? this.ok : this.failed).push(...ids);
          done(result);
          resolve();
        }),
      );
      this.open.add(ended);
      ended.then(() => this.open.delete(ended));
    };
    return exporter;
  }
}

const { values: options } = parseArgs({
  options: { endpoint: { type: 'string' }, count: { type: 'string' }, producer: { type: 'string' } },
});
const outcomes = { traces: new Outcomes(), metrics: new Outcomes(), logs: new Outcomes() };
const url = (signal) => ({ url: `${options.endpoint}/v1/${signal}` });
const spans = outcomes.traces.watch(new OTLPTraceExporter(url('traces')), (batch) => batch.map((span) => span.attributes[ID]));
const records = outcomes.logs.watch(new OTLPLogExporter(url('logs')), (batch) => batch.map((record) => record.attributes[ID]));
const points = outcomes.metrics.watch(
  // With delta temporality a point is exported once, not again in each collection.
  new OTLPMetricExporter({ ...url('metrics'), temporalityPreference: AggregationTemporality.DELTA }),
  (batch) =>
    batch.scopeMetrics.flatMap((scope) =>
      scope.metrics.flatMap((metric) => metric.dataPoints.map((point) => point.attributes[ID])),
    ),
);
const resource = resourceFromAttributes({ 'service.name': 'javascript-client', 'service.instance.id': options.producer });
const tracing = new TracerProvider({ resource, spanProcessors: [new BatchSpanProcessor({ exporter: spans })] });
const reader = new PeriodicExportingMetricReader({ exporter: points, exportIntervalMillis: NEVER });
const metering = new MeterProvider({ resource, readers: [reader] });
const logging = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: records })] });
const tracer = tracing.getTracer('client', '1.0');
const counter = metering.getMeter('client', '1.0').createCounter('client.items', { unit: '{item}' });
const logger = logging.getLogger('client', '1.0');

// Whether an export failed is noted; that a flush failed says no more.
const quietly = (promises) => Promise.allSettled(promises);

const ids = [];
for await (const _ of createInterface({ input: process.stdin })) {
  for (let sent = 0; sent < Number(options.count); sent++) {
    const id = `${options.producer}-${ids.length}`;
    ids.push(id);
    const span = tracer.startSpan('work', { attributes: { [ID]: id } });
    span.addEvent('half-way', { percent: 50 });
    span.end();
    logger.emit({ body: `did ${id}`, severityText: 'INFO', attributes: { [ID]: id } });
    counter.add(1, { [ID]: id });
  }
  await quietly([tracing.forceFlush(), logging.forceFlush(), metering.forceFlush()]);
  await quietly(Object.values(outcomes).flatMap((outcome) => [...outcome.open]));
  console.log('flushed');
}
await quietly([tracing.shutdown(), logging.shutdown(), metering.shutdown()]);

const report = { producer: options.producer };
for (const [signal, { ok, failed }] of Object.entries(outcomes)) {
  const known = new Set([...ok, ...failed]);
  report[signal] = { ok, failed, unsent: ids.filter((id) => !known.has(id)) };
}
console.log(JSON.stringify(report));
