//! Progress on standard error: a bar on a terminal, plain lines otherwise. Drawn between repetitions
//! only, so that nothing runs beside a measurement.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::suite::event::SuiteEvent;

/// Seconds between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// How far a run has come.
pub struct Meter {
    bar: ProgressBar,
    plain: bool,
    said: Instant,
    stepped: Instant,
    pace: StepPace,
}

/// How long the steps so far have taken.
#[derive(Clone, Copy, Debug, Default)]
struct StepPace {
    steps: u64,
    spent: Duration,
    longest: Duration,
}

impl StepPace {
    /// One more step has ended.
    fn step(&mut self, took: Duration) {
        self.steps += 1;
        self.spent += took;
        self.longest = self.longest.max(took);
    }

    /// The time that `steps` more take if they take as long as those before on average; `None` before a twentieth of all
    /// is made, since some take ten times as long as others.
    ///
    /// The longest is left out of the average: one that hung for a minute says nothing about those to come.
    fn left(&self, steps: u64) -> Option<Duration> {
        let counted = self.steps.checked_sub(1).filter(|&counted| counted > 0)?;
        if self.steps * 20 < self.steps + steps {
            return None;
        }
        let average = (self.spent - self.longest).as_secs_f64() / counted as f64;
        Duration::try_from_secs_f64(average * steps as f64).ok()
    }
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
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {prefix}  {msg:28}")
        {
            bar.set_style(style);
        }
        Meter {
            bar,
            plain,
            said: Instant::now(),
            stepped: Instant::now(),
            pace: StepPace::default(),
        }
    }

    /// What a run tells; a checkpoint is not for a person.
    pub fn show(&mut self, event: &SuiteEvent) {
        match *event {
            SuiteEvent::Begin(steps) => self.begin(steps),
            SuiteEvent::Repeated(what) => self.step(what),
            SuiteEvent::Paced {
                spent,
                budget,
                sharp,
                of,
            } => self.pace(spent, budget, sharp, of),
            SuiteEvent::Note(ref text) => self.note(text),
            SuiteEvent::Checkpoint(_) => {}
        }
    }

    /// So many steps are to come.
    pub fn begin(&mut self, steps: u64) {
        self.bar.set_length(steps);
        self.bar.reset();
        self.said = Instant::now();
        self.stepped = Instant::now();
        self.pace = StepPace::default();
    }

    /// One step has ended.
    pub fn step(&mut self, what: &str) {
        self.pace.step(self.stepped.elapsed());
        self.stepped = Instant::now();
        self.bar.set_message(what.to_string());
        self.bar.inc(1);
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        let left = self.pace.left(all.saturating_sub(done));
        let left = left.map_or(String::new(), |left| format!("{} s left", left.as_secs()));
        if self.plain && self.said.elapsed() >= PLAIN_EVERY {
            let left = if left.is_empty() {
                left
            } else {
                format!(", {left}")
            };
            tell!("{done}/{all} repetitions{left}");
            self.said = Instant::now();
        } else if !self.plain {
            self.bar.set_prefix(left);
        }
    }

    /// One step has ended of a run that goes on for `budget` at most; figures of so many cases are sharp enough.
    pub fn pace(&mut self, spent: Duration, budget: Duration, sharp: usize, of: usize) {
        let left = budget.saturating_sub(spent).as_secs();
        self.bar.set_prefix(format!("{left} s left"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: impl IntoIterator<Item = u64>) -> StepPace {
        let mut pace = StepPace::default();
        for seconds in steps {
            pace.step(Duration::from_secs(seconds));
        }
        pace
    }

    #[test]
    fn steps_of_the_same_length_give_what_the_rest_takes() {
        let pace = after([2; 20]);
        assert_eq!(pace.left(278), Some(Duration::from_secs(556)));
        assert_eq!(pace.left(0), Some(Duration::ZERO));
    }

    #[test]
    fn one_step_that_hung_does_not_stand_for_those_to_come() {
        let pace = after([2, 60, 2, 2]);
        assert_eq!(pace.left(50), Some(Duration::from_secs(100)));
    }

    #[test]
    fn the_estimate_does_not_leap_from_step_to_step() {
        // What is dear to set up takes ten times as long as the rest and comes now and then.
        let steps = (0..300).map(|n| if n % 7 == 3 { 20 } else { 2 });
        let steps: Vec<u64> = steps.collect();
        let left = |done: usize| after(steps[..done].iter().copied()).left(300 - done as u64);
        let left: Vec<f64> = (15..300)
            .map(|done| left(done).unwrap().as_secs_f64())
            .collect();
        for pair in left.windows(2) {
            assert!(
                (pair[1] - pair[0]).abs() < 0.4 * pair[0].max(60.0),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn few_steps_foretell_nothing() {
        assert_eq!(after([]).left(10), None);
        assert_eq!(after([5]).left(10), None);
        assert_eq!(after([5; 14]).left(284), None);
        assert!(after([5; 15]).left(283).is_some());
    }
}
