package main

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The attributes by which an item is known again.
const (
	idKey       = "spillway.test.id"   // int: the number; string: "<producer>-<number>"
	producerKey = "producer"           // string, beside an int id
	sealKey     = "spillway.test.seal" // string: hash over everything else in the item
)

// sealed names the resource attributes that a seal covers. The others may be
// added on the way by whoever stamps a cluster's name, which alters nothing.
func sealed(name string) bool { return strings.HasPrefix(name, "service.") }

// item is what was read of one span, log record or data point.
type item struct {
	producer string
	number   int64
	seal     string // as it came; empty where the producer does not seal
	intact   bool   // the seal was recomputed and is the same
}

// identify reads an item's id and whether its seal still holds. ok is false for
// data that is not of a test.
func identify(attributes pcommon.Map, reseal func() string) (found item, ok bool) {
	id, ok := attributes.Get(idKey)
	if !ok {
		return found, false
	}
	if id.Type() == pcommon.ValueTypeStr {
		producer, number, _ := cutLast(id.Str(), "-")
		n, err := strconv.ParseInt(number, 10, 64)
		found = item{producer: producer, number: n}
		ok = err == nil
	} else {
		found.number = id.Int()
		if producer, has := attributes.Get(producerKey); has {
			found.producer = producer.AsString()
		}
	}
	if seal, has := attributes.Get(sealKey); has {
		found.seal = seal.AsString()
		found.intact = found.seal == reseal()
	}
	return found, ok
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// A seal is a hash of the item's protobuf form, alone under its resource and its
// scope, without the seal itself. Order of attributes counts: nothing on the way
// has a reason to change it.

func sealSpan(resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, span ptrace.Span) string {
	alone := ptrace.NewTraces()
	r := alone.ResourceSpans().AppendEmpty()
	copyResource(resource.Resource(), r.Resource())
	r.SetSchemaUrl(resource.SchemaUrl())
	s := r.ScopeSpans().AppendEmpty()
	scope.Scope().CopyTo(s.Scope())
	s.SetSchemaUrl(scope.SchemaUrl())
	copied := s.Spans().AppendEmpty()
	span.CopyTo(copied)
	copied.Attributes().Remove(sealKey)
	return digest((&ptrace.ProtoMarshaler{}).MarshalTraces(alone))
}

func sealRecord(resource plog.ResourceLogs, scope plog.ScopeLogs, record plog.LogRecord) string {
	alone := plog.NewLogs()
	r := alone.ResourceLogs().AppendEmpty()
	copyResource(resource.Resource(), r.Resource())
	r.SetSchemaUrl(resource.SchemaUrl())
	s := r.ScopeLogs().AppendEmpty()
	scope.Scope().CopyTo(s.Scope())
	s.SetSchemaUrl(scope.SchemaUrl())
	copied := s.LogRecords().AppendEmpty()
	record.CopyTo(copied)
	copied.Attributes().Remove(sealKey)
	return digest((&plog.ProtoMarshaler{}).MarshalLogs(alone))
}

// sealPoint covers one data point and the metric that it belongs to.
func sealPoint(resource pmetric.ResourceMetrics, scope pmetric.ScopeMetrics, metric pmetric.Metric, index int) string {
	alone := pmetric.NewMetrics()
	r := alone.ResourceMetrics().AppendEmpty()
	copyResource(resource.Resource(), r.Resource())
	r.SetSchemaUrl(resource.SchemaUrl())
	s := r.ScopeMetrics().AppendEmpty()
	scope.Scope().CopyTo(s.Scope())
	s.SetSchemaUrl(scope.SchemaUrl())
	m := s.Metrics().AppendEmpty()
	m.SetName(metric.Name())
	m.SetDescription(metric.Description())
	m.SetUnit(metric.Unit())
	metric.Metadata().CopyTo(m.Metadata())
	switch metric.Type() {
	case pmetric.MetricTypeGauge:
		point := m.SetEmptyGauge().DataPoints().AppendEmpty()
		metric.Gauge().DataPoints().At(index).CopyTo(point)
		point.Attributes().Remove(sealKey)
	case pmetric.MetricTypeSum:
		m.SetEmptySum().SetIsMonotonic(metric.Sum().IsMonotonic())
		m.Sum().SetAggregationTemporality(metric.Sum().AggregationTemporality())
		point := m.Sum().DataPoints().AppendEmpty()
		metric.Sum().DataPoints().At(index).CopyTo(point)
		point.Attributes().Remove(sealKey)
	case pmetric.MetricTypeHistogram:
		m.SetEmptyHistogram().SetAggregationTemporality(metric.Histogram().AggregationTemporality())
		point := m.Histogram().DataPoints().AppendEmpty()
		metric.Histogram().DataPoints().At(index).CopyTo(point)
		point.Attributes().Remove(sealKey)
	case pmetric.MetricTypeExponentialHistogram:
		m.SetEmptyExponentialHistogram().
			SetAggregationTemporality(metric.ExponentialHistogram().AggregationTemporality())
		point := m.ExponentialHistogram().DataPoints().AppendEmpty()
		metric.ExponentialHistogram().DataPoints().At(index).CopyTo(point)
		point.Attributes().Remove(sealKey)
	case pmetric.MetricTypeSummary:
		point := m.SetEmptySummary().DataPoints().AppendEmpty()
		metric.Summary().DataPoints().At(index).CopyTo(point)
		point.Attributes().Remove(sealKey)
	}
	return digest((&pmetric.ProtoMarshaler{}).MarshalMetrics(alone))
}

func copyResource(from, to pcommon.Resource) {
	for name, value := range from.Attributes().All() {
		if sealed(name) {
			value.CopyTo(to.Attributes().PutEmpty(name))
		}
	}
	to.SetDroppedAttributesCount(from.DroppedAttributesCount())
}

// digest never sees an error: what pdata built, pdata can encode.
func digest(encoded []byte, _ error) string {
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:8])
}

// points walks the attributes of a metric's data points, whatever its kind.
func points(metric pmetric.Metric) func(yield func(int, pcommon.Map) bool) {
	return func(yield func(int, pcommon.Map) bool) {
		switch metric.Type() {
		case pmetric.MetricTypeGauge:
			walk(metric.Gauge().DataPoints(), yield)
		case pmetric.MetricTypeSum:
			walk(metric.Sum().DataPoints(), yield)
		case pmetric.MetricTypeHistogram:
			walk(metric.Histogram().DataPoints(), yield)
		case pmetric.MetricTypeExponentialHistogram:
			walk(metric.ExponentialHistogram().DataPoints(), yield)
		case pmetric.MetricTypeSummary:
			walk(metric.Summary().DataPoints(), yield)
		}
	}
}

func walk[P interface{ Attributes() pcommon.Map }](slice interface {
	Len() int
	At(int) P
}, yield func(int, pcommon.Map) bool) {
	for i := range slice.Len() {
		if !yield(i, slice.At(i).Attributes()) {
			return
		}
	}
}
