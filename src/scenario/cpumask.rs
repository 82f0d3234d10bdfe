//! Other CPUs in the storing process's mask: where its threads run, or have run and sleep. A copy replaces an entry, which every CPU
//! that may have it in its TLB must give up; a reuse makes the same entry writable, which no other CPU is told.

use super::law::{Law, LawPoint};
use super::{Mapping, Scenario, Step};
use crate::memory::threads::ALL;
use crate::record::outcome::Outcome::Copy;
use crate::scenario::expectation::{Expectation, last_user};
use crate::scenario::source::{LAST_USER, SHARED};

const COPIES: Law = Law {
    name: "cpumask/copy-running",
    question: "what does each further CPU that runs the process add to a copy?",
    per: "CPU",
};
const REUSES: Law = Law {
    name: "cpumask/reuse-running",
    question: "what does each further CPU that runs the process add to a reuse?",
    per: "CPU",
};

const COPY: Scenario = Scenario {
    path: "wp_page_copy() -> ptep_clear_flush() -> flush_tlb_mm_range(): an interrupt to each CPU that runs the process (x86-64)",
    mapping: Mapping::Anon(2),
    expected: &[Expectation::any_of(&[Copy], SHARED)],
    long: true,
    ..Scenario::BASE
};
const REUSE: Scenario = Scenario {
    path: "wp_page_reuse() -> ptep_set_access_flags(): the entry allows more than before, and no other CPU is told",
    expected: &last_user(LAST_USER),
    long: true,
    ..Scenario::BASE
};

const fn point(law: Law, at: u32) -> Option<LawPoint> {
    Some(LawPoint { law, at })
}

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        id: "cpumask/copy-none",
        summary: "a living child shares the page; the storing process has one thread",
        steps: &[Step::Fill, Step::Fork],
        point: point(COPIES, 0),
        ..COPY
    },
    Scenario {
        id: "cpumask/copy-idle",
        summary: "as copy-none, but another thread of the process has run on another CPU and sleeps",
        path: "wp_page_copy() -> ptep_clear_flush() -> flush_tlb_mm_range(): a CPU that is idle since has its TLB lazily, and is not interrupted (x86-64)",
        steps: &[Step::Fill, Step::Fork, Step::ThreadsSleep(1)],
        ..COPY
    },
    Scenario {
        id: "cpumask/copy-running",
        summary: "as copy-none, but another thread of the process runs on another CPU",
        steps: &[Step::Fill, Step::Fork, Step::ThreadsRun(1)],
        point: point(COPIES, 1),
        ..COPY
    },
    Scenario {
        id: "cpumask/copy-running-3",
        summary: "as copy-none, but three threads of the process run on three other CPUs",
        steps: &[Step::Fill, Step::Fork, Step::ThreadsRun(3)],
        point: point(COPIES, 3),
        ..COPY
    },
    Scenario {
        id: "cpumask/copy-running-7",
        summary: "as copy-none, but seven threads of the process run on seven other CPUs",
        steps: &[Step::Fill, Step::Fork, Step::ThreadsRun(7)],
        point: point(COPIES, 7),
        ..COPY
    },
    Scenario {
        id: "cpumask/copy-running-all",
        summary: "as copy-none, but a thread of the process runs on every other CPU",
        steps: &[Step::Fill, Step::Fork, Step::ThreadsRun(ALL)],
        ..COPY
    },
    Scenario {
        id: "cpumask/reuse-none",
        summary: "a child shared the page and has exited; the storing process has one thread",
        steps: &[Step::Fill, Step::Fork, Step::ChildExits],
        point: point(REUSES, 0),
        ..REUSE
    },
    Scenario {
        id: "cpumask/reuse-idle",
        summary: "as reuse-none, but another thread of the process has run on another CPU and sleeps",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::ThreadsSleep(1),
        ],
        ..REUSE
    },
    Scenario {
        id: "cpumask/reuse-running",
        summary: "as reuse-none, but another thread of the process runs on another CPU",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::ThreadsRun(1),
        ],
        point: point(REUSES, 1),
        ..REUSE
    },
    Scenario {
        id: "cpumask/reuse-running-3",
        summary: "as reuse-none, but three threads of the process run on three other CPUs",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::ThreadsRun(3),
        ],
        point: point(REUSES, 3),
        ..REUSE
    },
    Scenario {
        id: "cpumask/reuse-running-all",
        summary: "as reuse-none, but a thread of the process runs on every other CPU",
        steps: &[
            Step::Fill,
            Step::Fork,
            Step::ChildExits,
            Step::ThreadsRun(ALL),
        ],
        ..REUSE
    },
];
