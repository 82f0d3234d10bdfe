//! The command line as users and scripts meet it.

mod common;

use std::path::Path;

use common::{assert_valid, cowpath, finish, load, no_root, small_run};
use cowpath::record::rule::SmallRule;
use cowpath::record::schema::{Counter, EventCount};

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
        "list", "doctor", "run", "report", "compare", "schema", "vm", "stage", "profile",
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
