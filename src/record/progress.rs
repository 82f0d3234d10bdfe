//! How far thread 1 is when a rival makes a move, and every order in which the rivals' moves can fall.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moves::HoldPoint;

/// How far thread 1 is with its store when a rival makes a move.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It has not begun.
    BeforeStore,
    /// Held where do_wp_page() begins.
    Undecided,
    /// Held after the decision to copy.
    Decided,
    /// Held before the copy.
    BeforeCopy,
    /// Held after the copy, before it takes the page-table lock (PTL) again.
    Copied,
    /// Held after the flush, before the new PTE is set.
    Flushed,
    /// It is done.
    AfterStore,
}

impl Progress {
    /// Every place, in the order in which thread 1 comes by.
    pub const ALL: [Progress; 7] = [
        Progress::BeforeStore,
        Progress::Undecided,
        Progress::Decided,
        Progress::BeforeCopy,
        Progress::Copied,
        Progress::Flushed,
        Progress::AfterStore,
    ];

    /// Where thread 1 is held meanwhile, if it is.
    pub fn hold(self) -> Option<HoldPoint> {
        match self {
            Progress::BeforeStore | Progress::AfterStore => None,
            Progress::Undecided => Some(HoldPoint::Undecided),
            Progress::Decided => Some(HoldPoint::Decided),
            Progress::BeforeCopy => Some(HoldPoint::BeforeCopy),
            Progress::Copied => Some(HoldPoint::Copied),
            Progress::Flushed => Some(HoldPoint::Flushed),
        }
    }

    /// In a few words, to follow "thread 1 is".
    pub fn label(self) -> &'static str {
        match self {
            Progress::BeforeStore => "before its store",
            Progress::Undecided => "undecided",
            Progress::Decided => "decided",
            Progress::BeforeCopy => "before the copy",
            Progress::Copied => "after the copy",
            Progress::Flushed => "after the flush",
            Progress::AfterStore => "done",
        }
    }
}

impl From<HoldPoint> for Progress {
    fn from(hold: HoldPoint) -> Self {
        match hold {
            HoldPoint::Undecided => Progress::Undecided,
            HoldPoint::Decided => Progress::Decided,
            HoldPoint::BeforeCopy => Progress::BeforeCopy,
            HoldPoint::Copied => Progress::Copied,
            HoldPoint::Flushed => Progress::Flushed,
        }
    }
}

/// Every interleaving of so many moves with thread 1's store: the place of each move, none before that of
/// the move before it. Latest places first, so that of all that begin alike the one comes first in which
/// the rest follows when thread 1 is done.
pub fn interleavings(moves: usize) -> Vec<Vec<Progress>> {
    let mut all = vec![Vec::new()];
    for _ in 0..moves {
        all = all.iter().flat_map(|begun| longer(begun)).collect();
    }
    all
}

/// An interleaving with one more move, in each place that is left for it.
fn longer(begun: &[Progress]) -> Vec<Vec<Progress>> {
    let from = begun.last().copied().unwrap_or(Progress::BeforeStore);
    let places = Progress::ALL.into_iter().rev();
    let left = places.take_while(|&place| place >= from);
    left.map(|place| [begun, &[place]].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ways to merge two sequences of steps that keep their order: C(own + others, others).
    fn merges(own: u64, others: u64) -> u64 {
        (1..=others).fold(1, |all, n| all * (own + n) / n)
    }

    #[test]
    fn interleavings_are_the_merges_of_both_sequences_of_steps() {
        // Thread 1's steps: to each of five hold points, and to the end.
        for moves in 0..=5 {
            let all = interleavings(moves);
            assert_eq!(all.len() as u64, merges(6, moves as u64), "{moves} moves");
            assert!(all.iter().all(|one| one.is_sorted()));
            assert!(all.is_sorted_by(|one, next| one > next), "none comes twice");
        }
        assert_eq!(merges(6, 2), 28);
        assert_eq!(merges(6, 4), 210);
    }

    #[test]
    fn of_all_that_begin_alike_the_first_leaves_the_rest_until_thread_1_is_done() {
        let all = interleavings(3);
        for one in &all {
            for shared in 0..=3 {
                let first = all.iter().find(|o| o[..shared] == one[..shared]).unwrap();
                let rest = &first[shared..];
                assert!(rest.iter().all(|&place| place == Progress::AfterStore));
            }
        }
    }

    #[test]
    fn every_hold_point_is_a_place_between_the_first_and_the_last() {
        for hold in HoldPoint::ALL {
            assert_eq!(Progress::from(hold).hold(), Some(hold));
        }
        let held = Progress::ALL.iter().filter_map(|place| place.hold());
        assert!(held.eq(HoldPoint::ALL));
    }
}
