//! What the report says where something is missing, partial, wrong or unexpected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use cowpath::record::basis::{BasisKind, ExpectedBasis};
use cowpath::record::outcome::{Outcome, Tally};
use cowpath::record::repetition::*;
use cowpath::record::schema::*;
use cowpath::record::unit::Unit;
use cowpath::report::error::ReportError;
use cowpath::report::{terminal, write};

use crate::fixture::Fixture;
use crate::{Report, cells};

#[test]
fn a_counter_that_could_not_be_had_is_a_reason_and_never_zero() {
    let page = Report::of(&[Fixture::basics("6.18.0").run]).page();
    assert!(
        page.contains("Not counted: cycles, instructions (no PMU: perf_event_open says ENOENT).")
    );
    assert_eq!(
        cells(&page, "reuse: events per store", "reuse/child-exited"),
        ["1.00"]
    );
    assert!(page.contains("<p>Not counted: discarded copies (only races are counted)."));
}

#[test]
fn a_setting_that_was_never_set_is_not_shown() {
    let mut fixture = Fixture::basics("6.18.0");
    let nohz_full = "/sys/devices/system/cpu/nohz_full".to_string();
    let settings = &mut fixture.run.host.settings;
    settings.insert(nohz_full, "(null)".into());
    let page = Report::of(&[fixture.run]).page();
    assert!(page.contains("kernel.perf_event_paranoid"));
    assert!(!page.contains("nohz_full"));
}

#[test]
fn a_clock_that_counts_instructions_gives_no_rate_per_second() {
    for (virtualization, unit) in [("kvm", Unit::Ns), ("exact", Unit::Instructions)] {
        let mut fixture = Fixture::new("6.18.0");
        fixture.run.host.virtualization = virtualization.into();
        fixture.measure("reuse/child-exited", Outcome::Reuse, 700.0, unit);
        let has_rate = unit == Unit::Ns;
        let shown = terminal::run::text(&fixture.run);
        assert_eq!(shown.contains("stores/s"), has_rate, "{shown}");
        let page = Report::of(&[fixture.run]).page();
        assert_eq!(page.contains("faults/s"), has_rate, "{virtualization}");
    }
}

#[test]
fn a_counter_that_ran_for_part_of_the_time_says_so() {
    let mut fixture = Fixture::new("6.18.0");
    let result = fixture.measure("reuse/child-exited", Outcome::Reuse, 700.0, Unit::Ns);
    let counted = |running_ns| {
        Counter::Counted(EventCount {
            value: 5,
            per_fault: 0.0,
            stores: None,
            processes: None,
            enabled_ns: 100,
            running_ns,
        })
    };
    result.counters = BTreeMap::from([("dtlb".into(), counted(40)), ("never".into(), counted(0))]);
    let page = Report::of(&[fixture.run]).page();
    let row = cells(&page, "reuse: events per store", "reuse/child-exited");
    assert_eq!(row, ["0 (ran 40.0 % of the time)", "n/a [1]"]);
    assert!(page.contains("[1] Not counted: never (it was never scheduled)."));
}

#[test]
fn a_ratio_is_read_off_counters_that_ran_together_only() {
    let mut fixture = Fixture::new("6.18.0");
    let result = fixture.measure("reuse/child-exited", Outcome::Reuse, 700.0, Unit::Ns);
    let counted = |value, running_ns| {
        Counter::Counted(EventCount {
            value,
            per_fault: 2.0,
            stores: None,
            processes: None,
            enabled_ns: 100,
            running_ns,
        })
    };
    result.counters = BTreeMap::from([
        ("cycles:k".into(), counted(400, 100)),
        ("instructions:k".into(), counted(500, 100)),
        ("branches:k".into(), counted(100, 100)),
        ("branch-misses:k".into(), counted(3, 90)),
        (
            "dtlb_walk:k".into(),
            Counter::unavailable("the PMU names no such event"),
        ),
        ("page-faults".into(), counted(7, 100)),
    ]);
    let page = Report::of(&[fixture.run]).page();
    let row = cells(&page, "reuse: hardware events", "reuse/child-exited");
    let figures = [
        "1.25",
        "–",
        "2.00 (ran 90.0 % of the time)",
        "2.00",
        "2.00",
        "2.00",
    ];
    assert_eq!(row, figures);
    assert!(page.contains("Not counted: dtlb_walk:k (the PMU names no such event)."));
    let row = cells(&page, "reuse: events per store", "reuse/child-exited");
    assert_eq!(row, ["2.00"]);
}

