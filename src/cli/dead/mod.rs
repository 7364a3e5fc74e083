//! `spillway dead`: looks at what targets refused for good, sends it again, copies it out, removes it.

mod ls;
mod moves;
mod select;
mod show;

use clap::{Args, Subcommand};

pub(super) use self::moves::keep;
use self::moves::{ExportArgs, PurgeArgs, ReplayArgs};
use super::exit::Code;
use super::tools::way::{Way, Where};

/// Look at dead letters, send them again, copy them out, remove them
///
/// Dead letters are batches that a target refused for good, or that the store lost the bytes of. They lie beside the queue until
/// somebody deals with them, or `queue.dead_letters.max_age` passes. Works beside a running gateway and offline.
#[derive(Debug, Args)]
pub(super) struct DeadArgs {
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
    Show(show::ShowArgs),
    Replay(ReplayArgs),
    Export(ExportArgs),
    Purge(PurgeArgs),
}

/// Carries it out.
pub(super) async fn dead(args: &DeadArgs) -> Code {
    let command = async |way: &Way| match &args.command {
        Command::Ls(ls) => ls::ls(ls, args.json, way).await,
        Command::Show(show) => show::show(show, args.json, way).await,
        Command::Replay(replay) => moves::replay(replay, args.json, way).await,
        Command::Export(export) => moves::export(export, args.json, way).await,
        Command::Purge(purge) => moves::purge(purge, args.json, way).await,
    };
    args.place.work(command).await
}
