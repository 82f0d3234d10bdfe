//! What is published: a page of new against base, many runs as one, and data that other programs read back.

mod common;
#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::skip::{Need, skip};
use common::{cowpath, finish, python};
use cowpath::record::io::write;
use cowpath::record::latency::decode;
use cowpath::record::method::Method;
use cowpath::record::outcome::Outcome;
use cowpath::record::schema::RunFile;
use cowpath::record::staged::StagedResult;
use cowpath::record::unit::Unit;
use cowpath::report;
use cowpath::suite::pool::Pool;
use fixture::Fixture;

fn run(factor: f64) -> RunFile {
    let mut fixture = Fixture::new("6.18.0");
    fixture.measure(
        "reuse/child-exited",
        Outcome::Reuse,
        700.0 * factor,
        Unit::Ns,
    );
    fixture.measure("copy/child-alive", Outcome::Copy, 1_700.0, Unit::Ns);
    fixture.run
}

fn keep(folder: &Path, name: &str, run: &RunFile) -> PathBuf {
    let path = folder.join(name);
    write(&path, run).unwrap();
    path
}

#[test]
fn a_page_sets_new_against_base_and_needs_no_script_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (base, new) = (run(1.0), run(1.5));
    let paths: Vec<PathBuf> = [("a", &base), ("b", &base), ("c", &new), ("d", &new)]
        .map(|(name, run)| keep(folder.path(), name, run))
        .into();
    let out = folder.path().join("report");
    let mut command = cowpath(&["report"]);
    command
        .args(&paths[..2])
        .arg("--with")
        .args(&paths[2..])
        .arg("-o")
        .arg(&out);
    let done = finish(command);
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = std::fs::read_to_string(out.join("index.html"))
        .unwrap()
        .replace("&#x2f;", "/");
    let section = page
        .split("<section id=\"comparison\"")
        .nth(1)
        .expect("the comparison is there");
    let section = section.split("</section>").next().unwrap();
    let row = |what: &str| {
        let found = section
            .split("<tr")
            .find(|row| row.contains(&format!("data-name=\"{what}\"")));
        found.unwrap_or_else(|| panic!("{what}: {section}"))
    };
    let reuse = row("reuse/child-exited, reuse");
    assert!(
        reuse.contains(">slower<") && reuse.contains("class=\"span\""),
        "{reuse}"
    );
    assert!(row("copy/child-alive, copy").contains(">same<"));
    let summary = std::fs::read_to_string(out.join("summary.md")).unwrap();
    assert!(
        summary.contains("## New against base") && summary.contains("slower"),
        "{summary}"
    );
    assert!(
        summary.lines().all(|line| line.chars().count() <= 80),
        "{summary}"
    );
    // Two sides, whatever the number of runs.
    assert!(page.contains("2 runs"), "{section}");
}

#[test]
fn pooled_runs_hold_every_store_and_repetition_of_each() {
    let (one, other) = (run(1.0), run(1.5));
    let mut pool = Pool::new(one.clone()).unwrap();
    pool.add(other.clone()).unwrap();
    let whole = pool.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let back = common::load(&keep(folder.path(), "whole.json", &whole));
    assert!(back == whole, "the reader accepts it as it is");
    for (sum, part) in whole.results.iter().zip(&one.results) {
        assert_eq!(sum.outcomes.total(), 2 * part.outcomes.total());
        assert_eq!(sum.repetitions.len(), 2 * part.repetitions.len());
        let mut indices: Vec<u32> = sum.repetitions.iter().map(|r| r.index).collect();
        indices.dedup();
        assert_eq!(indices.len(), sum.repetitions.len());
        assert_eq!(sum.integrity.checked, 2 * part.integrity.checked);
    }
    let key = Outcome::Reuse;
    let mut added = decode(&one.results[0].latency[&key]).unwrap();
    added
        .add(decode(&other.results[0].latency[&key]).unwrap())
        .unwrap();
    assert_eq!(decode(&whole.results[0].latency[&key]).unwrap(), added);
    let alone = Pool::new(one.clone()).unwrap().finish().unwrap();
    assert!(alone == one, "a pool of one is that one");
    let mut many = Pool::new(one.clone()).unwrap();
    for _ in 1..40 {
        many.add(one.clone()).unwrap();
    }
    let many = many.finish().unwrap();
    let latency = &many.results[0].latency[&key];
    assert_eq!(latency.count, 40 * one.results[0].latency[&key].count);
    assert_eq!(latency.p99, one.results[0].latency[&key].p99);
    assert!(common::load(&keep(folder.path(), "many.json", &many)) == many);
}

