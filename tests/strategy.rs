//! `--strategy` end to end: what a kernel without the knob says, and the table of outcomes on the strategy kernel, where
//! scripts/strategy-kernel/build has left one in its cache.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::skip::{Need, skip};
use common::{PROGRAM, cowpath, finish, is_installed, load};
use cowpath::machine::knob;
use cowpath::record::known::Known;
use cowpath::record::method::Method;
use cowpath::record::outcome::Outcome::{self, Copy, NoFault, Reuse, UnshareCopy, UnshareReuse};
use cowpath::record::rule::PinRule;
use cowpath::record::rule::Rule::{self, Exclusive, Mapcount, Never, Refcount};
use cowpath::record::schema::{Counter, Discards, EventCount, HeldCopy, Measured, RunFile};
use cowpath::suite::counting::COUNTED;

#[test]
fn a_kernel_without_the_knob_is_told_where_to_get_one() {
    if Path::new(knob::REUSE).exists() {
        skip(Need::StockKernel, "this kernel has the knob");
        return;
    }
    let finished = finish(cowpath(&["run", "control/*", "--strategy", "refcount"]));
    assert_eq!(finished.code, Some(2), "{finished:?}");
    finished.complains("scripts/strategy-kernel/build");
}

#[test]
fn the_rule_that_leaks_is_called_unsafe_where_it_can_be_chosen() {
    let help = finish(cowpath(&["run", "--help"])).out;
    let at = help.find("--strategy").expect("the option is there");
    assert!(help[at..].contains("mapcount is UNSAFE"), "{help}");
    let finished = finish(cowpath(&["run", "--strategy", "fastest"]));
    assert_eq!(finished.code, Some(2));
    finished.complains("mapcount (unsafe)");
}

/// The image of a version in the script's cache, if a guest can be had of it; says so if not.
fn image(version: &str) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/strategy-kernel/build");
    let found = Command::new(script).args(["--cached", version]).output();
    let found = found.expect("the script is started");
    if !found.status.success() {
        let why = format!("scripts/strategy-kernel/build {version} makes one");
        skip(Need::StrategyKernel, &why);
        return None;
    }
    if !is_installed("qemu-system-x86_64") {
        skip(Need::Qemu, "qemu-system-x86_64 is not installed");
        return None;
    }
    Some(String::from_utf8(found.stdout).unwrap().trim().into())
}

/// What the suite found in a guest of `image`, whose kernel has nothing to complain of.
fn measured(image: &Path, append: Option<&str>, arguments: &[&str]) -> RunFile {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Command::new(PROGRAM);
    lab.arg("vm").arg(image).args(["--accel", "tcg", "-o"]);
    lab.arg(folder.path());
    lab.args(append.map(|words| ["--append", words]).iter().flatten());
    lab.arg("--").args(arguments);
    let finished = finish(lab);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut file = None;
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        let path = entry.path();
        let name = path.to_string_lossy().into_owned();
        if name.ends_with(".1.json") {
            file = Some(load(&path));
        } else if name.ends_with(".log") {
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            for bad in ["BUG:", "WARNING:", "Bad page", "bad page"] {
                assert!(!text.contains(bad), "{bad} in the kernel's log");
            }
        }
    }
    file.expect("a run file")
}

const RULES: [Rule; 4] = [Exclusive, Refcount, Mapcount, Never];

fn result(file: &RunFile, id: &str, rule: Rule) -> Measured {
    let mut found = file.results.iter();
    found
        .find(|m| m.scenario == id && m.strategy == Some(rule))
        .unwrap_or_else(|| panic!("{id} under {rule}: {:?}", file.skipped))
        .clone()
}

fn held(file: &RunFile, rule: Rule, recheck: bool) -> HeldCopy {
    let mut all = file.results.iter().filter(|m| m.strategy == Some(rule));
    all.find_map(|m| m.held.clone().filter(|held| held.recheck == recheck))
        .unwrap_or_else(|| panic!("{rule}, recheck {recheck}: {:?}", file.skipped))
}

fn value(measured: &Measured, name: &str) -> u64 {
    match measured.counters.get(name) {
        Some(Counter::Counted(EventCount { value, .. })) => *value,
        other => panic!("{}: {name}: {other:?}", measured.scenario),
    }
}

#[test]
fn the_strategy_kernel_shows_what_each_rule_does() {
    let Some(image) = image("6.12") else {
        return;
    };
    let arguments = [
        "reuse/child-exited",
        "copy/child-alive",
        "extra-ref/child-vmsplices",
        "thp/vmsplice-then-fork",
        "race/store-store",
        "race/unshare-under-copy",
        "--strategy",
        "exclusive,refcount,mapcount,never",
        "--quick",
        "--pages",
        "256",
    ];
    let file = measured(&image, None, &arguments);
    assert!(
        file.complete && file.skipped.is_empty(),
        "{:?}",
        file.skipped
    );

    // The table, row by row. Of a page in a pipe the outcome says what the pipe reads, and each run checks it.
    let rows: [(&str, [Outcome; 4]); 4] = [
        ("reuse/child-exited", [Reuse, Reuse, Reuse, Copy]),
        ("copy/child-alive", [Copy, Copy, Copy, Copy]),
        ("extra-ref/child-vmsplices", [Copy, Copy, Reuse, Copy]),
        ("thp/vmsplice-then-fork", [Copy, Copy, Reuse, Copy]),
    ];
    for (id, outcomes) in rows {
        for (rule, outcome) in RULES.into_iter().zip(outcomes) {
            let measured = result(&file, id, rule);
            let total = measured.outcomes.total();
            assert!(total > 0);
            assert_eq!(measured.outcomes.get(outcome), total, "{id} under {rule}");
            assert_eq!(measured.expected, [outcome], "{id} under {rule}");
            assert_eq!(measured.integrity.violations, 0, "{id} under {rule}");
            counters_agree(&measured, outcome);
        }
    }
    for rule in RULES {
        let race = result(&file, "race/store-store", rule);
        let Discards::Counted(counts) = &race.discards else {
            panic!("{rule}: {:?}", race.discards);
        };
        let kernels = counts.other_methods.get(&Method::Vmstat);
        let kernels = kernels.and_then(Known::counted).map(|count| count.late);
        assert_eq!(kernels, Some(counts.late as i64), "backoffs under {rule}");
    }
    question(&file);
}

