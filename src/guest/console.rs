//! Reads a guest's console: what its init says, what the suite says, and how a kernel dies.

use std::collections::VecDeque;

/// What each line by a guest's init begins with.
pub const PREFIX: &str = "cowpath-guest: ";
/// Lines kept for a report of a lost guest.
const TAIL: usize = 20;

/// How far a guest has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BootStage {
    /// The kernel is booting.
    Booting,
    /// Init has the machine set up.
    Ready,
    /// The suite is running.
    Running,
    /// The suite has ended; its run file is on its way.
    Ending,
}

impl BootStage {
    /// What init prints when it reaches this stage.
    pub fn word(self) -> &'static str {
        match self {
            Self::Booting => "booting",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Ending => "ended",
        }
    }
}

/// What one line of the console means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A stage was reached.
    Stage(BootStage),
    /// The suite, or init, said something that a user may want to see.
    Said(String),
    /// Nothing in particular.
    Noise,
}

/// What has been read from a console so far.
#[derive(Clone, Debug)]
pub struct Console {
    stage: BootStage,
    death: Option<String>,
    failure: Option<String>,
    out_of_memory: bool,
    tail: VecDeque<String>,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            stage: BootStage::Booting,
            death: None,
            failure: None,
            out_of_memory: false,
            tail: VecDeque::with_capacity(TAIL),
        }
    }
}

impl Console {
    /// Takes in one line, without its end. What is kept or passed on of it moves no terminal's cursor.
    pub fn line(&mut self, line: &str) -> Event {
        let line = &line.replace(char::is_control, " ");
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        if let Some(said) = line.strip_prefix(PREFIX) {
            return self.init_said(said);
        }
        let Some(message) = kernel_message(line) else {
            return match self.stage {
                BootStage::Running if !line.trim().is_empty() => Event::Said(line.to_owned()),
                _ => Event::Noise,
            };
        };
        if message.starts_with("Kernel panic - not syncing")
            || self.death.is_none() && oops(message)
        {
            self.death = Some(message.to_owned());
        }
        self.out_of_memory |= ["Out of memory", "Initramfs unpacking failed: write error"]
            .iter()
            .any(|sign| message.contains(sign));
        Event::Noise
    }

    fn init_said(&mut self, said: &str) -> Event {
        for stage in [BootStage::Ready, BootStage::Running, BootStage::Ending] {
            if said == stage.word() {
                self.stage = stage;
                return Event::Stage(stage);
            }
        }
        if let Some(reason) = said.strip_prefix("failed: ") {
            self.failure = Some(reason.to_owned());
        }
        Event::Said(said.to_owned())
    }

    /// How far the guest has come.
    pub fn stage(&self) -> BootStage {
        self.stage
    }

    /// The panic, or else the first oops.
    pub fn death(&self) -> Option<&str> {
        self.death.as_deref()
    }

    /// Why init gave up.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// True if the kernel killed something for want of memory, or could not unpack the initramfs.
    pub fn out_of_memory(&self) -> bool {
        self.out_of_memory
    }

    /// The last lines.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }
}

/// The text of a kernel message: the line without its `[    1.234567] ` (and `[  T1]`) stamps.
fn kernel_message(line: &str) -> Option<&str> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once("] ")?;
    stamp.trim().parse::<f64>().ok()?;
    Some(rest)
}

fn oops(message: &str) -> bool {
    [
        "BUG: ",
        "Oops: ",
        "general protection fault",
        "kernel BUG at ",
        "Unable to handle kernel",
    ]
    .iter()
    .any(|sign| message.starts_with(sign))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn read(lines: &[&str]) -> Console {
        let mut console = Console::default();
        for line in lines {
            console.line(line);
        }
        console
    }

    #[test]
    fn a_panic_outranks_the_oops_before_it_and_what_follows() {
        let console = read(&[
            "[    1.5] BUG: kernel NULL pointer dereference, address: 0",
            "[    1.6] Kernel panic - not syncing: Fatal exception",
            "[    1.7] BUG: scheduling while atomic",
        ]);
        assert_eq!(
            console.death(),
            Some("Kernel panic - not syncing: Fatal exception")
        );
    }

    #[test]
    fn the_suite_cannot_fake_a_panic() {
        let console = read(&["Kernel panic - not syncing: said by a program"]);
        assert_eq!(console.death(), None);
    }

    #[test]
    fn only_what_the_suite_says_while_it_runs_is_passed_on() {
        let mut console = Console::default();
        assert_eq!(console.line("SeaBIOS (version 1.16)"), Event::Noise);
        assert_eq!(
            console.line("cowpath-guest: ready"),
            Event::Stage(BootStage::Ready)
        );
        assert_eq!(
            console.line("cowpath-guest: running"),
            Event::Stage(BootStage::Running)
        );
        assert_eq!(
            console.line("reuse/child-exited"),
            Event::Said("reuse/child-exited".into())
        );
        assert_eq!(
            console.line("[    3.25] random: crng init done"),
            Event::Noise
        );
        assert_eq!(console.stage(), BootStage::Running);
    }

    #[test]
    fn the_tail_is_the_last_twenty_lines() {
        let lines: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let console = read(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(console.tail(), &lines[30..]);
    }

    #[test]
    fn why_init_gave_up_is_kept() {
        let console = read(&["cowpath-guest: failed: no port"]);
        assert_eq!(console.failure(), Some("no port"));
    }
}