#[test]
fn staged_races_of_every_pooled_run_are_kept() {
    let mut played = run(1.0);
    played.staged = vec![StagedResult::lost("window/store", "a test".into())];
    let mut pool = Pool::new(run(1.0)).unwrap();
    pool.add(played.clone()).unwrap();
    pool.add(played).unwrap();
    assert_eq!(pool.finish().unwrap().staged.len(), 2);
}

#[test]
fn the_recheck_off_and_on_stay_two_results_of_pooled_runs() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/held.json");
    let mut run = common::load(&corpus);
    run.results[1].strategy = run.results[0].strategy;
    let mut pool = Pool::new(run.clone()).unwrap();
    for _ in 1..9 {
        pool.add(run.clone()).unwrap();
    }
    let whole = pool.finish().unwrap();
    let held = |run: &RunFile| -> Vec<(bool, u64, u64)> {
        let all = run.results.iter().filter_map(|r| r.held.as_ref());
        all.map(|held| (held.recheck, held.pages, held.replaced))
            .collect()
    };
    let nine_times = held(&run)
        .into_iter()
        .map(|(recheck, pages, replaced)| (recheck, 9 * pages, 9 * replaced));
    assert_eq!(held(&whole), nine_times.collect::<Vec<_>>());

    let mut side = cowpath::compare::side::Side::default();
    side.add(&run);
    assert_eq!(side.cases.len(), run.results.len());
}

#[test]
fn many_runs_of_one_kernel_are_one_column() {
    let folder = tempfile::tempdir().unwrap();
    let run = run(1.0);
    let paths: Vec<PathBuf> = (0..9)
        .map(|n| keep(folder.path(), &format!("{n}.json"), &run))
        .collect();
    let out = folder.path().join("report");
    let mut command = cowpath(&["report"]);
    command.args(&paths).arg("-o").arg(&out);
    let done = finish(command);
    assert_eq!(done.code, Some(0), "{done:?}");
    done.complains("9 run files of 1 kernels");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("and 8 more runs"));
}

fn reported() -> (tempfile::TempDir, RunFile) {
    let folder = tempfile::tempdir().unwrap();
    let mut run = run(1.0);
    run.host.cpu = "a \"CPU\", with\nall sorts".into();
    run.host.kernel.release = "6.18.0-\"x\", y\\z".into();
    report::write(std::slice::from_ref(&run), folder.path()).unwrap();
    (folder, run)
}

#[test]
fn the_csv_files_are_read_back_by_python() {
    let (folder, run) = reported();
    let script = "import csv, sys\n\
        rows = list(csv.DictReader(open(sys.argv[1] + '/data/latencies.csv', newline='')))\n\
        reps = list(csv.DictReader(open(sys.argv[1] + '/data/repetitions.csv', newline='')))\n\
        assert all(None not in row and None not in row.values() for row in rows + reps)\n\
        print(rows[0]['kernel'], rows[0]['p50'], len(rows), len(reps))";
    let Some(read) = python("csv", script, &[folder.path()]) else {
        return;
    };
    let p50 = run.results[0].latency[&Outcome::Reuse].p50;
    assert_eq!(read, format!("{} {p50} 2 16", run.host.kernel.release));
}

