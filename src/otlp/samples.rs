//! Requests for tests: random ones with every field of every message, made of the generated types, which are the
//! oracle that `skim` and `json` are measured against.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    exponential_histogram_data_point::Buckets, metric, number_data_point, summary_data_point::ValueAtQuantile,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use prost::{DecodeError, Message};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::batch::Signal;

/// `count` cases of a property, or as many as `PROPTEST_CASES` asks for when these are more.
pub(super) fn cases(count: u32) -> Config {
    let config = Config::default();
    Config { cases: config.cases.max(count), ..config }
}

/// An export request as the generated types hold it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Request {
    Traces(ExportTraceServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Logs(ExportLogsServiceRequest),
}

impl Request {
    /// A random request; the same seed gives the same one.
    pub(super) fn random(signal: Signal, seed: u64) -> Request {
        let mut maker = Maker(StdRng::seed_from_u64(seed));
        match signal {
            Signal::Traces => {
                Request::Traces(ExportTraceServiceRequest { resource_spans: maker.some(3, Maker::resource_spans) })
            }
            Signal::Metrics => Request::Metrics(ExportMetricsServiceRequest {
                resource_metrics: maker.some(3, Maker::resource_metrics),
            }),
            Signal::Logs => {
                Request::Logs(ExportLogsServiceRequest { resource_logs: maker.some(3, Maker::resource_logs) })
            }
        }
    }

    pub(super) fn decode(signal: Signal, bytes: &[u8]) -> Result<Request, DecodeError> {
        Ok(match signal {
            Signal::Traces => Request::Traces(Message::decode(bytes)?),
            Signal::Metrics => Request::Metrics(Message::decode(bytes)?),
            Signal::Logs => Request::Logs(Message::decode(bytes)?),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Traces(request) => request.encode_to_vec(),
            Request::Metrics(request) => request.encode_to_vec(),
            Request::Logs(request) => request.encode_to_vec(),
        }
    }

    /// Each item in a request of its own, encoded, with its metric, scope and resource.
    pub(super) fn one_by_one(&self) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        match self {
            Request::Traces(request) => {
                for resource in &request.resource_spans {
                    for scope in &resource.scope_spans {
                        found.extend(scope.spans.iter().map(|span| {
                            let scope = ScopeSpans { spans: vec![span.clone()], ..scope.clone() };
                            let resource = ResourceSpans { scope_spans: vec![scope], ..resource.clone() };
                            ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
                        }));
                    }
                }
            }
            Request::Metrics(request) => {
                for resource in &request.resource_metrics {
                    for scope in &resource.scope_metrics {
                        found.extend(scope.metrics.iter().flat_map(point_by_point).map(|metric| {
                            let scope = ScopeMetrics { metrics: vec![metric], ..scope.clone() };
                            let resource = ResourceMetrics { scope_metrics: vec![scope], ..resource.clone() };
                            ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
                        }));
                    }
                }
            }
            Request::Logs(request) => {
                for resource in &request.resource_logs {
                    for scope in &resource.scope_logs {
                        found.extend(scope.log_records.iter().map(|record| {
                            let scope = ScopeLogs { log_records: vec![record.clone()], ..scope.clone() };
                            let resource = ResourceLogs { scope_logs: vec![scope], ..resource.clone() };
                            ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
                        }));
                    }
                }
            }
        }
        found
    }

    /// Spans, data points or log records.
    pub(super) fn items(&self) -> usize {
        match self {
            Request::Traces(request) => request
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans)
                .map(|scope| scope.spans.len())
                .sum(),
            Request::Metrics(request) => request
                .resource_metrics
                .iter()
                .flat_map(|resource| &resource.scope_metrics)
                .flat_map(|scope| &scope.metrics)
                .map(points)
                .sum(),
            Request::Logs(request) => request
                .resource_logs
                .iter()
                .flat_map(|resource| &resource.scope_logs)
                .map(|scope| scope.log_records.len())
                .sum(),
        }
    }
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        None => 0,
        Some(metric::Data::Gauge(data)) => data.data_points.len(),
        Some(metric::Data::Sum(data)) => data.data_points.len(),
        Some(metric::Data::Histogram(data)) => data.data_points.len(),
        Some(metric::Data::ExponentialHistogram(data)) => data.data_points.len(),
        Some(metric::Data::Summary(data)) => data.data_points.len(),
    }
}

