//! Changes settings for the time of a run and puts them back, whatever happens to the run.
//!
//! A guardian process of its own session holds the former values and waits for the end of a pipe that
//! only the runner can write to. The end comes when the runner is done, and also when it is killed.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::settings::{sysctl, sysctl_path};

/// The hidden subcommand under which the program serves as a guardian.
pub const GUARDIAN_COMMAND: &str = "guardian";

/// The sysctls that a run can change, and the values that it needs.
const WANTED: &[(&str, &str)] = &[("kernel.task_delayacct", "1")];

/// A setting that cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The kernel has no such setting.
    #[error("--tune: this kernel has no {0}; run without --tune")]
    None(String),
    /// It may not be written.
    #[error("--tune: {name} = {value} is needed and cannot be set: {source}; run as root")]
    Refused {
        /// The sysctl.
        name: String,
        /// The value needed.
        value: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The process that would put settings back cannot be started.
    #[error("--tune: starting the guardian process: {0}; nothing was changed")]
    Guardian(io::Error),
}

/// Settings changed for as long as it lives.
pub struct Tuned {
    guardian: Option<Child>,
}

impl Tuned {
    /// Changes what a run needs; `program` is started as the guardian if anything has to be changed.
    ///
    /// # Errors
    /// When a setting can not be changed; those changed before are put back.
    pub fn apply(program: &Path) -> Result<Self, TuneError> {
        let mut changes = Vec::new();
        for &(name, value) in WANTED {
            match sysctl(name) {
                None => return Err(TuneError::None(name.into())),
                Some(found) if found == value => {}
                Some(found) => changes.push((name, value, found)),
            }
        }
        let mut tuned = Tuned { guardian: None };
        if changes.is_empty() {
            return Ok(tuned);
        }
        tuned.guardian = Some(start(program, &changes).map_err(TuneError::Guardian)?);
        for (name, value, _) in changes {
            fs::write(sysctl_path(name), value).map_err(|source| TuneError::Refused {
                name: name.into(),
                value: value.into(),
                source,
            })?;
        }
        Ok(tuned)
    }
}

impl Drop for Tuned {
    /// Returns when everything is put back.
    fn drop(&mut self) {
        if let Some(mut guardian) = self.guardian.take() {
            drop(guardian.stdin.take());
            let _ = guardian.wait();
        }
    }
}

/// Starts the guardian and waits until it has taken over the former values.
fn start(program: &Path, changes: &[(&str, &str, String)]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command
        .arg(GUARDIAN_COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut ready = String::new();
    let told = child.stdin.as_mut().map_or(Ok(()), |pipe| {
        let mut text = String::new();
        for (name, value, found) in changes {
            text += &format!("{name} {value} {found}\n");
        }
        pipe.write_all((text + "\n").as_bytes())
    });
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut ready)?;
    }
    told?;
    if ready != "ready\n" {
        let _ = child.kill();
        let _ = child.wait();
        return Err(io::Error::other("it did not say that it is ready"));
    }
    Ok(child)
}

/// The guardian's life: reads `NAME VALUE FORMER` lines up to an empty one, says that it is ready,
/// waits for the end of its input, and puts back what is still as the run has set it.
///
/// # Errors
/// When its input is not what [`Tuned::apply`] writes.
pub fn guard() -> io::Result<()> {
    // Neither a terminal's interrupt nor its end may end this process before its work is done.
    nix::unistd::setsid()?;
    nix::sys::signal::SigSet::all().thread_block()?;
    let mut input = BufReader::new(io::stdin().lock());
    let mut held = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => break,
            [name, value, former] => held.push([name, value, former].map(str::to_string)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    io::stdout().write_all(b"ready\n")?;
    io::stdout().flush()?;
    io::copy(&mut input, &mut io::sink())?;
    for [name, value, former] in held {
        if sysctl(&name).is_some_and(|found| found == value) {
            fs::write(sysctl_path(&name), former)?;
        }
    }
    Ok(())
}
