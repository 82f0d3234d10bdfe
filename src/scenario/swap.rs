//! Pages that were swapped out. `--tune` makes a swap device in memory (zram) for them.

use super::era::Era;
use super::{Mapping, Scenario, Step};
use crate::record::outcome::Outcome::{Copy, NoFault, Reuse, SwapIn};
use crate::scenario::prediction::Prediction;
use crate::scenario::switched::Switched;

const MOST: u32 = 1024;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "swap/read-back",
        summary: "a page of one's own was swapped out and read back",
        path: "do_swap_page() maps an exclusive page writable at once (later than 6.1); else do_wp_page()",
        steps: &[Step::Fill, Step::SwapOut, Step::Read],
        expected: Prediction {
            mapcount: &[Reuse],
            refcount: &[Copy, Reuse],
            exclusive: &[NoFault],
        },
        eras: &[
            Era::between((5, 19), (6, 2), &[Reuse], "observed on 6.1"),
            Era::between(
                (6, 2),
                (6, 12),
                &[Reuse, NoFault],
                "between 6.1 (reuse) and 6.12 (no fault), not observed",
            ),
        ],
        max_pages: MOST,
        switched: Some(Switched {
            refcount: &[NoFault, Reuse],
            mapcount: &[NoFault],
            never: &[NoFault],
        }),
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/store-directly",
        summary: "a page of one's own was swapped out and is stored to",
        path: "do_swap_page(): brought in and mapped writable in one fault",
        steps: &[Step::Fill, Step::SwapOut],
        mapping: Mapping::Swapped,
        expected: Prediction::always(&[SwapIn]),
        basis: "read in do_swap_page()",
        max_pages: MOST,
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
        expected: Prediction {
            mapcount: &[Reuse],
            refcount: &[Copy, Reuse],
            exclusive: &[Reuse],
        },
        basis: "read in do_wp_page() and wp_can_reuse_anon_folio()",
        max_pages: MOST,
        switched: Switched::LAST_USER,
        ..Scenario::BASE
    },
    Scenario {
        id: "swap/read-back-child-alive",
        summary: "swapped out, shared by a living child, read back by both",
        path: "do_wp_page(): two mappings -> wp_page_copy()",
        steps: &[Step::Fill, Step::SwapOut, Step::Fork, Step::Read],
        mapping: Mapping::Anon(2),
        expected: Prediction::always(&[Copy]),
        basis: "as copy/child-alive",
        max_pages: MOST,
        ..Scenario::BASE
    },
];
