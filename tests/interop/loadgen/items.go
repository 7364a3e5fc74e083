package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// block is the run of numbers that one request carries.
type block struct {
	producer string
	first    int64
	items    int
}

// Items of one request spread over two resources, so that splitting, merging and
// tagging have edges to get wrong. Their content is decided by their number alone
// (but for the clock) and touches what encodings disagree on: every kind of value,
// integers that a double cannot hold, text beyond ASCII, absent and empty values.
const resourcesPerRequest = 2

const pointsPerMetric = 10

func describe(resource pcommon.Resource, producer string, half int) {
	attributes := resource.Attributes()
	attributes.PutStr("service.name", []string{"checkout", "lagerverwaltung-für-späte-aufträge"}[half])
	attributes.PutStr("service.instance.id", producer)
	attributes.PutStr("service.version", "1.4.2")
}

func annotate(attributes pcommon.Map, producer string, number int64) {
	attributes.PutInt(idKey, number)
	attributes.PutStr(producerKey, producer)
	attributes.PutStr("http.route", "/api/v1/orders/{id}")
	attributes.PutInt("big", math.MaxInt64-number)
	switch number % 8 { // a little of everything, not everything in each item
	case 0:
		attributes.PutDouble("ratio", float64(number)/7)
	case 1:
		attributes.PutBool("cached", number%3 == 0)
	case 2:
		attributes.PutEmptyBytes("raw").FromRaw(binary.BigEndian.AppendUint64(nil, uint64(number)))
	case 3:
		list := attributes.PutEmptySlice("mixed")
		list.AppendEmpty().SetStr("grün \"quoted\" \\ \n 漢字 \U0001F30A")
		list.AppendEmpty().SetInt(-number)
		list.AppendEmpty()
	case 4:
		nested := attributes.PutEmptyMap("nested")
		nested.PutEmptyMap("deeper").PutStr("k", "v")
		nested.PutStr("empty", "")
	case 5:
		attributes.PutEmpty("absent")
	case 6:
		attributes.PutDouble("infinite", math.Inf(1))
	}
}

func traces(b block) ptrace.Traces {
	all := ptrace.NewTraces()
	start := time.Now()
	for half := range resourcesPerRequest {
		resource := all.ResourceSpans().AppendEmpty()
		describe(resource.Resource(), b.producer, half)
		resource.SetSchemaUrl("https://opentelemetry.io/schemas/1.37.0")
		scope := resource.ScopeSpans().AppendEmpty()
		scope.Scope().SetName("loadgen/traces")
		scope.Scope().SetVersion("1.0")
		for number := range b.share(half) {
			span := scope.Spans().AppendEmpty()
			random := rand.New(rand.NewPCG(uint64(number), 1))
			span.SetTraceID(pcommon.TraceID(append(u64(random.Uint64()), u64(random.Uint64()|1)...)))
			span.SetSpanID(pcommon.SpanID(u64(random.Uint64() | 1)))
			if number%4 != 0 {
				span.SetParentSpanID(pcommon.SpanID(u64(random.Uint64() | 1)))
			}
			span.SetName("GET /api/v1/orders/{id}")
			span.SetKind(ptrace.SpanKind(1 + number%5))
			span.SetFlags(0x301)
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Duration(number%977) * time.Microsecond)))
			annotate(span.Attributes(), b.producer, number)
			if number%10 == 0 {
				span.TraceState().FromRaw("vendor=t61rcWkgMzE")
				span.Status().SetCode(ptrace.StatusCodeError)
				span.Status().SetMessage("deadline exceeded")
				event := span.Events().AppendEmpty()
				event.SetName("exception")
				event.SetTimestamp(pcommon.NewTimestampFromTime(start))
				event.Attributes().PutStr("exception.type", "Timeout")
				link := span.Links().AppendEmpty()
				link.SetTraceID(span.TraceID())
				link.SetSpanID(pcommon.SpanID(u64(random.Uint64() | 1)))
				span.SetDroppedLinksCount(3)
			}
			span.Attributes().PutStr(sealKey, sealSpan(resource, scope, span))
		}
	}
	return all
}

