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
use crate::scenario::staged::source::{looks, switched};

/// Nanoseconds over which a swept rival moves: from the first thread's fault to well past its copy.
const ACROSS_THE_WINDOW: u32 = 2500;

/// Another process maps the page as long as it is the old one: mapcount and references are two or more, and each store that
/// looks before a copy is installed copies. One copy is installed, the others find pte_same() false; who comes while the PTE is
/// none allocates a zeroed page in do_anonymous_page() and finds the PTE no longer none.
pub(super) const SHARED: Basis = Basis::Source(concat!(looks!(), switched!()));
/// Whoever copies refers to the page until it has looked again, so that no other store finds one reference meanwhile: with the
/// other process gone the page is reused by whoever looks while nobody copies, or one of the copies is installed.
const BY_REFCOUNT: Basis = Basis::Source(looks!());
/// A copier's reference does not count: another store can make the PTE writable, which the copier's pte_same() notices.
const BY_MAPCOUNT: Basis = Basis::Source(concat!(looks!(), switched!()));
/// A pin of a page that is not exclusive unshares by the same looks and by a copy while another process maps the page (5.19); up
/// to 5.18 it leaves the PTE alone, or stores (5.8). The store copies, or reuses the pin's copy.
const PINNED: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/gup.c: follow_page_pte() in 5.8.1 (402), 5.10.223 (394), 6.1.192 (543), 6.12.107 (839), 7.2.13 (802), 7.3.4 (802)",
    switched!()
));
/// pte_same() is all that is compared before a copy is installed, and a pin that marks the page exclusive leaves the PTE as it
/// was; cow_recheck=1 asks for PageAnonExclusive() as well.
const HELD: Basis = Basis::Source(concat!(
    looks!(),
    switched!(),
    ", cow_became_exclusive() for 6.12 and 7.2"
));
/// mprotect changes PTEs with the mmap lock held for write, so that no fault is between its looks.
const ALONE: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/mprotect.c: do_mprotect_pkey() in 5.8.1 (512), 5.10.223 (512), 6.1.192 (671), 6.12.107 (709), 7.2.13 (836), 7.3.4 \
     (871)",
    switched!()
));
/// Userfaultfd changes PTEs with the mmap lock held for read: pte_same() is false, and the fault is taken again. The other
/// process maps the page, so that what is stored to in the end is a copy.
const PROTECTED: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/userfaultfd.c: mwriteprotect_range() in 5.8.1 (639), 5.10.223 (654), 6.1.192 (755), 6.12.107 (933), 7.2.13 (1104), \
     7.3.4 (1104)",
    switched!()
));
/// The PTE is cleared with a lock held for read: a copy is thrown away, or is dropped itself, and a store after it fills.
const DROPPED: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/memory.c: zap_pte_range() in 5.8.1 (1031), 5.10.223 (1229), 6.1.192 (1399), 6.12.107 (1582), 7.2.13 (1900), 7.3.4 \
     (2031)",
    switched!()
));
/// pte_same() compares whole entries, the Accessed bit included. A read that finds the PTE none maps the zero page and allocates
/// nothing.
const ACCESSED: Basis = Basis::Source(concat!(
    looks!(),
    "; arch/x86/include/asm/pgtable.h: pte_same() in 5.8.1 (761), 5.10.223 (760), 6.1.192 (730), 6.12.107 (997), 7.2.13 (946), \
     7.3.4 (946)",
    switched!()
));
/// One reference and one mapping are left, and the PTE is made writable under the hold of the PTL that looked at it.
pub(super) const REUSED: Basis = Basis::Source(concat!(
    looks!(),
    "; mm/memory.c: wp_page_reuse() in 5.10.223 (2826), 6.1.192 (3085), 6.12.107 (3238), 7.2.13 (3760), 7.3.4 (3892)"
));
/// The PTE is cleared and every CPU's TLB entry flushed before the copy is set, all under one hold of the PTL: whoever stores to the
/// copy does so when nobody can read the old page any more.
const FLUSHED: Basis = Basis::Source(concat!(
    "mm/memory.c: wp_page_copy() takes the PTL, flushes and sets in 5.10.262 (lines 2945, 2966, 2974), 6.1.192 (3190, 3220, \
     3229), 6.12.118 (3399, 3429, 3433), 7.2.13 (3912, 3942, 3946); mm/pgtable-generic.c: ptep_clear_flush() in 5.10.262 (line \
     90), 6.1.192 (91), 6.12.118 (94), 7.2.13 (97); the looks of ",
    looks!(),
    switched!()
));

