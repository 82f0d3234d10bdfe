//! Results in the forms of test systems, read back by the rules of Documentation/dev-tools/ktap.rst and as JUnit's XML.

mod common;
#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::path::{Path, PathBuf};

use common::{cowpath, finish};
use cowpath::record::io::write;
use cowpath::record::schema::RunFile;
use cowpath::report::tested::{TestResult, Tested, ktap};
use fixture::Fixture;
use proptest::prelude::*;

/// A result as a reader of KTAP has it.
#[derive(Debug, PartialEq)]
struct Read {
    name: String,
    ok: bool,
    skipped: bool,
    subtests: Vec<Read>,
}

/// Reads one level of KTAP: a version line, a plan, and result lines that are numbered in order, each perhaps behind a subtest that is
/// indented by two spaces more, and behind diagnostic lines.
fn parse<'a>(
    lines: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>,
    depth: usize,
) -> Vec<Read> {
    let indent = "  ".repeat(depth);
    let own = |line: &'a str| {
        let rest = line.strip_prefix(indent.as_str())?;
        (!rest.starts_with(' ')).then_some(rest)
    };
    assert_eq!(lines.next().and_then(own), Some("KTAP version 1"));
    let plan = lines.next().and_then(own).expect("a plan");
    let planned: usize = plan.strip_prefix("1..").expect("a plan").parse().unwrap();
    let (mut read, mut subtests) = (Vec::new(), Vec::new());
    while read.len() < planned {
        let Some(line) = lines.peek().copied() else {
            panic!("{} of {planned} results", read.len());
        };
        let Some(line) = own(line) else {
            subtests = parse(lines, depth + 1);
            continue;
        };
        lines.next();
        if line.starts_with("# ") {
            continue;
        }
        let (ok, rest) = match line.strip_prefix("not ") {
            Some(rest) => (false, rest),
            None => (true, line),
        };
        let rest = rest
            .strip_prefix("ok ")
            .unwrap_or_else(|| panic!("no result: {line:?}"));
        let (number, rest) = rest.split_once(' ').expect("a number");
        assert_eq!(number.parse(), Ok(read.len() + 1));
        let (name, directive) = match rest.split_once(" # ") {
            Some((name, directive)) => (name, Some(directive)),
            None => (rest, None),
        };
        assert!(!name.contains('#'), "{name:?}");
        let skipped = directive.is_some_and(|words| words.starts_with("SKIP"));
        assert_eq!(skipped, directive.is_some(), "{directive:?}");
        read.push(Read {
            name: name.into(),
            ok,
            skipped,
            subtests: std::mem::take(&mut subtests),
        });
    }
    read
}

fn read(text: &str) -> Vec<Read> {
    let mut lines = text.lines().peekable();
    let read = parse(&mut lines, 0);
    assert_eq!(lines.next(), None);
    read
}

fn tested() -> impl Strategy<Value = Tested> {
    let result = prop_oneof![
        Just(TestResult::Passed),
        Just(TestResult::Failed),
        any::<String>().prop_map(TestResult::Skipped),
    ];
    let text = || any::<String>();
    (
        0..3u8,
        text(),
        result,
        proptest::collection::vec(text(), 0..3),
    )
        .prop_map(|(suite, name, result, why)| Tested {
            suite: format!("suite {suite}"),
            name,
            result,
            why,
        })
}

proptest! {
    /// Names and reasons are a stranger's: none makes a line, a number or a directive of its own.
    #[test]
    fn whatever_a_test_is_called_it_is_read_back_as_what_it_came_to(
        tests in proptest::collection::vec(tested(), 1..12),
    ) {
        let read = read(&ktap(&tests));
        let mut suites: Vec<&str> = Vec::new();
        for test in &tests {
            if !suites.contains(&test.suite.as_str()) {
                suites.push(&test.suite);
            }
        }
        let flat: Vec<&Read> = match suites.len() {
            1 => read.iter().collect(),
            _ => read.iter().flat_map(|suite| &suite.subtests).collect(),
        };
        let in_order = suites.iter().flat_map(|suite| tests.iter().filter(move |test| test.suite == **suite));
        for (test, read) in in_order.zip(&flat) {
            prop_assert_eq!(read.ok, test.result != TestResult::Failed);
            prop_assert_eq!(read.skipped, matches!(test.result, TestResult::Skipped(_)));
        }
        prop_assert_eq!(flat.len(), tests.len());
    }
}

