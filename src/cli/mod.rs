//! Arguments in, exit codes out; no logic of its own.

mod args;
mod catalogue;
mod compare;
mod doctor;
mod inputs;
mod measure;
mod profile;
pub mod progress;
mod publish;
mod resume;
mod signals;
mod stage;
mod vm;

use std::process::ExitCode;

use clap::Parser;

pub use args::Cli;
use args::Command;

/// The exit codes that scripts rely on.
mod exit {
    /// All is well.
    pub const OK: u8 = 0;
    /// An integrity check failed.
    pub const INTEGRITY: u8 = 1;
    /// A gated regression.
    pub const REGRESSION: u8 = 1;
    /// Wrong arguments, unreadable input or unwritable output.
    pub const USAGE: u8 = 2;
    /// Nothing can be measured here.
    pub const NOTHING: u8 = 3;
    /// A repetition was lost to the time that one may take.
    pub const LATE: u8 = 5;
    /// Interrupted by the user; the partial file was kept.
    pub const INTERRUPTED: u8 = 130;
}

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
        Command::Conductor(args) => return hidden(stage::conductor(args)),
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

/// The error and its causes. One whose text says its cause already is not followed by it again; what a file says must not
/// move a terminal's cursor.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        match line.is_empty() {
            true => line = cause,
            false if line.contains(&cause) => {}
            false => line += &format!(": {cause}"),
        }
    }
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    line.chars().map(shown).collect()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Writes to standard output; unlike `println!`, a reader that has gone is an error and no panic.
fn say(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}
