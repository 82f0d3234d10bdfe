//! Run files in the order in which a report speaks of them: runs with labels, groups of scenarios, series to draw.

use hdrhistogram::Histogram;

use crate::compare::history::History;
use crate::compare::options::PathChange;
use crate::compare::table::Comparison;
use crate::machine::knob;
use crate::record::case::CaseId;
use crate::record::latency::Latency;
use crate::record::latency::decode;
use crate::record::outcome::Outcome;
use crate::record::repetition::RepetitionLatency;
use crate::record::rule::Rule;
use crate::record::schema::{Kernel, Measured, RunFile};
use crate::record::unit::Unit;
use crate::record::virtualization::Virtualization;
use crate::report::error::ReportError;
use crate::report::packages::KernelPackage;
use crate::report::{format, switched};
use crate::stats::interval::{Interval, median, median_interval};
use crate::stats::ratio::{Ratio, ratio_of_medians};

/// The scenarios that stand for a floor, a reuse and a copy: those whose ratio tells what copying costs.
pub const FLOOR: (&str, Outcome) = ("control/no-fault", Outcome::NoFault);
/// The plainest reuse.
pub const REUSE: (&str, Outcome) = ("reuse/child-exited", Outcome::Reuse);
/// The plainest copy.
pub const COPY: (&str, Outcome) = ("copy/child-alive", Outcome::Copy);

/// The runs of a report.
pub struct View<'a> {
    /// In the order given.
    pub runs: Vec<Run<'a>>,
    /// In the order in which the runs first speak of them.
    pub groups: Vec<Group<'a>>,
    /// The second run against the first, where that was asked for.
    pub comparison: Option<Comparison>,
    /// Of several kernels the last against the first, where it is known.
    pub across: Option<Comparison>,
    /// Of many kernels at which of them what changed, where that is known.
    pub history: Option<History>,
    /// Where differences of instructions lie, as far as paths were stepped.
    pub paths: Vec<PathChange>,
    /// The packages that kernels came from, as far as they are known.
    pub packages: Vec<KernelPackage>,
}

/// A run and what a report calls it.
pub struct Run<'a> {
    /// The run file.
    pub file: &'a RunFile,
    /// Kernel release, virtualization and strategy; unique among the runs.
    pub label: String,
    /// The kernel release where no other run has it, otherwise the label.
    pub short: String,
    /// The kernel's version number where no other run has it, otherwise as `short`.
    pub version: String,
}

impl Run<'_> {
    /// Whether its times say something about a machine.
    pub fn timed(&self) -> bool {
        timed(self.file)
    }
}

/// Whether a run's times say something about a machine: an emulator's do not, though its outcomes and counts of
/// instructions do.
fn timed(file: &RunFile) -> bool {
    file.host.virtualization != Virtualization::Tcg
}

/// The scenarios of one group, in one unit.
pub struct Group<'a> {
    /// The part of the scenario ids ahead of the slash, with the unit where the group was measured in several.
    pub name: String,
    /// Unit of every latency in it.
    pub unit: Unit,
    /// What was measured: scenario by scenario, within a scenario run by run.
    pub rows: Vec<CaseRow<'a>>,
}

/// One scenario with one set of parameters in one run.
#[derive(Clone)]
pub struct CaseRow<'a> {
    /// Index of the run.
    pub run: usize,
    /// The run it belongs to.
    pub file: &'a RunFile,
    /// What was measured.
    pub result: &'a Measured,
    /// The scenario id, with those parameters that tell it from the others of the same id.
    pub label: String,
    /// Whether another row stands for it in tables: one of a sweep over skews, of which only that nearest to 0 is shown.
    pub folded: bool,
}

/// One outcome of one row.
#[derive(Clone)]
pub struct Series<'a> {
    /// The row.
    pub row: CaseRow<'a>,
    /// The outcome.
    pub outcome: Outcome,
    /// Its latency.
    pub latency: &'a Latency,
}

