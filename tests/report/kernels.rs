//! Several runs in one report: what stands side by side, and what never does.

use cowpath::record::basis::{BasisKind, ExpectedBasis};
use cowpath::record::moves::RaceVerdict;
use cowpath::record::outcome::Outcome;
use cowpath::record::rule::SmallRule;
use cowpath::record::schema::*;
use cowpath::record::staged::StagedResult;
use cowpath::record::unit::Unit;

use crate::fixture::Fixture;
use crate::{Report, cells};

#[test]
fn instructions_and_nanoseconds_never_meet() {
    let mut exact = Fixture::new("6.12.107");
    exact.run.host.virtualization = "exact".into();
    exact.measure(
        "reuse/child-exited",
        Outcome::Reuse,
        1_556.0,
        Unit::Instructions,
    );
    exact.measure(
        "copy/child-alive",
        Outcome::Copy,
        5_185.0,
        Unit::Instructions,
    );
    let report = Report::of(&[Fixture::basics("6.12.107").run, exact.run]);
    let page = report.page();
    assert!(page.contains("never set them beside nanoseconds"));
    assert!(page.contains("reuse (instructions): outcomes and instructions executed"));
    assert!(page.contains("reuse (ns): outcomes and latency in ns"));
    for svg in report.names().iter().filter(|n| n.ends_with(".svg")) {
        let svg = report.text(svg);
        assert_ne!(
            svg.contains("instructions executed"),
            svg.contains("latency of one store")
        );
    }
    let names = report.names();
    assert!(
        names.contains("plots/reuse-by-kernel-instructions-histogram.svg"),
        "{names:?}"
    );
}

/// The first screen is never without a sentence: of kernels whose figures do not compare, what they came to.
#[test]
fn kernels_that_do_not_compare_are_told_by_their_outcomes() {
    let mut old = Fixture::basics("5.7.14").run;
    old.staged = vec![StagedResult {
        verdict: RaceVerdict::LostStore,
        ..StagedResult::lost("window/store-uffd-wp", "a test".into())
    }];
    let mut new = Fixture::basics("6.12.0").run;
    new.host.virtualization = "tcg".into();
    let report = Report::of(&[old, new]);
    let told = "Staged races: 1 played; lost store in window/store-uffd-wp on 5.7.14.";
    let page = report.page().replace("&#x2f;", "/");
    assert!(page.contains(told), "{}", report.text("summary.md"));
}

#[test]
fn several_runs_stand_side_by_side_under_their_own_names() {
    let mut old = Fixture::basics("5.10.223");
    old.run.strategy.small = SmallRule::Refcount;
    let new = || Fixture::basics("6.12.107").run;
    let report = Report::of(&[old.run, new(), new()]);
    let page = report.page();
    for label in [
        "5.10.223 · kvm · refcount",
        "6.12.107 · kvm · exclusive",
        "6.12.107 · kvm · exclusive #2",
    ] {
        assert!(
            page.contains(&format!("<td class=\"plain\">{label}</td>")),
            "{label}"
        );
        assert!(page.contains(&format!("<h3>{label}</h3>")), "{label}");
    }
    assert!(
        report
            .names()
            .contains("hgrm/5.10.223-kvm-refcount.reuse-child-exited.reuse.hgrm")
    );
    assert_eq!(report.count("hgrm/"), 30);
}

#[test]
fn scenarios_of_one_name_are_told_apart_by_what_differs() {
    let mut fixture = Fixture::new("6.18.0");
    for threads in [1, 2, 4] {
        fixture
            .measure("copy/child-alive", Outcome::Copy, 1_700.0, Unit::Ns)
            .threads = threads;
    }
    let report = Report::of(&[fixture.run]);
    for label in [
        "copy/child-alive ×1",
        "copy/child-alive ×2",
        "copy/child-alive ×4",
    ] {
        let head = format!("<th scope=\"row\">{label}</th>");
        assert!(report.page().contains(&head), "{label}");
    }
    assert_eq!(report.count("hgrm/"), 3);
}

