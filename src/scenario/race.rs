//! Races: what else can change the PTE while `wp_page_copy()` is between its two looks at it.
//!
//! Where the other process acts and no CPU is left for it, it shares the rival's CPU: the rival then
//! stores as soon as the other process has let go of that CPU, which is a context switch (after an exit:
//! the rest of the exit) later than on a CPU of its own.

use super::workload::{
    Access, Actor, DiscardCounting, OtherProcess, Race, RaceOutcome, Rendezvous, Workload,
};
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, Fill, Reuse};
use crate::record::race::FrameChange;
use crate::scenario::expectation::{
    Basis, Expectation, FLAG, NEVER_REUSED, Rules, last_user, perhaps_own,
};

/// Nanoseconds over which a swept rival moves: from the first thread's fault to well past its copy.
const ACROSS_THE_WINDOW: u32 = 2500;

/// Results where the page is left to one process while its threads race. A page that T2 could reuse
/// while T1 is copying it exists under the mapcount rule only: otherwise T1's own reference makes
/// T2 copy too.
const LEFT_ALONE: &[Expectation<&[RaceOutcome]>] = &[
    Expectation::any_of(
        &[
            RaceOutcome::REUSE,
            RaceOutcome::REUSE_AND_LATE,
            RaceOutcome::COPY_AND_DISCARDS,
        ],
        Race::LOOKS,
    )
    .under(Rules::MAPCOUNT),
    Expectation::any_of(
        &[RaceOutcome::REUSE, RaceOutcome::COPY_AND_DISCARDS],
        Race::LOOKS,
    )
    .under(Rules::BUT_NEVER),
];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "race/store-store",
        summary: "a living child shares the page; threads of the parent store at the same moment",
        path: "do_wp_page() -> wp_page_copy() on every CPU; the second to retake the PTL finds pte_same() false and backs off",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race::STORES),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/store-store-in-child",
        summary: "the same by threads of the child, which has touched the page: its PTEs are young",
        path: "as race/store-store, in the child's address space",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            within: Actor::Child,
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/store-store-in-child-old",
        summary: "the same by threads of the child, which has touched nothing: its PTEs are old",
        path: "as race/store-store, in the child's address space; the CPU may set the Accessed bit in the window",
        steps: &[Step::Fill, Step::ForkUntouched],
        play: Workload::Race(Race {
            within: Actor::Child,
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/exit",
        summary: "a process forked for the page exits while thread 1 copies, then thread 2 stores: may the page be reused?",
        path: "do_wp_page() on both CPUs while the last other mapping and its reference go away (zap_pte_range())",
        steps: &[Step::Fill],
        play: Workload::Race(Race {
            other_process: OtherProcess::Exits,
            allowed: LEFT_ALONE,
            ..Race::STORES
        }),
        mapping: Mapping::Anon(1),
        expected: &perhaps_own(&[Reuse, Copy], Basis::SEEN),
        ..Scenario::BASE
    },
    Scenario {
        id: "race/unmap",
        summary: "the child unmaps the page while thread 1 copies, then thread 2 stores",
        path: "do_wp_page() on both CPUs while the last other mapping and its reference go away (zap_pte_range())",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            other_process: OtherProcess::Unmaps,
            allowed: LEFT_ALONE,
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &perhaps_own(&[Reuse, Copy], Basis::SEEN),
        ..Scenario::BASE
    },
    Scenario {
        id: "race/unshare",
        summary: "thread 1 stores while thread 2 takes a read-only pin (process_vm_readv)",
        path: "wp_page_copy() for the store against wp_page_copy() for FAULT_FLAG_UNSHARE (5.19 and later)",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::Pin,
            // By refcount the page that the pin was given, its PTE read-only, is copied again while it is
            // in an LRU batch: an installed copy that is gone was not discarded.
            counting: DiscardCounting::OnceIfExclusive,
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/unshare-under-copy",
        summary: "thread 1, storing, is held in the copy window; the child exits; thread 2 takes a read-only pin of the page",
        path: "FAULT_FLAG_UNSHARE inside the window of wp_page_copy(): thread 1's reference makes it copy (refcount); by mapcount it marks the page exclusive, the PTE stays as it was, and thread 1 replaces the page under the pin unless it looks again (cow_recheck)",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Held,
        mapping: Mapping::Anon(2),
        expected: &[
            Expectation::any_of(&[Copy, Reuse], Basis::Source("do_wp_page() and wp_page_copy(): pte_same() is all that is compared, cow_recheck=1 adds PageAnonExclusive()")).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Copy], Basis::Source("do_wp_page() and wp_page_copy(): pte_same() is all that is compared, cow_recheck=1 adds PageAnonExclusive()")),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/unshare-under-copy-unaided",
        summary: "the child unmaps the page while thread 1 copies, then thread 2 takes a read-only pin of the page",
        path: "as race/unshare-under-copy, with nobody held: how often do they meet in the window by themselves?",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::Pin,
            other_process: OtherProcess::Unmaps,
            // As race/unshare.
            counting: DiscardCounting::OnceIfExclusive,
            allowed: LEFT_ALONE,
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &perhaps_own(&[Reuse, Copy], Basis::Reasoned("as race/unmap and race/unshare-under-copy")),
        ..Scenario::BASE
    },
    Scenario {
        id: "race/mprotect",
        summary: "thread 1 stores while thread 2 makes the page read-only and writable again; faults in between are survived",
        path: "mprotect() holds the mmap lock for write, so it can not get into the window: no discards",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::Mprotect,
            // By refcount a fresh copy is copied again while it is in an LRU batch, since mprotect leaves
            // its PTE read-only; its frame number shows one change of several.
            counting: DiscardCounting::OnceIfExclusive,
            allowed: &[
                Expectation::any_of(&[RaceOutcome::COPY_AND_DISCARDS], Race::LOOKS)
                    .under(Rules::REFCOUNT),
                Expectation::any_of(&[RaceOutcome::COPY], Race::LOOKS).under(Rules::BUT_NEVER),
            ],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/uffd-wp",
        summary: "thread 1 stores while thread 2 write-protects the page through userfaultfd and lifts it again",
        path: "UFFDIO_WRITEPROTECT holds the mmap lock for read, so it can change the PTE inside the window",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::UffdWp,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            counting: DiscardCounting::OnceIfExclusive,
            allowed: &[Expectation::any_of(&[RaceOutcome::COPY_AND_DISCARDS], Race::LOOKS)],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/dontneed",
        summary: "thread 1 stores while thread 2 drops the page (MADV_DONTNEED): a copy must not bring it back",
        path: "zap_pte_range() under the mmap lock for read against wp_page_copy(); then the zero page or a zeroed page",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::DontNeed,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            counting: DiscardCounting::Not(
                "MADV_DONTNEED takes installed pages away too: an allocated page that is gone need not have been discarded",
            ),
            allowed: &[Expectation::any_of(&[
                RaceOutcome::COPY_AND_DISCARDS,
                RaceOutcome::new(FrameChange::Gone, true, true),
            ], Race::LOOKS)],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy, Fill], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/accessed",
        summary: "thread 1 stores while thread 2 merely reads; the PTE's Accessed bit is clear",
        path: "the CPU sets the Accessed bit inside the window: pte_same() compares it, and the copy is thrown away",
        steps: &[Step::Fill, Step::ForkUntouched],
        play: Workload::Race(Race {
            within: Actor::Child,
            rival: Access::Read,
            further: Access::Read,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            allowed: &[Expectation::any_of(&[RaceOutcome::new(FrameChange::Changed, true, false)], Race::LOOKS)],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/accessed-young",
        summary: "control of race/accessed: the Accessed bit is set beforehand",
        path: "a read changes nothing in the PTE: no discards",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            within: Actor::Child,
            rival: Access::Read,
            further: Access::Read,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            allowed: &[Expectation::any_of(&[RaceOutcome::COPY], Race::LOOKS)],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], Basis::SEEN)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/ref-drop",
        summary: "a pipe holds the page, its PTE is old; thread 1 stores while thread 2 reads it and empties the pipe",
        path: "wp_page_copy() for the pipe's reference, thrown away for the Accessed bit; the reference is gone: wp_page_reuse()",
        steps: &[
            Step::Fill,
            Step::Vmsplice,
            Step::ForkUntouched,
            Step::ParentDrops,
        ],
        play: Workload::Race(Race {
            within: Actor::Child,
            rival: Access::ReadAndRelease,
            further: Access::Read,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            allowed: &[
                Expectation::any_of(&[RaceOutcome::REUSE], Race::LOOKS).under(Rules::MAPCOUNT),
                Expectation::any_of(
                    &[
                        RaceOutcome::REUSE,
                        RaceOutcome::REUSE_AND_LATE,
                        RaceOutcome::new(FrameChange::Changed, true, false),
                    ],
                    Race::LOOKS,
                )
                .under(Rules::BUT_NEVER),
            ],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(1),
        expected: &[
            NEVER_REUSED.before(FLAG),
            Expectation::any_of(&[Reuse], Basis::SEEN).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Reuse, Copy], Basis::SEEN).under(Rules::BUT_NEVER),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/child-exited",
        summary: "control: the child has exited; threads of the parent store at the same moment",
        path: "do_wp_page() -> wp_page_reuse() under one hold of the PTL: nothing to back off from, nothing allocated",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        play: Workload::Race(Race {
            allowed: &[Expectation::any_of(&[RaceOutcome::REUSE], Race::LOOKS).under(Rules::BUT_NEVER)],
            ..Race::STORES
        }),
        mapping: Mapping::Anon(1),
        expected: &last_user(Basis::SEEN),
        ..Scenario::BASE
    },
];