/// As [`Race::STORES`], with what the source allows a page that another process maps.
pub(super) const STORES: Race = Race {
    allowed: &[Expectation::any_of(
        &[RaceOutcome::COPY_AND_DISCARDS],
        SHARED,
    )],
    ..Race::STORES
};

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
        BY_MAPCOUNT,
    )
    .under(Rules::MAPCOUNT),
    Expectation::any_of(
        &[RaceOutcome::REUSE, RaceOutcome::COPY_AND_DISCARDS],
        BY_REFCOUNT,
    )
    .under(Rules::BUT_NEVER),
];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "race/store-store",
        summary: "a living child shares the page; threads of the parent store at the same moment",
        path: "do_wp_page() -> wp_page_copy() on every CPU; the second to retake the PTL finds pte_same() false and backs off",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(STORES),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/store-store-in-child",
        summary: "the same by threads of the child, which has touched the page: its PTEs are young",
        path: "as race/store-store, in the child's address space",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            within: Actor::Child,
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/store-store-in-child-old",
        summary: "the same by threads of the child, which has touched nothing: its PTEs are old",
        path: "as race/store-store, in the child's address space; the CPU may set the Accessed bit in the window",
        steps: &[Step::Fill, Step::ForkUntouched],
        play: Workload::Race(Race {
            within: Actor::Child,
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/reader",
        summary: "thread 1 stores, thread 2 stores under a lock, thread 3 reads that twice under it: no TLB entry of the old page may be left",
        path: "wp_page_copy() clears the PTE and flushes it on every CPU before it sets the copy",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::StoreLocked,
            // On two CPUs it has the first thread's TLB: only after the rival's copies can that be stale.
            further: Access::ReadLocked,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            allowed: &[Expectation::any_of(
                &[RaceOutcome::COPY_AND_DISCARDS],
                FLUSHED,
            )],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], FLUSHED)],
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
            ..STORES
        }),
        mapping: Mapping::Anon(1),
        expected: &perhaps_own(&[Reuse, Copy], BY_MAPCOUNT),
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
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &perhaps_own(&[Reuse, Copy], BY_MAPCOUNT),
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
            allowed: &[Expectation::any_of(
                &[RaceOutcome::COPY_AND_DISCARDS],
                PINNED,
            )],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], PINNED)],
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
            Expectation::any_of(&[Copy, Reuse], HELD).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Copy], HELD),
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
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &perhaps_own(&[Reuse, Copy], PINNED),
        ..Scenario::BASE
    },
    Scenario {
        id: "race/mprotect",
        summary: "thread 1 stores while thread 2 makes the page read-only and writable again; faults in between are survived",
        path: "mprotect() holds the mmap lock for write, so it can not get into the window: no discards",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::Mprotect,
            further: Access::Mprotect,
            // By refcount a fresh copy is copied again while it is in an LRU batch, since mprotect leaves
            // its PTE read-only; its frame number shows one change of several.
            counting: DiscardCounting::OnceIfExclusive,
            allowed: &[
                Expectation::any_of(&[RaceOutcome::COPY_AND_DISCARDS], ALONE)
                    .under(Rules::REFCOUNT),
                Expectation::any_of(&[RaceOutcome::COPY], ALONE).under(Rules::BUT_NEVER),
            ],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], ALONE)],
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
            allowed: &[Expectation::any_of(
                &[RaceOutcome::COPY_AND_DISCARDS],
                PROTECTED,
            )],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], PROTECTED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/dontneed",
        summary: "thread 1 stores while thread 2 drops the page (MADV_DONTNEED): a copy must not bring it back",
        path: "zap_pte_range() under a lock for read against wp_page_copy(); then the zero page or a zeroed page",
        steps: &[Step::Fill, Step::Fork],
        play: Workload::Race(Race {
            rival: Access::DontNeed,
            rendezvous: Rendezvous::Swept(ACROSS_THE_WINDOW),
            counting: DiscardCounting::Not(
                "MADV_DONTNEED takes installed pages away too: an allocated page that is gone need not have been discarded",
            ),
            allowed: &[Expectation::any_of(
                &[
                    RaceOutcome::COPY_AND_DISCARDS,
                    RaceOutcome::new(FrameChange::Gone, true, true),
                ],
                DROPPED,
            )],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy, Fill], DROPPED)],
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
            allowed: &[Expectation::any_of(
                &[RaceOutcome::new(FrameChange::Changed, true, false)],
                ACCESSED,
            )],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], ACCESSED)],
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
            allowed: &[Expectation::any_of(&[RaceOutcome::COPY], ACCESSED)],
            ..STORES
        }),
        mapping: Mapping::Anon(2),
        expected: &[Expectation::any_of(&[Copy], ACCESSED)],
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
                Expectation::any_of(&[RaceOutcome::REUSE], ACCESSED).under(Rules::MAPCOUNT),
                Expectation::any_of(
                    &[
                        RaceOutcome::REUSE,
                        RaceOutcome::REUSE_AND_LATE,
                        RaceOutcome::new(FrameChange::Changed, true, false),
                    ],
                    ACCESSED,
                )
                .under(Rules::BUT_NEVER),
            ],
            ..STORES
        }),
        mapping: Mapping::Anon(1),
        expected: &[
            NEVER_REUSED.before(FLAG),
            Expectation::any_of(&[Reuse], ACCESSED).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Reuse, Copy], ACCESSED).under(Rules::BUT_NEVER),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "race/child-exited",
        summary: "control: the child has exited; threads of the parent store at the same moment",
        path: "do_wp_page() -> wp_page_reuse() under one hold of the PTL: nothing to back off from, nothing allocated",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        play: Workload::Race(Race {
            allowed: &[Expectation::any_of(&[RaceOutcome::REUSE], REUSED).under(Rules::BUT_NEVER)],
            ..STORES
        }),
        mapping: Mapping::Anon(1),
        expected: &last_user(REUSED),
        ..Scenario::BASE
    },
];
