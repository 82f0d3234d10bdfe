//! The mail of a dossier, part by part.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::config::{Configs, differing};
use crate::compare::options::Verdict;
use crate::compare::row::Row;
use crate::compare::side::{CaseSample, Difference, Side};
use crate::compare::signed::SignedRow;
use crate::compare::table::Comparison;
use crate::record::case::CaseId;
use crate::record::outcome::Outcome;
use crate::record::unit::Unit;
use crate::report::compare::estimate;
use crate::report::export::markdown::wrap_at;
use crate::report::format;
use crate::report::glance::again;
use crate::report::view::upstream_of;

/// Columns of a mail's line.
const WIDTH: usize = 75;
/// Most differences of a kind that are listed.
const LISTED: usize = 40;

/// A mail's text.
struct Mail(String);

impl Mail {
    fn wrapped(&mut self, first: &str, next: &str, text: &str) {
        wrap_at(WIDTH, &mut self.0, first, next, text);
    }

    /// A paragraph at the margin.
    fn paragraph(&mut self, text: &str) {
        self.wrapped("", "", text);
    }

    /// An entry of a list, which is indented further where it goes on.
    fn entry(&mut self, text: &str) {
        self.wrapped("  ", "    ", text);
    }

    /// A sentence among entries.
    fn remark(&mut self, text: &str) {
        self.wrapped("  ", "  ", text);
    }

    fn blank(&mut self) {
        self.0.push('\n');
    }

    fn heading(&mut self, text: &str) {
        let _ = write!(self.0, "\n{text}\n\n");
    }

    fn differences(&mut self, differences: &[&Difference]) {
        if differences.is_empty() {
            self.remark("no difference in what was recorded");
        }
        for one in differences.iter().take(LISTED) {
            self.entry(&format!("{}: {} -> {}", one.what, one.base, one.new));
        }
        if let Some(more @ 1..) = differences.len().checked_sub(LISTED) {
            self.remark(&format!("and {more} more"));
        }
    }
}

/// What a mail is about: what got slower, or comes to another outcome.
pub(super) struct Regression<'a> {
    /// Before.
    pub base: &'a Side,
    /// After.
    pub new: &'a Side,
    /// How they compare.
    pub comparison: &'a Comparison,
    /// Rows that are slower, the foremost first.
    pub rows: Vec<&'a Row>,
    /// The same of what areas add to an operation.
    pub signed: Vec<&'a SignedRow>,
    /// Their cases, and those that come to another outcome.
    pub cases: Vec<&'a CaseId>,
}

