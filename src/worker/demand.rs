//! What memory a repetition takes: of hugetlb's pool, and of the machine.

use crate::machine::folios::{free, grow};
use crate::memory::MemoryError;
use crate::memory::area::page_size;
use crate::memory::backing::Memory;
use crate::memory::folio::Folio;
use crate::scenario::{Scenario, Step, Timed};
use crate::worker::units::{stride, units};

/// Areas' worth of memory that a repetition touches: as much is backed before its trials, and in a trial the area, its
/// copies and what they are compared with take no more.
const AREAS: u64 = 3;
/// The same of a race: the area and its copies.
const RACED_AREAS: u64 = 2;

/// Bytes that the worker takes for itself.
const PROCESS: u64 = 16 << 20;

/// The most pages of a repetition for which `left` bytes of memory are enough, given that `pages` are too many; `None`
/// where not even one is.
pub fn pages_that_fit(scenario: &Scenario, folio: Folio, pages: u32, left: u64) -> Option<u32> {
    let needed = memory(scenario, folio, pages) - PROCESS;
    let fit = u128::from(pages) * u128::from(left.saturating_sub(PROCESS)) / u128::from(needed);
    let fit = fit as u32;
    (fit > 0 && memory(scenario, folio, fit) <= left).then_some(fit)
}

/// Bytes of memory that a repetition on so many pages takes, pages of hugetlb's pool left out.
pub fn memory(scenario: &Scenario, folio: Folio, pages: u32) -> u64 {
    let areas = match scenario.race() {
        Some(_) => RACED_AREAS * u64::from(pages) * page_size() as u64,
        None => AREAS * (units(scenario, folio, pages) * stride(scenario, folio)) as u64,
    };
    PROCESS + areas
}

/// What a trial takes of hugetlb's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HugetlbDemand {
    kib: u64,
    area: u64,
    copies: u64,
}

impl HugetlbDemand {
    /// What a trial of `scenario` takes; `None` where its folios are not of the pool.
    pub fn of(scenario: &Scenario, folio: Folio, pages: u32) -> Option<HugetlbDemand> {
        let Folio::Hugetlb(kib) = folio else {
            return None;
        };
        let area = units(scenario, folio, pages) as u64;
        let acts = matches!(scenario.timed, Timed::Store | Timed::ReadPin);
        let shared = scenario.has_child() || scenario.memory == Memory::PooledMemfd;
        let copied = shared && acts && !scenario.has(Step::PoolDries);
        let copied = copied || scenario.has(Step::ChildStores);
        Some(HugetlbDemand {
            kib,
            area,
            copies: if copied { area } else { 0 },
        })
    }

    /// Whether there are as many pages now.
    ///
    /// # Errors
    /// How many are needed and how many there are.
    pub fn check(self) -> Result<(), MemoryError> {
        match free(self.kib) {
            Some(free) if free < self.area + self.copies => {
                Err(MemoryError::Unsupported(self.lacking(free)))
            }
            _ => Ok(()),
        }
    }

    fn lacking(self, free: u64) -> String {
        let all = self.area + self.copies;
        format!(
            "needs {}; found: {free} free; mend with: {}",
            self.needed(),
            grow(self.kib, all - free)
        )
    }

    fn needed(self) -> String {
        let folio = Folio::Hugetlb(self.kib);
        let all = self.area + self.copies;
        match self.copies {
            0 => format!("{all} pages of the pool of {folio}"),
            copies => format!(
                "{all} pages of the pool of {folio} ({} of the area, {copies} for copies)",
                self.area
            ),
        }
    }

    /// What to say besides when a process was killed: by SIGBUS the kernel kills who finds the pool empty.
    pub fn remark(self) -> String {
        let free = free(self.kib).map_or("unknown".into(), |free| free.to_string());
        format!("the scenario takes {}; free now: {free}", self.needed())
    }

    /// `error` with [`HugetlbDemand::remark`], where an empty pool can be its cause.
    pub fn explain(self, error: MemoryError) -> MemoryError {
        match error {
            MemoryError::SharerDied { how, doing } => MemoryError::SharerDied {
                how: format!("{how} ({})", self.remark()),
                doing,
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::catalogue::find;

    #[test]
    fn copies_are_counted_where_pages_are_shared_when_they_are_stored_to() {
        let takes = |id| {
            let pool = HugetlbDemand::of(find(id).unwrap(), Folio::Hugetlb(2048), 4096).unwrap();
            (pool.area, pool.copies)
        };
        assert_eq!(takes("hugetlb/zero-fill"), (8, 0));
        assert_eq!(takes("hugetlb/child-exited"), (8, 0));
        assert_eq!(takes("hugetlb/child-alive"), (8, 8));
        assert_eq!(takes("hugetlb/last-mapper"), (8, 8));
        assert_eq!(takes("hugetlb/memfd-store-first"), (8, 8));
        assert_eq!(takes("hugetlb/pool-dry-child-alive"), (8, 0));
        assert_eq!(takes("unshare/readv-hugetlb-child-alive"), (8, 8));
        assert_eq!(takes("cost/unmap-shared"), (8, 0));
        let small = find("copy/child-alive").unwrap();
        assert_eq!(HugetlbDemand::of(small, Folio::Page, 4096), None);
    }

    #[test]
    fn a_pool_that_is_too_small_is_refused_with_both_numbers() {
        let pool = HugetlbDemand {
            kib: 2048,
            area: 8,
            copies: 8,
        };
        let why = pool.lacking(5);
        assert!(why.starts_with("needs 16 pages of the pool of hugetlb-2m (8 of the area, 8 for copies); found: 5 free"), "{why}");
        assert!(why.contains("nr_hugepages"), "{why}");
    }

    #[test]
    fn a_sharing_process_that_finds_the_pool_empty_is_told_with_what_is_taken() {
        let pool = HugetlbDemand {
            kib: 2048,
            area: 8,
            copies: 8,
        };
        let died = MemoryError::SharerDied {
            how: "was killed by SIGBUS".into(),
            doing: "checking the data",
        };
        let why = pool.explain(died).to_string();
        assert!(
            why.starts_with("the sharing process was killed by SIGBUS (the scenario takes 16 pages of the pool of hugetlb-2m"),
            "{why}"
        );
    }

    #[test]
    fn memory_grows_with_the_pages_asked_for() {
        let copy = find("copy/child-alive").unwrap();
        let page = page_size() as u64;
        assert_eq!(memory(copy, Folio::Page, 1000), PROCESS + 3000 * page);
        let race = find("race/exit").unwrap();
        assert_eq!(memory(race, Folio::Page, 10), PROCESS + 20 * page);
        let left = PROCESS + 1500 * page;
        assert_eq!(pages_that_fit(copy, Folio::Page, 1000, left), Some(500));
        assert_eq!(pages_that_fit(copy, Folio::Page, 1000, PROCESS), None);
        let huge = find("thp/child-alive").unwrap();
        assert_eq!(
            pages_that_fit(huge, Folio::Large(2048), 4096, 32 << 20),
            None
        );
    }
}
