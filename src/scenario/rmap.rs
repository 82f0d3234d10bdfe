//! What the reverse mapping of anonymous memory costs: by the number of VMAs, of generations, and of siblings. Each VMA has an
//! anon_vma of its own from its first fault on, and fork links the child's VMA to those of all of its ancestors.

use super::law::{Law, LawPoint};
use super::source::SHARED;
use super::touch::NOTHING_MAPPED;
use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step, Timed};
use crate::record::outcome::Outcome::{Copy, Fill, Operation};
use crate::scenario::expectation::{Basis, Expectation};

/// A quarter of the VMAs that a process may have (vm.max_map_count, 65,530 unless it was set).
const MOST_VMAS: u32 = 16_384;
/// VMAs of which each operation on a family has one for each page, so that what is paid for each stands out.
const VMAS: u32 = 1024;
/// Pages that are swapped out in one operation.
const PAGED_OUT: u32 = 1024;

const FORK_VMAS: Law = Law {
    name: "rmap/fork-vmas",
    question: "64 MiB are cut into ever more VMAs: what does fork pay for each further one?",
    per: "VMA",
};
const FORK_DEPTH: Law = Law {
    name: "rmap/fork-depth",
    question: "the youngest of a line of processes forks 1,024 VMAs: what does each further living generation add?",
    per: "generation",
};
const FORK_WIDTH: Law = Law {
    name: "rmap/fork-width",
    question: "a process forks 1,024 VMAs: what does each further living child add?",
    per: "child",
};
const FORK_BESIDE: Law = Law {
    name: "rmap/fork-beside",
    question: "a process forks 1,024 VMAs: what does a child add that forks the same VMAs all the while on another CPU?",
    per: "forking child",
};
const COPY_DEPTH: Law = Law {
    name: "rmap/copy-depth",
    question: "the youngest of a line of processes stores to a page that all of them share: what does each further generation add?",
    per: "generation",
};
const COPY_WIDTH: Law = Law {
    name: "rmap/copy-width",
    question: "a process stores to a page that it shares with its children: what does each further child add?",
    per: "child",
};
const PAGEOUT_WIDTH: Law = Law {
    name: "rmap/pageout-width",
    question: "a process has 1,024 pages of its own swapped out, which its children have dropped: what does each further child add to the walks?",
    per: "child",
};

const BASE: Scenario = Scenario {
    long: true,
    expected: &[Expectation::any_of(
        &[Operation],
        Basis::Construction("a time, not a decision"),
    )],
    ..Scenario::BASE
};

const COPIED: &[Expectation] = &[Expectation::any_of(&[Copy], SHARED)];

/// fork of an area that is so many VMAs.
const fn fork_vmas(id: &'static str, steps: &'static [Step], at: u32) -> Scenario {
    Scenario {
        id,
        summary: "fork of 64 MiB that are so many VMAs",
        path: "dup_mmap(): of each VMA vm_area_dup(), anon_vma_fork() and copy_page_range(); from 6.8 on the tree of VMAs is copied as a whole, __mt_dup()",
        steps,
        timed: Timed::Fork,
        min_pages: MOST_VMAS,
        max_pages: MOST_VMAS,
        point: Some(LawPoint { law: FORK_VMAS, at }),
        ..BASE
    }
}

/// fork of 1,024 VMAs by `actor`, who has relatives.
const fn fork(id: &'static str, steps: &'static [Step], actor: Actor, mapped: u32) -> Scenario {
    Scenario {
        id,
        summary: match actor {
            Actor::Parent => "fork of 1,024 VMAs by a process whose children live",
            Actor::Child => {
                "fork of 1,024 VMAs by the youngest of a line of processes that all live"
            }
        },
        path: "anon_vma_fork() -> anon_vma_clone(): an anon_vma_chain for each of the VMA's ancestors, put into the tree of each under the lock of the eldest",
        steps,
        play: Workload::Stores(actor),
        mapping: Mapping::Anon(mapped),
        timed: Timed::Fork,
        min_pages: VMAS,
        max_pages: VMAS,
        ..BASE
    }
}

const fn copy(id: &'static str, steps: &'static [Step], actor: Actor, mapped: u32) -> Scenario {
    Scenario {
        id,
        summary: match actor {
            Actor::Parent => "many living children share the page; the parent stores",
            Actor::Child => "a line of living processes shares the page; the youngest stores",
        },
        path: "do_wp_page() -> wp_page_copy(): the new page is put into the anon_vma that the VMA has, whoever shares the old one",
        steps,
        play: Workload::Stores(actor),
        mapping: Mapping::Anon(mapped),
        expected: COPIED,
        ..BASE
    }
}

const fn page_out(id: &'static str, steps: &'static [Step]) -> Scenario {
    Scenario {
        id,
        summary: "swapping out pages of one's own that living children have shared and dropped",
        path: "shrink_folio_list() -> try_to_unmap() -> rmap_walk_anon(): every VMA of the page's anon_vma tree is asked for the page",
        steps,
        timed: Timed::PageOut,
        min_pages: PAGED_OUT,
        max_pages: PAGED_OUT,
        ..BASE
    }
}