#[test]
fn a_plot_is_xml_whatever_its_names_hold() {
    let mut first = run(1.0);
    first.host.kernel.release = "6.18\u{1}\u{1b}[2J & <b> \u{ffff}".into();
    let mut second = run(1.1);
    second.host.kernel.release = "7.0]]>&amp;\"'".into();
    let folder = tempfile::tempdir().unwrap();
    report::write(&[first, second], folder.path()).unwrap();
    let script = "import glob, sys, xml.etree.ElementTree as tree\n\
        plots = glob.glob(sys.argv[1] + '/plots/*.svg')\n\
        for plot in plots: tree.parse(plot)\n\
        print(len(plots) > 0)";
    if let Some(read) = python("csv", script, &[folder.path()]) {
        assert_eq!(read, "True");
    }
}

#[test]
fn the_interval_log_is_read_back_by_pythons_hdrhistogram() {
    let (folder, run) = reported();
    let script = "import sys\n\
        from hdrh.histogram import HdrHistogram\n\
        from hdrh.log import HistogramLogReader\n\
        reader = HistogramLogReader(sys.argv[1] + '/data/latencies.hlog', HdrHistogram(1, 10000000000, 3))\n\
        while True:\n\
        \x20   h = reader.get_next_interval_histogram()\n\
        \x20   if h is None: break\n\
        \x20   took = h.get_end_time_stamp() - h.get_start_time_stamp()\n\
        \x20   print(h.get_total_count(), h.get_value_at_percentile(50), took > 0, h.get_start_time_stamp() > 1e12)";
    let Some(read) = python("hdrh", script, &[folder.path()]) else {
        return;
    };
    let written = run.results.iter().flat_map(|m| m.latency.values());
    let each = written.map(|l| format!("{} {} True True", l.count, l.p50));
    let written: Vec<String> = each.collect();
    assert_eq!(read, written.join("\n"));
    // As HdrHistogram's own writer begins, which readers of several versions look for.
    let log = std::fs::read_to_string(folder.path().join("data/latencies.hlog")).unwrap();
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n#"),
        "{log}"
    );
}

#[test]
fn the_metrics_are_read_back_by_prometheus_own_parser() {
    let (folder, run) = reported();
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
        families = list(parse(open(sys.argv[1] + '/data/metrics.txt').read()))\n\
        s = [s for f in families for s in f.samples if s.name.endswith('_count')]\n\
        print(len(families), s[0].labels['kernel'], int(s[0].value))";
    let Some(read) = python("prometheus_client", script, &[folder.path()]) else {
        return;
    };
    let count = run.results[0].latency[&Outcome::Reuse].count;
    assert_eq!(read, format!("1 {} {count}", run.host.kernel.release));
}

/// The medians that Go's benchstat prints for what `arguments` and `input` say, in seconds by row; `None` where it is not
/// installed.
fn benchstat(arguments: &[&str], input: &Path) -> Option<Vec<(String, Vec<f64>)>> {
    let done = Command::new("benchstat")
        .args(["-format", "csv"])
        .args(arguments)
        .arg(input)
        .output();
    let Ok(done) = done else {
        skip(
            Need::Benchstat,
            "mend with: go install golang.org/x/perf/cmd/benchstat@latest",
        );
        return None;
    };
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && error.is_empty(), "{error}");
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    let rows = out.lines().filter(|line| line.starts_with("Store/"));
    let rows = rows.map(|line| {
        let mut fields = line.split(',');
        let name = fields.next().unwrap_or_default().to_string();
        let figures = fields.step_by(2).map_while(|x| x.parse().ok());
        (name, figures.collect())
    });
    Some(rows.collect())
}

/// The median of the repetitions' medians, in seconds.
fn p50_of(run: &RunFile, result: usize) -> f64 {
    let measured = &run.results[result];
    let medians: Vec<f64> = measured
        .repetitions
        .iter()
        .flat_map(|repetition| repetition.by_outcome.values())
        .map(|latency| latency.p50 as f64)
        .collect();
    cowpath::stats::interval::median(&medians).unwrap() / 1e9
}

