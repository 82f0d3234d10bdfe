//! The report as its reader meets it: which files there are, what they say, and what they leave out.

mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cowpath::report::{self, ReportError, Written};
use cowpath::run::schema::*;
use cowpath::run::staged::{
    Acted, Data, HeldAt, Predicted, Pte, Seen, StagedResult, Station, Witness,
};
use cowpath::run::sweep::{Interleaving, Pruned, Sweep, Why};
use cowpath::scenario::outcome::{Outcome, Tally};
use cowpath::scenario::play::Frame;
use cowpath::scenario::staged::place::Place;
use cowpath::scenario::staged::{Came, Hold, Party, Verdict};
use fixture::Fixture;

/// A report in a directory of its own, which lives as long as this does.
struct Report {
    dir: tempfile::TempDir,
    written: Written,
}

impl Report {
    fn of(runs: &[RunFile]) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let written = report::write(runs, dir.path()).unwrap();
        Report { dir, written }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The page, with its slashes as a browser shows them.
    fn page(&self) -> String {
        self.text("index.html").replace("&#x2f;", "/")
    }

    fn names(&self) -> BTreeSet<String> {
        let names = self
            .written
            .files
            .iter()
            .map(|f| f.strip_prefix(self.dir.path()).unwrap());
        names.map(|n| n.to_str().unwrap().to_string()).collect()
    }

    fn count(&self, dir: &str) -> usize {
        self.names().iter().filter(|n| n.starts_with(dir)).count()
    }
}

/// The cells of the page's table row that names `scenario`.
fn cells(page: &str, table: &str, scenario: &str) -> Vec<String> {
    let table = page
        .split("<caption")
        .find(|t| t.contains(table))
        .expect("the table is there");
    let head = format!("<th scope=\"row\">{scenario}</th>");
    let row = table
        .split("<tr")
        .find(|r| r.contains(&head))
        .expect("the row is there");
    let row = row.split("</tr>").next().unwrap_or_default();
    let cells = row.split("</td>").filter_map(|c| c.rsplit_once('>'));
    cells
        .map(|(_, text)| text.to_string())
        .filter(|text| !text.is_empty())
        .collect()
}

#[test]
fn a_report_is_a_page_a_summary_plots_and_percentile_files() {
    let report = Report::of(&[Fixture::basics("6.18.0").run]);
    let names = report.names();
    for name in [
        "index.html",
        "summary.md",
        "plots/reuse-vs-copy-histogram.svg",
        "plots/reuse-vs-copy-percentiles.svg",
        "plots/group-extra-ref-histogram.svg",
        "hgrm/reuse-child-exited.reuse.hgrm",
        "hgrm/control-no-fault.no_fault.hgrm",
    ] {
        assert!(names.contains(name), "{name} is missing from {names:?}");
    }
    assert_eq!(report.written.index, report.dir.path().join("index.html"));
    assert!(report.written.files.iter().all(|f| f.is_file()));
    assert_eq!(report.count("hgrm/"), 10);
    let stray = fs::read_dir(report.dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name());
    assert!(
        stray
            .map(|n| n.into_string().unwrap())
            .all(|n| !n.starts_with('.'))
    );
}

