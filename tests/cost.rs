//! What an area adds to an operation: a signed difference of pairs, from the run to every table.

mod common;
#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use common::skip::{Need, skip};
use common::{cowpath, finish, load, no_root};
use cowpath::record::io::write;
use cowpath::record::schema::RunFile;
use cowpath::report;
use cowpath::suite::pool::Pool;
use fixture::Fixture;

/// A run whose differences are about `level`, which may be negative.
fn differing(level: f64) -> RunFile {
    let mut fixture = Fixture::new("6.18.0");
    fixture.measure_difference("cost/fork", level);
    fixture.run
}

#[test]
fn a_fork_is_timed_with_the_area_and_without_it_by_turns_and_gives_a_signed_difference() {
    if no_root("whole folios cannot be proven") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut run = cowpath(&["run", "cost/fork", "cost/fork-again", "--folio", "4k"]);
    run.args(["--pages", "16", "--trials", "3", "--reps", "3", "-o"]);
    run.arg(&path);
    let run = finish(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    run.tells("2 MiB of the area add");
    let mut file = load(&path);
    assert_eq!(file.results.len(), 2);
    for measured in &file.results {
        // Three trials make one pair too few.
        let difference = measured.difference.as_ref().expect("it is a difference");
        assert_eq!((difference.count, difference.with.count), (6, 12));
        assert_eq!(difference.without.count, 12);
        assert_eq!(measured.outcomes.operation, 12);
        assert!(measured.latency.is_empty(), "a difference is no latency");
        assert!(difference.with.min > 0 && difference.without.min > 0);
        let interval = difference.interval.expect("there are 3 repetitions");
        assert!(interval.contains(difference.mean));
        run.tells(&measured.scenario);
    }

    // One more repetition than was made: the pairs of those before it count on.
    file.complete = false;
    file.config.slow_reps += 1;
    write(&path, &file).unwrap();
    let mut resume = cowpath(&["run", "--resume", "-o"]);
    resume.arg(&path);
    let resumed = finish(resume);
    assert_eq!(resumed.code, Some(0), "{resumed:?}");
    for measured in &load(&path).results {
        let difference = measured.difference.as_ref().unwrap();
        assert_eq!((difference.count, difference.with.count), (8, 16));
        assert_eq!(measured.repetitions.len(), 4);
    }
}

#[test]
fn what_vmas_add_to_a_fork_and_shared_memory_to_mprotect_is_proven_and_needs_no_root() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut run = cowpath(&["run", "cost/fork-vmas", "cost/mprotect-shared"]);
    run.args(["--pages", "16", "--trials", "4", "--reps", "3", "-o"]);
    run.arg(&path);
    let run = finish(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = load(&path);
    let of = |id: &str| file.results.iter().find(|it| it.scenario == id).unwrap();
    let proven = |id: &str| of(id).setup.proven.join("; ");
    let vmas = of("cost/fork-vmas");
    assert!(proven("cost/fork-vmas").contains("16 VMAs"));
    let difference = vmas.difference.as_ref().unwrap();
    assert!(difference.with.min > 0 && difference.without.min > 0);
    let shared = of("cost/mprotect-shared");
    assert!(proven("cost/mprotect-shared").contains("shared memory"));
    assert_eq!(shared.outcomes.operation, 12);
    assert_eq!(
        (vmas.integrity.violations, shared.integrity.violations),
        (0, 0)
    );
}

#[test]
fn pinned_pages_are_forked_one_by_one_and_vfork_looks_at_none() {
    if no_root("whole folios cannot be proven") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut run = cowpath(&["run", "cost/fork-pinned", "cost/vfork", "--folio", "4k"]);
    run.args(["--pages", "16", "--trials", "4", "--reps", "3", "-o"]);
    run.arg(&path);
    let run = finish(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = load(&path);
    let of = |id: &str| file.results.iter().find(|it| it.scenario == id);
    let vfork = of("cost/vfork").unwrap();
    assert!(vfork.difference.as_ref().unwrap().with.min > 0);
    assert_eq!(vfork.outcomes.operation, 12);
    match of("cost/fork-pinned") {
        Some(pinned) => assert_eq!(pinned.outcomes.operation, 12),
        None => skip(Need::IoUring, &file.skipped[0].reason),
    }
}

#[test]
fn a_negative_difference_is_shown_with_its_sign_and_interval_on_the_page_and_in_the_mail() {
    let folder = tempfile::tempdir().unwrap();
    let run = differing(-2_345.0);
    let difference = run.results[0].difference.as_ref().unwrap();
    assert!(difference.mean < 0.0);
    report::write(std::slice::from_ref(&run), folder.path()).unwrap();
    let shown = report::format::signed(difference.mean);
    assert!(shown.starts_with("-2,"), "{shown}");
    for name in ["index.html", "summary.md"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.contains(&shown), "{name} has no {shown}");
        assert!(text.contains("add to the operation"), "{name}");
        assert!(!text.contains("no store was timed"), "{name}");
    }
    let csv = std::fs::read_to_string(folder.path().join("data/differences.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + run.results[0].repetitions.len());
    let first = run.results[0].repetitions[0].difference.unwrap();
    assert!(csv.contains(&format!(",{first}")), "{csv}");
    let table = report::terminal::run::text(&run);
    assert!(table.contains(&shown), "{table}");
}

#[test]
fn differences_of_several_runs_are_pooled_over_all_their_repetitions() {
    let (one, other) = (differing(-500.0), differing(700.0));
    let mut pool = Pool::new(one.clone()).unwrap();
    pool.add(other).unwrap();
    let pooled = pool.finish().unwrap();
    let [alone, both] = [&one, &pooled].map(|run| run.results[0].difference.as_ref().unwrap());
    assert_eq!(both.count, 2 * alone.count);
    assert_eq!(both.negative, 2 * alone.negative);
    assert!((both.mean - 100.0).abs() < 50.0, "{}", both.mean);
    let interval = both.interval.unwrap();
    assert!(interval.contains(0.0), "{interval}");
}

#[test]
fn what_may_be_negative_is_compared_by_subtraction() {
    let folder = tempfile::tempdir().unwrap();
    let keep = |name: &str, run: &RunFile| {
        let path = folder.path().join(name);
        write(&path, run).unwrap();
        path
    };
    let side = |name: &str, level: f64| -> Vec<_> {
        let runs = [-20.0, 0.0, 20.0].into_iter().enumerate();
        runs.map(|(n, off)| keep(&format!("{name}{n}.json"), &differing(level + off)))
            .collect()
    };
    let (base, new) = (side("base", -550.0), side("new", 4_000.0));
    let compare = |more: &[&str]| {
        let mut command = cowpath(&["compare"]);
        command.args(&base).arg("--with").args(&new).args(more);
        finish(command)
    };
    let table = compare(&["--gate", "3"]);
    assert_eq!(table.code, Some(5), "{table:?}");
    table.tells("there is no primary row that a gate can judge");
    let line = table.out.lines().find(|line| line.starts_with("cost/fork"));
    let line = line.unwrap_or_else(|| panic!("{}", table.out));
    assert!(line.contains("-5") && line.contains("+4,"), "{line}");
    assert!(line.trim_end().ends_with("slower"), "{line}");
    table.tells("outside the gate");
    let json = compare(&["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let row = &json["differences"][0];
    assert!(
        row["effect"]["base"]["value"].as_f64().unwrap() < 0.0,
        "{row}"
    );
    assert!(
        row["effect"]["interval"][0].as_f64().unwrap() > 0.0,
        "{row}"
    );
    assert_eq!(json["rows"].as_array().unwrap().len(), 0);
    let markdown = compare(&["--format", "markdown"]);
    markdown.tells("| cost/fork ");
    for found in [table, compare(&["--format", "lkml"])] {
        found.tells("1 slower");
        found.tells("of 1 rows");
    }
    let mail = compare(&["--format", "lkml"]);
    let line = mail.out.lines().find(|line| line.starts_with("cost/fork"));
    let line = line.unwrap_or_else(|| panic!("{}", mail.out));
    assert!(line.contains("[+4") && line.ends_with("slower"), "{line}");

    // A file in which the same case has a latency, as older versions wrote it.
    let mut old = Fixture::new("6.18.0");
    old.measure(
        "cost/fork",
        cowpath::record::outcome::Outcome::Operation,
        500.0,
        cowpath::record::unit::Unit::Ns,
    );
    let old = keep("old.json", &old.run);
    let mut command = cowpath(&["compare"]);
    command.arg(&old).arg("--with").args(&new);
    let mixed = finish(command);
    mixed.tells("not compared: cost/fork");
}

/// Repetitions of one number have one layout of memory: a boot that lost one is no boot that differs.
#[test]
fn counted_differences_are_set_against_each_other_layout_by_layout() {
    let folder = tempfile::tempdir().unwrap();
    let boot = |name: &str, more: f64, lost: Option<usize>| {
        let mut run = differing(500.0);
        run.host.virtualization = "exact".into();
        let measured = &mut run.results[0];
        for (at, repetition) in measured.repetitions.iter_mut().enumerate() {
            repetition.difference = Some(500.0 + more + 10.0 * at as f64);
        }
        if let Some(at) = lost {
            measured.repetitions.remove(at);
        }
        let difference = measured.difference.as_mut().unwrap();
        difference.unit = cowpath::record::unit::Unit::Instructions;
        difference.with.unit = difference.unit;
        difference.without.unit = difference.unit;
        let medians = measured.repetitions.iter().filter_map(|r| r.difference);
        let medians: Vec<f64> = medians.collect();
        difference.mean = cowpath::stats::interval::mean(&medians).unwrap();
        difference.interval = cowpath::stats::interval::mean_interval(&medians);
        let path = folder.path().join(name);
        write(&path, &run).unwrap();
        path
    };
    let mut command = cowpath(&["compare"]);
    command.arg(boot("a.json", 0.0, None));
    command.arg(boot("b.json", 0.0, Some(0))).arg("--with");
    command.arg(boot("c.json", 20.0, None));
    command.arg(boot("d.json", 20.0, None));
    command.arg("--format=json");
    let done = finish(command);
    let json: serde_json::Value =
        serde_json::from_str(&done.out).unwrap_or_else(|e| panic!("{e}: {done:?}"));
    let effect = &json["differences"][0]["effect"];
    assert_eq!(effect["footing"], "fact", "{effect}");
    assert_eq!(effect["change"], 20.0, "{effect}");
}

#[test]
fn a_difference_that_contradicts_itself_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    type Spoil = fn(&mut cowpath::record::schema::PairedDifference);
    let spoils: [Spoil; 5] = [
        |difference| difference.negative = difference.count + 1,
        |difference| difference.count += 1,
        |difference| difference.interval = Some((1e9, 2e9).into()),
        |difference| difference.mean = 1e12,
        |difference| difference.with.p50 = difference.with.max + 1,
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let mut run = differing(100.0);
        spoil(run.results[0].difference.as_mut().unwrap());
        write(&path, &run).unwrap();
        let why = cowpath::record::io::read(&path).unwrap_err().to_string();
        assert!(why.contains("difference: "), "{at}: {why}");
    }
    let mut run = differing(100.0);
    run.results[0].repetitions[0].difference = Some(-1e300);
    write(&path, &run).unwrap();
    let why = cowpath::record::io::read(&path).unwrap_err().to_string();
    assert!(why.contains("repetitions[0].difference: "), "{why}");
}