fn keep(folder: &Path, name: &str, run: &RunFile) -> PathBuf {
    let path = folder.join(name);
    write(&path, run).unwrap();
    path
}

/// The same run, everything of it by `factor`.
fn scaled(run: &RunFile, factor: f64) -> RunFile {
    let mut run = run.clone();
    for latency in run
        .results
        .iter_mut()
        .flat_map(|m| &mut m.repetitions)
        .flat_map(|r| r.by_outcome.values_mut())
    {
        let scaled = |value: u64| (value as f64 * factor).round() as u64;
        latency.p50 = scaled(latency.p50);
        latency.p90 = scaled(latency.p90);
        latency.p99 = scaled(latency.p99);
        latency.mean *= factor;
    }
    run
}

#[test]
fn a_comparison_fails_where_the_new_side_takes_longer_and_skips_what_it_cannot_tell() {
    let folder = tempfile::tempdir().unwrap();
    let run = Fixture::basics("6.18.0").run;
    let sides = |name: &str, factor: f64, boots: usize| -> Vec<String> {
        let boot = |n: usize| {
            let run = scaled(&run, factor * (1.0 + 0.001 * n as f64));
            let path = keep(folder.path(), &format!("{name}{n}.json"), &run);
            path.to_string_lossy().into_owned()
        };
        (0..boots).map(boot).collect()
    };
    let tests = |base: &[String], new: &[String], form: &str| {
        let mut arguments = vec!["compare"];
        arguments.extend(base.iter().map(String::as_str));
        arguments.push("--with");
        arguments.extend(new.iter().map(String::as_str));
        arguments.extend(["--format", form]);
        finish(cowpath(&arguments)).out
    };
    let (base, slow) = (sides("base", 1.0, 4), sides("slow", 1.5, 4));
    assert!(
        read(&tests(&base, &slow, "ktap"))
            .iter()
            .all(|test| !test.ok)
    );
    assert!(
        read(&tests(&slow, &base, "ktap"))
            .iter()
            .all(|test| test.ok && !test.skipped)
    );
    let gated = |gate: &'static str| {
        let mut arguments = vec!["compare"];
        arguments.extend(base.iter().map(String::as_str));
        arguments.push("--with");
        arguments.extend(slow.iter().map(String::as_str));
        arguments.extend(["--format", "ktap", "--primary", "copy/*", "--gate", gate]);
        read(&finish(cowpath(&arguments)).out)
    };
    assert!(gated("900").iter().all(|test| test.ok && !test.skipped));
    // The gate is for primary rows, as its exit status is.
    for test in gated("10") {
        let primary = test.name.starts_with("copy/");
        assert_eq!((test.ok, test.skipped), (!primary, !primary), "{test:?}");
    }
    let one = read(&tests(&base[..1], &slow[..1], "ktap"));
    assert!(
        !one.is_empty() && one.iter().all(|test| test.skipped),
        "{one:?}"
    );
    let xml = tests(&base, &slow, "junit");
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert!(report.tests > 0);
    assert_eq!(report.failures, report.tests);
}

#[test]
fn a_run_prints_its_cases_as_tests() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = cowpath(&["run", "control/no-fault"]);
    run.args([
        "--quick", "--pages", "64", "--reps", "2", "--format", "ktap", "-o", "run.json",
    ]);
    let finished = finish({
        run.current_dir(folder.path());
        run
    });
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let tests = read(&finished.out);
    assert_eq!(tests[0].name, "control/no-fault");
    assert!(tests[0].ok && !tests[0].skipped);
    assert_eq!(tests.len(), 1);
    assert!(folder.path().join("run.json").exists());
}
