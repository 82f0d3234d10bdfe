//! The command line as users and scripts meet it.

mod common;
#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::path::Path;

use common::{assert_valid, cowpath, finish, load, no_root, small_run};
use cowpath::record::io::write;
use cowpath::record::outcome::Outcome;
use cowpath::record::rule::{PinRule, SmallRule};
use cowpath::record::schema::{Counter, EventCount, Skipped};
use cowpath::record::unit::Unit;
use fixture::Fixture;

#[test]
fn list_shows_every_scenario_as_text_and_as_json() {
    let text = finish(cowpath(&["list"]));
    let json = finish(cowpath(&["list", "--json"]));
    assert_eq!((text.code, json.code), (Some(0), Some(0)));
    let listed: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() >= 10);
    for scenario in listed {
        assert!(text.out.contains(scenario["id"].as_str().unwrap()));
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "list", "doctor", "run", "report", "compare", "noise", "judge", "schema", "vm", "stage",
        "profile",
    ] {
        let help = finish(cowpath(&[command, "--help"]));
        assert_eq!(help.code, Some(0));
        help.tells("Example");
    }
}

#[test]
fn the_committed_schema_is_current() {
    let schema = finish(cowpath(&["schema"]));
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("run.schema.json");
    let committed = std::fs::read_to_string(committed).unwrap_or_default();
    assert!(
        schema.out == committed,
        "run.schema.json is stale: cowpath schema > run.schema.json"
    );
}

/// A kernel whose reading pins are write faults, as an earlier version knew it: it did not ask, and expected something else.
#[test]
fn a_run_of_an_earlier_version_is_judged_by_what_is_expected_today() {
    let mut fixture = Fixture::new("5.4.286");
    fixture.run.strategy.small = SmallRule::Mapcount;
    fixture.run.strategy.pin = PinRule::Unknown;
    for (scenario, outcome, then) in [
        (
            "unshare/readv-child-alive",
            Outcome::UnshareCopy,
            Outcome::NoFault,
        ),
        (
            "unshare/store-after-readv-child-alive",
            Outcome::NoFault,
            Outcome::Copy,
        ),
        (
            "extra-ref/direct-write-in-flight",
            Outcome::NoFault,
            Outcome::Reuse,
        ),
        ("copy/child-alive", Outcome::Reuse, Outcome::Copy),
        ("extra-ref/child-vmsplices", Outcome::Reuse, Outcome::Reuse),
    ] {
        let measured = fixture.measure(scenario, outcome, 700.0, Unit::Ns);
        measured.expected = vec![then];
    }
    let told = ("unshare/store-after-readv-child-exited", Outcome::NoFault);
    fixture.measure(told.0, told.1, 20.0, Unit::Ns);
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.json");
    write(&old, &fixture.run).unwrap();
    let new = folder.path().join("new");
    let paths = [&old, &new].map(|path| path.to_str().unwrap());
    let judged = finish(cowpath(&["judge", paths[0], "-o", paths[1]]));
    assert_eq!(judged.code, Some(0), "{judged:?}");
    judged.tells("a reading pin of a shared page breaks-cow");
    judged.tells("2 as derived from source, 1 differ");
    judged.tells("differs: copy/child-alive: copy expected, reuse seen");
    let run = load(&new.join("old.json"));
    assert_eq!(run.strategy.pin, PinRule::BreaksCow);
    assert_eq!(run.results[1].expected, [Outcome::NoFault]);
    let other = |one: &Skipped| one.scenario == "extra-ref/child-vmsplices";
    assert!(run.skipped.iter().any(other) && run.results.len() == 5);
    assert_eq!(run.results[1].latency, fixture.run.results[1].latency);
    let over = finish(cowpath(&["judge", paths[0], "-o", paths[1]]));
    assert_eq!(over.code, Some(2), "{over:?}");
    over.complains("would take its place");
    let wrong = finish(cowpath(&["judge", "/dev/null"]));
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
}