/// The cells of a row of the outcome matrix, without markup.
fn marks(page: &str, scenario: &str) -> Vec<String> {
    let matrix = page.split("matrix\">").nth(1).expect("the matrix is there");
    let matrix = matrix.split("</table>").next().unwrap();
    let head = format!("<th scope=\"row\">{scenario}</th>");
    let row = matrix
        .split("<tr")
        .find(|r| r.contains(&head))
        .expect("the row is there");
    let cells = row
        .split("<td")
        .skip(1)
        .map(|c| c.split_once('>').unwrap().1);
    let text = |cell: &str| {
        let parts = cell.split('<').map(|p| p.rsplit('>').next().unwrap());
        parts
            .collect::<String>()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    cells.map(text).collect()
}

#[test]
fn the_matrix_says_where_an_outcome_changed_and_where_it_was_not_predicted() {
    let skipped = Skipped {
        strategy: None,
        scenario: "extra-ref/vmsplice-never-forked".into(),
        reason: "no vmsplice".into(),
    };
    let mut runs = Vec::new();
    for (release, outcome) in [
        ("5.10.0", Outcome::Copy),
        ("6.1.0", Outcome::Reuse),
        ("6.12.0", Outcome::Unknown),
        ("7.2.0", Outcome::Reuse),
    ] {
        let mut fixture = Fixture::new(release);
        let result = fixture.measure(&skipped.scenario, outcome, 700.0, Unit::Ns);
        if release == "7.2.0" {
            result.expected = vec![Outcome::Copy];
        }
        runs.push(fixture.run);
    }
    let mut last = Fixture::new("7.3.0");
    last.run.skipped.push(skipped.clone());
    runs.push(last.run);
    let report = Report::of(&runs);
    let page = report.page();
    assert_eq!(
        marks(&page, &skipped.scenario),
        [
            "C copy",
            "R reuse ≠ changed",
            "? unknown",
            "R reuse ! unexpected",
            "– skipped"
        ]
    );
    assert!(page.contains("title=\"skipped: no vmsplice\""));
    assert!(report.text("summary.md").contains("R ≠"));
}

#[test]
fn one_run_has_a_matrix_of_situations_by_outcome() {
    let mut fixture = Fixture::basics("6.18.0");
    fixture.run.skipped.push(Skipped {
        strategy: None,
        scenario: "swap/in-cache".into(),
        reason: "no swap".into(),
    });
    let on = |measured: &mut Measured, kind, what: &str| {
        let what = what.into();
        measured.basis = Some(ExpectedBasis { kind, what });
    };
    for measured in &mut fixture.run.results {
        match measured.scenario.as_str() {
            "reuse/child-exited" => on(measured, BasisKind::Construction, "it tells the rule"),
            "control/no-fault" => on(measured, BasisKind::Source, "do_wp_page() in 6.12"),
            _ => {}
        }
    }
    let page = Report::of(&[fixture.run]).page();
    let row = marks(&page, "copy/child-alive");
    assert_eq!(row[..5], ["", "C 100 %", "", "", "as expected"]);
    assert_eq!(marks(&page, "control/no-fault")[4], "as derived");
    assert_eq!(marks(&page, "reuse/child-exited")[4], "by construction");
    assert_eq!(marks(&page, "swap/in-cache")[4], "– skipped");
    for group in ["control", "reuse", "copy"] {
        assert!(
            page.contains(&format!("<a href=\"#group-{group}\">{group}</a>")),
            "{group}"
        );
    }
}

#[test]
fn times_of_an_emulator_stand_beside_no_others() {
    let mut emulated = Fixture::basics("6.1.0");
    emulated.run.host.virtualization = "tcg".into();
    let report = Report::of(&[
        Fixture::basics("5.10.0").run,
        Fixture::basics("6.12.0").run,
        emulated.run,
    ]);
    let page = report.page();
    assert!(page.contains("Left out of every comparison of latencies"));
    for svg in report.names().iter().filter(|n| n.ends_with(".svg")) {
        let svg = report.text(svg);
        assert!(svg.contains("5.10.0") && svg.contains("6.12.0") && !svg.contains("6.1.0"));
    }
    let row = cells(
        &page,
        "Median latency in ns of one store, by kernel",
        "copy/child-alive",
    );
    assert_eq!(row.len(), 2, "two kernels: {row:?}");
    assert!(
        row[0].starts_with("C 1,") && row[1].contains("×1.0"),
        "{row:?}"
    );
    assert_eq!(marks(&page, "copy/child-alive"), ["C copy"; 3]);
}

#[test]
fn medians_of_different_units_are_in_different_tables() {
    let exact = |release: &str, instructions| {
        let mut fixture = Fixture::new(release);
        fixture.run.host.virtualization = "exact".into();
        fixture.measure(
            "copy/child-alive",
            Outcome::Copy,
            instructions,
            Unit::Instructions,
        );
        fixture.run
    };
    let runs = [
        exact("5.10.0", 3_500.0),
        exact("7.2.0", 5_400.0),
        Fixture::basics("7.2.0").run,
    ];
    let page = Report::of(&runs).page();
    let row = cells(
        &page,
        "Median number of instructions executed of one store, by kernel",
        "copy/child-alive",
    );
    assert_eq!(row.len(), 2, "{row:?}");
    assert!(row[1].contains("×1.5"), "{row:?}");
    assert!(
        !page.contains("Median latency in ns of one store"),
        "one run alone is no comparison"
    );
}

#[test]
fn a_switched_kernel_has_its_rules_side_by_side_and_the_question_answered() {
    use cowpath::record::rule::Rule::{Exclusive, Mapcount};
    let mut fixture = Fixture::new("6.12.9-strategy");
    fixture.run.config.strategies = vec![Exclusive, Mapcount];
    for (rule, outcome, typical) in [
        (Exclusive, Outcome::Copy, 1_700.0),
        (Mapcount, Outcome::Reuse, 700.0),
    ] {
        fixture
            .measure("extra-ref/child-vmsplices", outcome, typical, Unit::Ns)
            .strategy = Some(rule);
        let held = fixture.measure("race/unshare-under-copy", outcome, 1.0, Unit::Ns);
        held.strategy = Some(rule);
        held.latency.clear();
        held.held = Some(HeldCopy {
            pages: 8,
            replaced: if rule == Mapcount { 8 } else { 0 },
            stale: Some(if rule == Mapcount { 8 } else { 0 }),
            ..HeldCopy::default()
        });
    }
    let report = Report::of(&[fixture.run]);
    let page = report.page();
    assert!(page.contains("mapcount is unsafe"));
    let table = "under each rule, and how many times the first";
    let row = cells(&page, table, "extra-ref/child-vmsplices");
    assert!(
        row[0].starts_with("C ") && row[1].starts_with("R "),
        "{row:?}"
    );
    assert!(row[2].ends_with('≠'), "{row:?}");
    let table = "A page pinned for reading";
    let answer = |rule: &str| cells(&page, table, &format!("{rule}, recheck off"))[0].clone();
    assert!(answer("6.12.9 exclusive").starts_with("no:"));
    assert!(answer("6.12.9 mapcount (unsafe)").starts_with("yes:"));
}
