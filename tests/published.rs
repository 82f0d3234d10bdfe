//! What reports/ publishes: real run files, and the figures in BENCHMARKS.md that are theirs.
//!
//! With COWPATH_REWRITE=1 the figures are put there instead of checked; `scripts/regenerate` does so.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cowpath::compare::history::{HistoryLine, StepKind, history};
use cowpath::compare::options::Options;
use cowpath::compare::side::Side;
use cowpath::machine::knob;
use cowpath::record::folio::FolioSize;
use cowpath::record::schema::RunFile;
use cowpath::record::unit::Unit;
use cowpath::report::switched;
use cowpath::report::view::{COPY, CaseRow, REUSE, View, find, upstream};

use common::skip::{Need, skip};

const TEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/BENCHMARKS.md");
const REPORTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/reports");

/// The text of run files.
type Show = fn(&[RunFile]) -> String;

/// The folders that are published, and how the text shows each.
const PARTS: [(&str, Show); 5] = [
    ("machine", in_time),
    ("kernels", |runs| in_instructions(runs, release)),
    ("history", |runs| {
        over_kernels(
            runs,
            &["control/", "touch/", "reuse/", "copy/", "extra-ref/"],
        )
    }),
    ("costs", |runs| over_kernels(runs, &["cost/"])),
    ("strategies", |runs| {
        in_instructions(&switched::split(runs), rule)
    }),
];

/// The run files of a folder, by kernel version and boot.
fn published(part: &str) -> Vec<RunFile> {
    let folder = Path::new(REPORTS).join(part);
    let entries = fs::read_dir(&folder).map(|entries| entries.flatten().collect());
    let paths: Vec<PathBuf> = entries
        .unwrap_or_else(|_| Vec::<fs::DirEntry>::new())
        .iter()
        .map(fs::DirEntry::path)
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    let mut runs: Vec<(PathBuf, RunFile)> = paths
        .into_iter()
        .map(|path| (path.clone(), common::load(&path)))
        .collect();
    runs.sort_by_key(|(path, run)| (version(&run.host.kernel.release), path.clone()));
    runs.into_iter().map(|(_, run)| run).collect()
}

fn version(release: &str) -> Vec<u32> {
    let numbers = release.split(['.', '-', '+']);
    numbers.map_while(|n| n.parse().ok()).collect()
}

fn release(run: &RunFile) -> String {
    let release = &run.host.kernel.release;
    release.split("-cloud").next().unwrap_or(release).into()
}

fn rule(run: &RunFile) -> String {
    let rule = switched::of(run).map_or("its own", |rule| rule.label());
    match run.host.settings.get(knob::RECHECK).map(String::as_str) {
        Some("1") => format!("{rule}, recheck"),
        _ => rule.into(),
    }
}

/// The commonest outcome of a row and its median.
fn typical(row: &CaseRow) -> Option<(&'static str, u64)> {
    let series = row.series().into_iter().next()?;
    Some((series.outcome.label(), series.latency.p50))
}

/// Times of one run: a scenario a row.
fn in_time(runs: &[RunFile]) -> String {
    let view = View::new(runs);
    let reuse = find(&view, 0, REUSE);
    let mut text = String::from(
        "| ns | outcome | p50 [95 %] | p90 | p99 | p99.9 | × reuse [95 %] |\n|---|---|---:|---:|---:|---:|---:|\n",
    );
    for row in view.rows() {
        let Some(series) = row.series().into_iter().next() else {
            continue;
        };
        let l = series.latency;
        assert_eq!(l.unit, Unit::Ns);
        let interval = series
            .interval()
            .map_or("[-]".into(), |interval| format!("{interval:.0}"));
        let base = reuse
            .as_ref()
            .filter(|reuse| !std::ptr::eq(reuse.row.result, row.result));
        let ratio = base.and_then(|base| series.ratio_to(base));
        let ratio = ratio.map_or("-".into(), |r| match r.interval {
            Some(interval) => format!("{:.2} {interval:.2}", r.value),
            None => format!("{:.2}", r.value),
        });
        let outcome = series.outcome.label();
        let _ = writeln!(
            text,
            "| {} | {outcome} | {} {interval} | {} | {} | {} | {ratio} |",
            row.label, l.p50, l.p90, l.p99, l.p999
        );
    }
    text
}

