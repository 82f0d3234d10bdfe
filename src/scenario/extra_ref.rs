//! Situations in which something other than a mapping holds a reference: they tell the strategies apart.

use super::workload::{Actor, Workload};
use super::{Mapping, Scenario, Step};
use crate::memory::in_flight::MOST;
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse};
use crate::record::rule::PinRule;
use crate::scenario::expectation::{
    Basis, Expectation, FLAG, NEVER_REUSED, Rules, by_reference, by_reference_if_not_exclusive,
    last_user,
};
use crate::scenario::source::{
    BATCH_COUNTS, DIRECT_FORCED_COPY, DIRECT_FORK_COPIES_PINNED, DIRECT_FORK_SHARES,
    DIRECT_READ_WRITES, DIRECT_WRITE_COUNTS, DIRECT_WRITE_MARKS, DIRECT_WRITE_REFERENCES,
    EXCLUSIVE_BEFORE_REFERENCES, FORK_COPIES_PINNED, FORK_SHARES_PINNED, IO_URING_WRITES,
    LOCAL_BATCH_DRAINED, NOT_FORKED, OTHER_BATCH_COUNTS, PIPE_GIVES_BACK, REFERENCE_COUNTS,
    REFERENCE_COUNTS_ALONE, REFERENCES_IGNORED,
};