impl<'a> View<'a> {
    /// The runs in order.
    pub fn new(files: &'a [RunFile]) -> View<'a> {
        let mut runs: Vec<Run> = Vec::new();
        for file in files {
            let label = run_label(file);
            let same = files[..runs.len()]
                .iter()
                .filter(|f| run_label(f) == label)
                .count();
            let label = if same == 0 {
                label
            } else {
                format!("{label} #{}", same + 1)
            };
            let release = &file.host.kernel.release;
            let alone = files
                .iter()
                .filter(|f| f.host.kernel.release == *release)
                .count()
                == 1;
            let short = if alone {
                format::shorten(release, 24)
            } else {
                label.clone()
            };
            let number = upstream(&file.host.kernel);
            let alone = |f: &&RunFile| upstream(&f.host.kernel) == number;
            let version = match files.iter().filter(alone).count() {
                1 if !number.is_empty() => number.into(),
                _ => switched::of(file)
                    .map_or(short.clone(), |rule| format!("{number} {}", rule.title())),
            };
            runs.push(Run {
                file,
                label,
                short,
                version,
            });
        }
        View {
            runs,
            groups: groups(files),
            comparison: None,
            across: None,
            history: None,
            paths: Vec::new(),
            packages: Vec::new(),
        }
    }

    /// Every row of every group.
    pub fn rows(&self) -> impl Iterator<Item = &CaseRow<'a>> {
        self.groups.iter().flat_map(|g| &g.rows)
    }

    /// Every outcome of every row that has a latency.
    pub fn series(&self) -> impl Iterator<Item = Series<'a>> {
        self.rows().flat_map(CaseRow::series)
    }

    /// A row's label, with its run's where there are several.
    pub fn name(&self, row: &CaseRow) -> String {
        match self.runs.len() {
            1 => row.label.clone(),
            _ => format!("{} on {}", row.label, self.runs[row.run].label),
        }
    }
}

/// The parts of the version number that a kernel release begins with, to be sorted by.
pub fn version(release: &str) -> Vec<u32> {
    let parts = number(release).split('.');
    parts.map_while(|part| part.parse().ok()).collect()
}

/// The version number that a kernel release begins with.
pub fn number(release: &str) -> &str {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.');
    release[..end.unwrap_or(release.len())].trim_end_matches('.')
}

/// The version number of a kernel. Debian's releases up to 6.1 name an ABI in its place, and their version string the number.
pub fn upstream(kernel: &Kernel) -> &str {
    upstream_of(&kernel.release, &kernel.version)
}

/// The same of what `uname -r` and `uname -v` say.
pub fn upstream_of<'k>(release: &'k str, version: &'k str) -> &'k str {
    let release = number(release);
    let named = version
        .split_once("Debian ")
        .map_or("", |(_, rest)| number(rest));
    let line = release.trim_end_matches(".0");
    match release.ends_with(".0")
        && named
            .strip_prefix(line)
            .is_some_and(|rest| rest.starts_with('.'))
    {
        true => named,
        false => release,
    }
}

fn run_label(file: &RunFile) -> String {
    let host = &file.host;
    let virtualization = host.virtualization.label();
    let strategy = switched::of(file).map_or(file.strategy.small.label(), Rule::title);
    let recheck = match host.settings.get(knob::RECHECK).map(String::as_str) {
        Some("1") => " · recheck on",
        _ => "",
    };
    format!(
        "{} · {virtualization} · {strategy}{recheck}",
        format::shorten(&host.kernel.release, 40),
    )
}

fn groups(files: &[RunFile]) -> Vec<Group<'_>> {
    // A run was split by its rules, if it had several: what it is called tells the rule.
    let id = |result: &Measured| CaseId::of(result).without_strategy();
    let all: Vec<CaseId> = files.iter().flat_map(|f| &f.results).map(id).collect();
    let mut groups: Vec<Group> = Vec::new();
    for (run, file) in files.iter().enumerate() {
        for result in &file.results {
            let (name, unit) = (group_of(&result.scenario), result.unit());
            let row = CaseRow {
                run,
                file,
                result,
                label: id(result).label_among(&all),
                folded: file.results.iter().any(|o| stands_for(o, result)),
            };
            match groups.iter_mut().find(|g| g.name == name && g.unit == unit) {
                Some(group) => group.rows.push(row),
                None => groups.push(Group {
                    name: name.into(),
                    unit,
                    rows: vec![row],
                }),
            }
        }
    }
    for group in &mut groups {
        let order = distinct(group.rows.iter().map(|row| row.label.as_str()));
        let order: Vec<String> = order.into_iter().map(String::from).collect();
        group
            .rows
            .sort_by_key(|row| (order.iter().position(|l| *l == row.label), row.run));
    }
    let names: Vec<String> = groups.iter().map(|g| g.name.clone()).collect();
    for group in &mut groups {
        if names.iter().filter(|n| **n == group.name).count() > 1 {
            group.name = format!("{} ({})", group.name, group.unit.label());
        }
    }
    groups
}