/// What a reading pin comes to, and a store after it, by each of the pin's behaviours under the mapcount rule.
#[test]
fn the_strategy_kernel_pins_as_each_era_did() {
    let Some(image) = image("5.10") else {
        return;
    };
    let scenarios = [
        "unshare/*",
        "extra-ref/child-vmsplices",
        "extra-ref/direct-write-in-flight",
        "thp/marked-exclusive",
    ];
    let rest = ["--strategy", "mapcount", "--quick", "--pages", "64"];
    let arguments = [&scenarios[..], &rest].concat();
    let pins = [PinRule::Takes, PinRule::BreaksCow, PinRule::Unshares];
    let rows = [
        ("unshare/readv-exclusive", [NoFault, NoFault, NoFault]),
        (
            "unshare/readv-child-alive",
            [NoFault, UnshareCopy, UnshareCopy],
        ),
        (
            "unshare/readv-child-exited",
            [NoFault, UnshareReuse, NoFault],
        ),
        ("unshare/readv-in-pipe", [NoFault, UnshareReuse, NoFault]),
        (
            "unshare/store-after-readv-child-alive",
            [Copy, NoFault, Reuse],
        ),
        (
            "unshare/store-after-readv-child-exited",
            [Reuse, NoFault, Reuse],
        ),
        ("extra-ref/direct-write-in-flight", [Reuse, NoFault, Reuse]),
        ("thp/marked-exclusive", [Reuse, NoFault, Reuse]),
    ];
    for (column, pin) in pins.into_iter().enumerate() {
        let file = measured(
            &image,
            Some(&format!("cow_pin={}", pin.label())),
            &arguments,
        );
        assert_eq!(file.strategy.pin, pin, "{:?}", file.strategy.evidence);
        for (id, outcomes) in rows {
            let measured = result(&file, id, Mapcount);
            let total = measured.outcomes.total();
            assert!(total > 0, "{id} where a pin {}", pin.label());
            let seen = measured.outcomes.get(outcomes[column]);
            assert_eq!(seen, total, "{id} where a pin {}", pin.label());
        }
        for measured in &file.results {
            let expected = measured.expected.iter();
            let as_expected: u64 = expected.map(|&one| measured.outcomes.get(one)).sum();
            let total = measured.outcomes.total();
            assert_eq!(
                as_expected,
                total,
                "{} where a pin {}",
                measured.scenario,
                pin.label()
            );
            assert_eq!(measured.integrity.violations, 0, "{}", measured.scenario);
        }
        // Where a pin is a store, the child's vmsplice takes a page of its own: that is another state, and no leak.
        let leaks = file
            .results
            .iter()
            .any(|one| one.scenario == "extra-ref/child-vmsplices");
        assert_eq!(leaks, pin != PinRule::BreaksCow);
    }
}

/// The kernel's counts are of the whole machine: a few pages of the worker's own may be among them each time.
fn counters_agree(measured: &Measured, outcome: Outcome) {
    const STRAY: u64 = 16;
    let names: &[&str] = match (measured.folio.to_string().as_str(), outcome) {
        ("4k", Reuse) => &["vmstat:cow_reuse_exclusive", "vmstat:cow_reuse_rule"],
        (_, Reuse) => &["vmstat:cow_thp_reuse"],
        _ => &["vmstat:cow_copy"],
    };
    let counted: u64 = names.iter().map(|name| value(measured, name)).sum();
    let stores = u64::from(measured.pages) * COUNTED as u64;
    assert!(
        (stores..=stores + STRAY * COUNTED as u64).contains(&counted),
        "{} under {:?}: {counted} for {stores} stores",
        measured.scenario,
        measured.strategy
    );
}

/// Whether an exclusive page is replaced under a pin: by mapcount alone, and not where the kernel looks again.
fn question(file: &RunFile) {
    let mut seen = BTreeMap::new();
    for rule in RULES {
        for recheck in [false, true] {
            let held = held(file, rule, recheck);
            assert!(held.pages > 0, "{rule}");
            let (replaced, rechecked) = (held.replaced, held.rechecked);
            let want = match (rule, recheck) {
                (Mapcount, false) => (held.pages, 0),
                (Mapcount, true) => (0, held.pages),
                _ => (0, 0),
            };
            assert_eq!((replaced, rechecked), want, "{rule}, recheck {recheck}");
            seen.insert((rule, recheck), held);
        }
        let results = file.results.iter().filter(|m| m.held.is_some());
        for measured in results.filter(|m| m.strategy == Some(rule)) {
            let as_expected = measured.expected.iter().map(|&o| measured.outcomes.get(o));
            assert_eq!(
                as_expected.sum::<u64>(),
                measured.outcomes.total(),
                "{rule}: {:?}",
                measured.outcomes
            );
        }
    }
    let stale = |rule, recheck: bool| seen[&(rule, recheck)].stale;
    assert_eq!(stale(Exclusive, false), Some(0));
    assert_eq!(stale(Never, false), Some(0));
    assert!(stale(Mapcount, false) > Some(0));
    assert_eq!(stale(Mapcount, true), Some(0));
}