/// Mapcount reuses, the others copy.
pub const VMSPLICE_THEN_FORK: &str = "extra-ref/vmsplice-then-fork";
/// Refcount copies, the others reuse.
pub const VMSPLICE_NEVER_FORKED: &str = "extra-ref/vmsplice-never-forked";
/// The same question as [`VMSPLICE_NEVER_FORKED`], of references of other kinds.
pub const OTHERS_NEVER_FORKED: [&str; 2] = [
    "extra-ref/io-uring-never-forked",
    "extra-ref/direct-write-in-flight-never-forked",
];

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: VMSPLICE_THEN_FORK,
        summary: "the page sits in a pipe; a child shared it and has exited",
        path: "do_wp_page(): no longer marked exclusive, and the pipe's reference counts (5.9 and later) -> wp_page_copy()",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: &by_reference(REFERENCES_IGNORED, REFERENCE_COUNTS),
        ..Scenario::BASE
    },
    Scenario {
        id: VMSPLICE_NEVER_FORKED,
        summary: "the page sits in a pipe and was never shared; its PTE was write-protected",
        path: "do_wp_page(): PageAnonExclusive -> wp_page_reuse() (5.19 and later); by refcount it is copied (5.9 to 5.18)",
        steps: &[Step::Fill, Step::Vmsplice, Step::WriteProtect],
        play: Workload::Stores(Actor::Parent),
        mapping: Mapping::Anon(1),
        expected: &by_reference_if_not_exclusive(REFERENCE_COUNTS_ALONE, EXCLUSIVE_BEFORE_REFERENCES),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/vmsplice-last-mapper",
        summary: "the page sits in a pipe of the parent, which has dropped it; the child, the last to map it, stores",
        path: "do_wp_page(): the pipe's reference counts (5.9 and later) -> wp_page_copy(), so that the pipe keeps what the parent put into it",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ParentDrops],
        play: Workload::Stores(Actor::Child),
        expected: &by_reference(REFERENCES_IGNORED, REFERENCE_COUNTS),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/child-vmsplices",
        summary: "the child put the page into a pipe and has exited",
        path: "do_wp_page(): the pipe's reference counts (5.9 and later) -> wp_page_copy()",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildVmsplices,
            Step::ChildExits,
        ],
        expected: &by_reference(REFERENCES_IGNORED, REFERENCE_COUNTS),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/pipe-closed",
        summary: "the page sat in a pipe, which was closed after the child had exited",
        path: "do_wp_page(): one reference again -> wp_page_reuse()",
        steps: &[
            Step::Fill,
            Step::Vmsplice,
            Step::Fork,
            Step::ChildExits,
            Step::PipeCloses,
        ],
        expected: &last_user(PIPE_GIVES_BACK),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/lru-batch",
        summary: "the page is fresh and still in this CPU's LRU batch; a child shared it and has exited",
        path: "do_wp_page(): lru_add_drain(), then one reference -> wp_page_reuse() (5.18 and later); the batch's reference counts (5.9 to 5.17)",
        steps: &[Step::Fill, Step::ForkElsewhere, Step::ChildExits],
        mapping: Mapping::InBatch,
        // do_wp_page() drains nothing there.
        mapping_elsewhere: &[
            Expectation::of(Mapping::StaysInBatch, BATCH_COUNTS)
                .under(Rules::OWN_REFCOUNT)
                .before((5, 18)),
        ],
        max_pages: 4,
        expected: &[
            NEVER_REUSED,
            Expectation::any_of(
                &[Reuse],
                Basis::Reasoned(
                    "do_wp_page() drains no batch in 5.17.0 (line 3252) and this CPU's in 5.19.0 (line 3352); 5.18 was not \
                     read (d4c470970d45)",
                ),
            )
            .since((5, 18))
            .before(FLAG),
            Expectation::any_of(&[Copy], BATCH_COUNTS).under(Rules::OWN_REFCOUNT),
            Expectation::any_of(&[Reuse], LOCAL_BATCH_DRAINED),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/other-lru-batch",
        summary: "the page is fresh and in another CPU's LRU batch; a child shared it and has exited",
        path: "do_wp_page(): the local batch is drained at most (5.18 and later), the other's reference counts -> wp_page_copy()",
        steps: &[Step::FillElsewhere, Step::Fork, Step::ChildExits],
        mapping: Mapping::StaysInBatch,
        max_pages: 4,
        expected: &by_reference(REFERENCES_IGNORED, OTHER_BATCH_COUNTS),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/io-uring-then-fork",
        summary: "the page is an io_uring buffer; a child was forked afterwards and lives",
        path: "none: fork copies a page that may be pinned for the child at once (5.9), so the parent's stays writable",
        steps: &[Step::Fill, Step::RegisterBuffer, Step::Fork],
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &[
            Expectation::of(Mapping::Anon(2), FORK_SHARES_PINNED).under(Rules::OWN_MAPCOUNT),
        ],
        expected: &[
            Expectation::any_of(&[Copy], FORK_SHARES_PINNED).under(Rules::OWN_MAPCOUNT),
            Expectation::any_of(&[NoFault], FORK_COPIES_PINNED),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/fork-then-io-uring",
        summary: "a living child shared the page before the parent registered it with io_uring",
        path: "none: registering pins for writing, which broke the sharing by a copy",
        steps: &[Step::Fill, Step::Fork, Step::RegisterBuffer],
        expected: &[Expectation::any_of(
            &[NoFault],
            IO_URING_WRITES,
        )],
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/io-uring-never-forked",
        summary: "the page is an io_uring buffer and was never shared; its PTE was write-protected",
        path: "do_wp_page(): PageAnonExclusive -> wp_page_reuse() (5.19); by refcount it is copied and the pin loses it (5.9 to 5.18)",
        steps: &[Step::Fill, Step::RegisterBuffer, Step::UffdWpAsync],
        expected: &by_reference_if_not_exclusive(
            REFERENCE_COUNTS_ALONE,
            EXCLUSIVE_BEFORE_REFERENCES,
        ),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/direct-write-in-flight",
        summary: "an O_DIRECT write of the page is in flight; a child shared it and had exited before",
        path: "do_wp_page(): the write's pin has marked the page exclusive (6.5) -> wp_page_reuse(); its reference counts (5.9 to 6.4) -> wp_page_copy()",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::WriteInFlight,
        ],
        max_pages: MOST,
        expected: &[
            Expectation::any_of(&[NoFault], DIRECT_FORCED_COPY).pins(&[PinRule::BreaksCow]),
            NEVER_REUSED.before(FLAG),
            Expectation::any_of(&[Reuse], REFERENCES_IGNORED).under(Rules::MAPCOUNT),
            Expectation::any_of(&[Copy], DIRECT_WRITE_COUNTS)
            .under(Rules::REFCOUNT),
            Expectation::any_of(&[Copy], DIRECT_WRITE_REFERENCES)
                .under(Rules::EXCLUSIVE)
                .since(FLAG)
                .before((6, 5)),
            Expectation::any_of(&[Reuse], DIRECT_WRITE_MARKS),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/direct-write-in-flight-never-forked",
        summary: "an O_DIRECT write of the page is in flight; it was never shared, and its PTE was write-protected",
        path: "do_wp_page(): PageAnonExclusive -> wp_page_reuse() (5.19); by refcount it is copied (5.9 to 5.18)",
        steps: &[Step::Fill, Step::WriteInFlight, Step::WriteProtect],
        max_pages: MOST,
        expected: &by_reference_if_not_exclusive(
            REFERENCE_COUNTS_ALONE,
            EXCLUSIVE_BEFORE_REFERENCES,
        ),
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/direct-read-in-flight",
        summary: "an O_DIRECT read into the page is in flight; a child shared it and had exited before",
        path: "none: the read's own write fault has made the PTE writable",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::ReadInFlight],
        max_pages: MOST,
        expected: &[Expectation::any_of(
            &[NoFault],
            DIRECT_READ_WRITES,
        )],
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/direct-read-in-flight-then-fork",
        summary: "an O_DIRECT read into the page is in flight; a child was forked afterwards and lives",
        path: "none: fork copies a page that may be pinned for the child at once, and O_DIRECT pins (6.5); do_wp_page() -> wp_page_copy(), and what is read is lost to the parent (up to 6.4)",
        steps: &[Step::Fill, Step::ReadInFlight, Step::Fork],
        mapping: Mapping::Anon(1),
        mapping_elsewhere: &[
            Expectation::of(Mapping::Anon(2), DIRECT_FORK_SHARES).before((6, 5)),
        ],
        max_pages: MOST,
        expected: &[
            Expectation::any_of(&[Copy], DIRECT_FORK_SHARES).before((6, 5)),
            Expectation::any_of(&[NoFault], DIRECT_FORK_COPIES_PINNED),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "extra-ref/direct-read-in-flight-dontfork",
        summary: "an O_DIRECT read into the page, which is MADV_DONTFORK, is in flight; a child was forked afterwards and lives",
        path: "none: fork leaves the range out, so its PTEs stay writable, and what is read arrives",
        steps: &[Step::Fill, Step::DontFork, Step::ReadInFlight, Step::Fork],
        max_pages: MOST,
        expected: &[Expectation::any_of(&[NoFault], NOT_FORKED)],
        ..Scenario::BASE
    },
];
