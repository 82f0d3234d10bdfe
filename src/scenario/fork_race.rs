//! Fork against faults: threads store to pages of their own as fast as they can while another thread of their process forks.
//!
//! Fork holds the mmap lock for writing until every page table is copied, and from 6.4 on waits for the readers of each VMA
//! first; faults wait for fork. Each page is stored to once, so that each store is a fault at any rate of forks.
//!
//! They are no points of a law: a law is about medians, and what forks cost is in the tail.

use super::touch::NOTHING_MAPPED;
use super::workload::{DiscardCounting, Race, RaceOutcome, Reach, Rendezvous, Workload};
use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Fill, Reuse};
use crate::scenario::expectation::{Basis, Expectation, NEVER_REUSED, Rules, last_user};
use crate::scenario::source::{LAST_USER, PAGE_CACHE, SHARED};
use crate::scenario::staged::source::{looks, switched};

/// Fork is alone with a page table: it holds the mmap lock for writing, and from 6.4 on has each VMA locked for writing before
/// its entries are copied.
macro_rules! fork_alone {
    () => {
        "; kernel/fork.c: dup_mmap() takes the mmap lock for writing in 5.10.262 (line 487), 6.12.118 (650), and the VMA in \
         6.12.118 (676); mm/mmap.c: dup_mmap() both in 7.2.13 (lines 1739, 1765); mm/memory.c: copy_pte_range() leaves out entries \
         that are none in 5.10.262 (line 975), 6.12.118 (1139), 7.2.13 (1291); copy_present_pte() write-protects in 5.10.262 (line \
         895), __copy_present_ptes() in 6.12.118 (958), 7.2.13 (1106)"
    };
}

/// Another process maps the page as long as it is the old one, whether a fork has added a third or not: the one thread that
/// stores to it copies it, and no fork falls between that thread's two looks. Between the copy and the store's next try one can:
/// then the copy is shared, too, and is copied again.
const COPIED: Basis = Basis::Source(concat!(looks!(), fork_alone!(), switched!()));
/// The page is this process's alone but while the child of a fork lives that fell between the set-up and the store: copied until
/// that child has unmapped it, else reused; and again, where a fork falls between that and the store's next try.
const COPIED_OR_REUSED: Basis = Basis::Source(concat!(looks!(), fork_alone!(), switched!()));
/// A page that is not mapped is not mapped in a child either.
const FILLED: Basis = Basis::Source(concat!(
    "mm/memory.c: do_anonymous_page() in 5.10.262 (line 3583), 6.12.118 (4745), 7.2.13 (5288)",
    fork_alone!()
));

const BASE: Race = Race {
    rendezvous: Rendezvous::Free,
    reach: Reach::Part,
    ..Race::STORES
};

const FILL: Scenario = Scenario {
    path: "do_anonymous_page(), the VMA's lock held for reading, or the mmap lock where fork has the VMA's (before 6.4 always); dup_mmap() holds both for writing",
    play: Workload::Race(Race {
        counting: DiscardCounting::Not(
            "nothing is copied where nothing was mapped: what is allocated is zeroed, and kept",
        ),
        allowed: &[Expectation::any_of(&[RaceOutcome::FILL], FILLED)],
        ..BASE
    }),
    mapping: Mapping::None,
    expected: &[Expectation::any_of(&[Fill], NOTHING_MAPPED)],
    long: true,
    ..Scenario::BASE
};

const COPY: Scenario = Scenario {
    path: "do_wp_page() -> wp_page_copy(), under the locks of fork-race/fill; fork copies an entry for each page",
    steps: &[Step::Fill, Step::Fork],
    play: Workload::Race(Race {
        allowed: &[Expectation::any_of(&[RaceOutcome::COPY], COPIED)],
        ..BASE
    }),
    mapping: Mapping::Anon(2),
    expected: &[Expectation::any_of(&[Copy], SHARED)],
    ..FILL
};

const REUSE: Scenario = Scenario {
    path: "do_wp_page() -> wp_page_reuse(), under the locks of fork-race/fill; wp_page_copy() while a child maps the page",
    steps: &[Step::Fill, Step::Fork, Step::ChildExits],
    play: Workload::Race(Race {
        allowed: &[
            Expectation::any_of(&[RaceOutcome::COPY], COPIED_OR_REUSED).under(Rules::NEVER),
            Expectation::any_of(&[RaceOutcome::REUSE, RaceOutcome::COPY], COPIED_OR_REUSED),
        ],
        ..BASE
    }),
    mapping: Mapping::Anon(1),
    expected: &[
        NEVER_REUSED,
        Expectation::any_of(&[Reuse, Copy], COPIED_OR_REUSED),
    ],
    ..FILL
};