/// A metric for each of its points.
fn point_by_point(metric: &Metric) -> Vec<Metric> {
    use metric::Data;
    let with = |data: Data| Metric { data: Some(data), ..metric.clone() };
    match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(data)) => {
            let one = |point: &_| with(Data::Gauge(Gauge { data_points: vec![Clone::clone(point)] }));
            data.data_points.iter().map(one).collect()
        }
        Some(Data::Sum(data)) => {
            let one = |point: &_| with(Data::Sum(Sum { data_points: vec![Clone::clone(point)], ..*data }));
            data.data_points.iter().map(one).collect()
        }
        Some(Data::Histogram(data)) => {
            let one = |point: &_| with(Data::Histogram(Histogram { data_points: vec![Clone::clone(point)], ..*data }));
            data.data_points.iter().map(one).collect()
        }
        Some(Data::ExponentialHistogram(data)) => {
            let one = |point: &_| {
                let data = ExponentialHistogram { data_points: vec![Clone::clone(point)], ..*data };
                with(Data::ExponentialHistogram(data))
            };
            data.data_points.iter().map(one).collect()
        }
        Some(Data::Summary(data)) => {
            let one = |point: &_| with(Data::Summary(Summary { data_points: vec![Clone::clone(point)] }));
            data.data_points.iter().map(one).collect()
        }
    }
}

/// Something that happens to bytes on their way.
#[derive(Debug, Clone)]
pub(super) enum Damage {
    Cut(usize),
    Flip(usize, u8),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

impl Damage {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: usize| if bytes.is_empty() { 0 } else { at % bytes.len() };
        let range = |at: usize, len: usize| place(at)..(place(at) + len).min(bytes.len());
        match self {
            Damage::Cut(at) => bytes.truncate(place(*at)),
            Damage::Flip(at, bit) => {
                let at = place(*at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Damage::Remove(at, len) => drop(bytes.drain(range(*at, *len))),
            Damage::Insert(at, more) => {
                let at = place(*at);
                drop(bytes.splice(at..at, more.iter().copied()));
            }
            Damage::Repeat(at, len) => {
                let range = range(*at, *len);
                let more = bytes[range.clone()].to_vec();
                drop(bytes.splice(range.start..range.start, more));
            }
        }
    }
}

pub(super) fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<usize>(), 1..20_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<usize>(), fragment()).prop_map(|(at, more)| Damage::Insert(at, more)),
        (any::<usize>(), 1..40_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

/// Bytes that mean something to a protobuf decoder: keys, groups, lengths, long varints, broken UTF-8.
pub(super) fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 1..4),
        vec(prop_oneof![0..3_u8, 8..14_u8, 16..22_u8, Just(0x80), Just(0xff), Just(0xc3)], 1..12),
        Just(vec![0xf3, 0x01, 0xf4, 0x01]), // an empty group, field 30
    ]
}

pub(super) fn signal() -> impl Strategy<Value = Signal> {
    proptest::sample::select(Signal::ALL.as_slice())
}

/// Makes messages. Each field is named, so that a field which a new version brings is not forgotten.
struct Maker(StdRng);

impl Maker {
    /// Fewer than `limit` of what `make` makes.
    fn some<T>(&mut self, limit: usize, make: impl Fn(&mut Maker) -> T) -> Vec<T> {
        let count = self.0.random_range(0..limit);
        (0..count).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl Fn(&mut Maker) -> T) -> Option<T> {
        self.0.random_bool(0.7).then(|| make(self))
    }

    /// Zero now and then, otherwise of any magnitude.
    fn u64(&mut self) -> u64 {
        let shift = self.0.random_range(0..=64);
        self.0.random::<u64>().checked_shr(shift).unwrap_or(0)
    }

    fn i64(&mut self) -> i64 {
        let sign = if self.0.random() { 1 } else { -1 };
        self.u64().cast_signed().wrapping_mul(sign)
    }

    fn u32(&mut self) -> u32 {
        self.u64() as u32
    }

    fn i32(&mut self) -> i32 {
        self.i64() as i32
    }

