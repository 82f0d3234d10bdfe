//! What a regression report needs, from two sides that were compared: a mail's text, and for each scenario that got slower a C
//! file that reproduces it without this program.

pub mod reproducer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::compare::options::Verdict;
use crate::compare::row::Row;
use crate::compare::side::{CaseSample, Difference, Side};
use crate::compare::signed::SignedRow;
use crate::compare::table::Comparison;
use crate::memory::folio::Folio;
use crate::record::case::CaseId;
use crate::record::outcome::Outcome;
use crate::record::unit::Unit;
use crate::report::compare::estimate;
use crate::report::dossier::reproducer::{file_name, reproducer};
use crate::report::export::markdown::wrap_at;
use crate::report::format;
use crate::report::glance::again;
use crate::report::view::upstream_of;
use crate::scenario::catalogue;

/// Columns of a mail's line.
const WIDTH: usize = 75;
/// Most differences of a kind that are listed.
const LISTED: usize = 40;

/// What a regression report needs.
#[derive(Clone, Debug)]
pub struct Dossier {
    /// The mail.
    pub mail: String,
    /// C files: name and text.
    pub programs: Vec<(String, String)>,
}

/// Why there is no dossier.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no regression to report: of {rows} rows none is slower for sure, and no scenario comes to another outcome; `cowpath compare` shows \
     what was seen and what was too small to see"
)]
pub struct NothingSlower {
    rows: usize,
}

/// Whole kernel configurations of both sides, option by option; what is not set has no entry.
#[derive(Clone, Debug, Default)]
pub struct Configs {
    /// Of the base.
    pub base: BTreeMap<String, String>,
    /// Of the new side.
    pub new: BTreeMap<String, String>,
}

