"""An application with the OpenTelemetry SDK that knows which of its items were taken.

What it is told and what it prints stands in ../README.md.
"""

import argparse
import json
import logging
import math
import sys

from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_logs
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_traces
from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ID = "spillway.test.id"


def recording(exporter_class, ids_of):
    """The exporter class, with a note of how the export of each item ended."""

    class Recording(exporter_class):
        def __init__(self, **arguments):
            self.ok, self.failed = [], []
            super().__init__(**arguments)

        def export(self, batch, *arguments, **named):
            result = super().export(batch, *arguments, **named)
            (self.ok if result.name == "SUCCESS" else self.failed).extend(ids_of(batch))
            return result

    return Recording


def span_ids(spans):
    return [span.attributes[ID] for span in spans]


def record_ids(records):
    return [record.log_record.attributes[ID] for record in records]


def point_ids(data):
    return [
        point.attributes[ID]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def exporters(options):
    """One recording exporter a signal, over the transport that was asked for."""
    if options.protocol == "grpc":
        common = {"endpoint": options.endpoint, "insecure": True, "timeout": options.timeout}
        modules = {"traces": grpc_traces, "metrics": grpc_metrics, "logs": grpc_logs}
        endpoint = dict.fromkeys(modules, options.endpoint)
    else:
        common = {"timeout": options.timeout}
        modules = {"traces": http_traces, "metrics": http_metrics, "logs": http_logs}
        endpoint = {signal: f"{options.endpoint}/v1/{signal}" for signal in modules}
    if options.compression == "gzip":
        # both transports name it alike, in an enum of their own
        common["compression"] = (
            grpc_traces.Compression.Gzip if options.protocol == "grpc" else http_traces.Compression.Gzip
        )
    # With delta temporality a point is exported once, not again in each collection.
    delta = {"preferred_temporality": {Counter: AggregationTemporality.DELTA}}
    return {
        "traces": recording(modules["traces"].OTLPSpanExporter, span_ids)(
            **common | {"endpoint": endpoint["traces"]}
        ),
        "metrics": recording(modules["metrics"].OTLPMetricExporter, point_ids)(
            **common | {"endpoint": endpoint["metrics"]} | delta
        ),
        "logs": recording(modules["logs"].OTLPLogExporter, record_ids)(**common | {"endpoint": endpoint["logs"]}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--protocol", choices=["grpc", "http"], default="grpc")
    parser.add_argument("--endpoint", required=True, help="http://HOST:PORT, for http without the /v1/… path")
    parser.add_argument("--count", type=int, default=100, help="items of each signal in a round")
    parser.add_argument("--producer", default="python")
    parser.add_argument("--compression", choices=["none", "gzip"], default="none", help="none is the SDK's default")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for one export, the SDK's retries included")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)

    export = exporters(options)
    resource = Resource.create({"service.name": "python-client", "service.instance.id": options.producer})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(export["traces"]))
    # No interval: the points of a round leave together when it is flushed.
    reader = PeriodicExportingMetricReader(export["metrics"], export_interval_millis=math.inf)
    metering = MeterProvider(metric_readers=[reader], resource=resource)
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(export["logs"]))

    tracer = tracing.get_tracer("client", "1.0")
    counter = metering.get_meter("client", "1.0").create_counter("client.items", unit="{item}")
    logger = logs.get_logger("client", "1.0")
    flush_millis = int(1000 * options.timeout * 2)
    ids = []
    for _ in sys.stdin:
        for _ in range(options.count):
            item = f"{options.producer}-{len(ids)}"
            ids.append(item)
            with tracer.start_as_current_span("work", attributes={ID: item}) as span:
                span.add_event("half-way", {"percent": 50})
                # inside the span, so that the record carries its ids
                logger.emit(body=f"did {item}", severity_text="INFO", attributes={ID: item})
            counter.add(1, {ID: item})
        tracing.force_flush(flush_millis)
        logs.force_flush(flush_millis)
        metering.force_flush(flush_millis)
        print("flushed", flush=True)
    tracing.shutdown()
    logs.shutdown()
    metering.shutdown()

    report = {"producer": options.producer, "protocol": options.protocol}
    for signal, exporter in export.items():
        known = set(exporter.ok) | set(exporter.failed)
        report[signal] = {
            "ok": exporter.ok,
            "failed": exporter.failed,
            "unsent": [item for item in ids if item not in known],
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
