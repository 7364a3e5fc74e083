//! Commands to a running gateway: `pin`, `fail-over`, `open`, `pause` and the like.

use clap::{Args, Subcommand};

use super::exit::Code;
use super::out;
use super::tools::way::{Way, Where};
use crate::deliver::by_hand::{Command, Done};

/// What a gateway can be told
#[derive(Debug, Subcommand)]
pub(super) enum Control {
    /// Send everything to one target of the chain, whatever its state, until `unpin`
    ///
    /// Survives restarts. Signals whose chain does not have the target go on by themselves. What a fallback takes stays owed to
    /// the primary, as in a failover.
    Pin(TargetArgs),
    /// Let the chains decide again
    Unpin(ControlArgs),
    /// Send traffic to the next target of the chain that takes data
    ///
    /// From there the chain goes on by itself: traffic returns after `chain.min_stay`, when the primary has proven itself. To stay
    /// there, `pin` it.
    FailOver(ControlArgs),
    /// Send traffic back to the primary now, without the stay and the proof that the chain asks for
    FailBack(ControlArgs),
    /// Open the breaker of a target by hand: nothing is sent to it
    ///
    /// Until `close` or `auto`, or the end of the process.
    Open(TargetArgs),
    /// Close the breaker of a target by hand: failures do not open it
    ///
    /// Until `open` or `auto`, or the end of the process.
    Close(TargetArgs),
    /// Let the breaker of a target decide again; one that was opened by hand is tried out first
    Auto(TargetArgs),
    /// Send nothing to any target, until `resume`; the doors go on taking data
    ///
    /// Survives restarts. What is in flight may end.
    Pause(ControlArgs),
    /// Go on with delivery
    Resume(ControlArgs),
}

/// To which gateway
#[derive(Debug, Args)]
pub(super) struct ControlArgs {
    #[command(flatten)]
    place: Where,
    /// Prints the gateway's answer as one JSON object.
    #[arg(long)]
    json: bool,
}

/// About which target, and to which gateway
#[derive(Debug, Args)]
pub(super) struct TargetArgs {
    /// Its name in the configuration.
    target: String,
    #[command(flatten)]
    args: ControlArgs,
}

/// Tells the gateway.
pub(super) async fn control(control: Control) -> Code {
    let of = |args: TargetArgs, command: fn(String) -> Command| (args.args, command(args.target));
    let (ControlArgs { place, json }, command) = match control {
        Control::Pin(args) => of(args, |target| Command::Pin { target }),
        Control::Open(args) => of(args, |target| Command::Open { target }),
        Control::Close(args) => of(args, |target| Command::Close { target }),
        Control::Auto(args) => of(args, |target| Command::Auto { target }),
        Control::Unpin(args) => (args, Command::Unpin),
        Control::FailOver(args) => (args, Command::FailOver),
        Control::FailBack(args) => (args, Command::FailBack),
        Control::Pause(args) => (args, Command::Pause),
        Control::Resume(args) => (args, Command::Resume),
    };
    let tell = async |way: &Way| {
        let done: Done = way.post("/commands/delivery", &command).await?;
        if json {
            out::json(&done);
        } else {
            out::lines([done.what]);
        }
        Ok(Code::Fine)
    };
    place.work_beside(tell).await
}
