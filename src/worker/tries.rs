//! How often a trial is made again, and why.

use crate::memory::MemoryError;
use crate::scenario::Mapping;

/// How often a trial is made again.
pub(super) struct Tries {
    /// For a state that was not reached.
    unreached: u32,
    /// For pages that were moved meanwhile, which has nothing to do with the state.
    moved: u32,
}

impl Tries {
    const USUAL: u32 = 4;
    /// Of what any other process can undo.
    const OFTEN: u32 = 100;

    pub(super) fn of(mapping: Mapping) -> Self {
        Tries {
            unreached: match mapping {
                Mapping::InBatch => Self::OFTEN,
                _ => Self::USUAL,
            },
            moved: Self::OFTEN,
        }
    }

    /// Whether a trial that ended so is made again.
    pub(super) fn again(&mut self, why: &MemoryError) -> bool {
        let left = match why {
            MemoryError::NotReached { .. } => &mut self.unreached,
            MemoryError::Moved { .. } => &mut self.moved,
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
            assert!(tries.again(&MemoryError::Moved { pages: 1 }));
        }
        for _ in 0..4 {
            assert!(tries.again(&unreached));
        }
        assert!(!tries.again(&unreached));
        assert!(!tries.again(&MemoryError::Unsupported(String::new())));
    }
}
