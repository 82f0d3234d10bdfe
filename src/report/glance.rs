//! What a reader wants to know first: which kernels and machine, what differs, what was too small to see, and how to measure it
//! again. The page begins with it, and a mail is nothing else.

use crate::compare::gate::GateAnswer;
use crate::compare::options::Verdict;
use crate::compare::row::Row;
use crate::compare::side::Difference;
use crate::compare::signed::SignedRow;
use crate::compare::table::Comparison;
use crate::record::agreement::Agreement;
use crate::report::format;
use crate::report::view::{CaseRow, REUSE, Run, Series, View, distinct, find, upstream};
use crate::stats::interval::median;

/// Longest line of a mail, which stands in a summary behind an indent of four.
const WIDTH: usize = 68;
/// Rows of a mail.
const IN_MAIL: usize = 6;
/// Rows of a page's first screen.
pub const ON_PAGE: usize = 10;

/// What a reader wants to know first.
#[derive(Clone, Debug, PartialEq)]
pub struct Glance {
    /// Kernels, machine and what was counted.
    pub about: Vec<String>,
    /// What came out, in a sentence.
    pub verdict: String,
    /// What its columns hold, the first being the scenario.
    pub columns: [String; 5],
    /// What differs most, the first first.
    pub rows: Vec<[String; 5]>,
    /// What was too small to see, in a sentence.
    pub unseen: String,
    /// The command that measures this again.
    pub again: String,
}

impl Glance {
    /// The first things about a report.
    pub fn of(view: &View) -> Option<Glance> {
        if let Some(comparison) = &view.comparison {
            return Some(Glance::of_comparison(comparison));
        }
        match &view.runs[..] {
            [_] => Glance::of_run(view),
            _ => Glance::of_kernels(view),
        }
    }

    /// Of two sides.
    pub fn of_comparison(comparison: &Comparison) -> Glance {
        let rows = &comparison.rows;
        let differences = &comparison.differences;
        let exploratory =
            rows.iter().any(|row| !row.primary) || differences.iter().any(|row| !row.primary);
        let told = Verdict::ALL.map(|verdict| match (comparison.count(verdict), verdict) {
            (0, _) => String::new(),
            (n, Verdict::Same) => {
                format!("{n} same within {:.1} %", 100.0 * comparison.options.same)
            }
            (n, _) => format!("{n} {}", verdict.label()),
        });
        let told: Vec<String> = told.into_iter().filter(|text| !text.is_empty()).collect();
        let outcomes = comparison.outcomes.len();
        let (base, new) = (&comparison.base, &comparison.new);
        let outcomes_differ = match outcomes {
            0 => String::new(),
            1 => "1 scenario comes to another outcome; ".into(),
            n => format!("{n} scenarios come to another outcome; "),
        };
        let gate = match comparison.gate.as_ref().map(|gate| gate.answer) {
            None => "",
            Some(GateAnswer::Pass) => " Gate: passed.",
            Some(GateAnswer::Regression) => " Gate: FAILED.",
            Some(GateAnswer::MeasureAgain) => " Gate: measure again.",
        };
        let mut all: Vec<[String; 5]> = comparison
            .outcomes
            .iter()
            .map(|d| {
                [
                    d.what.clone(),
                    d.base.clone(),
                    d.new.clone(),
                    "-".into(),
                    "other".into(),
                ]
            })
            .collect();
        all.extend(foremost(rows).into_iter().map(cells));
        all.extend(differences.iter().map(signed_cells));
        Glance {
            about: vec![
                format!(
                    "{} -> {}, {}+{} runs",
                    base.kernel,
                    new.kernel,
                    base.runs.len(),
                    new.runs.len()
                ),
                base.machine.clone(),
            ],
            verdict: match comparison.len() + outcomes {
                0 => "Nothing compares: see the notes.".into(),
                _ => format!(
                    "{}{outcomes_differ}{} of {} rows{}.{gate}",
                    unlike(&comparison.mismatches),
                    told.join(", "),
                    comparison.len(),
                    if exploratory { " (~: exploratory)" } else { "" },
                ),
            },
            columns: ["scenario", "base", "new", "ratio [decides]", "verdict"].map(String::from),
            rows: all,
            unseen: unseen(comparison),
            again: again(&base.command, &base.virtualization),
        }
    }

