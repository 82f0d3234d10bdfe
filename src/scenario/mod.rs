//! The catalogue: page states, their actors, the kernel path they take and what kernels are expected to do.

pub mod catalogue;

mod contention;
mod control;
mod copy;
mod cost;
mod cpumask;
mod every_page;
pub mod expectation;
pub mod extra_ref;
mod file;
mod fork_race;
mod hugetlb;
mod inherit;
mod ksm;
mod mm_id;
mod mthp;
pub mod law;
mod mapping;
pub mod workload;
mod protect;
mod race;
mod reuse;
mod rmap;
mod source;
mod step;
pub mod staged;
mod swap;
pub mod thp;
mod touch;
pub mod unshare;

use expectation::{Expectation, KernelTraits, expected};
use law::LawPoint;
use schemars::JsonSchema;
use serde::Serialize;
use workload::{Actor, Workload};

pub use mapping::Mapping;
pub use step::Step;

use crate::memory::backing::Memory;

/// What is timed, page by page unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Timed {
    /// A store.
    Store,
    /// process_vm_readv(2) of the page by its own process.
    ReadPin,
    /// pwrite(2) of the page to a file opened with O_DIRECT.
    DirectWrite,
    /// fork(2) with the area less one without it: one signed difference for the whole area, scaled to 2 MiB.
    Fork,
    /// The same by vfork(2), until the parent goes on: the child ends at once.
    Vfork,
    /// munmap(2): one sample for the whole area, scaled to 2 MiB.
    Unmap,
    /// mprotect(2) to read-only and back: one sample for both calls and the whole area, scaled to 2 MiB.
    Protect,
    /// madvise(MADV_POPULATE_WRITE): one sample for the whole area, scaled to 2 MiB.
    Populate,
    /// madvise(MADV_PAGEOUT): one sample for the whole area, scaled to 2 MiB.
    PageOut,
}

impl Timed {
    /// The operation in words.
    pub fn label(self) -> &'static str {
        match self {
            Timed::Store => "stores once to every page",
            Timed::ReadPin => "has every page read by process_vm_readv",
            Timed::DirectWrite => "writes every page to a file with O_DIRECT",
            Timed::Fork => {
                "forks with the area and without it, by turns; the difference is scaled to 2 MiB"
            }
            Timed::Vfork => {
                "makes a child by vfork with the area and without it, by turns; the difference is scaled to 2 MiB"
            }
            Timed::Unmap => "unmaps the area; the time is scaled to 2 MiB",
            Timed::Protect => {
                "makes the area read-only and writable again; the time is scaled to 2 MiB"
            }
            Timed::Populate => {
                "has the area made writable at once (MADV_POPULATE_WRITE); the time is scaled to 2 MiB"
            }
            Timed::PageOut => "has the area swapped out; the time is scaled to 2 MiB",
        }
    }

    /// Whether one operation on the whole area is one sample.
    pub fn is_whole(self) -> bool {
        matches!(
            self,
            Timed::Fork
                | Timed::Vfork
                | Timed::Unmap
                | Timed::Protect
                | Timed::PageOut
                | Timed::Populate
        )
    }
}

/// The order in which the pages of a folio are stored to, folio by folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PageOrder {
    /// The first one first.
    Forwards,
    /// The last one first.
    Backwards,
    /// By a fixed sequence of pseudo-random numbers, the same in every folio, process and run.
    AtRandom,
}

impl PageOrder {
    /// The order in words.
    pub fn label(self) -> &'static str {
        match self {
            PageOrder::Forwards => "forwards",
            PageOrder::Backwards => "backwards",
            PageOrder::AtRandom => "in a fixed pseudo-random order",
        }
    }

    /// The pages of a folio of so many, a power of two, in this order.
    pub fn sequence(self, pages: usize) -> Vec<usize> {
        match self {
            PageOrder::Forwards => (0..pages).collect(),
            PageOrder::Backwards => (0..pages).rev().collect(),
            // A full period by the theorem of Hull and Dobell: 3 is odd, and 5 - 1 is a multiple of 4.
            PageOrder::AtRandom => {
                let next = |&page: &usize| Some((5 * page + 3) % pages);
                std::iter::successors(Some(0), next).take(pages).collect()
            }
        }
    }
}

/// One situation: a page state, who stores to it, and what the kernel is expected to do.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Scenario {
    /// `group/situation`.
    pub id: &'static str,
    /// The situation in a sentence.
    pub summary: &'static str,
    /// What the kernel runs through, in a sentence.
    pub path: &'static str,
    /// How the page state comes about.
    pub steps: &'static [Step],
    /// Who does what while it is timed.
    pub play: Workload,
    /// The page state that must be proven before they begin.
    pub mapping: Mapping,
    /// The kernels on which the same steps lead to another page state, which must be proven there.
    pub mapping_elsewhere: &'static [Expectation<Mapping>],
    /// What they are expected to come to: of several, the first that holds for the kernel.
    pub expected: &'static [Expectation],
    /// What is timed.
    pub timed: Timed,
    /// What the area is made of.
    pub memory: Memory,
    /// The order in which all 4 KiB pages of each folio are stored to; else the first of each alone.
    pub every_page: Option<PageOrder>,
    /// The fewest pages of which the state can be had.
    pub min_pages: u32,
    /// The most pages of which the state can be had at once.
    pub max_pages: u32,
    /// Whether it is run only where it is asked for by name, so that the whole catalogue stays short.
    pub long: bool,
    /// The law of which it is a point.
    pub point: Option<LawPoint>,
}

