//! What the page is: its files and plots, how it can be read.

use std::collections::BTreeSet;
use std::fs;

use cowpath::record::schema::*;

use crate::fixture::Fixture;
use crate::{Report, cells};

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
        let ratio = summary.lines().find(|line| line.contains("Copy / reuse"));
        assert!(ratio.is_some_and(|line| line.contains(" 2.")), "{summary}");
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
