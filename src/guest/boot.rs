//! One boot of one kernel, watched from QEMU's start to its end, and the verdict on it.

use std::fmt;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::console::{BootStage, Console, Event};
use super::guard::MOST_WRITTEN;
use super::inbox::Inbox;
use super::output::{Log, forward, queue};
use super::patience::Patience;
use super::pin;
use super::transfer::{Ending, Message, TransferError};

/// How often the time limit and the wish to stop are looked at.
const TICK: Duration = Duration::from_millis(50);
/// The most that a guest's words take on a terminal, in bytes.
const TOLD: usize = 1 << 20;

/// What to watch for.
pub struct BootWatch<'a> {
    /// Where the console's text is kept.
    pub log: &'a Path,
    /// When the guest is given up.
    pub patience: Patience,
    /// Asked every now and then: true ends the guest.
    pub stop: &'a dyn Fn() -> bool,
    /// Pin this many virtual CPUs to CPUs of their own.
    pub pin: Option<u32>,
    /// Told what the guest reaches and says.
    pub tell: &'a dyn Fn(String),
    /// Given the run file so far, each time that the guest sends it.
    pub keep: &'a dyn Fn(&[u8]),
}

/// How a boot ended.
#[derive(Debug)]
pub struct Boot {
    /// The verdict.
    pub verdict: BootOutcome,
    /// The console's last lines.
    pub tail: Vec<String>,
    /// QEMU's start to init's set-up done.
    pub to_init: Option<Duration>,
    /// The suite's own time.
    pub suite: Option<Duration>,
    /// The suite's end to QEMU's.
    pub to_exit: Option<Duration>,
}

impl Boot {
    /// Why the guest was lost, as its console or QEMU have it; nothing where it was not.
    pub fn lost(&self) -> Option<&str> {
        match &self.verdict {
            BootOutcome::Panicked(reason) | BootOutcome::Lost(reason) => Some(reason),
            BootOutcome::Finished { .. } | BootOutcome::Interrupted => None,
        }
    }

    /// A boot that could not even be tried.
    pub fn never(reason: String) -> Self {
        let verdict = BootOutcome::Lost(reason);
        Self {
            verdict,
            tail: Vec::new(),
            to_init: None,
            suite: None,
            to_exit: None,
        }
    }
}

/// What became of the guest.
#[derive(Debug, PartialEq, Eq)]
pub enum BootOutcome {
    /// The suite ended by itself; this came back.
    Finished {
        /// The suite's exit code.
        status: u8,
        /// The run file's bytes; empty if the suite wrote none.
        run_file: Vec<u8>,
    },
    /// The kernel died.
    Panicked(String),
    /// The guest is lost in another way.
    Lost(String),
    /// [`BootWatch::stop`] said so.
    Interrupted,
}

/// Why the watching ended.
enum End {
    Exited(ExitStatus),
    TimedOut(TooLong),
    Stopped,
    Unwatchable(String),
}

/// What took too long.
#[derive(Clone, Copy, Debug)]
enum TooLong {
    InAll(Duration),
    Silent(Duration),
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InAll(limit) => write!(f, "no result within {} s", limit.as_secs()),
            Self::Silent(limit) => write!(f, "no progress within {} s", limit.as_secs()),
        }
    }
}

/// Boots once and waits for the end; no process is left.
pub fn boot(mut command: Command, inbox: Inbox, watch: &BootWatch<'_>) -> Boot {
    let now = Instant::now();
    let mut seen = BootProgress {
        console: Console::default(),
        told: 0,
        inbox,
        started: now,
        came_on: now,
        collected: now,
        at: [None; 4],
    };
    let end = match (command.spawn(), File::create(watch.log)) {
        (Ok(mut child), Ok(log)) => seen.follow(&mut child, log, watch),
        (Err(error), _) => End::Unwatchable(format!("QEMU does not start: {error}")),
        (Ok(mut child), Err(error)) => {
            kill(&mut child);
            End::Unwatchable(format!("cannot write {}: {error}", watch.log.display()))
        }
    };
    let ended = Instant::now();
    let [_, ready, running, ending] = seen.at;
    let (checkpoint, result) = seen.inbox.close();
    if let Some(run_file) = checkpoint.or_else(|| unfinished(&result)) {
        (watch.keep)(&run_file);
    }
    Boot {
        verdict: verdict(end, &seen.console, result),
        tail: seen.console.tail(),
        to_init: ready.map(|at| at - seen.started),
        suite: running.zip(ending).map(|(from, to)| to - from),
        to_exit: ending.map(|at| ended - at),
    }
}