impl Scenario {
    /// What most scenarios have in common: the parent stores to anonymous 4 KiB pages.
    pub(crate) const BASE: Scenario = Scenario {
        id: "",
        summary: "",
        path: "",
        steps: &[],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &[],
        expected: &[],
        timed: Timed::Store,
        memory: Memory::Small,
        every_page: None,
        min_pages: 0,
        max_pages: u32::MAX,
        long: false,
        point: None,
    };

    /// The page state that must be proven on `kernel`.
    pub fn mapping_on(&self, kernel: &KernelTraits) -> Mapping {
        expected(self.mapping_elsewhere, kernel).map_or(self.mapping, |one| one.outcomes)
    }

    /// The part of the id before the slash.
    pub fn group(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }

    /// What is timed, in words.
    pub fn timed_label(&self) -> String {
        let label = self.timed.label();
        match (self.timed, self.every_page) {
            (Timed::Store, None) => format!("{label} (large folios: to the first page of each)"),
            (Timed::Store, Some(order)) => {
                format!("{label}, of large folios too, {}", order.label())
            }
            _ => label.into(),
        }
    }

    /// The process whose threads act on the pages.
    pub fn actor(&self) -> Actor {
        match self.play {
            Workload::Stores(actor) => actor,
            Workload::Race(race) => race.within,
            Workload::Held => Actor::Parent,
        }
    }

    /// The race, if it is one.
    pub fn race(&self) -> Option<&workload::Race> {
        match &self.play {
            Workload::Stores(_) | Workload::Held => None,
            Workload::Race(race) => Some(race),
        }
    }

    /// Whether a living child shares the area when the timing begins.
    pub fn has_child(&self) -> bool {
        let forks = [Step::Fork, Step::ForkUntouched, Step::ForkElsewhere];
        let forked = forks.into_iter().any(|step| self.has(step));
        forked && !self.has(Step::ChildExits) || self.descendants() > 0
    }

    /// The processes besides the parent that [`Step::Descendants`] leads to.
    pub fn descendants(&self) -> u32 {
        let of = self.steps.iter().map(|step| match step {
            Step::Descendants {
                children,
                generations,
            } => children * generations,
            _ => 0,
        });
        of.sum()
    }

    /// Whether pages are swapped out on the way or while it is timed.
    pub fn swaps(&self) -> bool {
        self.has(Step::SwapOut) || self.timed == Timed::PageOut
    }

    /// The VMAs that the steps make of an area of so many pages.
    pub fn vmas(&self, pages: usize) -> usize {
        let split = self.steps.iter().find_map(|step| match step {
            Step::SplitVma => Some(pages),
            Step::SplitInto(parts) => Some(pages.min(*parts as usize)),
            _ => None,
        });
        split.unwrap_or(1)
    }

    /// Whether the set-up contains `step`.
    pub fn has(&self, step: Step) -> bool {
        self.steps.contains(&step)
    }

    /// What the set-up needs of the machine; empty when any Linux will do.
    pub fn needs(&self) -> Vec<&'static str> {
        let race = self.race().map(|race| match race.threads_needed() {
            1 => "",
            2 => "two CPUs",
            _ => "three CPUs",
        });
        let held = (self.play == Workload::Held)
            .then_some("a kernel of scripts/strategy-kernel, and --strategy");
        let steps = self.steps.iter().map(|step| step.needs());
        let timed = match self.timed {
            Timed::PageOut => Some(Step::SwapOut.needs()),
            Timed::Populate => Some("MADV_POPULATE_WRITE (Linux 5.14)"),
            _ => None,
        };
        let needs = steps
            .chain(race)
            .chain(timed)
            .chain(held)
            .chain([self.memory.needs()]);
        needs.filter(|need| !need.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_has_every_page_of_a_folio_once() {
        for pages in [1, 2, 4, 16, 256, 512] {
            for order in [
                PageOrder::Forwards,
                PageOrder::Backwards,
                PageOrder::AtRandom,
            ] {
                let mut sequence = order.sequence(pages);
                assert_eq!(order.sequence(pages), sequence, "{order:?} is fixed");
                sequence.sort_unstable();
                assert!(sequence.into_iter().eq(0..pages), "{order:?} of {pages}");
            }
        }
        assert_eq!(PageOrder::AtRandom.sequence(8), [0, 3, 2, 5, 4, 7, 6, 1]);
        assert_eq!(PageOrder::Backwards.sequence(4), [3, 2, 1, 0]);
    }
}
