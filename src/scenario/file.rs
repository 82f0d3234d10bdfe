//! Private mappings of files: the first store copies from the page cache, later ones are on one's own page.

use super::{Mapping, Scenario, Step};
use crate::memory::backing::Memory;
use crate::record::outcome::Outcome::{Copy, Reuse};
use crate::scenario::expectation::{Basis, Expectation, perhaps_own};
use crate::scenario::source::{COPY_OF_FILE, COPY_OF_FILE_SHARED, PAGE_CACHE};

const CACHE: &str = "do_wp_page(): not an anonymous page -> wp_page_copy()";
const DIRECT: &str = "do_cow_fault(): allocate, then copy from the page cache";
const OWN: &str =
    "do_wp_page(): the copy of before is anonymous and has one reference -> wp_page_reuse()";

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "file/read-then-store",
        summary: "the page of a private file mapping was read, then is stored to",
        path: CACHE,
        steps: &[Step::Read],
        mapping: Mapping::File,
        memory: Memory::PrivateFile,
        expected: &[Expectation::any_of(&[Copy], PAGE_CACHE)],
        ..Scenario::BASE
    },
    Scenario {
        id: "file/store-first",
        summary: "the page of a private file mapping is stored to and nobody has read it",
        path: DIRECT,
        steps: &[],
        mapping: Mapping::None,
        memory: Memory::PrivateFile,
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Construction(
                "a page of a file that was not mapped before the store counts as copied, however the kernel made it",
            ),
        )],
        ..Scenario::BASE
    },
    Scenario {
        id: "file/copied-child-exited",
        summary: "the page was copied from the file by a store; a child shared the copy and has exited",
        path: OWN,
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        memory: Memory::PrivateFile,
        expected: &perhaps_own(&[Reuse], COPY_OF_FILE),
        ..Scenario::BASE
    },
    Scenario {
        id: "file/copied-child-alive",
        summary: "the page was copied from the file by a store; a living child shares the copy",
        path: "do_wp_page() -> wp_page_copy(), of an anonymous page",
        steps: &[Step::Fill, Step::Fork],
        mapping: Mapping::Anon(2),
        memory: Memory::PrivateFile,
        expected: &[Expectation::any_of(&[Copy], COPY_OF_FILE_SHARED)],
        ..Scenario::BASE
    },
    Scenario {
        id: "file/memfd-read-then-store",
        summary: "the page of a private memfd mapping was read, then is stored to",
        path: CACHE,
        steps: &[Step::Read],
        mapping: Mapping::File,
        memory: Memory::PrivateMemfd,
        expected: &[Expectation::any_of(&[Copy], PAGE_CACHE)],
        ..Scenario::BASE
    },
    Scenario {
        id: "file/memfd-copied-child-exited",
        summary: "the page was copied from the memfd by a store; a child shared the copy and has exited",
        path: OWN,
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        memory: Memory::PrivateMemfd,
        expected: &perhaps_own(&[Reuse], COPY_OF_FILE),
        ..Scenario::BASE
    },
];
