//! The table itself: every message that an export request can hold, transcribed from the `.proto` files.

use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::{Field, Kind, Message, Op, Rule};

// opentelemetry/proto/common/v1 and resource/v1

static ANY_VALUE: Message = Message::new(&[
    member(1, "string_value", Kind::String),
    member(2, "bool_value", Kind::Bool),
    member(3, "int_value", Kind::Int64),
    member(4, "double_value", Kind::Double),
    member(5, "array_value", Kind::Message(&ARRAY_VALUE)),
    member(6, "kvlist_value", Kind::Message(&KEY_VALUE_LIST)),
    member(7, "bytes_value", Kind::Bytes),
    member(8, "string_value_strindex", Kind::Int32),
]);

static ARRAY_VALUE: Message = Message::new(&[messages(1, "values", &ANY_VALUE)]);

static KEY_VALUE_LIST: Message = Message::new(&[attributes(1, "values")]);

static KEY_VALUE: Message =
    Message::new(&[single(1, "key", Kind::String), any_value(2, "value"), single(3, "key_strindex", Kind::Int32)]);

static SCOPE: Message = Message::new(&[
    single(1, "name", Kind::String),
    single(2, "version", Kind::String),
    attributes(3, "attributes"),
    single(4, "dropped_attributes_count", Kind::Uint32),
]);

static ENTITY_REF: Message = Message::new(&[
    single(1, "schema_url", Kind::String),
    single(2, "type", Kind::String),
    repeated(3, "id_keys", Kind::String),
    repeated(4, "description_keys", Kind::String),
]);

static RESOURCE: Message = Message::new(&[
    attributes(1, "attributes"),
    single(2, "dropped_attributes_count", Kind::Uint32),
    messages(3, "entity_refs", &ENTITY_REF),
]);

// opentelemetry/proto/logs/v1

pub(super) static EXPORT_LOGS: Message = Message::new(&[messages(1, "resource_logs", &RESOURCE_LOGS)]);

static RESOURCE_LOGS: Message = Message::new(&[
    message(1, "resource", &RESOURCE),
    messages(2, "scope_logs", &SCOPE_LOGS),
    single(3, "schema_url", Kind::String),
]);

static SCOPE_LOGS: Message = Message::new(&[
    message(1, "scope", &SCOPE),
    items(2, "log_records", &LOG_RECORD),
    single(3, "schema_url", Kind::String),
]);

static LOG_RECORD: Message = Message::new(&[
    single(1, "time_unix_nano", Kind::Fixed64),
    single(2, "severity_number", SEVERITY),
    single(3, "severity_text", Kind::String),
    any_value(5, "body"),
    attributes(6, "attributes"),
    single(7, "dropped_attributes_count", Kind::Uint32),
    single(8, "flags", Kind::Fixed32),
    single(9, "trace_id", TRACE_ID),
    single(10, "span_id", SPAN_ID),
    single(11, "observed_time_unix_nano", Kind::Fixed64),
    single(12, "event_name", Kind::String),
]);

// opentelemetry/proto/trace/v1

pub(super) static EXPORT_TRACES: Message =
    Message::new(&[noted(Op::Origin, messages(1, "resource_spans", &RESOURCE_SPANS))]);

static RESOURCE_SPANS: Message = Message::new(&[
    message(1, "resource", &RESOURCE),
    messages(2, "scope_spans", &SCOPE_SPANS),
    single(3, "schema_url", Kind::String),
]);

static SCOPE_SPANS: Message = Message::new(&[
    message(1, "scope", &SCOPE),
    noted(Op::Span, items(2, "spans", &SPAN)),
    single(3, "schema_url", Kind::String),
]);