impl Regression<'_> {
    /// The whole mail; `programs` names C files, `without` says for what there is none and why.
    pub(super) fn mail(
        &self,
        configs: Option<&Configs>,
        programs: &[&str],
        without: &[String],
    ) -> String {
        let mut mail = self.beginning();
        self.differences(&mut mail, configs);
        self.states(&mut mail);
        self.paths(&mut mail);
        self.measured(&mut mail);
        reproduced(&mut mail, programs, without);
        self.mind(&mut mail);
        mail.0
    }

    fn tags(&self) -> [String; 2] {
        [self.base, self.new].map(|side| tag(&side.told("kernel"), &side.told("kernel build")))
    }

    /// Subject, figures, and what the bot that tracks regressions reads.
    fn beginning(&self) -> Mail {
        let [before, after] = self.tags();
        let what = match (
            self.rows.first(),
            self.signed.first(),
            self.comparison.outcomes.first(),
        ) {
            (Some(row), _, _) => format!(
                "{} takes {:.3} times as {}",
                row.label(),
                row.effect.change,
                much(row.unit)
            ),
            (_, Some(row), _) => format!(
                "{} adds {} {}",
                row.case.label(),
                format::signed(row.effect.change),
                row.unit.label()
            ),
            (_, _, Some(one)) => format!("{}: {} where it was {}", one.what, one.new, one.base),
            (None, None, None) => String::new(),
        };
        let mut mail = Mail(format!("Subject: [REGRESSION] {what} in {after}\n\n"));
        if !self.rows.is_empty() || !self.signed.is_empty() {
            let text = format!(
                "Slower in {after} than in {before}, by intervals that hold all together in 95 % of such comparisons:"
            );
            mail.paragraph(&text);
            mail.blank();
        }
        for row in &self.rows {
            let text = format!(
                "{}{}: {} -> {} {}, ratio {}",
                row.label(),
                exploratory(row.primary),
                estimate(&row.effect.base),
                estimate(&row.effect.new),
                row.unit.label(),
                format::ratio(&row.effect)
            );
            mail.entry(&text);
        }
        for row in &self.signed {
            let interval = row
                .effect
                .interval
                .map_or("[-]".into(), format::signed_interval);
            let text = format!(
                "{}{}: what 2 MiB of the area add: {} -> {} {}, change {} {interval}",
                row.case.label(),
                exploratory(row.primary),
                format::signed(row.effect.base.value),
                format::signed(row.effect.new.value),
                row.unit.label(),
                format::signed(row.effect.change),
            );
            mail.entry(&text);
        }
        for one in &self.comparison.outcomes {
            mail.entry(&format!(
                "{}: most stores come to {}, which came to {}",
                one.what, one.new, one.base
            ));
        }
        let (same, faster) = (
            self.comparison.count(Verdict::Same),
            self.comparison.count(Verdict::Faster),
        );
        let open = self.comparison.count(Verdict::CantTell);
        mail.blank();
        mail.paragraph(&format!(
                "Of {} rows compared {} are slower, {faster} faster, {same} the same within {} %, and of {open} it cannot be told.",
                self.comparison.len(),
                self.comparison.count(Verdict::Slower),
                100.0 * self.comparison.options.same
            ),
        );
        mail.blank();
        match before == after {
            true => mail.0.push_str("#regzbot introduced: GOOD..BAD\n    (both kernels call themselves the same version: put their commits here)\n"),
            false => { let _ = writeln!(mail.0, "#regzbot introduced: {before}..{after}"); }
        }
        mail
    }

    /// What differs besides the kernel's version, to be read before the figures.
    fn differences(&self, mail: &mut Mail, configs: Option<&Configs>) {
        mail.heading("What differs besides");
        let changes = self.comparison.changes.iter();
        let besides = |one: &&Difference| !["kernel", "kernel build"].contains(&one.what.as_str());
        let [base, new] = [self.base, self.new].map(|side| recorded(side, false));
        let settings = differing(&base, &new, "-");
        let listed: Vec<&Difference> = changes.filter(besides).chain(&settings).collect();
        mail.differences(&listed);
        mail.heading("Kernel configuration");
        match configs {
            Some(configs) => {
                let found = configs.differences();
                mail.differences(&found.iter().collect::<Vec<_>>());
            }
            None => self.recorded_options(mail),
        }
    }

    /// The options that run files record, where no whole configurations were given.
    fn recorded_options(&self, mail: &mut Mail) {
        let [base, new] = [self.base, self.new].map(|side| recorded(side, true));
        let configs = Configs { base, new };
        let lacking = [("base", &configs.base), ("new", &configs.new)];
        let lacking: Vec<&str> = lacking
            .iter()
            .filter(|(_, side)| side.is_empty())
            .map(|(name, _)| *name)
            .collect();
        if !lacking.is_empty() {
            mail.remark(&format!(
                    "not known: the {} kernel showed none when it was measured; give both with --config BASE NEW",
                    lacking.join(" and the ")
                ));
            return;
        }
        mail.remark("Of the options that bear on copy-on-write faults (all of them with --config BASE NEW):");
        let found = configs.differences();
        mail.differences(&found.iter().collect::<Vec<_>>());
    }

    /// What was proven of the pages on either side, and what the stores came to.
    fn states(&self, mail: &mut Mail) {
        mail.heading("Page states, proven before every trial, and outcomes");
        // What is the same of several cases is told once.
        let mut told: Vec<([String; 4], Vec<String>)> = Vec::new();
        for case in &self.cases {
            let (Some(one), Some(other)) = (self.base.seen(case), self.new.seen(case)) else {
                continue;
            };
            let state = [proven(one), proven(other), outcomes(one), outcomes(other)];
            match told.iter_mut().find(|(other, _)| *other == state) {
                Some((_, labels)) => labels.push(case.label()),
                None => told.push((state, vec![case.label()])),
            }
        }
        for ([proven, proven_after, came, came_after], labels) in &told {
            mail.remark(&format!("{}:", labels.join("; ")));
            match proven == proven_after {
                true => mail.wrapped("    both: ", "      ", proven),
                false => {
                    mail.wrapped("    THEY DIFFER. base: ", "      ", proven);
                    mail.wrapped("    new: ", "      ", proven_after);
                }
            }
            match came == came_after {
                true => mail.wrapped("    both came to: ", "      ", came),
                false => {
                    let text = format!("base: {came}; new: {came_after}");
                    mail.wrapped("    came to: ", "      ", &text);
                }
            }
        }
        let violations: u64 = [self.base, self.new]
            .iter()
            .flat_map(|side| &side.cases)
            .map(|(_, seen)| seen.violations)
            .sum();
        mail.entry(&format!(
            "Data checks that failed, in all scenarios of both sides: {violations}"
        ));
    }

    /// Where the instructions are.
    fn paths(&self, mail: &mut Mail) {
        mail.heading("Path by function (instructions of its own, new less base)");
        let kernels = [self.base, self.new].map(|side| side.told("kernel"));
        let paths = self.comparison.options.paths.iter();
        let of_these: Vec<String> = paths
            .filter(|path| {
                path.kernels == kernels
                    && self.cases.iter().any(|case| case.scenario == path.scenario)
            })
            .map(|path| path.by_function())
            .collect();
        for one in &of_these {
            mail.entry(one);
        }
        if of_these.is_empty() {
            let scenario = self.cases.first().map_or("SCENARIO", |case| &case.scenario);
            mail.remark(&format!(
                    "not known: give the profile of both kernels with --paths, from: cowpath profile {scenario} --kernel BASE NEW -o paths"
                ));
        }
    }

    fn measured(&self, mail: &mut Mail) {
        mail.heading("How it was measured");
        for (name, side, brief) in [
            ("base", self.base, &self.comparison.base),
            ("new", self.new, &self.comparison.new),
        ] {
            mail.entry(&format!(
                "{name}: {}, {}; {} runs",
                side.told("kernel"),
                side.told("kernel build"),
                brief.runs.len()
            ));
        }
        mail.entry(&self.comparison.new.machine);
        let command = again(
            &self.comparison.new.command,
            &self.comparison.new.virtualization,
        );
        let version = self.new.told("cowpath");
        mail.entry(&format!("cowpath {version}. {command}"));
    }

    /// What a reader will ask, which nobody but the sender can answer.
    fn mind(&self, mail: &mut Mail) {
        let mut asked = Vec::new();
        let kernels = [self.base, self.new].map(|side| side.told("kernel build"));
        if kernels.iter().any(|build| {
            ["Debian", "Ubuntu", "SUSE", "Fedora", "Red Hat"]
                .iter()
                .any(|name| build.contains(name))
        }) {
            asked.push("A distribution's kernels have patches of their own: whether mainline or stable as released does the same".into());
        }
        if self.rows.iter().any(|row| row.unit == Unit::Instructions) {
            asked.push("Instructions are not time: what the same scenarios take on a machine (cowpath run on both kernels)".to_owned());
        }
        let compiler = |one: &Difference| one.what == "compiler";
        if self.comparison.changes.iter().any(compiler) {
            asked.push("The compilers differ: what remains with one compiler".into());
        }
        asked.push("Which commit: scripts/bisect of cowpath under git bisect run".into());
        mail.heading("Before this is sent (take this part out)");
        for one in &asked {
            mail.wrapped("  - ", "    ", one);
        }
    }
}

