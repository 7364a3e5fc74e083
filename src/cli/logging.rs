//! Log lines: to standard error, as text or JSON, filtered as `telemetry.log` says.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;

use super::out;
use crate::app::SetLog;
use crate::config::{LogFormat, TelemetryConfig, logfilter};

/// Starts logging; what is returned changes its levels. Once a process; a second call changes nothing.
pub(super) fn start(config: &TelemetryConfig) -> SetLog {
    let lines = tracing_subscriber::fmt().with_env_filter(filter(config)).with_writer(std::io::stderr);
    let (started, set): (_, SetLog) = match config.log_format {
        LogFormat::Text => {
            let lines = lines.with_ansi(out::colors()).with_filter_reloading();
            let handle = lines.reload_handle();
            (lines.finish().try_init(), Box::new(move |config| reload(&handle, config)))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let handle = lines.reload_handle();
            (lines.finish().try_init(), Box::new(move |config| reload(&handle, config)))
        }
    };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
    set
}

fn reload<S>(handle: &Handle<EnvFilter, S>, config: &TelemetryConfig) {
    if let Err(error) = handle.reload(filter(config)) {
        tracing::warn!(%error, "the levels of the log stay as they are");
    }
}

/// The loader took nothing that is no list of levels.
fn filter(config: &TelemetryConfig) -> EnvFilter {
    let directives = logfilter::directives(&config.log).unwrap_or_else(|| "info".to_owned());
    EnvFilter::builder().parse_lossy(directives)
}
