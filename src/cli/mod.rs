//! Arguments in, exit codes out; no logic of its own.

mod args;
mod catalogue;
mod compare;
mod doctor;
mod dossier;
mod inputs;
mod judge;
mod measure;
mod noise;
mod profile;
pub mod progress;
mod publish;
mod resume;
mod say;
mod signals;
mod stage;
mod vm;

use std::process::ExitCode;

use args::Command;
use clap::Parser;

use crate::cli::say::{in_one_line, is_broken_pipe};
use crate::exit;

pub use args::Cli;

/// Runs the program; prints one line to standard error where it fails.
pub fn main() -> ExitCode {
    crate::guest::branch();
    if let Err(why) = own_privilege() {
        tell!("cowpath: {why}");
        return ExitCode::from(exit::USAGE);
    }
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::List(args) => catalogue::list(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Run(args) => measure::run(args),
        Command::Report(args) => publish::report(args),
        Command::Compare(args) => compare::compare(args),
        Command::Dossier(args) => dossier::dossier(args),
        Command::Noise(args) => noise::noise(args),
        Command::Judge(args) => judge::judge(args),
        Command::Vm(args) => vm::vm(args),
        Command::Stage(args) => stage::stage(args),
        Command::Profile(args) => profile::profile(args),
        Command::Schema(args) => catalogue::schema(args.of),
        Command::Worker => return hidden(crate::worker::serve::serve()),
        Command::Subject(args) => {
            let served = crate::worker::subject::serve(&args.scenario, args.folio, args.pages);
            return hidden(served);
        }
        Command::Sampled(args) => return hidden(crate::worker::sampled::serve(&args.task)),
        Command::Controller(args) => return hidden(stage::controller(args)),
        Command::Guardian => return hidden(crate::machine::tune::guard()),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        // The reader of our output has gone, as `cowpath list | head` does.
        Err(e) if is_broken_pipe(&e) => ExitCode::from(exit::OK),
        Err(e) => {
            tell!("cowpath: {}", in_one_line(&e));
            ExitCode::from(exit::USAGE)
        }
    }
}

/// Refuses to run with the privilege of the program's owner in place of that of whoever starts it.
fn own_privilege() -> Result<(), String> {
    use nix::unistd::{getegid, geteuid, getgid, getuid};
    let (real, effective) = ((getuid(), getgid()), (geteuid(), getegid()));
    match real == effective {
        true => Ok(()),
        false => Err(format!(
            "cowpath is not made to run set-user-ID or set-group-ID: whoever may start it could write files and settings as its owner; found: user {} and group {} run it as user {} and group {}; mend with: chmod u-s,g-s on the program, and sudo where root is needed",
            real.0, real.1, effective.0, effective.1
        )),
    }
}

/// How a process that the program starts of itself ends.
fn hidden<E: std::fmt::Display>(served: Result<(), E>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tell!("{e}");
            ExitCode::from(exit::USAGE)
        }
    }
}
