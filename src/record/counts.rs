//! What the counted pages of a race came to: one type from the trial to the run file, with one way to add two of them.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::race::FrameChange;
use super::schema::PageTally;

/// Counts over raced pages whose allocations were watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaceCounts {
    /// Pages raced.
    pub pages: u64,
    /// Copies thrown away.
    pub late: u64,
    /// Zeroed pages thrown away.
    pub none: u64,
    /// Copies whose old page the copier itself freed.
    pub futile: u64,
    /// Pages allocated by the threads while they acted.
    pub allocations: u64,
    /// Pages whose frame changed.
    pub committed: u64,
    /// Pages whose new frame none of the threads allocated while it acted.
    pub unexplained: u64,
    /// Allocations left out because they were not for a raced page.
    pub unrelated_allocations: u64,
    /// Pages by what they came to.
    pub results: Results,
}

/// Pages that came to the same, by their frame and the late and none discards on each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<PageTally>", into = "Vec<PageTally>")]
pub struct Results(BTreeMap<(FrameChange, u32, u32), u64>);

impl Results {
    /// Counts a page.
    pub fn count(&mut self, frame: FrameChange, late: u32, none: u32) {
        *self.0.entry((frame, late, none)).or_default() += 1;
    }

    /// Each result with its pages.
    pub fn iter(&self) -> impl Iterator<Item = PageTally> + '_ {
        self.0
            .iter()
            .map(|(&(frame, late, none), &pages)| PageTally {
                frame,
                late,
                none,
                pages,
            })
    }
}

impl Extend<PageTally> for Results {
    fn extend<T: IntoIterator<Item = PageTally>>(&mut self, tallies: T) {
        for tally in tallies {
            let pages = self.0.entry((tally.frame, tally.late, tally.none));
            let pages = pages.or_default();
            *pages = pages.saturating_add(tally.pages);
        }
    }
}

impl From<Vec<PageTally>> for Results {
    fn from(tallies: Vec<PageTally>) -> Self {
        let mut results = Results::default();
        results.extend(tallies);
        results
    }
}

impl From<Results> for Vec<PageTally> {
    fn from(results: Results) -> Self {
        results.iter().collect()
    }
}

/// Adds up the counts that are named. Numbers of a file are bounded, so that a sum of them is only cut off where the
/// check of the whole refuses it.
macro_rules! add_each {
    ($sum:ident += { $($field:ident),* }) => {
        $($sum.$field = $sum.$field.saturating_add($field);)*
    };
}
pub(super) use add_each;

impl AddAssign for RaceCounts {
    fn add_assign(&mut self, other: Self) {
        // Without `..`, so that a new count cannot be forgotten here.
        let RaceCounts {
            pages,
            late,
            none,
            futile,
            allocations,
            committed,
            unexplained,
            unrelated_allocations,
            results,
        } = other;
        add_each!(self += { pages, late, none, futile, allocations, committed, unexplained, unrelated_allocations });
        self.results.extend(results.iter());
    }
}