static SPAN: Message = Message::new(&[
    single(1, "trace_id", TRACE_ID),
    single(2, "span_id", SPAN_ID),
    single(3, "trace_state", Kind::String),
    noted(Op::Parent, single(4, "parent_span_id", SPAN_ID)),
    single(5, "name", Kind::String),
    noted(Op::SpanKind, single(6, "kind", SPAN_KIND)),
    single(7, "start_time_unix_nano", Kind::Fixed64),
    single(8, "end_time_unix_nano", Kind::Fixed64),
    attributes(9, "attributes"),
    single(10, "dropped_attributes_count", Kind::Uint32),
    messages(11, "events", &EVENT),
    single(12, "dropped_events_count", Kind::Uint32),
    messages(13, "links", &LINK),
    single(14, "dropped_links_count", Kind::Uint32),
    message(15, "status", &STATUS),
    single(16, "flags", Kind::Fixed32),
]);

static EVENT: Message = Message::new(&[
    single(1, "time_unix_nano", Kind::Fixed64),
    single(2, "name", Kind::String),
    attributes(3, "attributes"),
    single(4, "dropped_attributes_count", Kind::Uint32),
]);

static LINK: Message = Message::new(&[
    single(1, "trace_id", TRACE_ID),
    single(2, "span_id", SPAN_ID),
    single(3, "trace_state", Kind::String),
    attributes(4, "attributes"),
    single(5, "dropped_attributes_count", Kind::Uint32),
    single(6, "flags", Kind::Fixed32),
]);

static STATUS: Message = Message::new(&[single(2, "message", Kind::String), single(3, "code", STATUS_CODE)]);

// opentelemetry/proto/metrics/v1

pub(super) static EXPORT_METRICS: Message = Message::new(&[messages(1, "resource_metrics", &RESOURCE_METRICS)]);

static RESOURCE_METRICS: Message = Message::new(&[
    message(1, "resource", &RESOURCE),
    messages(2, "scope_metrics", &SCOPE_METRICS),
    single(3, "schema_url", Kind::String),
]);

static SCOPE_METRICS: Message = Message::new(&[
    message(1, "scope", &SCOPE),
    messages(2, "metrics", &METRIC),
    single(3, "schema_url", Kind::String),
]);

static METRIC: Message = Message::new(&[
    single(1, "name", Kind::String),
    single(2, "description", Kind::String),
    single(3, "unit", Kind::String),
    member(5, "gauge", Kind::Message(&GAUGE)),
    member(7, "sum", Kind::Message(&SUM)),
    member(9, "histogram", Kind::Message(&HISTOGRAM)),
    member(10, "exponential_histogram", Kind::Message(&EXPONENTIAL_HISTOGRAM)),
    member(11, "summary", Kind::Message(&SUMMARY)),
    attributes(12, "metadata"),
]);

static GAUGE: Message = Message::new(&[items(1, "data_points", &NUMBER_POINT)]);

static SUM: Message = Message::new(&[
    items(1, "data_points", &NUMBER_POINT),
    single(2, "aggregation_temporality", TEMPORALITY),
    single(3, "is_monotonic", Kind::Bool),
]);

static HISTOGRAM: Message =
    Message::new(&[items(1, "data_points", &HISTOGRAM_POINT), single(2, "aggregation_temporality", TEMPORALITY)]);

static EXPONENTIAL_HISTOGRAM: Message = Message::new(&[
    items(1, "data_points", &EXPONENTIAL_HISTOGRAM_POINT),
    single(2, "aggregation_temporality", TEMPORALITY),
]);

static SUMMARY: Message = Message::new(&[items(1, "data_points", &SUMMARY_POINT)]);

static NUMBER_POINT: Message = Message::new(&[
    single(2, "start_time_unix_nano", Kind::Fixed64),
    single(3, "time_unix_nano", Kind::Fixed64),
    member(4, "as_double", Kind::Double),
    messages(5, "exemplars", &EXEMPLAR),
    member(6, "as_int", Kind::Sfixed64),
    attributes(7, "attributes"),
    single(8, "flags", Kind::Uint32),
]);

static HISTOGRAM_POINT: Message = Message::new(&[
    single(2, "start_time_unix_nano", Kind::Fixed64),
    single(3, "time_unix_nano", Kind::Fixed64),
    single(4, "count", Kind::Fixed64),
    optional(5, "sum", Kind::Double),
    repeated(6, "bucket_counts", Kind::Fixed64),
    repeated(7, "explicit_bounds", Kind::Double),
    messages(8, "exemplars", &EXEMPLAR),
    attributes(9, "attributes"),
    single(10, "flags", Kind::Uint32),
    optional(11, "min", Kind::Double),
    optional(12, "max", Kind::Double),
]);

