//! Log lines: to standard error, as text or JSON, filtered as `telemetry.log` says.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use super::out;
use crate::config::{LogFormat, TelemetryConfig, logfilter};

/// Starts logging. Once a process; a second call changes nothing.
pub(super) fn start(config: &TelemetryConfig) {
    // The loader took nothing that is no list of levels.
    let directives = logfilter::directives(&config.log).unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::builder().parse_lossy(directives);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.log_format {
        LogFormat::Text => lines.with_ansi(out::colors()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
}
