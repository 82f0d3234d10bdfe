//! What a run says about its own noise: two sides of the same, what disturbed each repetition, and how long it goes on.

mod common;
#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{cowpath, finish, load};
use cowpath::record::io::write;
use cowpath::record::outcome::Outcome;
use cowpath::record::schema::RunFile;
use cowpath::record::unit::Unit;
use fixture::Fixture;

fn measure(args: &[&str], path: &Path) -> (common::Finished, RunFile) {
    let base = [
        "run",
        "reuse/child-exited",
        "copy/child-alive",
        "--pages",
        "128",
        "--trials",
        "1",
    ];
    let output = ["-o", path.to_str().unwrap()];
    let done = finish(cowpath(&[&base, args, &output[..]].concat()));
    assert_eq!(done.code, Some(0), "{done:?}");
    (done, load(path))
}

#[test]
fn a_run_of_two_sides_of_the_same_keeps_how_far_they_lie_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("aa.json");
    let (done, file) = measure(&["--aa", "--reps", "6"], &path);
    let noise = file.noise.as_ref().expect("the noise floor is in the file");
    assert_eq!(noise.rows as usize, noise.apart.len());
    assert!(noise.rows >= 2 && noise.floor >= 0.0, "{noise:?}");
    done.tells("noise within this run");
    for measured in &file.results {
        assert_eq!(
            measured.repetitions.len(),
            12,
            "each side has as many as asked for"
        );
    }
    let path = path.to_str().unwrap();
    let compared = finish(cowpath(&["compare", path, "--with", path]));
    compared.tells("run --aa");
}

/// Two repetitions that follow each other have one layout, and the sides have them in turns: they have layouts in common.
#[test]
fn counted_instructions_have_a_noise_within_the_run_too() {
    let mut fixture = Fixture::new("6.12.0");
    fixture.measure(
        "copy/child-alive",
        Outcome::Copy,
        1_608.0,
        Unit::Instructions,
    );
    fixture.run.host.virtualization = "exact".into();
    fixture.run.config.aa = true;
    let noise = cowpath::compare::noise::floor(&fixture.run).expect("a row");
    assert_eq!(noise.rows, 1, "{noise:?}");
}

#[test]
fn every_repetition_says_what_disturbed_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_, file) = measure(&["--reps", "2"], &folder.path().join("r.json"));
    for repetition in file.results.iter().flat_map(|m| &m.repetitions) {
        let interference = repetition.interference.as_ref().expect("it was looked at");
        assert_eq!(interference.cpus, 1);
        assert!(interference.interrupts.is_some(), "{interference:?}");
    }
}

#[test]
fn disturbed_repetitions_count_and_the_verdict_without_them_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut file) = measure(&["--reps", "16"], &folder.path().join("r.json"));
    let mut side = |name: &str, spoilt_factor: f64| {
        for measured in &mut file.results {
            for repetition in &mut measured.repetitions {
                // Half of the repetitions are disturbed, all the same way.
                let disturbed = repetition.index % 2 == 1;
                let interference = repetition.interference.as_mut().unwrap();
                interference.disturbed = disturbed
                    .then(|| "the host took 50 ms of 60".into())
                    .into_iter()
                    .collect();
                for latency in repetition.by_outcome.values_mut() {
                    let value = 1_000.0 + f64::from(repetition.index);
                    let by = if disturbed { spoilt_factor } else { 1.0 };
                    latency.p50 = (value * by) as u64;
                    latency.p90 = latency.p50;
                    latency.p99 = latency.p50;
                }
            }
        }
        let path = folder.path().join(name);
        write(&path, &file).unwrap();
        path.to_str().unwrap().to_string()
    };
    let (base, new) = (side("base.json", 1.0), side("new.json", 3.0));
    let args = [
        "compare",
        &base,
        "--with",
        &new,
        "--between-runs",
        "0.1",
        "--format",
        "json",
    ];
    let found: serde_json::Value = serde_json::from_str(&finish(cowpath(&args)).out).unwrap();
    let row = &found["rows"][0];
    assert_eq!(row["undisturbed"]["left_out"], 16, "{row}");
    let ratio = |effect: &serde_json::Value| effect["change"].as_f64().unwrap();
    assert!(
        ratio(&row["effect"]) > 1.5,
        "no repetition is removed: {row}"
    );
    assert!(
        (ratio(&row["undisturbed"]["effect"]) - 1.0).abs() < 0.01,
        "{row}"
    );
    let text = finish(cowpath(&args[..6])).out;
    assert!(text.contains("were disturbed from outside"), "{text}");
}

#[test]
fn a_budget_of_time_is_kept_and_everything_is_measured_at_least_once() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let (done, file) = measure(&["--budget", "3s"], &folder.path().join("r.json"));
    assert!(began.elapsed() >= Duration::from_secs(3));
    assert!(file.complete && file.config.budget_s == Some(3));
    assert_eq!(file.results.len(), 2, "{}", done.out);
    assert!(file.results.iter().all(|m| m.repetitions.len() > 1));
}

#[test]
fn a_run_ends_once_its_figures_are_sharp_enough() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    // A change by the factor 11 shows in any six repetitions.
    let (_, file) = measure(
        &["--until-mde", "999%", "--budget", "120s"],
        &folder.path().join("r.json"),
    );
    assert!(began.elapsed() < Duration::from_secs(120));
    for measured in &file.results {
        assert_eq!(measured.repetitions.len(), 6);
    }
    let wrong = finish(cowpath(&["run", "--until-mde", "none"]));
    assert_eq!(wrong.code, Some(2));
}
