//! Pages that were swapped out. `--tune` makes a swap device in memory (zram) for them.

use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse, SwapIn};
use crate::scenario::expectation::{Basis, Expectation, FLAG, NEVER_REUSED, Rules};
use crate::scenario::protect::BETWEEN;

const MOST: u32 = 1024;

const LAST_READER: Basis = Basis::Source("do_wp_page() and wp_can_reuse_anon_folio()");

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "swap/read-back",
        summary: "a page of one's own was swapped out and read back",
        path: "do_swap_page() maps an exclusive page writable at once (later than 6.1); else do_wp_page()",
        steps: &[Step::Fill, Step::SwapOut, Step::Read],
        max_pages: MOST,
        expected: &[
            NEVER_REUSED.before(FLAG),
            Expectation::any_of(&[Reuse], Basis::Observed("6.1"))
                .under(Rules::OWN)
                .since(FLAG)
                .before((6, 2)),
            Expectation::any_of(&[Reuse, NoFault], BETWEEN)
                .under(Rules::OWN)
                .since((6, 2))
                .before((6, 12)),
            Expectation::any_of(&[Reuse], Basis::SEEN).under(Rules::OWN_MAPCOUNT),
            Expectation::any_of(&[Copy, Reuse], Basis::SEEN).under(Rules::OWN_REFCOUNT),
            Expectation::any_of(&[Reuse], Basis::SEEN)
                .under(Rules::SWITCHED_TO_MAPCOUNT)
                .before(FLAG),
            Expectation::any_of(&[Copy, Reuse], Basis::SEEN)
                .under(Rules::REFCOUNT)
                .before(FLAG),
            Expectation::any_of(&[NoFault, Reuse], Basis::SEEN).under(Rules::REFCOUNT),
            Expectation::any_of(&[NoFault], Basis::SEEN),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/store-directly",
        summary: "a page of one's own was swapped out and is stored to",
        path: "do_swap_page(): brought in and mapped writable in one fault",
        steps: &[Step::Fill, Step::SwapOut],
        mapping: Mapping::Swapped,
        max_pages: MOST,
        expected: &[Expectation::any_of(
            &[SwapIn],
            Basis::Source("do_swap_page()"),
        )],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/read-back-child-exited",
        summary: "swapped out, shared by a child, read back by both; the child has exited",
        path: "do_wp_page(): frees the swap cache, one reference is left -> wp_page_reuse() (5.18 and later); 5.9 to 5.17: the swap cache counts",
        steps: &[
            Step::Fill,
            Step::SwapOut,
            Step::Fork,
            Step::Read,
            Step::ChildExits,
        ],
        max_pages: MOST,
        expected: &[
            NEVER_REUSED,
            Expectation::any_of(&[Copy, Reuse], LAST_READER).under(Rules::OWN_REFCOUNT),
            Expectation::any_of(&[Copy, Reuse], LAST_READER)
                .under(Rules::REFCOUNT)
                .before(FLAG),
            Expectation::any_of(&[Reuse], LAST_READER),
        ],
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/read-back-child-alive",
        summary: "swapped out, shared by a living child, read back by both",
        path: "do_wp_page(): two mappings -> wp_page_copy()",
        steps: &[Step::Fill, Step::SwapOut, Step::Fork, Step::Read],
        mapping: Mapping::Anon(2),
        max_pages: MOST,
        expected: &[Expectation::any_of(
            &[Copy],
            Basis::Reasoned("as copy/child-alive"),
        )],
        ..Scenario::BASE
    },
];
