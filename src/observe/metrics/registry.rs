//! The seam to the metrics library: the one file that knows it.

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Summary as QuantileSummary,
};
use prometheus::{Encoder, TextEncoder};

use super::family::{Family, Kind, Page, Sample, Value};

pub use prometheus::{Error as RegistryError, Registry};

/// Media type of what [`render`] writes.
pub(in crate::observe) const TEXT_FORMAT: &str = prometheus::TEXT_FORMAT;

/// Fills pages for a registry. Nothing is kept between scrapes: the parts count, this tells.
struct Pages<F> {
    descs: Vec<Desc>,
    fill: F,
}

/// Registers `families`, whose values `fill` writes at each scrape. Refused when a name is taken already.
pub(super) fn register<F>(
    registry: &Registry,
    families: impl Iterator<Item = &'static Family>,
    fill: F,
) -> Result<(), RegistryError>
where
    F: Fn(&mut Page) + Send + Sync + 'static,
{
    let desc = |family: &Family| {
        let labels = family.labels.iter().map(|&label| label.to_owned()).collect();
        Desc::new(family.name.to_owned(), family.help.to_owned(), labels, HashMap::new())
    };
    let descs = families.map(desc).collect::<Result<_, _>>()?;
    registry.register(Box::new(Pages { descs, fill }))
}

/// All that `registry` gathers, in the text format.
pub(in crate::observe) fn render(registry: &Registry) -> Result<String, RegistryError> {
    let mut text = Vec::with_capacity(128 << 10);
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    String::from_utf8(text).map_err(|error| RegistryError::Msg(error.to_string()))
}

impl<F: Fn(&mut Page) + Send + Sync> Collector for Pages<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut page = Page::default();
        (self.fill)(&mut page);
        page.families.into_iter().map(|(family, samples)| metric_family(family, samples)).collect()
    }
}

fn metric_family(family: &Family, samples: Vec<Sample>) -> MetricFamily {
    let mut converted = MetricFamily::default();
    converted.set_name(family.name.to_owned());
    converted.set_help(family.help.to_owned());
    converted.set_field_type(match family.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
        Kind::Summary => MetricType::SUMMARY,
    });
    converted.set_metric(samples.into_iter().map(|sample| metric(family, sample)).collect());
    converted
}

fn metric(family: &Family, sample: Sample) -> Metric {
    let pair = |(name, value): (&&str, String)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value(value);
        pair
    };
    let mut metric = Metric::from_label(family.labels.iter().zip(sample.labels).map(pair).collect());
    match sample.value {
        Value::Number(value) if family.kind == Kind::Counter => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Value::Number(value) => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        Value::Distribution(distribution) => {
            let bucket = |&(bound, count): &(f64, u64)| {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            };
            let mut histogram = Histogram::default();
            histogram.set_bucket(distribution.buckets.iter().map(bucket).collect());
            histogram.set_sample_count(distribution.count);
            histogram.set_sample_sum(distribution.sum);
            metric.set_histogram(histogram);
        }
        Value::Sum { count, sum } => {
            let mut summary = QuantileSummary::default();
            summary.set_sample_count(count);
            summary.set_sample_sum(sum);
            metric.set_summary(summary);
        }
    }
    metric
}
