//! How long a guest is waited for: as long as it comes on, and no longer than what was asked of it can take.

use std::fmt;
use std::time::Duration;

use crate::guest::engine::Engine;
use crate::suite::counting::COUNTED;

/// Booting, looking at the machine and powering off, on a busy host.
const START: Duration = Duration::from_secs(180);

/// Repetitions without a word between them: those in which the events of one case are counted.
const AT_ONCE: u32 = COUNTED as u32;

/// What a guest is asked to measure, as far as it can be known before it is booted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Repetitions, those included in which events are counted.
    pub repetitions: u64,
    /// The time that one may take, if that was asked for.
    pub limit: Option<Duration>,
    /// The time for which repetitions go on, if that was asked for in place of a number.
    pub budget: Option<Duration>,
}

impl Work {
    /// The time that one repetition may take. An emulated processor is some ten times slower than the machine, and a
    /// repetition that is lost to the limit is lost for good.
    pub fn limit(&self, engine: Engine) -> Duration {
        self.limit.unwrap_or(Duration::from_secs(match engine {
            Engine::Kvm => 60,
            Engine::Tcg | Engine::Exact => 300,
        }))
    }
}

/// When a guest is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// So long after QEMU's start, whatever the guest does.
    pub total: Duration,
    /// So long after it last came on: reached a stage, said something, or sent a checkpoint.
    pub silence: Option<Duration>,
}

impl Patience {
    /// The time given, and nothing else.
    pub fn of(total: Duration) -> Self {
        Self {
            total,
            silence: None,
        }
    }

    /// As long as all that was asked for takes where every repetition needs the time that it may take, and never longer
    /// without a word than the repetitions between two words do.
    pub fn for_work(work: &Work, engine: Engine) -> Self {
        let limit = work.limit(engine);
        let repetitions = u32::try_from(work.repetitions).unwrap_or(u32::MAX);
        let total = START
            .saturating_add(limit.saturating_mul(repetitions))
            .saturating_add(work.budget.unwrap_or_default());
        Self {
            total,
            silence: Some(START.saturating_add(limit.saturating_mul(AT_ONCE))),
        }
    }
}

impl fmt::Display for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(silence) = self.silence {
            write!(f, "{} without progress, or after ", words(silence))?;
        }
        write!(f, "{} in all", words(self.total))
    }
}

/// In hours where seconds would be a long number.
fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..7_200 => format!("{seconds} s"),
        seconds => format!("{} h", seconds.div_ceil(3_600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_what_is_asked_and_with_the_accelerator() {
        let of = |repetitions, engine| {
            let work = Work {
                repetitions,
                ..Work::default()
            };
            Patience::for_work(&work, engine).total
        };
        // The suite of the command's own example: some 2.4 s a repetition under emulation.
        assert!(of(298, Engine::Tcg) > 20 * Duration::from_secs(660));
        assert!(of(600, Engine::Tcg) > of(298, Engine::Tcg));
        assert!(of(298, Engine::Tcg) > of(298, Engine::Kvm));
        assert!(of(u64::MAX, Engine::Exact) > of(600, Engine::Exact));
    }

    #[test]
    fn repetitions_may_always_take_their_time_without_a_word() {
        for engine in [Engine::Kvm, Engine::Tcg, Engine::Exact] {
            for limit in [None, Some(Duration::from_secs(7_000))] {
                let work = Work {
                    repetitions: 1,
                    limit,
                    budget: None,
                };
                let patience = Patience::for_work(&work, engine);
                let silence = patience.silence.unwrap();
                assert!(silence > work.limit(engine) * AT_ONCE);
            }
        }
    }

    #[test]
    fn a_run_for_a_given_time_gets_that_too() {
        let work = Work {
            repetitions: 10,
            limit: None,
            budget: Some(Duration::from_secs(3_600)),
        };
        let total = Patience::for_work(&work, Engine::Kvm).total;
        assert_eq!(total, START + Duration::from_secs(600 + 3_600));
    }

    #[test]
    fn a_time_that_was_given_is_all_that_counts() {
        let patience = Patience::of(Duration::from_secs(7));
        assert_eq!(patience.to_string(), "7 s in all");
        let long = Patience::of(Duration::from_secs(220_080));
        assert_eq!(long.to_string(), "62 h in all");
    }
}
