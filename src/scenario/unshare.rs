//! Read-only pins: the page is unshared without a store, and what the next store then does.

use super::era::Era;
use super::{Mapping, Scenario, Step, Timed};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse, UnshareCopy, UnshareMark};
use crate::scenario::prediction::Prediction;
use crate::scenario::switched::Switched;

/// The pin does nothing to a page that earlier kernels would have had to unshare.
const NO_UNSHARE: &str = "FAULT_FLAG_UNSHARE came with 5.19 (c89357e27f20)";
const READ_PIN: &str = "FOLL_PIN without FOLL_WRITE: gup_must_unshare() -> FAULT_FLAG_UNSHARE";

/// Only the exclusive rule unshares for process_vm_readv.
const fn by_exclusive(
    outcomes: &'static [crate::record::outcome::Outcome],
    else_: &'static [crate::record::outcome::Outcome],
) -> Prediction {
    Prediction {
        mapcount: else_,
        refcount: else_,
        exclusive: outcomes,
    }
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "unshare/readv-exclusive",
        summary: "process_vm_readv of a page that was never shared",
        path: "gup_must_unshare(): PageAnonExclusive, nothing to do",
        steps: &[Step::Fill],
        expected: Prediction::always(&[NoFault]),
        timed: Timed::ReadPin,
        basis: READ_PIN,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-child-alive",
        summary: "process_vm_readv of a page shared with a living child",
        path: "gup_must_unshare() -> handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page() -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        expected: by_exclusive(&[UnshareCopy], &[NoFault]),
        timed: Timed::ReadPin,
        switched: Switched::always(&[UnshareCopy]),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-child-exited",
        summary: "process_vm_readv of a page whose other user has exited",
        path: "handle_mm_fault(FAULT_FLAG_UNSHARE) -> do_wp_page(): one reference: marked exclusive, PTE unchanged",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: by_exclusive(&[UnshareMark], &[NoFault]),
        timed: Timed::ReadPin,
        basis: READ_PIN,
        switched: Switched::PIN_OF_LAST_USER,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-in-pipe",
        summary: "process_vm_readv of a page that a pipe holds and whose other user has exited",
        path: "FAULT_FLAG_UNSHARE -> do_wp_page(): the pipe's reference counts -> wp_page_copy()",
        steps: &[Step::Fill, Step::Vmsplice, Step::Fork, Step::ChildExits],
        expected: by_exclusive(&[UnshareCopy], &[NoFault]),
        timed: Timed::ReadPin,
        basis: "read in do_wp_page(): the refcount test is the same for an unshare",
        switched: Some(Switched {
            refcount: &[UnshareCopy],
            mapcount: &[UnshareMark],
            never: &[UnshareCopy],
        }),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-readv-child-alive",
        summary: "a page shared with a living child was read by process_vm_readv; the parent stores",
        path: "the unshared page is exclusive, its PTE read-only: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::ReadPinned],
        // Before 5.19 nothing is unshared and the page stays mapped twice: that proof fails there.
        mapping: Mapping::Anon(1),
        expected: by_exclusive(&[Reuse], &[Copy]),
        switched: Switched::OWN,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-readv-child-exited",
        summary: "a page whose other user has exited was read by process_vm_readv; the parent stores",
        path: "do_wp_page(): marked exclusive by the pin -> wp_page_reuse() with no further test",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits, Step::ReadPinned],
        expected: Prediction::always(&[Reuse]),
        switched: Switched::OWN,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/direct-write-child-alive",
        summary: "O_DIRECT write from a page shared with a living child",
        path: "iov_iter_extract_pages() pins for reading (6.5): FAULT_FLAG_UNSHARE -> wp_page_copy()",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        expected: by_exclusive(&[UnshareCopy], &[NoFault]),
        eras: &[Era::between(
            (5, 19),
            (6, 5),
            &[NoFault],
            "observed on 6.1: O_DIRECT takes references (FOLL_GET), not pins, before 6.5",
        )],
        timed: Timed::DirectWrite,
        max_pages: 256,
        switched: Switched::always(&[UnshareCopy]),
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/direct-write-child-exited",
        summary: "O_DIRECT write from a page whose other user has exited",
        path: "iov_iter_extract_pages() pins for reading (6.5): FAULT_FLAG_UNSHARE marks the page exclusive",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        expected: by_exclusive(&[UnshareMark], &[NoFault]),
        eras: &[Era::between(
            (5, 19),
            (6, 5),
            &[NoFault],
            "O_DIRECT takes references (FOLL_GET), not pins, before 6.5",
        )],
        timed: Timed::DirectWrite,
        max_pages: 256,
        switched: Switched::PIN_OF_LAST_USER,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/store-after-direct-write",
        summary: "a page shared with a living child was written out with O_DIRECT; the parent stores",
        path: "the unshared page is exclusive: do_wp_page() -> wp_page_reuse()",
        steps: &[Step::Fill, Step::Fork, Step::WriteDirect],
        expected: by_exclusive(&[Reuse], &[Copy]),
        eras: &[Era::between((5, 19), (6, 5), &[Copy], "observed on 6.1")],
        max_pages: 256,
        switched: Switched::OWN,
        ..Scenario::BASE
    },
    Scenario {
        id: "unshare/readv-zero-page",
        summary: "process_vm_readv of the shared zero page",
        path: "gup_must_unshare(): not anonymous; a read-only pin of the zero page is allowed",
        steps: &[Step::Read],
        mapping: Mapping::ZeroPage,
        expected: Prediction::always(&[NoFault]),
        timed: Timed::ReadPin,
        memory: Memory::Small,
        basis: NO_UNSHARE,
        ..Scenario::BASE
    },
];