impl Configs {
    /// Reads a kernel's configuration as it lies in `/boot/config-*` or `.config`.
    pub fn options(text: &str) -> BTreeMap<String, String> {
        let set = text.lines().filter_map(|line| line.trim().split_once('='));
        set.filter(|(name, _)| name.starts_with("CONFIG_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    fn differences(&self) -> Vec<Difference> {
        differing(&self.base, &self.new, "n")
    }
}

/// Entries that differ, in the order of their names; `absent` stands for one that a side does not have.
fn differing(
    base: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    absent: &str,
) -> Vec<Difference> {
    let names: BTreeSet<&String> = base.keys().chain(new.keys()).collect();
    let of = |side: &BTreeMap<String, String>, name| {
        side.get(name).map_or(absent, |value| value).to_owned()
    };
    names
        .into_iter()
        .map(|name| Difference {
            what: name.clone(),
            base: of(base, name),
            new: of(new, name),
        })
        .filter(|one| one.base != one.new)
        .collect()
}

/// The dossier on what got slower, or comes to another outcome, from `base` to `new`.
///
/// # Errors
/// When nothing did.
pub fn dossier(
    base: &Side,
    new: &Side,
    comparison: &Comparison,
    configs: Option<&Configs>,
) -> Result<Dossier, NothingSlower> {
    let slower = |verdict: Verdict| verdict == Verdict::Slower;
    let mut rows: Vec<&Row> = comparison
        .rows
        .iter()
        .filter(|row| slower(row.verdict))
        .collect();
    rows.sort_by(|a, b| {
        let size = |row: &Row| (row.primary, row.effect.change);
        size(b)
            .partial_cmp(&size(a))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let signed = comparison.differences.iter();
    let signed: Vec<&SignedRow> = signed.filter(|row| slower(row.verdict)).collect();
    if rows.is_empty() && signed.is_empty() && comparison.outcomes.is_empty() {
        return Err(NothingSlower {
            rows: comparison.len(),
        });
    }
    let other = |case: &&CaseId| {
        comparison
            .outcomes
            .iter()
            .any(|one| one.what == case.label())
    };
    let other: Vec<&CaseId> = base
        .cases
        .iter()
        .map(|(case, _)| case)
        .filter(other)
        .collect();
    let mut cases: Vec<&CaseId> = Vec::new();
    let all = rows
        .iter()
        .map(|row| &row.case)
        .chain(signed.iter().map(|row| &row.case));
    for case in all.chain(other) {
        if !cases.iter().any(|one| one.is_but_for_pages(case)) {
            cases.push(case);
        }
    }
    let (programs, without) = programs(&cases);
    let parts = Parts {
        base,
        new,
        comparison,
        rows,
        signed,
        cases,
    };
    let mut mail = parts.beginning();
    parts.differences(&mut mail, configs);
    parts.states(&mut mail);
    parts.paths(&mut mail);
    parts.measured(&mut mail);
    reproduced(&mut mail, &programs, &without);
    parts.mind(&mut mail);
    Ok(Dossier { mail, programs })
}

struct Parts<'a> {
    base: &'a Side,
    new: &'a Side,
    comparison: &'a Comparison,
    rows: Vec<&'a Row>,
    signed: Vec<&'a SignedRow>,
    cases: Vec<&'a CaseId>,
}

impl Parts<'_> {
    fn tags(&self) -> [String; 2] {
        [self.base, self.new].map(|side| tag(&side.told("kernel"), &side.told("kernel build")))
    }

    /// Subject, figures, and what the bot that tracks regressions reads.
    fn beginning(&self) -> String {
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
        let mut mail = format!("Subject: [REGRESSION] {what} in {after}\n\n");
        // A paragraph begins at the margin, an entry of a list is indented further where it goes on.
        let mut add = |first: &str, text: &str| {
            let next = if first.is_empty() { "" } else { "    " };
            wrap_at(WIDTH, &mut mail, first, next, text);
        };
        if !self.rows.is_empty() || !self.signed.is_empty() {
            add(
                "",
                &format!(
                    "Slower in {after} than in {before}, by intervals that hold all together in 95 % of such comparisons:"
                ),
            );
            add("", "");
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
            add("  ", &text);
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
            add("  ", &text);
        }
        for one in &self.comparison.outcomes {
            add(
                "  ",
                &format!(
                    "{}: most stores come to {}, which came to {}",
                    one.what, one.new, one.base
                ),
            );
        }
        let (same, faster) = (
            self.comparison.count(Verdict::Same),
            self.comparison.count(Verdict::Faster),
        );
        let open = self.comparison.count(Verdict::CantTell);
        add("", "");
        add(
            "",
            &format!(
                "Of {} rows compared {} are slower, {faster} faster, {same} the same within {} %, and of {open} it cannot be told.",
                self.comparison.len(),
                self.comparison.count(Verdict::Slower),
                100.0 * self.comparison.options.same
            ),
        );
        mail.push('\n');
        match before == after {
            true => mail.push_str("#regzbot introduced: GOOD..BAD\n    (both kernels call themselves the same version: put their commits here)\n"),
            false => { let _ = writeln!(mail, "#regzbot introduced: {before}..{after}"); }
        }
        mail
    }

    /// What differs besides the kernel's version, to be read before the figures.
    fn differences(&self, mail: &mut String, configs: Option<&Configs>) {
        heading(mail, "What differs besides");
        let changes = self.comparison.changes.iter();
        let besides = |one: &&Difference| !["kernel", "kernel build"].contains(&one.what.as_str());
        let [base, new] = [self.base, self.new].map(|side| recorded(side, false));
        let settings = differing(&base, &new, "-");
        let listed: Vec<&Difference> = changes.filter(besides).chain(&settings).collect();
        list(mail, &listed);
        heading(mail, "Kernel configuration");
        match configs {
            Some(configs) => {
                let found = configs.differences();
                list(mail, &found.iter().collect::<Vec<_>>());
            }
            None => self.recorded_options(mail),
        }
    }

    /// The options that run files record, where no whole configurations were given.
    fn recorded_options(&self, mail: &mut String) {
        let [base, new] = [self.base, self.new].map(|side| recorded(side, true));
        let configs = Configs { base, new };
        let lacking = [("base", &configs.base), ("new", &configs.new)];
        let lacking: Vec<&str> = lacking
            .iter()
            .filter(|(_, side)| side.is_empty())
            .map(|(name, _)| *name)
            .collect();
        if !lacking.is_empty() {
            wrap_at(
                WIDTH,
                mail,
                "  ",
                "  ",
                &format!(
                    "not known: the {} kernel showed none when it was measured; give both with --config BASE NEW",
                    lacking.join(" and the ")
                ),
            );
            return;
        }
        wrap_at(
            WIDTH,
            mail,
            "  ",
            "  ",
            "Of the options that bear on copy-on-write faults (all of them with --config BASE NEW):",
        );
        let found = configs.differences();
        list(mail, &found.iter().collect::<Vec<_>>());
    }

    /// What was proven of the pages on either side, and what the stores came to.
    fn states(&self, mail: &mut String) {
        heading(mail, "Page states, proven before every trial, and outcomes");
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
            wrap_at(WIDTH, mail, "  ", "  ", &format!("{}:", labels.join("; ")));
            match proven == proven_after {
                true => wrap_at(WIDTH, mail, "    both: ", "      ", proven),
                false => {
                    wrap_at(WIDTH, mail, "    THEY DIFFER. base: ", "      ", proven);
                    wrap_at(WIDTH, mail, "    new: ", "      ", proven_after);
                }
            }
            match came == came_after {
                true => wrap_at(WIDTH, mail, "    both came to: ", "      ", came),
                false => {
                    let text = format!("base: {came}; new: {came_after}");
                    wrap_at(WIDTH, mail, "    came to: ", "      ", &text);
                }
            }
        }
        let violations: u64 = [self.base, self.new]
            .iter()
            .flat_map(|side| &side.cases)
            .map(|(_, seen)| seen.violations)
            .sum();
        wrap_at(
            WIDTH,
            mail,
            "  ",
            "    ",
            &format!("Data checks that failed, in all scenarios of both sides: {violations}"),
        );
    }

    /// Where the instructions are.
    fn paths(&self, mail: &mut String) {
        heading(
            mail,
            "Path by function (instructions of its own, new less base)",
        );
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
            wrap_at(WIDTH, mail, "  ", "    ", one);
        }
        if of_these.is_empty() {
            let scenario = self.cases.first().map_or("SCENARIO", |case| &case.scenario);
            wrap_at(
                WIDTH,
                mail,
                "  ",
                "  ",
                &format!(
                    "not known: give the profile of both kernels with --paths, from: cowpath profile {scenario} --kernel BASE NEW -o paths"
                ),
            );
        }
    }

