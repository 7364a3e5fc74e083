//! `spillway check`: is the configuration right, what holds in the end, and do the targets answer?

use std::time::Instant;

use futures_util::future::join_all;
use serde::Serialize;
use serde_json::Value;
use tokio::runtime;

use super::args::CheckArgs;
use super::exit::Code;
use super::out;
use crate::batch::Signal;
use crate::config::mistake::Record;
use crate::config::{Config, Loaded, Mistakes, TargetConfig};
use crate::target::{self, Health};

/// Checks, prints, and says whether all is well.
pub(super) fn check(args: &CheckArgs) -> Code {
    let Loaded { config, warnings } = match args.config.load(None) {
        Ok(loaded) => loaded,
        Err(mistakes) => return refuse(&mistakes, args.json),
    };
    let fallbacks = fallbacks(&config);
    let answers = match args.connect {
        true => match connect(&config) {
            Ok(answers) => Some(answers),
            Err(error) => return out::fail(&format!("the system gives no runtime: {error}"), Code::Bug),
        },
        false => None,
    };
    let all_answer = answers.iter().flatten().all(|answer| answer.health != "down");
    if args.json {
        let file = args.config.source().name();
        out::json(&Report { ok: all_answer, file, config: config.to_json(), fallbacks, targets: answers, warnings });
    } else {
        out::text(&config.to_yaml());
        out::lines(fallbacks.iter().map(|fallback| format!("# {}", fallback.line())));
        out::lines(answers.iter().flatten().map(|answer| format!("# {}", answer.line())));
        warnings.iter().for_each(|warning| out::warn(warning));
    }
    if all_answer { Code::Fine } else { Code::No }
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Report {
    ok: bool,
    file: String,
    config: Value,
    fallbacks: Vec<Fallback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<TargetAnswer>>,
    warnings: Vec<String>,
}

/// What is printed with `--json` when the configuration is wrong.
#[derive(Serialize)]
struct Refusal {
    ok: bool,
    file: String,
    mistakes: Vec<Record>,
}

fn refuse(mistakes: &Mistakes, json: bool) -> Code {
    if json {
        let records = mistakes.list.iter().map(|mistake| mistake.record(&mistakes.file)).collect();
        out::json(&Refusal { ok: false, file: mistakes.file.clone(), mistakes: records });
    } else {
        out::note(&mistakes.to_string());
    }
    Code::Usage
}

/// A fallback, and what its OK means.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Fallback {
    target: String,
    signals: Vec<&'static str>,
    /// Whether the primary still gets what it took.
    replay_to_primary: bool,
}

impl Fallback {
    fn line(&self) -> String {
        let means = match self.replay_to_primary {
            true => "its OK is not the end: what it takes stays queued, and the primary gets it too when it is back",
            false => "its OK is final: the primary never gets what it takes (replay_to_primary: false)",
        };
        format!("fallback {} ({}): {means}", self.target, self.signals.join(", "))
    }
}

fn fallbacks(config: &Config) -> Vec<Fallback> {
    let of = |target: &TargetConfig| {
        let falls_back = |signal: &Signal| config.chain.of(*signal).fallback.contains(&target.name);
        let signals: Vec<_> = Signal::ALL.into_iter().filter(falls_back).map(Signal::as_str).collect();
        let fallback = Fallback { target: target.name.clone(), signals, replay_to_primary: target.replay_to_primary };
        (!fallback.signals.is_empty()).then_some(fallback)
    };
    config.targets.iter().filter_map(of).collect()
}

/// How a target answered.
#[derive(Debug, Serialize)]
struct TargetAnswer {
    target: String,
    /// `up`, `unknown` or `down`.
    health: &'static str,
    /// Why it is down; empty else.
    message: String,
    milliseconds: u64,
}

impl TargetAnswer {
    fn line(&self) -> String {
        let TargetAnswer { target, milliseconds, .. } = self;
        match self.health {
            "up" => format!("target {target}: up, answered within {milliseconds} ms"),
            "unknown" => format!("target {target}: answered within {milliseconds} ms, but does not say how it is"),
            _ => format!("target {target}: down: {}", self.message),
        }
    }
}

/// Probes every target at once, each within its own `health.timeout`; in the order of the file. One that cannot be set up is down.
fn connect(config: &Config) -> Result<Vec<TargetAnswer>, String> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let probing = config.targets.iter().map(|target| probe(target, &config.cluster.name));
    Ok(runtime.block_on(join_all(probing)))
}

async fn probe(config: &TargetConfig, source_cluster: &str) -> TargetAnswer {
    let began = Instant::now();
    let found = match target::build(config, source_cluster) {
        Ok(target) => target.probe().await,
        Err(error) => Health::Down(error.to_string()),
    };
    let (health, message) = match found {
        Health::Up => ("up", String::new()),
        Health::Unknown => ("unknown", String::new()),
        Health::Down(why) => ("down", why),
    };
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    TargetAnswer { target: config.name.clone(), health, message, milliseconds }
}