static EXPONENTIAL_HISTOGRAM_POINT: Message = Message::new(&[
    attributes(1, "attributes"),
    single(2, "start_time_unix_nano", Kind::Fixed64),
    single(3, "time_unix_nano", Kind::Fixed64),
    single(4, "count", Kind::Fixed64),
    optional(5, "sum", Kind::Double),
    single(6, "scale", Kind::Sint32),
    single(7, "zero_count", Kind::Fixed64),
    message(8, "positive", &BUCKETS),
    message(9, "negative", &BUCKETS),
    single(10, "flags", Kind::Uint32),
    messages(11, "exemplars", &EXEMPLAR),
    optional(12, "min", Kind::Double),
    optional(13, "max", Kind::Double),
    single(14, "zero_threshold", Kind::Double),
]);

static BUCKETS: Message =
    Message::new(&[single(1, "offset", Kind::Sint32), repeated(2, "bucket_counts", Kind::Uint64)]);

static SUMMARY_POINT: Message = Message::new(&[
    single(2, "start_time_unix_nano", Kind::Fixed64),
    single(3, "time_unix_nano", Kind::Fixed64),
    single(4, "count", Kind::Fixed64),
    single(5, "sum", Kind::Double),
    messages(6, "quantile_values", &QUANTILE),
    attributes(7, "attributes"),
    single(8, "flags", Kind::Uint32),
]);

static QUANTILE: Message = Message::new(&[single(1, "quantile", Kind::Double), single(2, "value", Kind::Double)]);

static EXEMPLAR: Message = Message::new(&[
    single(2, "time_unix_nano", Kind::Fixed64),
    member(3, "as_double", Kind::Double),
    single(4, "span_id", SPAN_ID),
    single(5, "trace_id", TRACE_ID),
    member(6, "as_int", Kind::Sfixed64),
    attributes(7, "filtered_attributes"),
]);

const fn field(number: u32, name: &'static str, kind: Kind, rule: Rule) -> Field {
    Field { number, name, kind, rule, noted: None }
}

const fn noted(op: Op, field: Field) -> Field {
    Field { noted: Some(op), ..field }
}

const fn single(number: u32, name: &'static str, kind: Kind) -> Field {
    field(number, name, kind, Rule::Single)
}

const fn optional(number: u32, name: &'static str, kind: Kind) -> Field {
    field(number, name, kind, Rule::Optional)
}

const fn member(number: u32, name: &'static str, kind: Kind) -> Field {
    field(number, name, kind, Rule::Member)
}

const fn repeated(number: u32, name: &'static str, kind: Kind) -> Field {
    field(number, name, kind, Rule::Repeated)
}

const fn message(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message), Rule::Optional)
}

const fn messages(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message), Rule::Repeated)
}

const fn any_value(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Message(&ANY_VALUE), Rule::Value)
}

const fn attributes(number: u32, name: &'static str) -> Field {
    field(number, name, Kind::Message(&KEY_VALUE), Rule::Attributes)
}

const fn items(number: u32, name: &'static str, message: &'static Message) -> Field {
    field(number, name, Kind::Message(message), Rule::Items)
}

const TRACE_ID: Kind = Kind::Id(16);
const SPAN_ID: Kind = Kind::Id(8);
const SEVERITY: Kind = Kind::Enum(|name| SeverityNumber::from_str_name(name).map(|value| value as i32));
const SPAN_KIND: Kind = Kind::Enum(|name| SpanKind::from_str_name(name).map(|value| value as i32));
const STATUS_CODE: Kind = Kind::Enum(|name| StatusCode::from_str_name(name).map(|value| value as i32));
const TEMPORALITY: Kind = Kind::Enum(|name| AggregationTemporality::from_str_name(name).map(|value| value as i32));