/// What was seen of a guest, and when.
struct BootProgress {
    console: Console,
    /// Bytes of what the guest said that were passed on.
    told: usize,
    inbox: Inbox,
    started: Instant,
    /// When the guest last showed that it is coming on.
    came_on: Instant,
    /// When the inbox was last looked into.
    collected: Instant,
    at: [Option<Instant>; 4],
}

impl BootProgress {
    fn follow(&mut self, child: &mut Child, log: File, watch: &BootWatch<'_>) -> End {
        let lines = lines(child);
        let mut log = Log::new(log);
        let mut to_pin = watch.pin;
        loop {
            match lines.recv_timeout(TICK) {
                Ok(line) => {
                    // A full disk must not cost the result; the tail is kept in memory.
                    log.line(&line);
                    self.take(&line, watch);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return child
                        .wait()
                        .map_or_else(|e| End::Unwatchable(e.to_string()), End::Exited);
                }
            }
            if let Some(cpus) = to_pin
                && let Some(outcome) = pin::vcpus(child.id(), cpus)
            {
                to_pin = None;
                if let Err(error) = outcome {
                    (watch.tell)(format!("virtual CPUs are not pinned: {error}"));
                }
            }
            let end = match (self.collect(watch), self.too_long(&watch.patience)) {
                _ if (watch.stop)() => End::Stopped,
                (Err(error), _) => End::Unwatchable(error.to_string()),
                (_, Some(long)) => End::TimedOut(long),
                _ => continue,
            };
            kill(child);
            return end;
        }
    }

    /// Passes on what the guest says, up to a bound: its log has more.
    fn tell(&mut self, text: String, watch: &BootWatch<'_>) {
        let before = self.told;
        self.told = before.saturating_add(text.len());
        if self.told <= TOLD {
            (watch.tell)(text);
        } else if before <= TOLD {
            let log = watch.log.display();
            (watch.tell)(format!("says more than {TOLD} bytes; see {log}"));
        }
    }

    /// Passes on a checkpoint that has come.
    fn collect(&mut self, watch: &BootWatch<'_>) -> Result<(), TransferError> {
        if self.collected.elapsed() < TICK {
            return Ok(());
        }
        if let Some(run_file) = self.inbox.take()? {
            self.came_on = Instant::now();
            (watch.keep)(&run_file);
        }
        self.collected = Instant::now();
        Ok(())
    }

    fn too_long(&self, patience: &Patience) -> Option<TooLong> {
        let silent = |limit: &Duration| self.came_on.elapsed() > *limit;
        if self.started.elapsed() > patience.total {
            return Some(TooLong::InAll(patience.total));
        }
        patience.silence.filter(silent).map(TooLong::Silent)
    }

    fn take(&mut self, line: &str, watch: &BootWatch<'_>) {
        let event = self.console.line(line);
        if event != Event::Noise {
            self.came_on = Instant::now();
        }
        match event {
            Event::Noise => {}
            Event::Said(text) => self.tell(text, watch),
            Event::Stage(stage) => {
                self.at[stage as usize] = Some(Instant::now());
                let since = self.started.elapsed().as_secs_f64();
                match stage {
                    BootStage::Ready => (watch.tell)(format!("init after {since:.1} s")),
                    BootStage::Ending => {
                        (watch.tell)(format!("the suite ended after {since:.1} s"))
                    }
                    BootStage::Booting | BootStage::Running => {}
                }
            }
        }
    }
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The lines of both of a child's outputs, until both end.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = queue();
    if let Some(console) = child.stdout.take() {
        forward(console, "", sender.clone());
    }
    if let Some(errors) = child.stderr.take() {
        forward(errors, "qemu: ", sender);
    }
    receiver
}

/// The run file of a suite that was killed: what it had written until then.
fn unfinished(result: &Result<Message, TransferError>) -> Option<Vec<u8>> {
    let message = result.as_ref().ok()?;
    let killed = matches!(message.ending, Ending::Signal(_)) && !message.run_file.is_empty();
    killed.then(|| message.run_file.clone())
}

fn verdict(end: End, console: &Console, result: Result<Message, TransferError>) -> BootOutcome {
    match (result, end) {
        (
            Ok(Message {
                ending: Ending::Exit(status),
                run_file,
            }),
            _,
        ) => BootOutcome::Finished { status, run_file },
        (_, End::Stopped) => BootOutcome::Interrupted,
        (_, End::Unwatchable(reason)) => BootOutcome::Lost(reason),
        (
            Ok(Message {
                ending: Ending::Signal(signal),
                ..
            }),
            _,
        ) => {
            let memory = memory(console);
            BootOutcome::Lost(format!("the suite was killed by signal {signal}{memory}"))
        }
        (Err(_), _) if console.death().is_some() => {
            let death = console.death().unwrap_or_default();
            BootOutcome::Panicked(format!("{death}{}", memory(console)))
        }
        (_, End::TimedOut(long)) => {
            BootOutcome::Lost(format!("{long}; the guest was {}", console.stage().word()))
        }
        (Err(error), End::Exited(status)) => BootOutcome::Lost(reason(status, console, &error)),
        // The inbox keeps checkpoints apart.
        (Ok(_), End::Exited(status)) => {
            BootOutcome::Lost(reason(status, console, &TransferError::Nothing))
        }
    }
}