/// The same as a point of `law`.
const fn at(law: Law, at: u32, scenario: Scenario) -> Scenario {
    Scenario {
        point: Some(LawPoint { law, at }),
        ..scenario
    }
}

/// One child after another, or one below another.
macro_rules! family {
    (children $n:literal) => {
        Step::Descendants {
            children: $n,
            generations: 1,
        }
    };
    (generations $n:literal) => {
        Step::Descendants {
            children: 1,
            generations: $n,
        }
    };
}

macro_rules! fork_depth {
    ($id:literal, $n:literal) => {
        at(
            FORK_DEPTH,
            $n,
            fork(
                $id,
                &[Step::Fill, Step::SplitVma, family!(generations $n)],
                Actor::Child,
                1 + $n,
            ),
        )
    };
}

macro_rules! fork_width {
    ($id:literal, $n:literal) => {
        at(
            FORK_WIDTH,
            $n,
            fork(
                $id,
                &[Step::Fill, Step::SplitVma, family!(children $n)],
                Actor::Parent,
                1 + $n,
            ),
        )
    };
}

macro_rules! copy_among {
    ($id:literal, $law:ident, $kind:ident $n:literal, $actor:ident) => {
        at(
            $law,
            $n,
            copy($id, &[Step::Fill, family!($kind $n)], Actor::$actor, 1 + $n),
        )
    };
}

macro_rules! page_out_among {
    ($id:literal, $n:literal) => {
        at(
            PAGEOUT_WIDTH,
            $n,
            page_out(
                $id,
                &[Step::Fill, family!(children $n), Step::ChildDrops],
            ),
        )
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "rmap/fill-own-vma",
        summary: "the first store to a page that is a VMA of its own: over touch/zero-fill, what a VMA's anon_vma costs",
        path: "do_anonymous_page(): anon_vma_prepare() allocates an anon_vma and an anon_vma_chain, for no neighbour's can be shared",
        steps: &[Step::SplitVma],
        mapping: Mapping::None,
        expected: &[Expectation::any_of(&[Fill], NOTHING_MAPPED)],
        max_pages: MOST_VMAS,
        ..BASE
    },
    fork_vmas("rmap/fork-vmas-1", &[Step::Fill, Step::SplitInto(1)], 1),
    fork_vmas("rmap/fork-vmas-64", &[Step::Fill, Step::SplitInto(64)], 64),
    fork_vmas(
        "rmap/fork-vmas-1k",
        &[Step::Fill, Step::SplitInto(1024)],
        1024,
    ),
    fork_vmas(
        "rmap/fork-vmas-16k",
        &[Step::Fill, Step::SplitInto(16_384)],
        16_384,
    ),
    fork_depth!("rmap/fork-depth-1", 1),
    fork_depth!("rmap/fork-depth-4", 4),
    fork_depth!("rmap/fork-depth-16", 16),
    fork_depth!("rmap/fork-depth-32", 32),
    fork_width!("rmap/fork-width-1", 1),
    fork_width!("rmap/fork-width-8", 8),
    fork_width!("rmap/fork-width-32", 32),
    Scenario {
        summary: "fork of 1,024 VMAs by the youngest of four living lines of four processes each",
        ..fork(
            "rmap/fork-tree-4x4",
            &[
                Step::Fill,
                Step::SplitVma,
                Step::Descendants {
                    children: 4,
                    generations: 4,
                },
            ],
            Actor::Child,
            17,
        )
    },
    Scenario {
        summary: "fork of 1,024 VMAs by a process whose child rests on another CPU",
        ..at(
            FORK_BESIDE,
            0,
            fork(
                "rmap/fork-beside-0",
                &[Step::Fill, Step::SplitVma, Step::ForkElsewhere],
                Actor::Parent,
                2,
            ),
        )
    },
    Scenario {
        summary: "fork of 1,024 VMAs by a process whose child forks them, too, all the while on another CPU",
        ..at(
            FORK_BESIDE,
            1,
            fork(
                "rmap/fork-beside-1",
                &[
                    Step::Fill,
                    Step::SplitVma,
                    Step::ForkElsewhere,
                    Step::ChildForksOn,
                ],
                Actor::Parent,
                2,
            ),
        )
    },
    copy_among!("rmap/copy-depth-1", COPY_DEPTH, generations 1, Child),
    copy_among!("rmap/copy-depth-8", COPY_DEPTH, generations 8, Child),
    copy_among!("rmap/copy-depth-32", COPY_DEPTH, generations 32, Child),
    copy_among!("rmap/copy-width-1", COPY_WIDTH, children 1, Parent),
    copy_among!("rmap/copy-width-8", COPY_WIDTH, children 8, Parent),
    copy_among!("rmap/copy-width-32", COPY_WIDTH, children 32, Parent),
    page_out_among!("rmap/pageout-width-1", 1),
    page_out_among!("rmap/pageout-width-8", 8),
    page_out_among!("rmap/pageout-width-32", 32),
];