#[test]
fn an_outcome_that_was_not_predicted_stands_out() {
    let mut fixture = Fixture::basics("6.18.0");
    let result = fixture
        .run
        .results
        .iter_mut()
        .find(|r| r.scenario == "copy/in-child")
        .unwrap();
    result.expected = vec![Outcome::Reuse];
    let kinds = [BasisKind::Source, BasisKind::Source, BasisKind::Observed];
    for (result, kind) in fixture.run.results.iter_mut().zip(kinds) {
        let what = "somewhere".into();
        result.basis = Some(ExpectedBasis { kind, what });
    }
    let report = Report::of(&[fixture.run]);
    let row = cells(
        &report.page(),
        "copy: outcomes and latency",
        "copy/in-child",
    );
    assert_eq!(row[1], "copy 100 %, unexpected");
    let told = "2 as derived from source, 1 as seen before, \
                6 as expected (the file does not say why), 1 differ";
    assert!(report.page().contains(told));
    assert!(report.text("summary.md").contains("unexpected"));
}

#[test]
fn agreement_by_construction_counts_nowhere_and_a_difference_still_shows() {
    let told = |expected: Outcome| {
        let mut fixture = Fixture::new("6.18.0");
        let result = fixture.measure("cost/fork", Outcome::Operation, 700.0, Unit::Ns);
        result.expected = vec![expected];
        result.basis = Some(ExpectedBasis {
            kind: BasisKind::Construction,
            what: "a time, not a decision".into(),
        });
        Report::of(&[fixture.run]).page()
    };
    assert!(told(Outcome::Operation).contains("none could be told"));
    assert!(told(Outcome::Copy).contains("1 differ"));
}

#[test]
fn without_an_oracle_outcomes_are_unknown_and_nothing_is_called_unexpected() {
    let mut fixture = Fixture::new("6.18.0");
    let result = fixture.measure("reuse/child-exited", Outcome::Unknown, 700.0, Unit::Ns);
    result.expected = vec![Outcome::Reuse];
    let page = Report::of(&[fixture.run]).page();
    let row = cells(&page, "reuse: outcomes and latency", "reuse/child-exited");
    assert_eq!(row[..2], ["reuse", "unknown 100 %"]);
    assert!(!page.contains("unexpected"));
    assert!(page.contains("no scenario had both an expectation and an oracle"));
}

#[test]
fn what_was_skipped_lost_or_unproven_is_told_with_its_reason() {
    let mut fixture = Fixture::basics("6.18.0");
    fixture.run.skipped.push(Skipped {
        strategy: None,
        scenario: "reuse/soft-dirty".into(),
        reason: "needs CONFIG_MEM_SOFT_DIRTY, which this kernel lacks".into(),
    });
    fixture.run.results[3].lost.push(Lost {
        index: 4,
        reason: "killed by SIGKILL".into(),
    });
    fixture.run.results[3]
        .setup
        .unproven
        .push("mapcount: kpagecount is not readable".into());
    let report = Report::of(&[fixture.run]);
    for text in [report.page(), report.text("summary.md")] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for said in [
            "needs CONFIG_MEM_SOFT_DIRTY, which this kernel lacks",
            "repetition 5 of 9: killed by SIGKILL",
            "mapcount: kpagecount is not readable",
        ] {
            assert!(text.contains(said), "{said}");
        }
    }
}

#[test]
fn an_interrupted_run_says_so_ahead_of_everything() {
    let mut fixture = Fixture::basics("6.18.0");
    fixture.run.complete = false;
    let report = Report::of(&[fixture.run]);
    let page = report.page();
    let notice = page
        .find("This run was interrupted")
        .expect("the notice is there");
    assert!(notice < page.find("<figure").unwrap() && notice < page.find("<table").unwrap());
    assert!(
        report
            .text("summary.md")
            .contains("> Mind: This run was interrupted")
    );
}

