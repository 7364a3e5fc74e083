//! `spillway queue`: looks into a queue, copies out of it, brings in, and removes.

mod export;
mod ls;
mod purge;
mod replay;
mod stats;
mod verify;

use clap::{Args, Subcommand};

use super::exit::Code;
use super::tools::way::{Way, Where};

/// Look into the queue, copy out of it, bring in, remove
///
/// Works beside a running gateway, over the socket in the queue's directory, and offline, on the directory itself.
#[derive(Debug, Args)]
pub(super) struct QueueArgs {
    #[command(flatten)]
    place: Where,
    /// Prints JSON: a list as one object a line, anything else as one object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::LsArgs),
    Stats(stats::StatsArgs),
    Verify(verify::VerifyArgs),
    Export(export::ExportArgs),
    Replay(replay::ReplayArgs),
    Purge(purge::PurgeArgs),
}

/// Carries it out.
pub(super) async fn queue(args: &QueueArgs) -> Code {
    let command = async |way: &Way| match &args.command {
        Command::Ls(ls) => ls::ls(ls, args.json, way).await,
        Command::Stats(stats) => stats::stats(stats, args.json, way).await,
        Command::Verify(verify) => verify::verify(verify, args.json, way).await,
        Command::Export(export) => export::export(export, args.json, way).await,
        Command::Replay(replay) => replay::replay(replay, args.json, way).await,
        Command::Purge(purge) => purge::purge(purge, args.json, way).await,
    };
    args.place.work(command).await
}