    /// Any double but NaN, which is not equal to itself.
    fn f64(&mut self) -> f64 {
        match self.0.random_range(0..8) {
            0 => 0.0,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => self.i64() as f64,
            _ => Some(f64::from_bits(self.0.random())).filter(|value| !value.is_nan()).unwrap_or(f64::MIN_POSITIVE),
        }
    }

    fn text(&mut self) -> String {
        const ALPHABETS: [&[char]; 3] = [
            &['a', 'b', '.', '_', ' ', '~'],
            &['a', '"', '\\', '\n', '\u{1}', '/'],
            &['z', 'é', '日', '🚰', '\u{10ffff}'],
        ];
        let alphabet = ALPHABETS[self.0.random_range(0..ALPHABETS.len())];
        let len = [0, 1, 7, 8, 40, 200][self.0.random_range(0..6)];
        (0..len).map(|_| alphabet[self.0.random_range(0..alphabet.len())]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.some(40, |maker| maker.0.random())
    }

    fn trace_id(&mut self) -> Vec<u8> {
        self.maybe(|maker| maker.0.random::<[u8; 16]>().to_vec()).unwrap_or_default()
    }

    fn span_id(&mut self) -> Vec<u8> {
        self.maybe(|maker| maker.0.random::<[u8; 8]>().to_vec()).unwrap_or_default()
    }

    fn any_value(&mut self) -> AnyValue {
        use any_value::Value::{
            ArrayValue as Array, BoolValue, BytesValue, DoubleValue, IntValue, KvlistValue, StringValue,
            StringValueStrindex,
        };
        let value = match self.0.random_range(0..16) {
            0 => None,
            1 => Some(BoolValue(self.0.random())),
            2 => Some(IntValue(self.i64())),
            3 => Some(DoubleValue(self.f64())),
            4 => Some(Array(ArrayValue { values: self.some(3, Maker::any_value) })),
            5 => Some(KvlistValue(KeyValueList { values: self.some(3, Maker::key_value) })),
            6 => Some(BytesValue(self.bytes())),
            7 => Some(StringValueStrindex(self.i32())),
            _ => Some(StringValue(self.text())),
        };
        AnyValue { value }
    }

    fn key_value(&mut self) -> KeyValue {
        // Two of the keys mean something.
        let key = match self.0.random_range(0..8) {
            0 => "k8s.cluster.name".to_owned(),
            1 => "cross_cluster.source".to_owned(),
            _ => self.text(),
        };
        KeyValue {
            key,
            value: self.maybe(Maker::any_value),
            key_strindex: if self.0.random_bool(0.1) { self.i32() } else { 0 },
        }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.some(5, Maker::key_value)
    }

    fn resource(&mut self) -> Resource {
        Resource {
            attributes: self.attributes(),
            dropped_attributes_count: self.u32(),
            entity_refs: self.some(3, |maker| EntityRef {
                schema_url: maker.text(),
                r#type: maker.text(),
                id_keys: maker.some(3, Maker::text),
                description_keys: maker.some(3, Maker::text),
            }),
        }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: self.u32(),
        }
    }

