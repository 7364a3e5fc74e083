//! The command line: one file a command.
//!
//! Commands return an [`exit::Code`] and print through [`out`]; nothing else in the crate prints or ends the process.

mod args;
mod check;
mod control;
mod dead;
pub mod demo;
mod drain;
pub mod exit;
mod logging;
pub mod out;
mod probe;
mod queue;
mod run;
mod status;
mod tools;
mod version;

use clap::{CommandFactory, Parser};

use self::args::{Arguments, Command, CompletionArgs};
use self::exit::Code;

/// Reads the arguments of the process, carries out its command and ends the process.
pub fn main() -> ! {
    exit::end_on_panic();
    let code = match Arguments::try_parse() {
        Ok(arguments) => carry_out(arguments),
        Err(refused) => {
            // The text goes to standard output when it was asked for, to standard error when the usage is wrong.
            let _ = refused.print();
            if refused.use_stderr() { Code::Usage } else { Code::Fine }
        }
    };
    out::flush();
    exit::leave(code)
}

fn carry_out(arguments: Arguments) -> Code {
    if arguments.version {
        out::lines([version::line()]);
        return Code::Fine;
    }
    match arguments.command {
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Demo(args)) => run::on_runtime(demo::demo(&args)),
        Some(Command::Probe(args)) => probe::probe(&args),
        Some(Command::Status(args)) => run::on_runtime(status::status(&args)),
        Some(Command::Queue(args)) => run::on_runtime(queue::queue(&args)),
        Some(Command::Dead(args)) => run::on_runtime(dead::dead(&args)),
        Some(Command::Drain(args)) => run::on_runtime(drain::drain(&args)),
        Some(Command::Control(command)) => run::on_runtime(control::control(command)),
        Some(Command::Completion(args)) => completion(&args),
        None => out::fail("no command is given; `spillway --help` lists them", Code::Usage),
    }
}

fn completion(args: &CompletionArgs) -> Code {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "spillway", &mut script);
    out::text(&String::from_utf8_lossy(&script));
    Code::Fine
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derived command line holds together (clap's own check).
    #[test]
    fn the_arguments_hold_together() {
        Arguments::command().debug_assert();
    }
}