    fn measured(&self, mail: &mut String) {
        heading(mail, "How it was measured");
        for (name, side, brief) in [
            ("base", self.base, &self.comparison.base),
            ("new", self.new, &self.comparison.new),
        ] {
            wrap_at(
                WIDTH,
                mail,
                "  ",
                "    ",
                &format!(
                    "{name}: {}, {}; {} runs",
                    side.told("kernel"),
                    side.told("kernel build"),
                    brief.runs.len()
                ),
            );
        }
        wrap_at(WIDTH, mail, "  ", "    ", &self.comparison.new.machine);
        let command = again(
            &self.comparison.new.command,
            &self.comparison.new.virtualization,
        );
        let version = self.new.told("cowpath");
        wrap_at(
            WIDTH,
            mail,
            "  ",
            "    ",
            &format!("cowpath {version}. {command}"),
        );
    }

    /// What a reader will ask, which nobody but the sender can answer.
    fn mind(&self, mail: &mut String) {
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
        heading(mail, "Before this is sent (take this part out)");
        for one in &asked {
            wrap_at(WIDTH, mail, "  - ", "    ", one);
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

fn heading(mail: &mut String, text: &str) {
    let _ = write!(mail, "\n{text}\n\n");
}

fn list(mail: &mut String, differences: &[&Difference]) {
    if differences.is_empty() {
        mail.push_str("  no difference in what was recorded\n");
    }
    for one in differences.iter().take(LISTED) {
        wrap_at(
            WIDTH,
            mail,
            "  ",
            "    ",
            &format!("{}: {} -> {}", one.what, one.base, one.new),
        );
    }
    if let Some(more @ 1..) = differences.len().checked_sub(LISTED) {
        let _ = writeln!(mail, "  and {more} more");
    }
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

/// A C file's name and text.
type Program = (String, String);

/// The C files, and for what there is none and why.
fn programs(cases: &[&CaseId]) -> (Vec<Program>, Vec<String>) {
    let (mut programs, mut without): (Vec<Program>, Vec<String>) = Default::default();
    for case in cases {
        let made = match (catalogue::find(&case.scenario), Folio::try_from(case.folio)) {
            (Some(scenario), Ok(folio)) => reproducer(scenario, folio, case.pages)
                .map(|text| (file_name(scenario.id, folio), text)),
            (None, _) => Err("a scenario that this version does not have".into()),
            (_, Err(why)) => Err(why),
        };
        match made {
            Ok(program) if programs.contains(&program) => {}
            Ok(program) => programs.push(program),
            Err(why) => without.push(format!("{}: it has {why}", case.label())),
        }
    }
    (programs, without)
}

fn reproduced(mail: &mut String, programs: &[Program], without: &[String]) {
    heading(mail, "To reproduce without cowpath");
    let names: Vec<&str> = programs.iter().map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        let text = "The C files bring these states about and time them; as root they tell reuse from copy, too:";
        wrap_at(WIDTH, mail, "  ", "  ", text);
        mail.push_str("  for c in *.c; do cc -O2 -o ${c%.c} $c && ./${c%.c}; done\n");
        wrap_at(WIDTH, mail, "  ", "  ", &names.join(" "));
    }
    for one in without {
        wrap_at(WIDTH, mail, "  no C file for ", "    ", one);
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

    #[test]
    fn options_that_are_not_set_differ_from_those_that_are() {
        let configs = Configs {
            base: Configs::options("# a\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\n"),
            new: Configs::options("CONFIG_B=y\nCONFIG_C=m\n"),
        };
        let found = configs.differences();
        let words: Vec<String> = found
            .iter()
            .map(|d| format!("{} {} {}", d.what, d.base, d.new))
            .collect();
        assert_eq!(words, ["CONFIG_A y n", "CONFIG_B n y"]);
    }
}
