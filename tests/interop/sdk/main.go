// Command sdk is an application with the OpenTelemetry SDK that knows which of
// its items were taken; over OTLP/HTTP with protobuf, the default of the
// specification (the SDK names none). What it is told and what it prints
// stands in ../README.md.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const id = "spillway.test.id"

// Outcome says how the export of each item of a signal ended.
type outcome struct {
	mutex  sync.Mutex
	OK     []string `json:"ok"`
	Failed []string `json:"failed"`
	Unsent []string `json:"unsent"`
}

func (o *outcome) note(ids []string, err error) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if err == nil {
		o.OK = append(o.OK, ids...)
	} else {
		o.Failed = append(o.Failed, ids...)
	}
	return err
}

type spans struct {
	sdktrace.SpanExporter
	*outcome
}

func (s spans) ExportSpans(ctx context.Context, batch []sdktrace.ReadOnlySpan) error {
	var ids []string
	for _, span := range batch {
		for _, pair := range span.Attributes() {
			if pair.Key == id {
				ids = append(ids, pair.Value.AsString())
			}
		}
	}
	return s.note(ids, s.SpanExporter.ExportSpans(ctx, batch))
}

type records struct {
	sdklog.Exporter
	*outcome
}

func (r records) Export(ctx context.Context, batch []sdklog.Record) error {
	var ids []string
	for _, record := range batch {
		record.WalkAttributes(func(pair otellog.KeyValue) bool {
			if pair.Key == id {
				ids = append(ids, pair.Value.AsString())
			}
			return true
		})
	}
	return r.note(ids, r.Exporter.Export(ctx, batch))
}

type points struct {
	sdkmetric.Exporter
	*outcome
}

func (p points) Export(ctx context.Context, batch *metricdata.ResourceMetrics) error {
	var ids []string
	for _, scope := range batch.ScopeMetrics {
		for _, metric := range scope.Metrics {
			if sum, ok := metric.Data.(metricdata.Sum[int64]); ok {
				for _, point := range sum.DataPoints {
					value, _ := point.Attributes.Value(id)
					ids = append(ids, value.AsString())
				}
			}
		}
	}
	return p.note(ids, p.Exporter.Export(ctx, batch))
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	endpoint := flag.String("endpoint", "", "http://HOST:PORT")
	count := flag.Int("count", 100, "items of each signal in a round")
	producer := flag.String("producer", "go", "what the ids begin with")
	flag.Parse()
	ctx := context.Background()

	var traced, measured, logged outcome
	spanExporter := must(otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(*endpoint+"/v1/traces")))
	logExporter := must(otlploghttp.New(ctx, otlploghttp.WithEndpointURL(*endpoint+"/v1/logs")))
	// With delta temporality a point is exported once, not again in each collection.
	delta := func(sdkmetric.InstrumentKind) metricdata.Temporality { return metricdata.DeltaTemporality }
	metricExporter := must(otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(*endpoint+"/v1/metrics"),
		otlpmetrichttp.WithTemporalitySelector(delta)))

	about := resource.NewSchemaless(attribute.String("service.name", "go-client"),
		attribute.String("service.instance.id", *producer))
	tracing := sdktrace.NewTracerProvider(sdktrace.WithResource(about),
		sdktrace.WithBatcher(spans{spanExporter, &traced}))
	reader := sdkmetric.NewPeriodicReader(points{metricExporter, &measured}, sdkmetric.WithInterval(math.MaxInt64))
	metering := sdkmetric.NewMeterProvider(sdkmetric.WithResource(about), sdkmetric.WithReader(reader))
	logging := sdklog.NewLoggerProvider(sdklog.WithResource(about),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(records{logExporter, &logged})))
	tracer, logger := tracing.Tracer("client"), logging.Logger("client")
	counter := must(metering.Meter("client").Int64Counter("client.items", metric.WithUnit("{item}")))

	var ids []string
	for rounds := bufio.NewScanner(os.Stdin); rounds.Scan(); {
		for range *count {
			item := *producer + "-" + strconv.Itoa(len(ids))
			ids = append(ids, item)
			inside, span := tracer.Start(ctx, "work", trace.WithAttributes(attribute.String(id, item)))
			span.AddEvent("half-way")
			var record otellog.Record
			record.SetBody(otellog.StringValue("did " + item))
			record.AddAttributes(otellog.String(id, item))
			logger.Emit(inside, record)
			span.End()
			counter.Add(ctx, 1, metric.WithAttributes(attribute.String(id, item)))
		}
		// Whether an export failed is noted; that a flush failed says no more.
		_, _, _ = tracing.ForceFlush(ctx), logging.ForceFlush(ctx), metering.ForceFlush(ctx)
		fmt.Println("flushed")
	}
	_, _, _ = tracing.Shutdown(ctx), logging.Shutdown(ctx), metering.Shutdown(ctx)

	for _, signal := range []*outcome{&traced, &measured, &logged} {
		known := map[string]bool{}
		for _, item := range append(append([]string{}, signal.OK...), signal.Failed...) {
			known[item] = true
		}
		for _, item := range ids {
			if !known[item] {
				signal.Unsent = append(signal.Unsent, item)
			}
		}
	}
	report := map[string]any{"producer": *producer, "traces": &traced, "metrics": &measured, "logs": &logged}
	fmt.Println(string(must(json.Marshal(report))))
}
