//! `spillway status`: what the page shows, in a terminal.

mod told;
mod view;

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use self::told::Told;
use self::view::Style;
use super::exit::Code;
use super::out;
use super::tools::failure::Failure;
use super::tools::way::{Way, Where};

/// Time between two looks at a screen that is drawn anew.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two lines where there is no such screen.
const LINE: Duration = Duration::from_secs(5);
/// Everything, with the last 15 minutes for the pace.
const PATH: &str = "/status?history=true";

/// Show how a running gateway does: the headline, the chain, the queue, the books
///
/// Over the socket in the queue's directory, or with --admin over the admin port, which asks for the token from other machines.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 data flows (normal, replaying, on fallback), 1 it does not (paused, partitioned, refusing) or the books do not
balance, 69 no gateway answers. With --watch 0 once it is interrupted.

Examples:
  spillway status
  spillway status --watch
  spillway status --json | jq .headline
  spillway status --admin http://10.1.2.3:8890 --token-file token"
)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    place: Where,
    /// Looks again each second until it is interrupted. Where standard output is no terminal, a line every five seconds.
    #[arg(short, long)]
    watch: bool,
    /// Prints the gateway's JSON on one line, as /status has it; with --watch a line a second.
    #[arg(long)]
    json: bool,
}

/// Looks, once or until interrupted.
pub(super) async fn status(args: &StatusArgs) -> Code {
    let style = Style { colors: out::colored() };
    let command = async |way: &Way| match args.watch {
        false => once(args, way, style).await,
        true => {
            let mut ended = signal(SignalKind::terminate()).map_err(|error| Failure::new(Code::Bug, error))?;
            tokio::select! {
                never = watch(args, way, style) => never,
                _ = tokio::signal::ctrl_c() => Ok(Code::Fine),
                _ = ended.recv() => Ok(Code::Fine),
            }
        }
    };
    args.place.work_beside(command).await
}

async fn once(args: &StatusArgs, way: &Way, style: Style) -> Result<Code, Failure> {
    let (told, whole) = look(way).await?;
    if args.json {
        out::json(&whole);
    } else {
        out::lines(view::lines(&told, style));
    }
    Ok(if told.is_well() { Code::Fine } else { Code::No })
}

/// A gateway that does not answer for a while is told, and asked again: it may be the one that is watched for.
async fn watch(args: &StatusArgs, way: &Way, style: Style) -> Result<Code, Failure> {
    let screen = if args.json { None } else { out::Screen::open() };
    let mut looks = interval(if args.json || screen.is_some() { LOOK } else { LINE });
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let looked = look(way).await;
        match (&screen, looked) {
            (Some(screen), Ok((told, _))) => screen.show(&view::lines(&told, style)),
            (Some(screen), Err(failure)) => screen.show(&[failure.sentence]),
            (None, Ok((_, whole))) if args.json => out::json(&whole),
            (None, Ok((told, _))) => out::lines([view::line(&told, style)]),
            (None, Err(failure)) => out::warn(&failure.sentence),
        }
    }
}

async fn look(way: &Way) -> Result<(Told, Value), Failure> {
    let whole: Value = way.get(PATH).await?;
    let told = Told::deserialize_from(&whole)?;
    Ok((told, whole))
}

impl Told {
    fn deserialize_from(whole: &Value) -> Result<Told, Failure> {
        serde::Deserialize::deserialize(whole).map_err(|error| {
            Failure::new(
                Code::Bug,
                format!("the status means nothing to this release ({error}): use the gateway's own"),
            )
        })
    }
}