/// Each name once, in the order in which they first come.
pub fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name) {
            distinct.push(name);
        }
    }
    distinct
}

/// Whether `other` is the same race with a skew nearer to 0.
fn stands_for(other: &Measured, result: &Measured) -> bool {
    let key = |r: &Measured| (r.skew.unsigned_abs(), r.skew < 0);
    let but_for_skew = |r: &Measured| CaseId::of(r).with_skew(0);
    key(other) < key(result) && but_for_skew(other) == but_for_skew(result)
}

/// The part of a scenario id ahead of the slash.
pub fn group_of(scenario: &str) -> &str {
    scenario
        .split_once('/')
        .map_or(scenario, |(group, _)| group)
}

/// Whether a scenario was measured on folios of several sizes.
pub fn is_folio_told(view: &View, scenario: &str) -> bool {
    let mut folios = view
        .rows()
        .filter(|r| r.result.scenario == scenario)
        .map(|r| &r.result.folio);
    let first = folios.next();
    folios.any(|f| Some(f) != first)
}

impl<'a> CaseRow<'a> {
    /// Whether its times say something about a machine.
    pub fn timed(&self) -> bool {
        timed(self.file)
    }

    /// Its outcomes that have a latency, the most frequent first.
    pub fn series(&self) -> Vec<Series<'a>> {
        let mut series: Vec<Series> = self
            .result
            .latency
            .iter()
            .filter(|(_, latency)| latency.count > 0)
            .map(|(&outcome, latency)| Series {
                row: self.clone(),
                outcome,
                latency,
            })
            .collect();
        series.sort_by_key(|s| std::cmp::Reverse(s.latency.count));
        series
    }

    /// The repetitions' latencies of one outcome, as `pick` takes them.
    pub fn repetitions(&self, outcome: Outcome, pick: fn(&RepetitionLatency) -> f64) -> Vec<f64> {
        let repetitions = self.result.repetitions.iter();
        repetitions
            .filter_map(|r| r.by_outcome.get(&outcome))
            .map(pick)
            .collect()
    }

    /// The stores that came to what is expected, and all of them; `None` where nothing is or no oracle could tell.
    pub fn as_expected(&self) -> Option<(u64, u64)> {
        self.result.as_expected()
    }

    /// Whether fewer than 99.9 % of the stores came to what is expected.
    pub fn unexpected(&self) -> bool {
        self.result.agrees() == Some(false)
    }
}

/// The median over repetitions of the stores in a second.
pub fn rate(measured: &Measured) -> Option<f64> {
    let each = measured
        .repetitions
        .iter()
        .filter_map(|rep| rep.faults_per_s);
    median(&each.collect::<Vec<_>>())
}

impl Series<'_> {
    /// The whole distribution.
    pub fn histogram(&self) -> Result<Histogram<u64>, ReportError> {
        decode(self.latency).map_err(|source| ReportError::Histogram {
            run: self.row.file.id.clone(),
            scenario: self.row.result.scenario.clone(),
            outcome: self.outcome.key(),
            source,
        })
    }

    /// The medians of the repetitions.
    pub fn medians(&self) -> Vec<f64> {
        self.row.repetitions(self.outcome, |r| r.p50 as f64)
    }

    /// The 95 % interval of the median over repetitions.
    pub fn interval(&self) -> Option<Interval> {
        median_interval(&self.medians(), 0.95)
    }

    /// How many times the median of `base` in the same run this median is.
    pub fn ratio_to(&self, base: &Series) -> Option<Ratio> {
        if self.latency.unit != base.latency.unit {
            return None;
        }
        ratio_of_medians(&self.medians(), &base.medians(), self.row.file.config.seed)
    }

    /// The mark behind a ratio to `base`: a sign where the two came to different outcomes.
    pub fn unlike(&self, base: &Series) -> &'static str {
        if base.outcome == self.outcome {
            ""
        } else {
            " ≠"
        }
    }
}

/// The series of a scenario and outcome in run `run`: of the plainest variant, one thread on the smallest folios.
pub fn find<'a>(
    view: &View<'a>,
    run: usize,
    (scenario, outcome): (&str, Outcome),
) -> Option<Series<'a>> {
    view.rows()
        .filter(|r| r.run == run && r.result.scenario == scenario)
        .min_by_key(|r| {
            (
                r.result.threads,
                r.result.folio,
                r.result.skew.unsigned_abs(),
            )
        })?
        .series()
        .into_iter()
        .find(|s| s.outcome == outcome)
}
