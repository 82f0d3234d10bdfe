//! Results as test systems read them: each case a test, as KTAP 1 (Documentation/dev-tools/ktap.rst, which the kernel's own
//! tools and its CI systems read) or as JUnit's XML.

use std::fmt::Write as _;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::compare::options::{Options, Verdict};
use crate::compare::table::Comparison;
use crate::record::schema::RunFile;
use crate::report::format;
use crate::report::view::{CaseRow, View};
use crate::stats::effect::Effect;
use crate::stats::question::ChangeKind;

/// A form in which test systems read results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TestForm {
    /// The kernel's own: KTAP 1, in which each case is a test.
    Ktap,
    /// JUnit's XML, for CI systems.
    Junit,
}

impl TestForm {
    /// Tests in this form.
    ///
    /// # Errors
    /// As [`junit`].
    pub fn text(self, tests: &[Tested]) -> Result<String, quick_junit::SerializeError> {
        match self {
            TestForm::Ktap => Ok(ktap(tests)),
            TestForm::Junit => junit(tests),
        }
    }
}

/// One case as a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tested {
    /// What it is a part of: a kernel, or two that are compared.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub result: TestResult,
    /// What there is to say of it, a line each.
    pub why: Vec<String>,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// It could not be made, or could not be judged: why.
    Skipped(String),
}

/// Every case and staged race of the runs: it fails where data was lost, or where it came to what is not expected.
pub fn of_view(view: &View) -> Vec<Tested> {
    let label = |run: usize| view.runs[run].label.clone();
    let mut all: Vec<Tested> = view
        .rows()
        .map(|row| {
            let (held, why) = judged(row);
            Tested {
                suite: label(row.run),
                name: row.label.clone(),
                result: if held {
                    TestResult::Passed
                } else {
                    TestResult::Failed
                },
                why,
            }
        })
        .collect();
    for (at, run) in view.runs.iter().enumerate() {
        all.extend(staged(run.file, &label(at)));
        all.extend(run.file.skipped.iter().map(|skipped| Tested {
            suite: label(at),
            name: skipped.scenario.clone(),
            result: TestResult::Skipped(skipped.reason.clone()),
            why: Vec::new(),
        }));
    }
    all
}

/// Every case and staged race of one run.
pub fn of_run(run: &RunFile) -> Vec<Tested> {
    let runs = crate::report::switched::split(std::slice::from_ref(run));
    of_view(&View::new(&runs))
}

fn staged(run: &RunFile, suite: &str) -> Vec<Tested> {
    let of = |race: &crate::record::staged::StagedResult| {
        let mut why = race.surprises();
        if race.verdict.is_harm() {
            why.insert(0, format!("data was not kept: {}", race.verdict.label()));
        }
        Tested {
            suite: suite.into(),
            name: race.scenario.clone(),
            result: if why.is_empty() {
                TestResult::Passed
            } else {
                TestResult::Failed
            },
            why,
        }
    };
    run.staged.iter().map(of).collect()
}

/// Every row of a comparison: it fails where the new side takes longer, with a gate where a primary row takes longer by more than
/// that for sure, and is skipped where that cannot be told.
pub fn of_comparison(comparison: &Comparison) -> Vec<Tested> {
    let suite = format!("{} against {}", comparison.new.label, comparison.base.label);
    let row = |name, primary, effect: &Effect, verdict: Verdict, change| Tested {
        suite: suite.clone(),
        name,
        result: longer(effect, primary, &comparison.options),
        why: vec![format!("{}: {change}", verdict.label())],
    };
    let rows = comparison.rows.iter().map(|one| {
        let change = format!("{} times the base", format::ratio(&one.effect));
        row(one.label(), one.primary, &one.effect, one.verdict, change)
    });
    let differences = comparison.differences.iter().map(|one| {
        let change = format!("{:+.1} {}", one.effect.change, one.unit.label());
        row(
            one.case.label(),
            one.primary,
            &one.effect,
            one.verdict,
            change,
        )
    });
    let outcomes = comparison.outcomes.iter().map(|other| Tested {
        suite: suite.clone(),
        name: format!("outcome of {}", other.what),
        result: TestResult::Failed,
        why: vec![format!("{} before, {} now", other.base, other.new)],
    });
    rows.chain(differences).chain(outcomes).collect()
}

/// Whether the new side takes longer, by more than the gate allows where there is one.
fn longer(effect: &Effect, primary: bool, options: &Options) -> TestResult {
    let gate = options.gate;
    let allowed = gate.unwrap_or(0.0);
    let most = match effect.scale {
        ChangeKind::Ratio => 1.0 + allowed,
        ChangeKind::Difference => allowed * effect.base.value.abs(),
    };
    match effect.interval {
        Some(ends) if ends.high <= most => TestResult::Passed,
        Some(ends) if ends.low > most && (primary || gate.is_none()) => TestResult::Failed,
        Some(ends) if ends.low > most => {
            TestResult::Skipped("slower, and exploratory: the gate is for primary rows".into())
        }
        // Without a gate, what is no slow-down for sure and the same within the margin has passed.
        Some(_) if gate.is_none() && effect.within(options.same) => TestResult::Passed,
        _ => TestResult::Skipped("cannot be told: measure again".into()),
    }
}