/// Instructions: a scenario a row, a kernel or rule a column, the boots of one being one column.
fn in_instructions(runs: &[RunFile], name: fn(&RunFile) -> String) -> String {
    let view = View::new(runs);
    let names: Vec<String> = runs.iter().map(name).collect();
    let mut columns: Vec<&String> = names.iter().collect();
    columns.dedup();
    let mut text = String::from("| instructions |");
    for column in &columns {
        let _ = write!(text, " {column} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---:|".repeat(columns.len()));
    let mut labels: Vec<&str> = view.rows().map(|row| row.label.as_str()).collect();
    labels.dedup();
    let mut apart = 0;
    for label in labels {
        let _ = write!(text, "| {label} |");
        for column in &columns {
            let rows = view
                .rows()
                .filter(|row| row.label == label && names[row.run] == **column);
            let found: Vec<_> = rows.filter_map(typical).collect();
            let [low, high] = [
                found.iter().min_by_key(|f| f.1),
                found.iter().max_by_key(|f| f.1),
            ];
            let _ = match (low, high) {
                (Some(low), Some(high)) if low == high => write!(text, " {} {} |", low.1, low.0),
                (Some(low), Some(high)) if low.0 == high.0 => {
                    write!(text, " {} to {} {} |", low.1, high.1, low.0)
                }
                (Some(low), Some(high)) => {
                    write!(text, " {} {} or {} {} |", low.1, low.0, high.1, high.0)
                }
                _ => write!(text, " - |"),
            };
            apart = apart.max(high.map_or(0, |h| h.1) - low.map_or(0, |l| l.1));
        }
        text.push('\n');
    }
    text.push_str("| copy / reuse |");
    for column in &columns {
        let run = names.iter().position(|name| name == *column).unwrap();
        let medians =
            [COPY, REUSE].map(|which| find(&view, run, which).map(|s| s.latency.p50 as f64));
        let _ = match medians {
            [Some(copy), Some(reuse)] => write!(text, " {:.2} |", copy / reuse),
            _ => write!(text, " - |"),
        };
    }
    text.push('\n');
    if runs.len() > columns.len() {
        let _ = write!(
            text,
            "\nBoots of one kernel differ by at most {apart} instructions in a median.\n"
        );
    }
    text
}

/// What some families take of pages on each kernel, with the steps from one to the next: a scenario a row, a kernel a column.
fn over_kernels(runs: &[RunFile], families: &[&str]) -> String {
    let mut sides: Vec<(&str, Side)> = Vec::new();
    for run in runs {
        let kernel = upstream(&run.host.kernel);
        match sides.iter_mut().find(|(other, _)| *other == kernel) {
            Some((_, side)) => side.add(run),
            None => {
                let mut side = Side::default();
                side.add(run);
                sides.push((kernel, side));
            }
        }
    }
    let (kernels, sides): (Vec<&str>, Vec<Side>) = sides.into_iter().unzip();
    let history = history(&sides.iter().collect::<Vec<_>>(), &Options::default());
    let mut text = format!("| instructions | {} |\n", kernels.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(kernels.len()));
    let is_shown = |line: &&HistoryLine| {
        let named = |family: &&str| line.case.scenario.starts_with(*family);
        families.iter().any(named) && line.case.folio == FolioSize::of_kib(4)
    };
    for line in history.lines.iter().filter(is_shown) {
        let _ = write!(text, "| {} |", line.case.label());
        for point in &line.points {
            let Some(point) = point else {
                text.push_str(" - |");
                continue;
            };
            let outcome = point.outcome.map_or("", |outcome| outcome.label());
            let step = match &point.step {
                None => String::new(),
                Some(step) => match (step.moved(), &step.change) {
                    // What an area adds may be 0: no share of it means anything.
                    (Some(effect), _) if point.outcome.is_none() => {
                        format!(" ({:+.0})", effect.change)
                    }
                    (Some(effect), _) => format!(" ({:+.1} %)", 100.0 * (effect.change - 1.0)),
                    (None, StepKind::Judged(..)) => String::new(),
                    (None, _) => format!(" ({outcome})"),
                },
            };
            let _ = write!(text, " {:.0}{step} |", point.value);
        }
        text.push('\n');
    }
    let compiler = |kernel: &&str| {
        let mut of = runs
            .iter()
            .filter(|run| upstream(&run.host.kernel) == *kernel);
        let compiler = &of.next().unwrap().host.kernel.compiler;
        let gcc = compiler.split("gcc-").nth(1).unwrap_or(compiler);
        gcc.split([' ', ',']).next().unwrap_or_default().to_string()
    };
    let compilers: Vec<String> = kernels.iter().map(compiler).collect();
    let _ = writeln!(text, "| built by gcc | {} |", compilers.join(" | "));
    let changed = history.lines.iter().flat_map(|line| &line.points).flatten();
    let steps = changed
        .filter_map(|point| point.step.as_ref())
        .filter(|step| step.moved().is_some());
    let _ = write!(
        text,
        "\nIn parentheses: a step from the kernel before, beyond what boots and layouts lie apart, or another outcome than there. Of \
         {} that were judged in all families {} are steps.\n",
        history.judged,
        steps.count()
    );
    text
}

/// The lines between the marks of a part.
fn marks(part: &str) -> (String, String) {
    (
        format!("<!-- from reports/{part} -->\n"),
        format!("<!-- end of reports/{part} -->\n"),
    )
}

#[test]
fn the_text_says_what_the_run_files_say() {
    let rewrite = std::env::var_os("COWPATH_REWRITE").is_some();
    let mut text = fs::read_to_string(TEXT).unwrap();
    for (part, table) in PARTS {
        let runs = published(part);
        if runs.is_empty() {
            skip(
                Need::Published,
                format!("reports/{part} is empty; mend with: scripts/regenerate {part}"),
            );
            continue;
        }
        let (begin, end) = marks(part);
        let (before, rest) = text
            .split_once(&begin)
            .unwrap_or_else(|| panic!("BENCHMARKS.md has no {begin}"));
        let (stated, after) = rest
            .split_once(&end)
            .unwrap_or_else(|| panic!("BENCHMARKS.md has no {end}"));
        let table = table(&runs);
        match rewrite {
            true => text = [before, &begin, &table, &end, after].concat(),
            false => assert_eq!(
                stated, table,
                "{part}: mend with: scripts/regenerate figures"
            ),
        }
    }
    if rewrite {
        fs::write(TEXT, text).unwrap();
    }
}

#[test]
fn what_is_published_was_measured_whole_by_one_program() {
    for (part, _) in PARTS {
        let runs = published(part);
        for run in &runs {
            assert!(run.complete, "{part}: {} was interrupted", run.id);
            assert!(!run.results.is_empty(), "{part}: {} holds nothing", run.id);
            let violations: u64 = run.results.iter().map(|m| m.integrity.violations).sum();
            assert_eq!(violations, 0, "{part}: {}", run.id);
            assert_eq!(
                run.tool, runs[0].tool,
                "{part}: instructions compare within one build"
            );
        }
    }
}
