//! The heartbeat: `spillway.heartbeat`, sent to the primary of metrics itself and to nobody else, so that the hub notices a cluster that
//! no longer reaches it. The alerts of a cluster that is cut off may not get out. The point itself names the cluster, since not every
//! hub makes labels of what resources carry.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use prost::Message;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::{Own, resource, scope};
use crate::batch::Signal;
use crate::deliver::Deliver;
use crate::otlp::tag::Tags;
use crate::otlp::values::{nanos, text};

/// Beats every `every` until `stop` turns true. A beat that does not get through is not sent again: the next one says more.
pub(in crate::app) async fn run(
    every: Duration,
    cluster: String,
    deliver: Arc<Deliver>,
    tags: Arc<Tags>,
    mut stop: watch::Receiver<bool>,
) {
    let mut own = Own::new(tags);
    let mut beats = interval(every);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let beat = async {
            beats.tick().await;
            if let Some(primary) = deliver.primary(Signal::Metrics) {
                let answer = own.send(&*primary, Signal::Metrics, 1, beat(&cluster)).await;
                debug!(target_name = primary.name(), %answer, "heartbeat");
            }
        };
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = beat => {}
        }
    }
}

fn beat(cluster: &str) -> Vec<u8> {
    let value = Some(number_data_point::Value::AsInt(1));
    let attributes = vec![text("cluster", cluster)];
    let time_unix_nano = nanos(SystemTime::now());
    let point = NumberDataPoint { attributes, time_unix_nano, value, ..NumberDataPoint::default() };
    let metric = Metric {
        name: "spillway.heartbeat".to_owned(),
        description: "1 each time that the gateway reaches its primary.".to_owned(),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    };
    let metrics = ScopeMetrics { scope: scope(), metrics: vec![metric], ..ScopeMetrics::default() };
    let metrics = ResourceMetrics { resource: resource(), scope_metrics: vec![metrics], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![metrics] }.encode_to_vec()
}
