//! Progress on standard error: a bar on a terminal, plain lines otherwise. Drawn between repetitions
//! only, so that nothing runs beside a measurement.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::suite::Progress;

/// Seconds between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How far a run has come.
pub struct Meter {
    bar: ProgressBar,
    plain: bool,
    said: Instant,
}

impl Meter {
    /// Nothing done of nothing.
    #[allow(
        clippy::new_without_default,
        reason = "it draws, which a default should not"
    )]
    pub fn new() -> Self {
        let plain = !std::io::stderr().is_terminal();
        let target = if plain {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(10)
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) =
            ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta} left  {msg:28}")
        {
            bar.set_style(style);
        }
        Meter {
            bar,
            plain,
            said: Instant::now(),
        }
    }

    /// What a run tells; a checkpoint is not for a person.
    pub fn show(&mut self, progress: &Progress) {
        match *progress {
            Progress::Begin(steps) => self.begin(steps),
            Progress::Repeated(what) => self.step(what),
            Progress::Paced {
                spent,
                budget,
                sharp,
                of,
            } => self.pace(spent, budget, sharp, of),
            Progress::Note(ref text) => self.note(text),
            Progress::Checkpoint(_) => {}
        }
    }

    /// So many steps are to come.
    pub fn begin(&mut self, steps: u64) {
        self.bar.set_length(steps);
        self.bar.reset();
        self.said = Instant::now();
    }

    /// One step has ended.
    pub fn step(&mut self, what: &str) {
        self.bar.set_message(what.to_string());
        self.bar.inc(1);
        if self.plain && self.said.elapsed() >= PLAIN_EVERY {
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
            tell!(
                "{done}/{all} repetitions, {} s left",
                self.bar.eta().as_secs()
            );
            self.said = Instant::now();
        }
    }

    /// One step has ended of a run that goes on for `budget` at most; figures of so many cases are sharp enough.
    pub fn pace(&mut self, spent: Duration, budget: Duration, sharp: usize, of: usize) {
        let left = budget.saturating_sub(spent).as_secs();
        self.bar.set_length(budget.as_secs().max(1));
        self.bar.set_position(spent.min(budget).as_secs());
        self.bar.set_message(format!("{sharp} of {of} are sharp"));
        if self.plain && self.said.elapsed() >= PLAIN_EVERY {
            tell!("{sharp} of {of} cases are sharp enough, at most {left} s left");
            self.said = Instant::now();
        }
    }

    /// A line that stays.
    pub fn note(&self, text: &str) {
        self.bar.suspend(|| tell!("{text}"));
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