#[cfg(feature = "png")]
#[test]
fn every_plot_is_there_as_svg_and_as_png() {
    let report = Report::of(&[Fixture::basics("6.18.0").run]);
    let of = |ext: &str| -> BTreeSet<String> {
        report
            .names()
            .iter()
            .filter_map(|n| n.strip_suffix(ext))
            .map(String::from)
            .collect()
    };
    assert_eq!(of(".svg"), of(".png"));
    assert!(!of(".svg").is_empty());
    let png = fs::read(report.dir.path().join("plots/reuse-vs-copy-histogram.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
}

#[test]
fn the_page_needs_no_network() {
    let page = Report::of(&[Fixture::basics("6.18.0").run]).page();
    for outside in ["src=", "<link", "@import", "url(", "fetch(", "https://"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script>").count()
    );
    let links = page.matches("http://").count();
    assert_eq!(
        links,
        page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
}

#[test]
fn the_page_says_what_was_measured_and_where() {
    let page = Report::of(&[Fixture::basics("6.18.0").run]).page();
    for said in [
        "Copy-on-write faults on 6.18.0",
        "6.18.0 · kvm · exclusive",
        "Example CPU @ 2.80GHz",
        "never forked was reused",
        "An empty interval reads 19.8 ns",
        "cowpath run -o r.json",
        "commit 0123456789ab",
        "20261122T211000Z-fixture-1a2b",
        "cpupower frequency-set -g performance",
    ] {
        assert!(page.contains(said), "{said}");
    }
    let row = cells(
        &page,
        "reuse: outcomes and latency in ns",
        "reuse/child-exited",
    );
    assert_eq!(row[..2], ["reuse", "reuse 100 %"]);
    assert_eq!(row.len(), 11, "{row:?}");
    assert_eq!(row[8], "1.00");
}

#[test]
fn tables_and_plots_can_be_reached_without_a_mouse_or_eyes() {
    let page = Report::of(&[Fixture::basics("6.18.0").run]).page();
    let tables = page.matches("<table").count();
    assert!(tables >= 5);
    for each in [
        "<caption id=",
        "<thead>",
        "tabindex=\"0\" role=\"region\" aria-labelledby=",
    ] {
        assert_eq!(page.matches(each).count(), tables, "{each}");
    }
    let plots = page.matches("<svg").count();
    assert_eq!(page.matches("role=\"img\"").count(), plots);
    assert_eq!(page.matches("<desc id=").count(), plots);
    let ids: Vec<&str> = page
        .split(" id=\"")
        .skip(1)
        .filter_map(|s| s.split('"').next())
        .collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "ids are unique");
    for labelled in page.split("aria-labelledby=\"").skip(1) {
        for id in labelled.split('"').next().unwrap().split(' ') {
            assert!(unique.contains(id), "{id} names nothing");
        }
    }
}

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
fn a_counter_that_ran_for_part_of_the_time_says_so() {
    let mut fixture = Fixture::new("6.18.0");
    let result = fixture.measure("reuse/child-exited", Outcome::Reuse, 700.0, Unit::Ns);
    let counted = |running_ns| Counter::Counted {
        value: 5,
        per_fault: 0.0,
        enabled_ns: 100,
        running_ns,
    };
    result.counters = BTreeMap::from([("dtlb".into(), counted(40)), ("never".into(), counted(0))]);
    let page = Report::of(&[fixture.run]).page();
    let row = cells(&page, "reuse: events per store", "reuse/child-exited");
    assert_eq!(row, ["0 (ran 40.0 % of the time)", "n/a [1]"]);
    assert!(page.contains("[1] Not counted: never (it was never scheduled)."));
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
    let report = Report::of(&[fixture.run]);
    let row = cells(
        &report.page(),
        "copy: outcomes and latency",
        "copy/in-child",
    );
    assert_eq!(row[1], "copy 100 %, unexpected");
    assert!(report.page().contains("9 of 10"));
    assert!(report.text("summary.md").contains("unexpected"));
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
    assert!(page.contains("no scenario had both a prediction and an oracle"));
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
    let page = Report::of(&[fixture.run]).page();
    let notice = page
        .find("Data was not as it must be in 3 words")
        .expect("the notice is there");
    assert!(notice < page.find("<figure").unwrap());
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
fn the_summary_fits_a_mail() {
    let mut fixture = Fixture::basics("6.18.0");
    fixture.run.skipped.push(Skipped {
        strategy: None,
        scenario: "a/b".into(),
        reason: "because ".repeat(40),
    });
    let mut other = Fixture::basics("7.2.13");
    other.run.host.virtualization = "tcg".into();
    for runs in [vec![fixture.run.clone()], vec![fixture.run, other.run]] {
        let summary = Report::of(&runs).text("summary.md");
        for line in summary.lines() {
            assert!(
                line.chars().count() <= 80,
                "{} columns: {line}",
                line.chars().count()
            );
        }
        assert!(summary.contains("reuse/child-exited"));
        assert!(summary.contains("Copy / reuse: 2."), "{summary}");
        assert!(!summary.contains("NaN") && !summary.contains("inf "));
    }
}

#[test]
fn percentile_files_end_with_the_totals_of_their_histogram() {
    let report = Report::of(&[Fixture::basics("6.18.0").run]);
    let text = report.text("hgrm/copy-child-alive.copy.hgrm");
    assert!(text.starts_with("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"));
    assert!(text.contains("Total count    =        64000]"), "{text}");
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(2)
        .take_while(|l| !l.starts_with('#'))
        .map(|l| l.split_whitespace().map(|f| f.parse().unwrap()).collect())
        .collect();
    let rises = |w: &[Vec<f64>]| (0..3).all(|c| w[0][c] <= w[1][c]);
    assert!(rows.windows(2).all(rises));
    assert_eq!(rows.last().unwrap()[1..], [1.0, 64_000.0]);
}

#[test]
fn plots_follow_light_and_dark() {
    let report = Report::of(&[Fixture::basics("6.18.0").run]);
    let svg = report.text("plots/reuse-vs-copy-histogram.svg");
    assert!(svg.contains("fill=\"currentColor\"") && svg.contains("prefers-color-scheme"));
    assert!(
        !svg.contains("#1C1F23"),
        "no ink is left that would vanish on black"
    );
    assert!(report.page().contains("prefers-color-scheme"));
}

#[test]
fn a_histogram_that_cannot_be_read_names_its_place_and_costs_no_earlier_report() {
    let out = tempfile::tempdir().unwrap();
    let mut fixture = Fixture::basics("6.18.0");
    report::write(std::slice::from_ref(&fixture.run), out.path()).unwrap();
    let before = fs::read(out.path().join("index.html")).unwrap();

    fixture.run.results[3]
        .latency
        .get_mut(&Outcome::Reuse)
        .unwrap()
        .hdr = "!".into();
    let error = report::write(&[fixture.run], out.path()).unwrap_err();
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
    let error = report::write(&[Fixture::new("6.18.0").run], out).unwrap_err();
    assert!(
        error.to_string().contains("cannot write /dev/null/report"),
        "{error}"
    );
    assert!(matches!(report::write(&[], out), Err(ReportError::NoRuns)));
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
    let page = Report::of(&[fixture.run]).page();
    let row = marks(&page, "copy/child-alive");
    assert_eq!(row[..5], ["", "C 100 %", "", "", "as predicted"]);
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
    assert_eq!(row.len(), 3, "two kernels and a ratio: {row:?}");
    assert!(
        row[0].starts_with("C 1,") && row[2].starts_with("1.0"),
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
    assert_eq!(row.len(), 3, "{row:?}");
    assert!(row[2].starts_with("1.5"), "{row:?}");
    assert!(
        !page.contains("Median latency in ns of one store"),
        "one run alone is no comparison"
    );
}

/// A race of which so many pages in a hundred had a late discard.
fn raced(result: &mut Measured, skew: i64, late: u64) {
    let tally = |late, pages| PageTally {
        frame: Frame::Changed,
        late,
        none: 0,
        pages,
    };
    result.threads = 2;
    result.skew = skew;
    result.discards = Discards::Counted {
        late,
        none: 0,
        futile: 0,
        allocations: 100 + late,
        committed: 100,
        pages: 100,
        method: "tracepoints".into(),
        also: vec![SecondCount::Counted {
            method: "taskstats".into(),
            late: late as i64 + 2,
            difference: 2,
        }],
    };
    result.race = Some(Raced {
        lock_wait: None,
        results: vec![tally(0, 100 - late), tally(1, late)],
        outside: 0,
        unexplained: 0,
        foreign: 0,
        parts: BTreeMap::new(),
        events: 0,
        replaced: None,
        dry_pages: 0,
        dry_allocations: 0,
    });
}

#[test]
fn a_sweep_over_skews_is_a_plot_and_one_row() {
    let mut fixture = Fixture::new("6.18.0");
    for (skew, late) in [(0, 99), (2_000, 90), (6_000, 5)] {
        let result = fixture.measure("race/store-store", Outcome::Copy, 9_000.0, Unit::Ns);
        raced(result, skew, late);
    }
    let report = Report::of(&[fixture.run]);
    let page = report.page();
    assert!(
        report
            .names()
            .contains("plots/race-sweep-race-store-store-2.svg")
    );
    assert!(page.contains("late (backoff): 99.0 at 0, 90.0 at 714, 5.00 at 2,143."));
    let latencies = page
        .split("<caption")
        .find(|t| t.contains("race: outcomes and latency"));
    let latencies = latencies.unwrap().split("</table>").next().unwrap();
    assert_eq!(latencies.matches("scope=\"row\"").count(), 1);
    assert!(page.contains("Of a sweep over skews the one nearest to 0 is shown"));
    let row = cells(
        &page,
        "Races: copies made and thrown away",
        "race/store-store skew 0",
    );
    assert_eq!(row, ["100", "99 (99.00 %)", "0", "0", "199", "100", "+2"]);
}

#[test]
fn the_founding_question_is_answered_in_plain_words() {
    let mut fixture = Fixture::new("6.18.0");
    raced(
        fixture.measure("race/exit", Outcome::Copy, 9_000.0, Unit::Ns),
        0,
        30,
    );
    let page = Report::of(&[fixture.run.clone()]).page();
    assert!(page.contains("30 (30.0 %) were copied twice"));
    assert!(page.contains("no page was reused under a copy."), "{page}");
    let race = fixture.run.results[0].race.as_mut().unwrap();
    race.results[1].frame = Frame::Same;
    race.outside = 30;
    let page = Report::of(&[fixture.run]).page();
    assert!(page.contains("a page was reused under a thread that was copying it"));
    assert!(
        page.contains("30 of 100 pages came to something that the kernel’s strategy rules out")
    );
}

#[test]
fn a_switched_kernel_has_its_rules_side_by_side_and_the_question_answered() {
    use cowpath::scenario::rule::Rule::{Exclusive, Mapcount};
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
        held.held = Some(Held {
            pages: 8,
            replaced: if rule == Mapcount { 8 } else { 0 },
            stale: Some(if rule == Mapcount { 8 } else { 0 }),
            ..Held::default()
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

/// A staged race that came to `verdict`, with one step in thread 2's lane while thread 1 is held.
fn staged(scenario: &str, verdict: Verdict) -> StagedResult {
    let station = |party, after: &str, came, held| Station {
        party,
        after: after.into(),
        came,
        held,
        pte: Some(Pte::of(0x1234_5025)),
        mapcount: Some(1),
    };
    let part = |party: Party, came| Acted {
        party,
        cpu: party.cpu(),
        did: vec!["stores".into()],
        came: Some(came),
        faults: 1,
        waited: None,
    };
    StagedResult {
        verdict,
        reason: "seen <so>".into(),
        predicted: Some(Predicted {
            verdict: Verdict::Coherent,
            one: Came::BackedOff,
            rival: Some(Came::Copy),
            lock: None,
        }),
        held: Some(HeldAt {
            point: Hold::Copied,
            function: "__pte_offset_map_lock".into(),
            caller: "do_wp_page+0x297".into(),
        }),
        parts: vec![
            part(Party::One, Came::BackedOff),
            part(Party::Two, Came::Copy),
        ],
        stations: vec![
            station(None, "the page is shared", None, false),
            station(Some(Party::Two), "thread 2 stores", Some(Came::Copy), true),
        ],
        seen: vec![Seen {
            through: Witness::Mapping,
            one: Data::Stored,
            two: Data::Stored,
            sharer: Data::Old,
            rest: Data::Old,
        }],
        ..StagedResult::lost(scenario, String::new())
    }
}

#[test]
fn the_founding_question_has_a_verdict_for_each_kernel_that_leads_to_its_timeline() {
    let mut stock = Fixture::new("6.12.118+deb13-cloud-amd64").run;
    stock.staged = vec![staged("window/store", Verdict::Coherent)];
    let mut patched = Fixture::new("6.12.118-strategy").run;
    patched.host.kernel.cmdline = "quiet cow_reuse=mapcount".into();
    patched.strategy.small = SmallRule::Mapcount;
    patched.staged = vec![
        staged("window/store", Verdict::LostStore),
        staged("window/fork", Verdict::Coherent),
    ];
    let report = Report::of(&[stock, patched]);
    let page = report.page();
    assert!(page.contains("<section id=\"founding-question\""));
    assert!(page.contains("<a href=\"#staged-1-1\">coherent (backoff, copy)</a>"));
    assert!(page.contains("<a href=\"#staged-2-1\">lost store (backoff, copy) ≠</a>"));
    for anchor in ["staged-1-1", "staged-2-1", "staged-2-2"] {
        assert_eq!(
            page.matches(&format!("id=\"{anchor}\"")).count(),
            1,
            "{anchor}"
        );
    }
    // Harm is shown without being asked for.
    assert_eq!(page.matches("<details class=\"timeline\" open>").count(), 1);
    assert!(page.contains("__pte_offset_map_lock of do_wp_page+0x297"));
    assert!(page.contains("seen &lt;so&gt;"));
    assert!(page.contains("verdict: coherent predicted, lost store seen"));
    let command = "cowpath stage window/store --kernel vmlinuz-6.12.118-strategy --append";
    assert!(page.contains(command));
    assert!(!page.contains("Nothing was measured"));
    let summary = report.text("summary.md");
    assert!(summary.contains("lost store (backoff, copy)"), "{summary}");
}

#[test]
fn a_race_played_several_times_says_how_often_it_came_to_the_same() {
    let mut run = Fixture::new("6.1.0-56-cloud-amd64").run;
    run.staged = vec![
        staged("window/store", Verdict::Coherent),
        staged("window/store", Verdict::Coherent),
        staged("window/store", Verdict::LostStore),
    ];
    let page = Report::of(&[run]).page();
    assert!(
        page.contains("coherent (backoff, copy), 2 of 3 ≠"),
        "{page}"
    );
}

#[test]
fn a_run_without_staged_races_does_not_speak_of_them() {
    let page = Report::of(&[Fixture::basics("6.1.0-56-cloud-amd64").run]).page();
    assert!(!page.contains("The founding question") && !page.contains("Staged races"));
}

/// A sweep of two interleavings, whose worst came to `verdict`.
fn swept(verdict: Verdict) -> StagedResult {
    let interleaving = |places: &[Place], verdict| Interleaving {
        places: places.to_vec(),
        verdict,
        reason: "seen".into(),
        one: Some(Came::Copy),
        rival: Some(Came::Copy),
        waited: None,
    };
    StagedResult {
        sweep: Some(Sweep {
            moves: vec!["B exits".into(), "thread 2 stores".into()],
            interleavings: 28,
            played: vec![
                interleaving(&[Place::AfterStore, Place::AfterStore], Verdict::Coherent),
                interleaving(&[Place::Decided, Place::Copied], verdict),
            ],
            pruned: vec![Pruned {
                places: vec![Place::Undecided],
                why: Why::Blocked,
                count: 5,
            }],
            left_out: 21,
            why_left_out: Some("the time was up".into()),
            seconds: 3,
        }),
        ..staged("window/store", verdict)
    }
}

#[test]
fn a_sweep_lists_each_interleaving_and_one_that_is_wrong_is_said_to_be() {
    let mut good = Fixture::new("6.1.0-56-cloud-amd64").run;
    good.staged = vec![swept(Verdict::Coherent)];
    let mut bad = Fixture::new("6.12.118-strategy").run;
    bad.staged = vec![swept(Verdict::LostStore)];
    let page = Report::of(&[good, bad]).page();
    assert!(page.contains("window/store: every interleaving"));
    let told = "28 interleavings: 2 played in 3 s, 5 pruned (5: a move has to wait there, so that it comes later), 21 LEFT OUT (the time was up)";
    assert!(page.contains(told), "{page}");
    assert!(page.contains("coherent 2</a>"), "{page}");
    assert!(page.contains("coherent 1, lost store 1 ≠</a>"), "{page}");
    let wrong =
        "B exits (decided), thread 2 stores (after the copy): no harm predicted, lost store seen";
    assert!(page.contains(wrong), "{page}");
    assert!(page.contains("cowpath stage window/store --sweep --kernel"));
}