#[test]
fn the_benchmarks_are_read_back_by_benchstat() {
    let (base, new) = (run(1.0), run(1.5));
    let folder = tempfile::tempdir().unwrap();
    let mut command = cowpath(&["compare", "--format", "benchstat"]);
    command.arg(keep(folder.path(), "base.json", &base));
    command
        .arg("--with")
        .arg(keep(folder.path(), "new.json", &new));
    let done = finish(command);
    assert_eq!(done.code, Some(0), "{done:?}");
    let input = folder.path().join("sides.bench");
    std::fs::write(&input, done.out).unwrap();
    let Some(rows) = benchstat(&["-col", "side"], &input) else {
        return;
    };
    assert_eq!(rows.len(), 2, "{rows:?}");
    for (n, scenario) in ["reuse-child-exited", "copy-child-alive"]
        .iter()
        .enumerate()
    {
        let (name, figures) = &rows[n];
        assert!(name.contains(&format!("/scenario={scenario}/")), "{name}");
        assert_eq!(figures.len(), 2, "a side each: {rows:?}");
        for (figure, side) in figures.iter().zip([&base, &new]) {
            let p50 = p50_of(side, n);
            assert!((figure / p50 - 1.0).abs() < 1e-9, "{figure} for {p50}");
        }
    }
}

#[test]
fn a_reports_benchmarks_are_read_back_by_benchstat() {
    let (folder, run) = reported();
    let Some(rows) = benchstat(&[], &folder.path().join("data/repetitions.bench")) else {
        return;
    };
    // A table for each of the four figures.
    assert_eq!(rows.len(), 4 * run.results.len(), "{rows:?}");
    let p50 = p50_of(&run, 0);
    assert!(
        (rows[0].1[0] / p50 - 1.0).abs() < 1e-9,
        "{rows:?} for {p50}"
    );
}

#[test]
fn a_file_of_the_format_before_is_read_and_written_in_the_one_of_today() {
    let old = [
        "dear_reps",
        "influence",
        "spoilt",
        "also",
        "outside",
        "foreign",
        "dry_pages",
        "dry_allocations",
    ];
    let key = |name: &str| format!("\"{name}\":");
    let folder = tempfile::tempdir().unwrap();
    let mut met: Vec<&str> = Vec::new();
    let mut methods: BTreeSet<Method> = BTreeSet::new();
    for name in ["races", "stores", "held", "cost"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/corpus/{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("cowpath.run/1"), "{name}");
        met.extend(old.iter().filter(|old| text.contains(&key(old))));
        let run = common::load(&path);
        for measured in &run.results {
            methods.extend(measured.discards.counted().into_iter().flat_map(|counts| {
                let others = counts.other_methods.keys();
                others.chain([&counts.method]).copied()
            }));
        }
        if name == "races" {
            counts_are_those_of_the_list(&text, &run);
        }
        let written = keep(folder.path(), &format!("{name}.json"), &run);
        let text = std::fs::read_to_string(&written).unwrap();
        assert!(text.contains("cowpath.run/2"), "{name}");
        assert_eq!(
            old.iter().find(|old| text.contains(&key(old))),
            None,
            "{name}"
        );
        assert!(common::load(&written) == run, "{name}");
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), old.len(), "the corpus has all of them");
    let listed = [Method::Tracepoints, Method::Taskstats, Method::Vmstat];
    assert!(methods.is_superset(&listed.into()), "{methods:?}");
}

/// The second counts of a file of the format before lie in a list, each entry with its method.
fn counts_are_those_of_the_list(text: &str, run: &RunFile) {
    let tree: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut compared = 0;
    for (measured, was) in run.results.iter().zip(tree["results"].as_array().unwrap()) {
        let Some(counts) = measured.discards.counted() else {
            continue;
        };
        let entries = was["discards"]["also"].as_array().unwrap();
        assert_eq!(counts.other_methods.len(), entries.len());
        for entry in entries {
            let method: Method = serde_json::from_value(entry["method"].clone()).unwrap();
            let count = serde_json::to_value(&counts.other_methods[&method]).unwrap();
            for key in ["late", "difference", "unavailable"] {
                assert_eq!(count.get(key), entry.get(key), "{}", measured.scenario);
                compared += usize::from(entry.get(key).is_some());
            }
        }
    }
    assert!(compared > 0);
}