func logs(b block) plog.Logs {
	all := plog.NewLogs()
	now := pcommon.NewTimestampFromTime(time.Now())
	for half := range resourcesPerRequest {
		resource := all.ResourceLogs().AppendEmpty()
		describe(resource.Resource(), b.producer, half)
		scope := resource.ScopeLogs().AppendEmpty()
		scope.Scope().SetName("loadgen/logs")
		scope.Scope().Attributes().PutStr("short", "scope")
		for number := range b.share(half) {
			record := scope.LogRecords().AppendEmpty()
			record.SetTimestamp(now)
			record.SetObservedTimestamp(now + 1)
			record.SetSeverityNumber(plog.SeverityNumber(1 + number%24))
			record.SetSeverityText("INFO")
			record.SetEventName("order.placed")
			if number%16 == 0 { // structured, as from a journal
				body := record.Body().SetEmptyMap()
				body.PutStr("MESSAGE", "order accepted")
				body.PutInt("PRIORITY", 6)
			} else {
				record.Body().SetStr("order accepted for customer 48151623, 3 positions, payment by invoice, took 12.7 ms")
			}
			if number%2 == 0 {
				random := rand.New(rand.NewPCG(uint64(number), 2))
				record.SetTraceID(pcommon.TraceID(append(u64(random.Uint64()), u64(random.Uint64()|1)...)))
				record.SetSpanID(pcommon.SpanID(u64(random.Uint64() | 1)))
				record.SetFlags(plog.DefaultLogRecordFlags.WithIsSampled(true))
			}
			annotate(record.Attributes(), b.producer, number)
			record.Attributes().PutStr(sealKey, sealRecord(resource, scope, record))
		}
	}
	return all
}

func metrics(b block) pmetric.Metrics {
	all := pmetric.NewMetrics()
	now := pcommon.NewTimestampFromTime(time.Now())
	for half := range resourcesPerRequest {
		resource := all.ResourceMetrics().AppendEmpty()
		describe(resource.Resource(), b.producer, half)
		scope := resource.ScopeMetrics().AppendEmpty()
		scope.Scope().SetName("loadgen/metrics")
		var metric pmetric.Metric
		var inMetric int
		for number := range b.share(half) {
			if inMetric%pointsPerMetric == 0 {
				metric = scope.Metrics().AppendEmpty()
				shape(metric, number/pointsPerMetric)
			}
			attributes := appendPoint(metric, number, now)
			annotate(attributes, b.producer, number)
			attributes.PutStr(sealKey, sealPoint(resource, scope, metric, inMetric%pointsPerMetric))
			inMetric++
		}
	}
	return all
}

// shape makes an empty metric into one of the five kinds.
func shape(metric pmetric.Metric, kind int64) {
	metric.SetUnit("ms")
	metric.SetDescription("made by a load generator")
	switch kind % 5 {
	case 0:
		metric.SetName("loadgen.gauge")
		metric.SetEmptyGauge()
	case 1:
		metric.SetName("loadgen.sum")
		sum := metric.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case 2:
		metric.SetName("loadgen.histogram")
		metric.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	case 3:
		metric.SetName("loadgen.exponential")
		metric.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	case 4:
		metric.SetName("loadgen.summary")
		metric.SetEmptySummary()
	}
}

// appendPoint adds one point of the metric's kind and hands out its attributes.
func appendPoint(metric pmetric.Metric, number int64, now pcommon.Timestamp) pcommon.Map {
	begin := now - pcommon.Timestamp(time.Minute)
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		point := metric.Gauge().DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		if number%2 == 0 {
			point.SetDoubleValue(float64(number) / 3)
		} else {
			point.SetIntValue(math.MinInt64 + number)
		}
		return point.Attributes()
	case pmetric.MetricTypeSum:
		point := metric.Sum().DataPoints().AppendEmpty()
		point.SetStartTimestamp(begin)
		point.SetTimestamp(now)
		point.SetIntValue(number)
		exemplar := point.Exemplars().AppendEmpty()
		exemplar.SetTimestamp(now)
		exemplar.SetDoubleValue(0.25)
		return point.Attributes()
	case pmetric.MetricTypeHistogram:
		point := metric.Histogram().DataPoints().AppendEmpty()
		point.SetStartTimestamp(begin)
		point.SetTimestamp(now)
		point.SetCount(6)
		point.SetSum(float64(number))
		point.SetMin(0)
		point.ExplicitBounds().FromRaw([]float64{0, 5, 10.5})
		point.BucketCounts().FromRaw([]uint64{1, 2, 0, 3})
		return point.Attributes()
	case pmetric.MetricTypeExponentialHistogram:
		point := metric.ExponentialHistogram().DataPoints().AppendEmpty()
		point.SetStartTimestamp(begin)
		point.SetTimestamp(now)
		point.SetCount(10)
		point.SetScale(-2)
		point.SetZeroCount(1)
		point.SetZeroThreshold(1e-9)
		point.Positive().SetOffset(-3)
		point.Positive().BucketCounts().FromRaw([]uint64{4, 0, 5})
		return point.Attributes()
	default:
		point := metric.Summary().DataPoints().AppendEmpty()
		point.SetTimestamp(now)
		point.SetFlags(pmetric.DefaultDataPointFlags)
		point.SetCount(uint64(number))
		point.SetSum(12.5)
		quantile := point.QuantileValues().AppendEmpty()
		quantile.SetQuantile(0.99)
		quantile.SetValue(17.25)
		return point.Attributes()
	}
}

// share walks the numbers of a block that belong to one of its resources.
func (b block) share(half int) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		for i := b.items * half / resourcesPerRequest; i < b.items*(half+1)/resourcesPerRequest; i++ {
			if !yield(b.first + int64(i)) {
				return
			}
		}
	}
}

func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