    /// Of several kernels: the last against the first.
    fn of_kernels(view: &View) -> Option<Glance> {
        let (first, last) = (view.runs.first()?, view.runs.last()?);
        let Some(across) = &view.across else {
            return Some(Glance::of_outcomes(view, first));
        };
        let mut glance = Glance::of_comparison(across);
        if view.runs.len() > 2 {
            let kernels = view.runs.iter().map(|run| upstream(&run.file.host.kernel));
            let kernels = distinct(kernels);
            let said = format!("{} kernels: {}", kernels.len(), kernels.join(", "));
            glance.about[0] = format!("{said}; last against first");
        }
        let releases = [first, last].map(|run| upstream(&run.file.host.kernel));
        if releases[0] != releases[1] {
            glance.columns[1] = releases[0].into();
            glance.columns[2] = releases[1].into();
        }
        Some(glance)
    }

    /// Of kernels whose figures do not compare: what they came to.
    fn of_outcomes(view: &View, first: &Run) -> Glance {
        let agreement = Agreement::of(view.rows().map(|row| row.result));
        let violations: u64 = view.rows().map(|row| row.result.integrity.violations).sum();
        let kernels = view.runs.iter().map(|run| upstream(&run.file.host.kernel));
        let staged = view.runs.iter().flat_map(|run| {
            let release = upstream(&run.file.host.kernel);
            let harmful = run.file.staged.iter().filter(|one| one.verdict.is_harm());
            harmful
                .map(move |one| format!("{} in {} on {release}", one.verdict.label(), one.scenario))
        });
        let staged: Vec<String> = staged.collect();
        let played: usize = view.runs.iter().map(|run| run.file.staged.len()).sum();
        let stores = match view.rows().next() {
            None => String::new(),
            Some(_) => format!(
                "Outcomes: {}. Data checks: {violations} violations. ",
                agreement.label()
            ),
        };
        let staged = match (&staged[..], played) {
            (_, 0) => String::new(),
            ([], _) => format!("Staged races: {played} played, none did harm."),
            (harm, _) => format!("Staged races: {played} played; {}.", harm.join(", ")),
        };
        Glance {
            about: vec![format!("kernels: {}", distinct(kernels).join(", "))],
            verdict: (stores + &staged).trim_end().to_owned(),
            columns: Default::default(),
            rows: Vec::new(),
            unseen: "The figures of first and last are of other areas, units or machines.".into(),
            again: again(
                &first.file.tool.command,
                first.file.host.virtualization.name(),
            ),
        }
    }

    /// Of one run: what a reuse and a copy cost.
    fn of_run(view: &View) -> Option<Glance> {
        let file = view.runs.first()?.file;
        let timed = view.runs[0].timed();
        let reuse = find(view, 0, REUSE);
        let mut rows: Vec<(usize, [String; 5])> = Vec::new();
        let unit = view.series().next().map(|series| series.latency.unit);
        for row in view.rows().filter(|row| !row.folded && timed) {
            let Some(series) = row.series().into_iter().next() else {
                continue;
            };
            rows.push((place(row), one(row, &series, reuse.as_ref())));
        }
        rows.sort_by_key(|(place, _)| *place);
        let host = &file.host;
        let agreement = Agreement::of(view.rows().map(|row| row.result));
        let skipped = file.skipped.len();
        let violations: u64 = view.rows().map(|row| row.result.integrity.violations).sum();
        (!view.groups.is_empty()).then(|| Glance {
            about: vec![
                host.kernel.release.clone(),
                format!(
                    "{}, {} CPUs, {}{}",
                    host.cpu,
                    host.cpus,
                    host.virtualization,
                    unit.map_or(String::new(), |unit| format!(", in {}", unit.label()))
                ),
            ],
            verdict: format!(
                "Outcomes: {}. Data checks: {violations} violations. Reuse rule: {}, of large folios {}.",
                agreement.label(),
                file.strategy.small.label(),
                file.strategy.large.label()
            ),
            columns: ["scenario", "p50 [95 %]", "p99", "to a reuse", "outcome"].map(String::from),
            rows: rows.into_iter().map(|(_, cells)| cells).collect(),
            unseen: match skipped {
                0 => "Nothing was skipped. One run cannot tell how far two lie apart.".into(),
                n => format!("{n} scenarios were skipped. One run cannot tell how far two lie apart."),
            },
            again: again(&file.tool.command, host.virtualization.name()),
        })
    }

