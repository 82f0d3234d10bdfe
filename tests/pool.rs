//! Pooled runs: every count is the sum of the counts of the files.

#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::collections::BTreeMap;

use cowpath::record::known::Known;
use cowpath::record::method::{LateCount, Method};
use cowpath::record::outcome::Outcome;
use cowpath::record::race::{FrameChange, WaitedFor};
use cowpath::record::schema::*;
use cowpath::record::unit::Unit;
use cowpath::suite::pool::Pool;
use fixture::Fixture;
use proptest::prelude::*;
use serde_json::Value;

/// What is no count: parameters, figures, and numbers by which things are known.
const NO_COUNTS: [&str; 15] = [
    "per_second",
    "threads",
    "cpus",
    "skew",
    "p50",
    "p90",
    "p99",
    "p999",
    "mean",
    "min",
    "max",
    "index",
    "per_fault",
    "lead_ticks",
    "cost_ns",
];

/// A race with a number of every kind.
fn template() -> RunFile {
    let mut fixture = Fixture::new("6.18.0");
    let measured = fixture.measure("race/store-store", Outcome::Copy, 900.0, Unit::Ns);
    let second = |method| {
        let count = LateCount {
            late: 1,
            difference: 1,
        };
        (method, Known::Counted(count))
    };
    measured.discards = Discards::Counted(DiscardCounts {
        late: 1,
        none: 1,
        futile: 1,
        allocations: 1,
        committed: 1,
        pages: 1,
        method: Method::Tracepoints,
        other_methods: [Method::Taskstats, Method::Kprobes].map(second).into(),
    });
    let tally = |frame, late, none| PageTally {
        frame,
        late,
        none,
        pages: 1,
    };
    let wait = Known::Counted(LockWait {
        waited_ns: 1,
        waits: 1,
        of_ns: 1,
    });
    measured.race = Some(Raced {
        results: vec![
            tally(FrameChange::Same, 0, 0),
            tally(FrameChange::Changed, 1, 0),
            tally(FrameChange::Changed, 1, 2),
        ],
        not_allowed: 1,
        unexplained: 1,
        unrelated_allocations: 1,
        parts: BTreeMap::new(),
        events: 1,
        lock_wait: Some(Known::Counted(LockWait {
            waited_ns: 1,
            waits: 1,
            of_ns: 1,
        })),
        forks: Some(Forks {
            per_second: 1,
            window_ns: 1,
            took: measured.latency[&Outcome::Copy].clone(),
            beside: measured.latency[&Outcome::Copy].clone(),
            store_waits: BTreeMap::from([(WaitedFor::MmapLock, wait.clone())]),
            fork_waits: BTreeMap::from([(WaitedFor::VmaLock, wait)]),
        }),
        replaced: Some(1),
        rehearsal_pages: 1,
        rehearsal_allocations: 1,
    });
    measured.rendezvous = Some(RendezvousRecord {
        lead_ticks: 1,
        arrival: measured.latency[&Outcome::Copy].clone(),
        missed: 1,
        cost_ns: Some(1.0),
    });
    measured.held = Some(HeldCopy {
        recheck: true,
        pinned_by: "gup".into(),
        pages: 1,
        missed: 1,
        backed_off: 1,
        rechecked: 1,
        replaced: 1,
        stale: Some(1),
    });
    let counter = Counter::Counted(EventCount {
        value: 1,
        per_fault: 1.0,
        stores: Some(1),
        processes: Some(1),
        enabled_ns: 1,
        running_ns: 1,
    });
    measured.counters = ["cycles", "page-faults"]
        .map(|n| (n.into(), counter.clone()))
        .into();
    measured.integrity = Integrity {
        checked: 1,
        violations: 1,
    };
    measured.repetitions.truncate(1);
    fixture.run
}

/// Calls `visit` with every count and a path on which it is found in another file too.
fn counts(value: &mut Value, path: &str, visit: &mut impl FnMut(&str, &mut Value)) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let no_count = NO_COUNTS.contains(&key.as_str())
                    || matches!((path, key.as_str()), ("", "pages" | "repetitions" | "lost"))
                    || (path.contains("results") && ["late", "none"].contains(&key.as_str()))
                    // Bytes of histograms; their counts are theirs.
                    || ["latency", "arrival", "took", "beside"].iter().any(|of| path.contains(of));
                if !no_count {
                    counts(inner, &format!("{path}/{key}"), visit);
                }
            }
        }
        Value::Array(list) => {
            for inner in list {
                let key = |name: &str| inner.get(name).map_or(String::new(), Value::to_string);
                let key = ["frame", "late", "none"].map(key).join(" ");
                counts(inner, &format!("{path}/{key}"), visit);
            }
        }
        Value::Number(_) => visit(path, value),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_count_of_a_pool_is_the_sum_of_the_files_counts(
        runs in 2..6usize,
        drawn in prop::collection::vec(0..1u64 << 40, 64),
    ) {
        let template = template();
        let mut drawn = drawn.into_iter().cycle();
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        let mut pool: Option<Pool> = None;
        for _ in 0..runs {
            let mut run = template.clone();
            let mut value = serde_json::to_value(&run.results[0]).unwrap();
            counts(&mut value, "", &mut |path, number| {
                let n = drawn.next().unwrap() % if path == "/trials" { 1 << 20 } else { u64::MAX };
                *sums.entry(path.into()).or_default() += n;
                *number = n.into();
            });
            run.results[0] = serde_json::from_value(value).unwrap();
            match &mut pool {
                Some(pool) => pool.add(run).unwrap(),
                None => pool = Some(Pool::new(run).unwrap()),
            }
        }
        let whole = pool.unwrap().finish().unwrap();
        prop_assert_eq!(whole.results.len(), 1);
        let mut value = serde_json::to_value(&whole.results[0]).unwrap();
        let mut found = BTreeMap::new();
        counts(&mut value, "", &mut |path, number| {
            found.insert(path.to_string(), number.as_u64().unwrap());
        });
        prop_assert!(found.len() > 30, "{found:?}");
        prop_assert_eq!(found, sums);
        let copies = &whole.results[0].latency[&Outcome::Copy];
        let one = template.results[0].latency[&Outcome::Copy].count;
        prop_assert_eq!(copies.count, runs as u64 * one);
        let forks = whole.results[0].race.as_ref().unwrap().forks.as_ref().unwrap();
        prop_assert_eq!([forks.took.count, forks.beside.count], [runs as u64 * one; 2]);
    }
}