    fn resource_logs(&mut self) -> ResourceLogs {
        ResourceLogs {
            resource: self.maybe(Maker::resource),
            scope_logs: self.some(3, |maker| ScopeLogs {
                scope: maker.maybe(Maker::scope),
                log_records: maker.some(4, Maker::log_record),
                schema_url: maker.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn log_record(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.u64(),
            observed_time_unix_nano: self.u64(),
            severity_number: self.i32(),
            severity_text: self.text(),
            body: self.maybe(Maker::any_value),
            attributes: self.attributes(),
            dropped_attributes_count: self.u32(),
            flags: self.u32(),
            trace_id: self.trace_id(),
            span_id: self.span_id(),
            event_name: self.text(),
        }
    }

    fn resource_spans(&mut self) -> ResourceSpans {
        ResourceSpans {
            resource: self.maybe(Maker::resource),
            scope_spans: self.some(3, |maker| ScopeSpans {
                scope: maker.maybe(Maker::scope),
                spans: maker.some(4, Maker::span),
                schema_url: maker.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn span(&mut self) -> Span {
        Span {
            trace_id: self.trace_id(),
            span_id: self.span_id(),
            trace_state: self.text(),
            parent_span_id: self.span_id(),
            flags: self.u32(),
            name: self.text(),
            kind: if self.0.random() { self.0.random_range(0..=5) } else { self.i32() },
            start_time_unix_nano: self.u64(),
            end_time_unix_nano: self.u64(),
            attributes: self.attributes(),
            dropped_attributes_count: self.u32(),
            events: self.some(3, |maker| span::Event {
                time_unix_nano: maker.u64(),
                name: maker.text(),
                attributes: maker.attributes(),
                dropped_attributes_count: maker.u32(),
            }),
            dropped_events_count: self.u32(),
            links: self.some(3, |maker| span::Link {
                trace_id: maker.trace_id(),
                span_id: maker.span_id(),
                trace_state: maker.text(),
                attributes: maker.attributes(),
                dropped_attributes_count: maker.u32(),
                flags: maker.u32(),
            }),
            dropped_links_count: self.u32(),
            status: self.maybe(|maker| Status { message: maker.text(), code: maker.i32() }),
        }
    }

    fn resource_metrics(&mut self) -> ResourceMetrics {
        ResourceMetrics {
            resource: self.maybe(Maker::resource),
            scope_metrics: self.some(3, |maker| ScopeMetrics {
                scope: maker.maybe(Maker::scope),
                metrics: maker.some(4, Maker::metric),
                schema_url: maker.text(),
            }),
            schema_url: self.text(),
        }
    }

    fn metric(&mut self) -> Metric {
        let data = match self.0.random_range(0..6) {
            0 => None,
            1 => Some(metric::Data::Gauge(Gauge { data_points: self.some(3, Maker::number_point) })),
            2 => Some(metric::Data::Sum(Sum {
                data_points: self.some(3, Maker::number_point),
                aggregation_temporality: self.i32(),
                is_monotonic: self.0.random(),
            })),
            3 => Some(metric::Data::Histogram(Histogram {
                data_points: self.some(3, Maker::histogram_point),
                aggregation_temporality: self.i32(),
            })),
            4 => Some(metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.some(3, Maker::exponential_histogram_point),
                aggregation_temporality: self.i32(),
            })),
            _ => Some(metric::Data::Summary(Summary { data_points: self.some(3, Maker::summary_point) })),
        };
        Metric { name: self.text(), description: self.text(), unit: self.text(), metadata: self.attributes(), data }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            exemplars: self.some(3, Maker::exemplar),
            flags: self.u32(),
            value: self.maybe(|maker| match maker.0.random() {
                true => number_data_point::Value::AsDouble(maker.f64()),
                false => number_data_point::Value::AsInt(maker.i64()),
            }),
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            count: self.u64(),
            sum: self.maybe(Maker::f64),
            bucket_counts: self.some(20, Maker::u64),
            explicit_bounds: self.some(20, Maker::f64),
            exemplars: self.some(3, Maker::exemplar),
            flags: self.u32(),
            min: self.maybe(Maker::f64),
            max: self.maybe(Maker::f64),
        }
    }

    fn exponential_histogram_point(&mut self) -> ExponentialHistogramDataPoint {
        let buckets = |maker: &mut Maker| Buckets { offset: maker.i32(), bucket_counts: maker.some(20, Maker::u64) };
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            count: self.u64(),
            sum: self.maybe(Maker::f64),
            scale: self.i32(),
            zero_count: self.u64(),
            positive: self.maybe(buckets),
            negative: self.maybe(buckets),
            flags: self.u32(),
            exemplars: self.some(3, Maker::exemplar),
            min: self.maybe(Maker::f64),
            max: self.maybe(Maker::f64),
            zero_threshold: self.f64(),
        }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.u64(),
            time_unix_nano: self.u64(),
            count: self.u64(),
            sum: self.f64(),
            quantile_values: self.some(4, |maker| ValueAtQuantile { quantile: maker.f64(), value: maker.f64() }),
            flags: self.u32(),
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.u64(),
            span_id: self.span_id(),
            trace_id: self.trace_id(),
            value: self.maybe(|maker| match maker.0.random() {
                true => exemplar::Value::AsDouble(maker.f64()),
                false => exemplar::Value::AsInt(maker.i64()),
            }),
        }
    }
}