    /// At most twelve lines of at most 68 columns.
    pub fn mail(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let fit = |text: &str| format::shorten(text, WIDTH);
        lines.extend(self.about.iter().map(|line| fit(line)));
        let verdict = fold(&self.verdict, 2);
        let again = fold(&self.again, 3);
        let left = 12usize.saturating_sub(lines.len() + verdict.len() + again.len() + 2);
        lines.extend(verdict);
        let shown = self.rows.len().min(IN_MAIL).min(left);
        if shown > 0 {
            lines.push(line(&self.columns));
        }
        lines.extend(self.rows.iter().take(shown).map(line));
        lines.push(fit(&self.unseen));
        lines.extend(again);
        // What run files say must not move a terminal's cursor.
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let clean = |line: &String| line.chars().map(shown).collect();
        lines.iter().map(clean).collect()
    }
}

/// Where a row of one run stands: what a reuse and a copy cost first, then what else is known of single stores, then races.
fn place(row: &CaseRow) -> usize {
    let groups = ["reuse", "copy", "touch", "control"];
    let group = row.result.scenario.split('/').next().unwrap_or_default();
    match row.result.race {
        Some(_) => groups.len() + 1,
        None => groups
            .iter()
            .position(|g| *g == group)
            .unwrap_or(groups.len()),
    }
}

/// Text in at most so many lines of at most the mail's width.
fn fold(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let longer = lines[last].chars().count() + 1 + word.chars().count();
        match lines[last].is_empty() {
            true => lines[last].push_str(word),
            false if longer > WIDTH && lines.len() < most => lines.push(word.into()),
            false => {
                lines[last].push(' ');
                lines[last].push_str(word);
            }
        }
    }
    lines
        .iter()
        .map(|line| format::shorten(line, WIDTH))
        .collect()
}

/// A row of a mail's table.
fn line(cells: &[String; 5]) -> String {
    let [scenario, base, new, ratio, verdict] = cells;
    let short = |text: &str, width| format::shorten(text, width);
    format!(
        "{:<23} {:>7} {:>7} {:>20} {:<7}",
        short(scenario, 23),
        // A mail has no room for an interval there.
        short(base.split(" [").next().unwrap_or_default(), 7),
        short(new, 7),
        short(ratio, 20),
        short(verdict, 7)
    )
    .trim_end()
    .to_string()
}

/// The rows, those first that a reader wants to see.
pub fn foremost(rows: &[Row]) -> Vec<&Row> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    rows
}

/// How far ahead a row stands: what has a verdict first, primary rows first, then the larger change.
fn weight(row: &Row) -> f64 {
    let told = matches!(row.verdict, Verdict::Slower | Verdict::Faster);
    let size = row.effect.change.ln().abs().min(99.0);
    1_000.0 * f64::from(u8::from(told)) + 500.0 * f64::from(u8::from(row.primary)) + size
}

fn cells(row: &Row) -> [String; 5] {
    let value = |v: f64| format::count(v.round() as u64);
    let label = match row.case.label() == row.case.scenario {
        true => row.case.scenario.clone(),
        false => row.case.label(),
    };
    [
        label,
        value(row.effect.base.value),
        value(row.effect.new.value),
        format::ratio(&row.effect),
        verdict(row.verdict, row.primary),
    ]
}

/// What an area adds to an operation has a difference in place of a ratio.
fn signed_cells(row: &SignedRow) -> [String; 5] {
    let effect = &row.effect;
    let change = format::signed(effect.change);
    [
        row.case.label(),
        format::signed(effect.base.value),
        format::signed(effect.new.value),
        match effect.interval.map(|ends| [ends.low, ends.high]) {
            Some(ends) => format!("{change} [{}]", ends.map(format::signed).join(", ")),
            None => format!("{change} [-]"),
        },
        verdict(row.verdict, row.primary),
    ]
}

/// A verdict in one word; `~` stands before that of an exploratory row.
fn verdict(verdict: Verdict, primary: bool) -> String {
    let exploratory = if primary { "" } else { "~" };
    match verdict {
        Verdict::CantTell => format!("{exploratory}open"),
        other => format!("{exploratory}{}", other.label()),
    }
}

