//! What differs between two sides besides figures: what forbids a comparison, and what a reader must know before any number.

use super::side::{CaseSample, Difference, Side, differences, is_established};
use crate::record::case::CaseId;
use crate::record::noise_profile::NoiseProfile;
use crate::record::outcome::Outcome;
use crate::record::schema::Setup;

/// Least change of an outcome's share, 0 to 1, that is worth a line.
const WORTH: f64 = 0.01;
/// Settings named before the rest is only counted.
const NAMED: usize = 8;

/// Why the sides do not compare: another machine or clock, runs of one side that are not about the same, or areas of
/// another size. Empty where they do.
pub fn mismatches(base: &Side, new: &Side) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, side) in [("base", base), ("new", new)] {
        found.extend(side.inner.iter().map(|d| Difference {
            what: format!("{} within the {name} side", d.what),
            ..d.clone()
        }));
    }
    if let (Some(base), Some(new)) = (&base.about, &new.about) {
        found.extend(differences(&base.machine, &new.machine));
    }
    for (case, _) in &base.cases {
        let cases = new.cases.iter().map(|(other, _)| other);
        let found_there = cases.filter(|other| other.is_but_for_pages(case));
        for other in found_there.filter(|other| other.pages != case.pages) {
            found.push(Difference {
                what: format!("pages of {}", case.label()),
                base: case.pages.to_string(),
                new: other.pages.to_string(),
            });
        }
    }
    found.dedup();
    found
}

/// In what the machine of a noise profile differs from that of a side.
pub fn other_machine(profile: &NoiseProfile, side: &Side) -> Vec<Difference> {
    let machine = side.about.iter().flat_map(|about| &about.machine);
    let differing = machine.filter(|(name, value)| profile.machine.get(*name) != Some(value));
    differing
        .map(|(name, value)| Difference {
            what: format!("{name} of the noise profile"),
            base: profile.machine.get(*name).cloned().unwrap_or("-".into()),
            new: value.clone(),
        })
        .collect()
}

/// What differs and may: kernel, rule, program, outcomes, set-ups.
pub fn changes(base: &Side, new: &Side) -> Vec<Difference> {
    let mut found = Vec::new();
    let (Some(one), Some(other)) = (&base.about, &new.about) else {
        return found;
    };
    found.extend(differences(&one.kernel, &other.kernel).filter(is_established));
    for (case, seen) in &base.cases {
        if let Some(other) = new.seen(case) {
            found.extend(outcomes(case, seen, other));
            found.extend(setup(case, &seen.setup, &other.setup));
        }
    }
    found
}

/// The cases of which most stores come to another outcome than before.
pub fn other_outcomes(base: &Side, new: &Side) -> Vec<Difference> {
    let most = |seen: &CaseSample| Outcome::ALL.into_iter().find(|&o| seen.share(o) > 0.5);
    let case = |(case, one): &(CaseId, CaseSample)| {
        let (then, now) = (most(one)?, most(new.seen(case)?)?);
        (then != now).then(|| Difference {
            what: case.label(),
            base: then.label().into(),
            new: now.label().into(),
        })
    };
    base.cases.iter().filter_map(case).collect()
}

/// Settings and kernel options that differ, which may explain a difference; beyond the first few only how many.
pub fn settings(base: &Side, new: &Side) -> Vec<Difference> {
    let (Some(one), Some(other)) = (&base.about, &new.about) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut names: Vec<&String> = one.settings.keys().chain(other.settings.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let settings: Vec<Difference> = names
        .into_iter()
        .filter(|name| one.settings.get(*name) != other.settings.get(*name))
        .map(|name| Difference {
            what: name.clone(),
            base: one.settings.get(name).cloned().unwrap_or("-".into()),
            new: other.settings.get(name).cloned().unwrap_or("-".into()),
        })
        .collect();
    let more = settings.len().saturating_sub(NAMED);
    found.extend(settings.into_iter().take(NAMED));
    if more > 0 {
        found.push(Difference {
            what: "more settings and kernel options".into(),
            base: format!("{more} differ"),
            new: "see the run files".into(),
        });
    }
    found
}

/// Outcomes whose share changed: by at least a hundredth, and so that no repetition of the one lies within those of the
/// other.
fn outcomes(case: &CaseId, base: &CaseSample, new: &CaseSample) -> Vec<Difference> {
    let changed = Outcome::ALL.into_iter().filter(|&outcome| {
        let apart = match (base.shares.get(&outcome), new.shares.get(&outcome)) {
            (Some(a), Some(b)) => a.high < b.low || b.high < a.low,
            _ => false,
        };
        apart && (base.share(outcome) - new.share(outcome)).abs() >= WORTH
    });
    let changes = changed.map(|outcome| Difference {
        what: format!("outcome of {}: {}", case.label(), outcome.label()),
        base: percent(base.share(outcome)),
        new: percent(new.share(outcome)),
    });
    let mut changes: Vec<Difference> = changes.collect();
    if base.violations != new.violations {
        changes.push(Difference {
            what: format!("words of data wrong after {}", case.label()),
            base: base.violations.to_string(),
            new: new.violations.to_string(),
        });
    }
    changes
}

/// A share of at least a hundredth in words.
fn percent(share: f64) -> String {
    match 100.0 * share {
        p if p == 0.0 || p == 100.0 => format!("{p:.0} %"),
        p => format!("{p:.2} %"),
    }
}

fn setup(case: &CaseId, base: &Setup, new: &Setup) -> Vec<Difference> {
    let parts = [
        ("means", &base.by, &new.by),
        ("state", &base.state, &new.state),
        ("proof", &base.proven, &new.proven),
        ("missing proof", &base.unproven, &new.unproven),
    ];
    let differing = parts.into_iter().filter(|(_, a, b)| a != b);
    let words = |list: &[String]| match list {
        [] => "none".to_string(),
        list => list.join("; "),
    };
    differing
        .map(|(what, a, b)| Difference {
            what: format!("set-up of {}: {what}", case.label()),
            base: words(a),
            new: words(b),
        })
        .collect()
}
