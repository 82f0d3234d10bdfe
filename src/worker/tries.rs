//! Trials that are made again: how often, why, and that they are counted.

use super::fixture::Fixture;
use super::trial::Prepared;
use crate::memory::MemoryError;
use crate::record::repetition::Attempts;
use crate::scenario::Mapping;

/// Makes `act` of the next trial. A page can be off its state for a moment (isolated for compaction,
/// say), so a state that was not reached, or did not last, is tried for again.
pub(super) fn attempt<'a, T>(
    fixture: &'a Fixture<'a>,
    next: &mut u64,
    attempts: &mut Attempts,
    act: impl Fn(Prepared<'a>) -> Result<T, MemoryError>,
) -> Result<T, MemoryError> {
    let mut tries = Tries::of(fixture.scenario.mapping);
    loop {
        let number = *next;
        *next += 1;
        let prepared = Prepared::reach(fixture, number);
        let thrown_away = match prepared.is_ok() {
            true => &mut attempts.after,
            false => &mut attempts.before,
        };
        match prepared.and_then(&act) {
            Err(why) if tries.again(&why) => {
                *thrown_away += 1;
                attempts.reason.get_or_insert_with(|| why.to_string());
            }
            other => {
                attempts.kept += u64::from(other.is_ok());
                return other;
            }
        }
    }
}

/// How often a trial is made again.
struct Tries {
    /// For a state that was not reached.
    unreached: u32,
    /// For pages that were moved or taken out of memory meanwhile, which has nothing to do with the state.
    moved: u32,
}

impl Tries {
    const USUAL: u32 = 4;
    /// Of what any other process can undo.
    const OFTEN: u32 = 100;

    fn of(mapping: Mapping) -> Self {
        Tries {
            unreached: match mapping {
                Mapping::InBatch | Mapping::StaysInBatch => Self::OFTEN,
                _ => Self::USUAL,
            },
            moved: Self::OFTEN,
        }
    }

    /// Whether a trial that ended so is made again.
    fn again(&mut self, why: &MemoryError) -> bool {
        let left = match why {
            MemoryError::NotReached { .. } => &mut self.unreached,
            MemoryError::Moved(_) => &mut self.moved,
            _ => return false,
        };
        let again = *left > 0;
        *left = left.saturating_sub(1);
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_does_not_use_up_the_tries_for_the_state() {
        let mut tries = Tries::of(Mapping::Anon(1));
        let unreached = MemoryError::NotReached {
            page: 0,
            expected: String::new(),
            found: String::new(),
        };
        for _ in 0..50 {
            assert!(tries.again(&MemoryError::Moved(String::new())));
        }
        for _ in 0..4 {
            assert!(tries.again(&unreached));
        }
        assert!(!tries.again(&unreached));
        assert!(!tries.again(&MemoryError::Unsupported(String::new())));
    }
}
