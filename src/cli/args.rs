//! The options of the command line. What they do is in the commands' own files.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::control::Control;
use super::dead::DeadArgs;
use super::demo::DemoArgs;
use super::drain::DrainArgs;
use super::exit;
use super::queue::QueueArgs;
use super::status::StatusArgs;
use crate::config::{Config, Loaded, Mistakes, Override, Source};

/// A failover-aware, durable export gateway for OpenTelemetry.
///
/// It takes OTLP from collectors and SDKs, answers OK once a request is on disk, and delivers to a primary, or to a fallback
/// while the primary is away, and pays the primary back when it returns.
#[derive(Debug, Parser)]
#[command(name = "spillway", arg_required_else_help = true, disable_version_flag = true, after_help = exit::HELP)]
#[command(disable_help_subcommand = true)]
pub(super) struct Arguments {
    /// Print version, commit and the version of RocksDB
    #[arg(short = 'V', long)]
    pub version: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Run(RunArgs),
    Check(CheckArgs),
    /// Show the whole story on this machine: a hub goes away and comes back, and nothing is lost
    Demo(DemoArgs),
    Probe(ProbeArgs),
    Status(StatusArgs),
    Queue(QueueArgs),
    Dead(DeadArgs),
    Drain(DrainArgs),
    #[command(flatten)]
    Control(Control),
    Completion(CompletionArgs),
}

/// Where the configuration comes from
#[derive(Debug, Clone, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file; `config/reference.yaml` explains every key.
    ///
    /// Without one, OTEL_EXPORTER_OTLP_ENDPOINT and its siblings (PROTOCOL, HEADERS, TIMEOUT, COMPRESSION, CERTIFICATE …, also
    /// per signal) describe the primary.
    #[arg(short, long, value_name = "FILE", env = "SPILLWAY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Puts a value over the file's; the value is YAML. May be given many times.
    ///
    /// `--set queue.max_size=20GiB --set 'chain.fallback=[direct]'`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The directory of the queue, over `queue.directory`.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl ConfigArgs {
    pub(super) fn source(&self) -> Source {
        match &self.config {
            Some(file) => Source::File(file.clone()),
            None => Source::Environment,
        }
    }

    pub(super) fn load(&self, more: Option<Override>) -> Result<Loaded, Mistakes> {
        let set = self.set.iter().map(Override::set);
        let data_dir = self.data_dir.as_deref().map(Override::data_dir);
        let overrides: Vec<Override> = set.chain(data_dir).chain(more).collect();
        Config::load(&self.source(), &overrides, &|name| std::env::var(name).ok())
    }
}

/// Run the gateway
///
/// It stops on SIGTERM within `shutdown.timeout`, after lingering for load balancers; on SIGINT without lingering.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway run --config /etc/spillway/config.yaml
  spillway run --config config/quickstart.yaml --data-dir /tmp/queue --log debug
  spillway run --set targets.hub.endpoint=http://hub:4317
  OTEL_EXPORTER_OTLP_ENDPOINT=http://hub:4317 spillway run --data-dir ./spillway-data")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Writes the addresses that it listens at to FILE, as JSON {"grpc", "http", "admin"}, once it accepts.
    ///
    /// Port 0 works everywhere, and this tells which port was chosen.
    #[arg(long, value_name = "FILE")]
    pub ports_file: Option<PathBuf>,
    /// The log level, or levels by part as in `info,deliver=debug`, over `telemetry.log`.
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// Validate the configuration, and show what holds in the end
///
/// Prints every key with the value that is in effect, secrets as ***, and for each fallback what its OK means. Mistakes come all
/// at once, each with file, line, column and what was expected.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway check --config spillway.yaml
  spillway check --config spillway.yaml --connect     exit code 1 when a target does not answer
  spillway check --config spillway.yaml --json | jq .config.queue")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Also asks each target for its health, with the real credentials and without data.
    #[arg(long)]
    pub connect: bool,
    /// Prints one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Ask a running gateway for its health, for probes in an image without a shell
///
/// Exit code 0 when it answers yes, 1 when it answers no or not at all.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway probe readyz
  spillway probe livez --admin http://127.0.0.1:8890")]
pub(super) struct ProbeArgs {
    pub probe: Probe,
    /// Where its admin port is.
    #[arg(long, value_name = "URL", env = "SPILLWAY_ADMIN", default_value = "http://127.0.0.1:8890")]
    pub admin: String,
}

/// Which question is asked
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Probe {
    /// Is the process alive? Never no because of a disk or a target
    Livez,
    /// May traffic be sent to it? Never no because of a target
    Readyz,
    /// Is the queue recovered?
    Startupz,
}

impl Probe {
    pub(super) fn path(self) -> &'static str {
        match self {
            Probe::Livez => "/livez",
            Probe::Readyz => "/readyz",
            Probe::Startupz => "/startupz",
        }
    }
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:
  spillway completion bash > /etc/bash_completion.d/spillway")]
pub(super) struct CompletionArgs {
    pub shell: clap_complete::Shell,
}