#[test]
fn lost_data_is_told_ahead_of_everything() {
    let mut fixture = Fixture::basics("6.18.0");
    fixture.run.results[0].integrity.violations = 3;
    let which = "control/no-fault: 3 of 81920 words";
    let table = terminal::run::text(&fixture.run);
    assert!(table.contains(&format!("VIOLATED: {which}")), "{table}");
    let page = Report::of(&[fixture.run]).page();
    assert!(page.replace("&#x2f;", "/").contains(which));
    let notice = page
        .find("Data was not as it must be in 3 words")
        .expect("the notice is there");
    assert!(notice < page.find("<figure").unwrap());
}

/// Of two humps each repetition has its own share: the median of all stores may lie where no repetition's does.
#[test]
fn a_median_outside_its_interval_is_explained() {
    let mut fixture = Fixture::basics("6.18.0");
    let run = &mut fixture.run;
    let index = run
        .results
        .iter()
        .position(|r| r.scenario == "copy/child-alive")
        .unwrap();
    let measured = &mut run.results[index];
    for repetition in &mut measured.repetitions {
        for latency in repetition.by_outcome.values_mut() {
            latency.p50 /= 3;
        }
    }
    let told = "the distribution has several humps";
    let table = terminal::run::text(run);
    assert!(
        table.contains("p50 of copy/child-alive, copy: of all stores"),
        "{table}"
    );
    assert_eq!(table.matches(told).count(), 1, "{table}");
    let page = Report::of(&[fixture.run]).page();
    assert!(page.contains("outside the interval of the repetitions"));
}

#[test]
fn reads_that_were_lost_are_a_figure_and_no_lost_data() {
    let mut fixture = Fixture::new("6.1.0");
    let id = "extra-ref/direct-read-in-flight-then-fork";
    let result = fixture.measure(id, Outcome::Copy, 900.0, Unit::Ns);
    let reps = result.repetitions.len() as u64;
    for one in &mut result.repetitions {
        one.direct_reads = Some(DirectReads { pages: 9, lost: 8 });
    }
    let (lost, pages) = (8 * reps, 9 * reps);
    let shown = terminal::run::text(&fixture.run);
    assert!(
        shown.contains(&format!("{id} {lost} of {pages}")),
        "{shown}"
    );
    assert!(shown.contains("words checked, 0 violations"), "{shown}");
    let page = Report::of(&[fixture.run]).page();
    let missing = format!("what was read is missing from {lost} of {pages} pages");
    assert!(page.contains(&missing), "{page}");
}

#[test]
fn a_run_that_measured_nothing_still_has_a_report() {
    let mut fixture = Fixture::new("6.18.0");
    fixture.run.skipped.push(Skipped {
        strategy: None,
        scenario: "copy/x".into(),
        reason: "no fork here".into(),
    });
    let report = Report::of(&[fixture.run]);
    assert!(report.page().contains("Nothing was measured"));
    assert!(report.page().contains("no fork here"));
    let names: Vec<String> = report.names().into_iter().collect();
    assert_eq!(names, ["MANIFEST", "index.html", "summary.md"]);
}

#[test]
fn a_result_without_a_single_store_is_a_row_and_not_a_plot() {
    let mut fixture = Fixture::new("6.18.0");
    let result = fixture.measure("copy/child-alive", Outcome::Copy, 1_700.0, Unit::Ns);
    result.latency.clear();
    result.repetitions.clear();
    result.outcomes = Tally::default();
    let report = Report::of(&[fixture.run]);
    let row = cells(
        &report.page(),
        "copy: outcomes and latency",
        "copy/child-alive",
    );
    assert_eq!(row[1], "no store was timed");
    assert!(!report.page().contains("<figure"));
}

#[test]
fn names_with_markup_and_separators_stay_text() {
    let hostile = "reuse/<script>alert(1)</script>/../../x|`y`\u{202e}";
    let mut fixture = Fixture::new("6.1.0\"><img src=x onerror=alert(1)>");
    fixture.run.host.cpu = "<b>CPU</b> & {{ document }} \u{1b}[31m".into();
    fixture.measure(hostile, Outcome::Reuse, 700.0, Unit::Ns);
    fixture.run.skipped.push(Skipped {
        strategy: None,
        scenario: "../../x".into(),
        reason: "</table>".into(),
    });
    let report = Report::of(&[fixture.run]);
    let names = report.names();
    for name in names
        .iter()
        .filter(|n| n.ends_with(".svg") || n.ends_with(".html"))
    {
        for markup in ["<script>alert", "<img", "<b>CPU"] {
            assert!(!report.text(name).contains(markup), "{markup} in {name}");
        }
    }
    assert!(report.page().contains("&amp; {{ document }}"));
    let safe = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    assert!(
        names
            .iter()
            .all(|n| n.chars().all(safe) && !n.contains("..")),
        "{names:?}"
    );
    assert!(!report.text("summary.md").replace("\\<", "").contains('<'));
}