const REUSE_ALONE: Scenario = Scenario {
    play: Workload::Race(Race {
        allowed: &[
            Expectation::any_of(&[RaceOutcome::COPY], COPIED_OR_REUSED).under(Rules::NEVER),
            Expectation::any_of(&[RaceOutcome::REUSE], COPIED_OR_REUSED),
        ],
        ..BASE
    }),
    expected: &last_user(LAST_USER),
    ..REUSE
};

const FILE: Scenario = Scenario {
    path: "do_wp_page(): not an anonymous page -> wp_page_copy(), under the locks of fork-race/fill",
    steps: &[Step::Read],
    play: Workload::Race(Race {
        counting: DiscardCounting::Not(
            "what threads allocate for pages of a private file does not tell how many copies were thrown away",
        ),
        allowed: &[Expectation::any_of(&[RaceOutcome::COPY], COPIED)],
        ..BASE
    }),
    mapping: Mapping::File,
    memory: Memory::PrivateFile,
    expected: &[Expectation::any_of(&[Copy], PAGE_CACHE)],
    ..FILL
};

/// The same with so many forks a second.
const fn beside(forks: u32, of: Scenario) -> Scenario {
    let Workload::Race(race) = of.play else {
        return of;
    };
    let counting = match (forks, race.counting) {
        (1.., DiscardCounting::Once) => DiscardCounting::Not(
            "a fork between a copy and the store's next try has the copy copied again: one that is gone need not have been thrown away",
        ),
        (_, counting) => counting,
    };
    Scenario {
        play: Workload::Race(Race {
            forks: Some(forks),
            counting,
            ..race
        }),
        ..of
    }
}

/// A situation without forks, and at each rate of forks.
macro_rules! at_each_rate {
    ($($id:literal: $control:expr, $of:expr, $steps:expr, $summary:literal;)*) => {
        &[$(
            Scenario {
                id: concat!("fork-race/", $id, "-0"),
                summary: concat!($summary, "; nobody forks: the control"),
                steps: $steps,
                ..beside(0, $control)
            },
            Scenario {
                id: concat!("fork-race/", $id, "-1"),
                summary: concat!($summary, "; another thread forks once a second"),
                steps: $steps,
                ..beside(1, $of)
            },
            Scenario {
                id: concat!("fork-race/", $id, "-10"),
                summary: concat!($summary, "; another thread forks 10 times a second"),
                steps: $steps,
                ..beside(10, $of)
            },
            Scenario {
                id: concat!("fork-race/", $id, "-100"),
                summary: concat!($summary, "; another thread forks 100 times a second"),
                steps: $steps,
                ..beside(100, $of)
            },
        )*]
    };
}

pub(super) const SCENARIOS: &[Scenario] = at_each_rate! {
    "fill-same-vma": FILL, FILL, &[],
        "each thread stores to fresh pages of its own, all in one VMA";
    "fill-vma-each": FILL, FILL, &[Step::SplitParts],
        "each thread stores to fresh pages of its own, in a VMA of its own";
    "copy-same-vma": COPY, COPY, COPY.steps,
        "a living child shares the area; each thread stores to pages of its own, all in one VMA";
    "copy-vma-each": COPY, COPY, &[Step::SplitParts, Step::Fill, Step::Fork],
        "a living child shares the area; each thread stores to pages of its own, in a VMA of its own";
    "reuse-same-vma": REUSE_ALONE, REUSE, REUSE.steps,
        "a child shared the area and has exited; each thread stores to pages of its own, all in one VMA";
    "reuse-vma-each": REUSE_ALONE, REUSE, &[Step::SplitParts, Step::Fill, Step::Fork, Step::ChildExits],
        "a child shared the area and has exited; each thread stores to pages of its own, in a VMA of its own";
    "file-same-vma": FILE, FILE, FILE.steps,
        "the area maps a file privately and was read; each thread stores to pages of its own, all in one VMA";
    "file-vma-each": FILE, FILE, &[Step::SplitParts, Step::Read],
        "the area maps a file privately and was read; each thread stores to pages of its own, in a VMA of its own";
};
