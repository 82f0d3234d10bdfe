//! The runner's side of a repetition: start a worker, wait for its reply within a limit, clean up.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::demand::HugetlbDemand;
use super::protocol::{Findings, Job, WorkerReply};
use crate::machine::allowance;
use crate::scenario::catalogue;

/// The hidden subcommand under which the program serves as a worker.
pub const WORKER_COMMAND: &str = "worker";

/// What the reason of an attempt that took longer than the limit begins with.
pub const LATE: &str = "needs a reply within";

/// How an attempt at a repetition ended.
#[derive(Debug)]
pub enum Attempt {
    /// With a result.
    Done(Box<Findings>),
    /// The page state cannot be had here; the reason.
    Unreachable(String),
    /// The page state did not come about this time; the reason.
    Failed(String),
    /// The worker died, hung or talked nonsense; the reason.
    Lost(String),
    /// The user asked to stop.
    Interrupted,
}

/// Starts workers.
pub struct Runner {
    /// The program that serves as a worker under [`WORKER_COMMAND`].
    pub program: PathBuf,
    /// How long a repetition may take.
    pub limit: Duration,
    /// Set by a signal handler when the user asks to stop.
    pub interrupted: Arc<AtomicBool>,
}

impl Runner {
    /// Makes one repetition in a fresh process of its own process group, so that a terminal's
    /// interrupt reaches the runner alone. Returns when the worker is reaped.
    pub fn repeat(&self, job: &Job) -> Attempt {
        let killed = allowance::kills();
        let spawned = Command::new(&self.program)
            .arg(WORKER_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn();
        match spawned {
            Ok(mut child) => {
                let heard = self.converse(&mut child, job);
                // Reaps the worker in any case; a worker that has replied is ending by itself.
                if !matches!(heard, Ok(Heard::Replied { .. })) {
                    let _ = child.kill();
                }
                let status = child.wait();
                match self.conclude(heard, status, job) {
                    Attempt::Lost(why) => Attempt::Lost(why + &for_memory(killed)),
                    Attempt::Failed(why) => Attempt::Failed(why + &for_memory(killed)),
                    other => other,
                }
            }
            Err(e) => Attempt::Lost(format!("starting {}: {e}", self.program.display())),
        }
    }

    fn converse(&self, child: &mut Child, job: &Job) -> io::Result<Heard> {
        let deadline = Instant::now() + self.limit;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&serde_json::to_vec(job)?)?;
        }
        let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        let (mut reply, mut said) = (Vec::new(), Vec::new());
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            if self.interrupted.load(Ordering::Relaxed) {
                return Ok(Heard::Interrupted);
            }
            if Instant::now() >= deadline {
                return Ok(Heard::TimedOut);
            }
            let (out_ready, err_ready) = ready(&out, &err, out_open, err_open)?;
            if out_ready {
                out_open = take(&mut out, &mut reply)?;
            }
            if err_ready {
                err_open = take(&mut err, &mut said)?;
            }
        }
        Ok(Heard::Replied { reply, said })
    }

    fn conclude(
        &self,
        heard: io::Result<Heard>,
        status: io::Result<ExitStatus>,
        job: &Job,
    ) -> Attempt {
        match (heard, status) {
            (Ok(Heard::Interrupted), _) => Attempt::Interrupted,
            (Ok(Heard::TimedOut), _) => Attempt::Lost(format!(
                "{LATE} {} s (--limit); found: none, and the worker was ended; mend with: --limit {}",
                self.limit.as_secs(),
                2 * self.limit.as_secs()
            )),
            (Ok(Heard::Replied { reply, said }), Ok(status)) if status.success() => {
                match serde_json::from_slice(&reply) {
                    Ok(WorkerReply::Done(repetition)) => Attempt::Done(repetition),
                    Ok(WorkerReply::Unreachable(why)) => Attempt::Unreachable(why),
                    Ok(WorkerReply::Failed(why)) => Attempt::Failed(why),
                    Err(e) => Attempt::Lost(format!(
                        "the worker's reply is not valid: {e}{}",
                        last_words(&said)
                    )),
                }
            }
            (Ok(Heard::Replied { said, .. }), Ok(status)) => Attempt::Lost(format!(
                "the worker {}{}{}",
                describe(status),
                of_the_pool(status, job),
                last_words(&said)
            )),
            // A worker that is killed before it has read its job breaks the pipe to it.
            (Err(e), Ok(status)) if e.kind() == io::ErrorKind::BrokenPipe => Attempt::Lost(
                format!("the worker {} before it took its job", describe(status)),
            ),
            (Err(e), _) | (_, Err(e)) => Attempt::Lost(format!("talking to the worker: {e}")),
        }
    }
}

enum Heard {
    Replied { reply: Vec<u8>, said: Vec<u8> },
    TimedOut,
    Interrupted,
}

/// Waits at most 100 ms for either pipe.
fn ready(
    out: &impl AsFd,
    err: &impl AsFd,
    out_open: bool,
    err_open: bool,
) -> io::Result<(bool, bool)> {
    let wanted = |open| {
        if open {
            PollFlags::POLLIN
        } else {
            PollFlags::empty()
        }
    };
    let mut fds = [
        PollFd::new(out.as_fd(), wanted(out_open)),
        PollFd::new(err.as_fd(), wanted(err_open)),
    ];
    match poll(&mut fds, PollTimeout::from(100u16)) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(e) => return Err(e.into()),
    }
    let ready = |fd: &PollFd, open| open && fd.any().unwrap_or(false);
    Ok((ready(&fds[0], out_open), ready(&fds[1], err_open)))
}

/// Reads what is there; false at the end.
fn take(from: &mut impl Read, to: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0; 64 << 10];
    let n = from.read(&mut chunk)?;
    to.extend_from_slice(&chunk[..n]);
    Ok(n > 0)
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => match Signal::try_from(signal) {
            Ok(name) => format!("was killed by {name}"),
            Err(_) => format!("was killed by signal {signal}"),
        },
        (_, Some(code)) => format!("ended with exit status {code}"),
        _ => "ended".into(),
    }
}

/// What to say besides of a worker that found hugetlb's pool empty.
fn of_the_pool(status: ExitStatus, job: &Job) -> String {
    let pool = catalogue::find(&job.scenario)
        .filter(|_| status.signal() == Some(Signal::SIGBUS as i32))
        .and_then(|scenario| HugetlbDemand::of(scenario, job.folio, job.pages));
    pool.map_or(String::new(), |pool| format!(" ({})", pool.remark()))
}

/// What to say besides where the kernel has killed for want of memory since it had killed so often.
fn for_memory(before: Option<(PathBuf, u64)>) -> String {
    let (Some((_, before)), Some((file, now))) = (before, allowance::kills()) else {
        return String::new();
    };
    if now <= before {
        return String::new();
    }
    let left = allowance::left().map_or(String::new(), |left| {
        format!(" {} MiB are left now ({});", left.bytes >> 20, left.by())
    });
    format!(
        "; the kernel killed for want of memory meanwhile (oom_kill in {} rose);{left} mend with: fewer --pages, or more memory",
        file.display()
    )
}

/// The last line that a worker wrote to standard error.
fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!(": {}", line.trim()),
        None => String::new(),
    }
}