#[test]
fn a_histogram_that_cannot_be_read_names_its_place_and_costs_no_earlier_report() {
    let out = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::basics("6.18.0");
    write(std::slice::from_ref(&fixture.run), out.path()).unwrap();
    let before = fs::read(out.path().join("index.html")).unwrap();

    fixture.run.results[3]
        .latency
        .get_mut(&Outcome::Reuse)
        .unwrap()
        .hdr = "!".into();
    let error = write(&[fixture.run], out.path()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("reuse latency of reuse/child-exited"),
        "{message}"
    );
    assert!(
        message.contains("20261122T211000Z-fixture-1a2b"),
        "{message}"
    );
    assert_eq!(fs::read(out.path().join("index.html")).unwrap(), before);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let out = Path::new("/dev/null/report");
    let error = write(&[Fixture::new("6.18.0").run], out).unwrap_err();
    assert!(
        error.to_string().contains("cannot write /dev/null/report"),
        "{error}"
    );
    assert!(matches!(write(&[], out), Err(ReportError::NoRuns)));
}

#[test]
fn results_are_told_as_ktap() {
    let mut fixture = Fixture::basics("6.18.0");
    fixture.run.results[3].expected = vec![Outcome::Copy];
    fixture.run.results[4].integrity.violations = 7;
    fixture.run.skipped.push(Skipped {
        scenario: "ksm/merged".into(),
        strategy: None,
        reason: "needs ksmd # 1".into(),
    });
    let report = Report::of(&[fixture.run]);
    let text = report.text("data/results.ktap");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("KTAP version 1"));
    assert_eq!(lines.next(), Some("1..11"));
    let not: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("not ok "))
        .collect();
    assert_eq!(
        not,
        ["not ok 4 reuse/child-exited", "not ok 5 reuse/last-mapper"]
    );
    // What is said of a result stands before it: a reader gives diagnostics to the result that follows.
    assert!(
        text.contains("\n# 7 words of data were not as they must be\nnot ok 5 "),
        "{text}"
    );
    assert!(
        text.contains("\nok 11 ksm/merged # SKIP needs ksmd   1\n"),
        "{text}"
    );
}

#[test]
fn the_terminal_says_what_share_of_stores_came_to_what() {
    let text = terminal::run::text(&Fixture::basics("6.18.0").run);
    let row = text
        .lines()
        .find(|line| line.starts_with("copy/child-alive "));
    let words: Vec<&str> = row.unwrap().split_whitespace().collect();
    assert_eq!(words[1..4], ["100", "%", "copy"], "{text}");
}

/// A machine that became slower while everything was measured again and again.
#[test]
fn a_drift_over_the_run_is_named_on_page_and_terminal() {
    let mut run = Fixture::basics("6.18.0").run;
    let said = |run: &RunFile| {
        let words = "The machine drifted";
        let page = Report::of(std::slice::from_ref(run)).page();
        [
            page.contains(words),
            terminal::run::text(run).contains(words),
        ]
    };
    assert_eq!(said(&run), [false; 2]);
    for measured in &mut run.results {
        let half = measured.repetitions.len() as u32 / 2;
        let later = measured
            .repetitions
            .iter_mut()
            .filter(|one| one.index >= half);
        for latency in later.flat_map(|one| one.by_outcome.values_mut()) {
            latency.p50 = latency.p50 * 11 / 10;
            latency.p90 = latency.p90.max(latency.p50);
            latency.p99 = latency.p99.max(latency.p90);
        }
    }
    assert_eq!(said(&run), [true; 2]);
    // One scenario of ten tells nothing about the machine.
    let mut one = Fixture::basics("6.18.0").run;
    one.results[5] = run.results[5].clone();
    assert_eq!(said(&one), [false; 2]);
}