fn memory(console: &Console) -> &'static str {
    if console.out_of_memory() {
        "; the guest ran out of memory (see --memory)"
    } else {
        ""
    }
}

fn reason(status: ExitStatus, console: &Console, error: &TransferError) -> String {
    if status.signal() == Some(Signal::SIGXFSZ as i32) {
        return format!("the guest sent more than {MOST_WRITTEN} bytes");
    }
    if let Some(signal) = status.signal() {
        return format!("QEMU was killed by signal {signal}");
    }
    if let Some(failure) = console.failure() {
        return format!("the guest gave up: {failure}{}", memory(console));
    }
    if status.success() {
        return format!(
            "the guest went away while {}: {error}",
            console.stage().word()
        );
    }
    let said = console
        .tail()
        .into_iter()
        .rev()
        .find(|line| line.starts_with("qemu: "));
    format!("QEMU gave up ({status}): {}", said.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::console::tests::read as console;

    fn exited(code: i32) -> End {
        End::Exited(ExitStatus::from_raw(code << 8))
    }

    fn sent(ending: Ending) -> Result<Message, TransferError> {
        Ok(Message {
            ending,
            run_file: b"{}".to_vec(),
        })
    }

    fn nothing() -> Result<Message, TransferError> {
        Err(TransferError::Nothing)
    }

    fn lost(verdict: BootOutcome) -> String {
        match verdict {
            BootOutcome::Lost(reason) => reason,
            other => panic!("{other:?} where a lost guest was expected"),
        }
    }

    #[test]
    fn a_failed_run_is_not_a_lost_guest() {
        let verdict = verdict(exited(0), &console(&[]), sent(Ending::Exit(1)));
        assert_eq!(
            verdict,
            BootOutcome::Finished {
                status: 1,
                run_file: b"{}".to_vec()
            }
        );
    }

    #[test]
    fn a_whole_result_stands_even_if_the_guest_then_hangs() {
        let timed_out = End::TimedOut(TooLong::InAll(Duration::from_secs(7)));
        let verdict = verdict(timed_out, &console(&[]), sent(Ending::Exit(0)));
        assert!(matches!(verdict, BootOutcome::Finished { status: 0, .. }));
    }

    #[test]
    fn a_panic_is_told_from_a_silent_end() {
        let dead = console(&["[    2.0] Kernel panic - not syncing: VFS"]);
        let panicked = verdict(exited(0), &dead, nothing());
        assert_eq!(
            panicked,
            BootOutcome::Panicked("Kernel panic - not syncing: VFS".into())
        );
        let silent = verdict(exited(0), &console(&[]), nothing());
        assert!(lost(silent).contains("while booting"));
    }

    #[test]
    fn a_panic_for_want_of_memory_says_so() {
        let dead = console(&[
            "[    0.7] Initramfs unpacking failed: write error",
            "[    1.0] Kernel panic - not syncing: No working init found.",
        ]);
        let BootOutcome::Panicked(reason) = verdict(exited(0), &dead, nothing()) else {
            panic!("a panic was expected");
        };
        assert!(reason.contains("--memory"), "{reason}");
    }

    #[test]
    fn a_suite_killed_for_memory_is_lost_and_says_so() {
        let oom = console(&["[    9.0] Out of memory: Killed process 70 (init)"]);
        let reason = lost(verdict(exited(0), &oom, sent(Ending::Signal(9))));
        assert!(
            reason.contains("signal 9") && reason.contains("out of memory"),
            "{reason}"
        );
    }

    #[test]
    fn half_a_result_is_no_result() {
        let whole = sent(Ending::Exit(0)).unwrap().encode();
        let half = Message::decode(&whole[..whole.len() - 1]);
        assert!(lost(verdict(exited(0), &console(&[]), half)).contains("arrived"));
    }

    #[test]
    fn qemu_s_own_last_words_are_the_reason_if_it_gives_up() {
        let console = console(&["qemu: cannot set up guest memory"]);
        let reason = lost(verdict(exited(1), &console, nothing()));
        assert!(reason.contains("cannot set up guest memory"), "{reason}");
    }
}