/// Settings of the kernel or, if `options`, of its configuration, as a side's first run has recorded them.
fn recorded(side: &Side, options: bool) -> BTreeMap<String, String> {
    let settings = side.about.iter().flat_map(|about| &about.settings);
    let kept = settings.filter(|(name, value)| match name.starts_with("CONFIG_") {
        true => options && *value != "n",
        false => !options,
    });
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn exploratory(primary: bool) -> &'static str {
    if primary { "" } else { " (exploratory)" }
}

fn much(unit: Unit) -> &'static str {
    match unit {
        Unit::Ns => "long",
        Unit::Instructions => "many instructions",
    }
}

/// The tag that mainline and stable have for a version: `v6.12.118`, `v6.19`, `v6.19-rc3`.
fn tag(release: &str, version: &str) -> String {
    let number = upstream_of(release, version);
    let number = match number.matches('.').count() {
        2 => number.strip_suffix(".0").unwrap_or(number),
        _ => number,
    };
    let candidate = release.find("-rc").map_or("", |at| {
        let rest = &release[at..];
        let digits = rest[3..]
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len() - 3);
        &rest[..3 + digits]
    });
    format!("v{number}{candidate}")
}

fn proven(seen: &CaseSample) -> String {
    let setup = &seen.setup;
    let unproven = setup
        .unproven
        .iter()
        .map(|one| format!("NOT PROVEN: {one}"));
    let all = setup
        .proven
        .iter()
        .chain(&setup.state)
        .cloned()
        .chain(unproven);
    all.collect::<Vec<_>>().join("; ")
}

fn outcomes(seen: &CaseSample) -> String {
    let shares = Outcome::ALL
        .into_iter()
        .filter(|&outcome| seen.share(outcome) > 0.0);
    let shares =
        shares.map(|outcome| format!("{:.1} % {}", 100.0 * seen.share(outcome), outcome.label()));
    shares.collect::<Vec<_>>().join(", ")
}

fn reproduced(mail: &mut Mail, programs: &[&str], without: &[String]) {
    mail.heading("To reproduce without cowpath");
    if !programs.is_empty() {
        let text = "The C files bring these states about and time them; as root they tell reuse from copy, too:";
        mail.remark(text);
        mail.0
            .push_str("  for c in *.c; do cc -O2 -o ${c%.c} $c && ./${c%.c}; done\n");
        mail.remark(&programs.join(" "));
    }
    for one in without {
        mail.wrapped("  no C file for ", "    ", one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_called_by_its_tag() {
        assert_eq!(
            tag("6.12.118+deb13-cloud-amd64", "#1 SMP Debian 6.12.118-1"),
            "v6.12.118"
        );
        assert_eq!(
            tag(
                "5.10.0-46-cloud-amd64",
                "#1 SMP Debian 5.10.262-1 (2026-07-31)"
            ),
            "v5.10.262"
        );
        assert_eq!(tag("6.19.0", "#3"), "v6.19");
        assert_eq!(tag("6.19.0-rc3-00012-gabc", "#3"), "v6.19-rc3");
        assert_eq!(tag("6.19", "#3"), "v6.19");
    }
}