/// Whether a case kept its data and came to what is predicted, and what there is to say of it.
fn judged(row: &CaseRow) -> (bool, Vec<String>) {
    let mut why = Vec::new();
    let wrong = row.result.integrity.violations;
    if wrong > 0 {
        why.push(format!("{wrong} words of data were not as they must be"));
    }
    if row.unexpected()
        && let Some((part, whole)) = row.as_expected()
    {
        why.push(format!(
            "{part} of {whole} operations came to what is predicted"
        ));
    }
    let not_allowed = row.result.race.as_ref().map_or(0, |race| race.not_allowed);
    if not_allowed > 0 {
        why.push(format!(
            "{not_allowed} counted pages came to what the kernel's rule does not allow"
        ));
    }
    let held = why.is_empty();
    let lost = row.result.lost.len();
    if lost > 0 {
        why.push(format!("{lost} repetitions were lost"));
    }
    if row.as_expected().is_none() {
        why.push("nothing is predicted, or no oracle could tell".into());
    }
    (held, why)
}

/// As KTAP: the version, the plan, and for each test a line, its remarks ahead of it. Where there are several suites, each is a
/// subtest of its own.
pub fn ktap(tests: &[Tested]) -> String {
    let suites = suites(tests);
    if let [(_, only)] = &suites[..] {
        return "KTAP version 1\n".to_string() + &lines(only, "");
    }
    let mut text = format!("KTAP version 1\n1..{}\n", suites.len());
    for (number, (suite, tests)) in (1..).zip(&suites) {
        text += "  KTAP version 1\n";
        text += &lines(tests, "  ");
        let failed = tests.iter().any(|test| test.result == TestResult::Failed);
        let result = if failed { "not ok" } else { "ok" };
        let _ = writeln!(text, "{result} {number} {}", plain(suite));
    }
    text
}

/// Tests by suite, in the order in which suites first occur.
fn suites(tests: &[Tested]) -> Vec<(&str, Vec<&Tested>)> {
    let mut suites: Vec<(&str, Vec<&Tested>)> = Vec::new();
    for test in tests {
        match suites.iter_mut().find(|(suite, _)| *suite == test.suite) {
            Some((_, tests)) => tests.push(test),
            None => suites.push((&test.suite, vec![test])),
        }
    }
    suites
}

fn lines(tests: &[&Tested], indent: &str) -> String {
    let mut text = format!("{indent}1..{}\n", tests.len());
    for (number, test) in (1..).zip(tests) {
        for line in &test.why {
            let _ = writeln!(text, "{indent}# {}", plain(line));
        }
        let name = plain(&test.name);
        let _ = match &test.result {
            TestResult::Passed => writeln!(text, "{indent}ok {number} {name}"),
            TestResult::Failed => writeln!(text, "{indent}not ok {number} {name}"),
            TestResult::Skipped(why) => {
                writeln!(text, "{indent}ok {number} {name} # SKIP {}", plain(why))
            }
        };
    }
    text
}

/// A text on one line in which nothing is taken for a directive.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() || c == '#' { ' ' } else { c };
    text.chars().map(shown).collect()
}

/// As JUnit's XML.
///
/// # Errors
/// If it cannot be written, which is a bug.
pub fn junit(tests: &[Tested]) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("cowpath");
    for (suite, tests) in suites(tests) {
        let mut of = TestSuite::new(suite);
        for test in tests {
            let mut status = match &test.result {
                TestResult::Passed => TestCaseStatus::success(),
                TestResult::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
                TestResult::Skipped(_) => TestCaseStatus::skipped(),
            };
            match &test.result {
                TestResult::Failed => status.set_message(test.why.join("; ")),
                TestResult::Skipped(why) => status.set_message(why.clone()),
                TestResult::Passed => &mut status,
            };
            let mut case = TestCase::new(test.name.clone(), status);
            case.set_classname(suite);
            if !test.why.is_empty() {
                case.set_system_out(test.why.join("\n"));
            }
            of.add_test_case(case);
        }
        report.add_test_suite(of);
    }
    report.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(suite: &str, name: &str, result: TestResult, why: &[&str]) -> Tested {
        Tested {
            suite: suite.into(),
            name: name.into(),
            result,
            why: why.iter().map(|line| (*line).to_string()).collect(),
        }
    }

    fn some() -> Vec<Tested> {
        vec![
            test("6.1", "reuse/child-exited", TestResult::Passed, &[]),
            test(
                "6.1",
                "copy/<&\"#\n",
                TestResult::Failed,
                &["3 # words\u{1b}[2J"],
            ),
            test(
                "7.2",
                "swap/a",
                TestResult::Skipped("needs <zram>".into()),
                &[],
            ),
        ]
    }

    #[test]
    fn ktap_numbers_each_suite_and_lets_nothing_be_a_directive() {
        let text = ktap(&some());
        let expected = "KTAP version 1\n1..2\n  KTAP version 1\n  1..2\n  ok 1 reuse/child-exited\n  # 3   words [2J\n  \
                        not ok 2 copy/<&\"  \nnot ok 1 6.1\n  KTAP version 1\n  1..1\n  ok 1 swap/a # SKIP needs <zram>\nok 2 7.2\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn one_suite_is_no_subtest() {
        assert_eq!(
            ktap(&some()[2..]),
            "KTAP version 1\n1..1\nok 1 swap/a # SKIP needs <zram>\n"
        );
        assert_eq!(ktap(&[]), "KTAP version 1\n1..0\n");
    }

    #[test]
    fn junit_is_read_back_as_it_was_written() {
        let text = junit(&some()).unwrap();
        let report = Report::deserialize_from_str(&text).unwrap();
        assert_eq!((report.tests, report.failures), (3, 1));
        let suites: Vec<(&str, usize)> = report
            .test_suites
            .iter()
            .map(|suite| (suite.name.as_str(), suite.test_cases.len()))
            .collect();
        assert_eq!(suites, [("6.1", 2), ("7.2", 1)]);
        assert!(matches!(
            report.test_suites[1].test_cases[0].status,
            TestCaseStatus::Skipped { .. }
        ));
    }
}