#[test]
fn a_run_proves_times_and_classifies_and_its_file_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let run = finish(cowpath(&small_run(&[], path.to_str().unwrap())));
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = load(&path);
    assert!(file.complete);

    assert_valid(&path, &finish(cowpath(&["schema"])).out);

    for measured in &file.results {
        // In a race one thread stores to each page, or all of them do.
        let stores = u64::from(measured.pages * measured.trials);
        let by_all = stores * u64::from(measured.threads);
        let total = measured.outcomes.total();
        assert!(
            total == stores || total == by_all,
            "{}: {total}",
            measured.scenario
        );
        assert!(measured.integrity.checked > 0, "{}", measured.scenario);
        assert_eq!(measured.integrity.violations, 0, "{}", measured.scenario);
        assert!(!measured.setup.proven.is_empty(), "{}", measured.scenario);
        for (name, counter) in &measured.counters {
            match counter {
                Counter::Counted(EventCount { running_ns, .. }) => {
                    assert!(*running_ns > 0, "{name}")
                }
                Counter::Unavailable { unavailable } => assert!(!unavailable.is_empty(), "{name}"),
            }
        }
        assert!(run.out.contains(&measured.scenario));
    }
    if no_root("outcomes are not compared") {
        return;
    }
    for measured in &file.results {
        if let [_] = measured.expected[..] {
            let share = measured
                .as_expected()
                .map_or(0.0, |(part, whole)| part as f64 / whole as f64);
            assert!(share >= 0.99, "{}: {share} as expected", measured.scenario);
        }
    }
    assert_ne!(
        file.strategy.small,
        SmallRule::Unknown,
        "{:?}",
        file.strategy.evidence
    );
}

#[test]
fn a_glob_chooses_and_a_seed_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut args = small_run(&["control/*", "copy/child-alive"], path.to_str().unwrap());
    args.extend(["--seed", "42"]);
    assert_eq!(finish(cowpath(&args)).code, Some(0));
    let file = load(&path);
    let ids: Vec<_> = file.results.iter().map(|m| m.scenario.as_str()).collect();
    assert_eq!(ids, ["control/no-fault", "copy/child-alive"]);
    assert_eq!(file.config.seed, 42);
}

#[test]
fn wrong_usage_says_what_is_wrong_and_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for (args, word) in [
        (vec!["run", "no/such"], "no/such"),
        (vec!["run", "[", "-o", "x"], "["),
        (vec!["run", "--cpus", "900"], "900"),
        (vec!["run", "--cpus", "three"], "three"),
        (vec!["run", "--pages", "0"], "0"),
        (vec!["run", "--resume"], "--output"),
        (vec!["run", "-o", folder], "folder"),
        (
            vec!["run", "-o", "/no/such/folder/r.json"],
            "/no/such/folder",
        ),
        (
            vec!["run", "--resume", "-o", "/no/such/r.json"],
            "/no/such/r.json",
        ),
        (
            vec!["report", "/no/such/r.json", "-o", folder],
            "/no/such/r.json",
        ),
        (vec!["report", "-o", folder], "RUN"),
        (vec!["frobnicate"], "frobnicate"),
    ] {
        let finished = finish(cowpath(&args));
        assert_eq!(finished.code, Some(2), "{args:?}: {finished:?}");
        assert!(finished.err.contains(word), "{args:?}: {}", finished.err);
        assert!(!finished.err.contains("panicked"), "{}", finished.err);
    }
}

#[test]
fn the_doctor_names_the_strategy_and_each_check_with_its_reason() {
    let text = finish(cowpath(&["doctor"]));
    let json = finish(cowpath(&["doctor", "--json"]));
    assert_eq!((text.code, json.code), (Some(0), Some(0)), "{text:?}");
    let doctor: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert!(
        text.out
            .contains(doctor["strategy"]["small"].as_str().unwrap())
    );
    let checks = doctor["audit"].as_array().unwrap();
    for name in [
        "pfn-visibility",
        "perf-event-paranoid",
        "tracefs",
        "pmu",
        "steal-time",
    ] {
        assert!(checks.iter().any(|check| check["check"] == name), "{name}");
    }
    for check in checks {
        assert!(!check["why"].as_str().unwrap().is_empty(), "{check}");
        assert!(!check["state"].as_str().unwrap().is_empty(), "{check}");
    }
}