/// What does not compare, where it was compared anyway.
fn unlike(mismatches: &[Difference]) -> String {
    let what: Vec<&str> = mismatches.iter().map(|d| d.what.as_str()).collect();
    match what[..] {
        [] => String::new(),
        _ => format!("DOES NOT COMPARE ({}): ", what.join(", ")),
    }
}

fn one(row: &CaseRow, series: &Series, reuse: Option<&Series>) -> [String; 5] {
    let middle = format::count(series.latency.p50);
    let ratio = reuse.and_then(|reuse| series.ratio_to(reuse));
    [
        row.label.clone(),
        match series.interval() {
            Some(ends) => {
                let [low, high] = [ends.low, ends.high].map(|end| format::count(end as u64));
                format!("{middle} [{low}, {high}]")
            }
            None => format!("{middle} [-]"),
        },
        format::count(series.latency.p99),
        match ratio {
            Some(ratio) => match ratio.interval {
                Some(ends) => format!("{:.2} {ends:.2}", ratio.value),
                None => format!("{:.2} [-]", ratio.value),
            },
            None => "-".into(),
        },
        series.outcome.label().into(),
    ]
}

/// What the rows could not have shown.
fn unseen(comparison: &Comparison) -> String {
    let rows = comparison.rows.iter().filter(|row| row.primary);
    let primary: Vec<f64> = rows.filter_map(|row| row.effect.mde).collect();
    let signed = comparison.differences.iter().map(|row| &row.effect);
    let widest = signed.filter_map(|effect| effect.mde).reduce(f64::max);
    let most = primary.iter().copied().reduce(f64::max);
    match (median(&primary), most) {
        (Some(middle), Some(most)) => format!(
            "Too small to see: below {} (middle row), {} (worst row).",
            format::change(middle),
            format::change(most)
        ),
        _ => match widest {
            Some(widest) => format!(
                "Too small to see: below {} (worst row).",
                format::signed(widest)
            ),
            None => "Nothing says how far runs lie apart, so no change is told.".into(),
        },
    }
}

/// The command that measured, as a user would give it; a guest's is `cowpath vm`'s.
pub fn again(command: &[String], virtualization: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
    let quoted = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    let mut words: Vec<String> = command.iter().map(quoted).collect();
    if let Some(at) = words.iter().position(|word| word == "-o") {
        words.drain(at..(at + 2).min(words.len()));
    }
    // The lab's own, by how slow a guest is.
    words.retain(|word| !word.starts_with("--limit="));
    match command.first().map(String::as_str) {
        None => "The run files do not say by which command.".into(),
        Some(_) if command.iter().any(|word| word == "--bench") => "Again: cargo bench".into(),
        Some("/init") => format!(
            "Again: cowpath vm KERNEL.. --accel {virtualization} -- {}",
            words.split_off(words.len().min(2)).join(" ")
        ),
        Some(_) => format!("Again: cowpath {}", words.split_off(1).join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_twelve_lines_of_68_columns_whatever_it_is_about() {
        let long = "word ".repeat(60);
        let row = [
            "scenario/with-a-very-long-name 64k threads=8",
            "1,234,567",
            "2,345,678",
            "1.234 [1.000, 2.000]",
            "slower",
        ]
        .map(String::from);
        let glance = Glance {
            about: vec![long.clone(); 3],
            verdict: long.clone(),
            columns: row.clone(),
            rows: vec![row; 40],
            unseen: long.clone(),
            again: long,
        };
        let lines = glance.mail();
        assert!(lines.len() <= 12, "{lines:#?}");
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{lines:#?}"
        );
        assert!(
            lines[lines.len() - 1].starts_with("word"),
            "the command is never cut away"
        );
    }

    #[test]
    fn the_command_is_what_a_user_would_type() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(
            again(
                &words("target/release/cowpath run copy/* -o run.json --quick"),
                "kvm"
            ),
            "Again: cowpath run 'copy/*' --quick"
        );
        assert_eq!(
            again(&words("/init run copy/* -o /tmp/run.json"), "exact"),
            "Again: cowpath vm KERNEL.. --accel exact -- 'copy/*'"
        );
    }
}
