//! All scenarios, and the choice among them by glob.

use globset::{Glob, GlobSetBuilder};

use super::{
    Scenario, contention, control, copy, cost, cpumask, every_page, extra_ref, file, fork_race,
    hugetlb, inherit, ksm, mm_id, mthp, protect, race, reuse, rmap, swap, thp, touch, unshare,
};

/// Every family, in the order in which tables show them.
const FAMILIES: [&[Scenario]; 22] = [
    control::SCENARIOS,
    touch::SCENARIOS,
    reuse::SCENARIOS,
    copy::SCENARIOS,
    extra_ref::SCENARIOS,
    unshare::SCENARIOS,
    protect::SCENARIOS,
    file::SCENARIOS,
    inherit::SCENARIOS,
    swap::SCENARIOS,
    ksm::SCENARIOS,
    thp::SCENARIOS,
    mthp::SCENARIOS,
    mm_id::SCENARIOS,
    every_page::SCENARIOS,
    hugetlb::SCENARIOS,
    cost::SCENARIOS,
    rmap::SCENARIOS,
    cpumask::SCENARIOS,
    race::SCENARIOS,
    contention::SCENARIOS,
    fork_race::SCENARIOS,
];

/// A choice that cannot be met.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Not a glob.
    #[error("`{glob}` is not a valid pattern: {reason}")]
    BadGlob {
        /// The pattern.
        glob: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No scenario's id matches.
    #[error("no scenario matches `{0}`; `cowpath list` shows them all")]
    NoMatch(String),
    /// No staged race's id matches.
    #[error("no staged race matches `{glob}`; there are {}", ids.join(", "))]
    NoStaged {
        /// The pattern.
        glob: String,
        /// Every staged race.
        ids: Vec<&'static str>,
    },
}

/// Every scenario.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    FAMILIES.into_iter().flatten()
}

/// The scenario with this id.
pub fn find(id: &str) -> Option<&'static Scenario> {
    all().find(|scenario| scenario.id == id)
}

/// The scenarios to run: those whose id matches any of `globs`, in catalogue order; for none all but the long ones.
///
/// # Errors
/// A pattern that is none, and one that matches nothing.
pub fn choose(globs: &[String]) -> Result<Vec<&'static Scenario>, ChoiceError> {
    match globs {
        [] => Ok(all().filter(|scenario| !scenario.long).collect()),
        _ => matching(globs),
    }
}

/// The scenarios whose id matches any of `globs`, in catalogue order; all for none.
///
/// # Errors
/// A pattern that is none, and one that matches nothing.
pub fn matching(globs: &[String]) -> Result<Vec<&'static Scenario>, ChoiceError> {
    if globs.is_empty() {
        return Ok(all().collect());
    }
    let mut set = GlobSetBuilder::new();
    for text in globs {
        let glob = Glob::new(text).map_err(|e| ChoiceError::BadGlob {
            glob: text.clone(),
            reason: e.kind().to_string(),
        })?;
        let matcher = glob.compile_matcher();
        if !all().any(|scenario| matcher.is_match(scenario.id)) {
            return Err(ChoiceError::NoMatch(text.clone()));
        }
        set.add(glob);
    }
    let set = set.build().map_err(|e| ChoiceError::BadGlob {
        glob: globs.join(" "),
        reason: e.to_string(),
    })?;
    Ok(all().filter(|scenario| set.is_match(scenario.id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::backing::Memory;
    use crate::record::outcome::Outcome;
    use crate::record::rule::{PinRule, Rule, SmallRule};
    use crate::scenario::expectation::{Basis, FLAG, KernelTraits, expected};
    use crate::scenario::staged::catalogue::STAGED;
    use crate::scenario::workload::{Actor, Workload};
    use crate::scenario::{Mapping, Step, Timed};
    use proptest::prelude::*;

    /// A batch that somebody else drains takes its reference away: where the store itself drains none, the page must stay in it.
    #[test]
    fn a_page_must_stay_in_its_batch_where_the_store_drains_none() {
        let of = |id: &str, rule, version| {
            find(id)
                .unwrap()
                .mapping_on(&KernelTraits::own(rule, Some(version)))
        };
        let (local, other) = ("extra-ref/lru-batch", "extra-ref/other-lru-batch");
        use SmallRule::{Exclusive, Refcount};
        assert_eq!(of(local, Refcount, (5, 10)), Mapping::StaysInBatch);
        assert_eq!(of(local, Refcount, (5, 18)), Mapping::InBatch);
        assert_eq!(of(local, Exclusive, (6, 12)), Mapping::InBatch);
        assert_eq!(of(other, Exclusive, (6, 12)), Mapping::StaysInBatch);
    }

    #[test]
    fn ids_are_unique_and_read_group_slash_situation() {
        let mut ids: Vec<_> = all().map(|scenario| scenario.id).collect();
        for id in &ids {
            let (group, situation) = id.split_once('/').unwrap();
            assert!(!group.is_empty() && !situation.is_empty() && !situation.contains('/'));
        }
        ids.sort_unstable();
        let before = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), before);
    }

    /// The first point of a law may be a state that another family has, too.
    #[test]
    fn no_state_is_measured_under_two_names() {
        let alike = |a: &Scenario, b: &Scenario| {
            (a.steps, a.play, a.mapping, a.timed) == (b.steps, b.play, b.mapping, b.timed)
                && (a.memory, a.every_page) == (b.memory, b.every_page)
                && (a.min_pages, a.max_pages) == (b.min_pages, b.max_pages)
        };
        let own: Vec<_> = all().filter(|one| one.point.is_none()).collect();
        for (at, one) in own.iter().enumerate() {
            let other = own[..at].iter().find(|other| alike(one, other));
            assert_eq!(other.map(|other| other.id), None, "{}", one.id);
        }
    }

    #[test]
    fn a_child_that_acts_or_shares_is_there() {
        for scenario in all() {
            let alive = scenario.has_child();
            assert!(
                alive || scenario.actor() == Actor::Parent,
                "{}",
                scenario.id
            );
            if matches!(scenario.mapping, Mapping::Anon(2) | Mapping::Folio(2)) {
                assert!(alive, "{}", scenario.id);
            }
        }
    }

    #[test]
    fn something_is_expected_of_every_kernel_under_every_rule_of_its_own() {
        for scenario in all() {
            let rules = [
                SmallRule::Mapcount,
                SmallRule::Refcount,
                SmallRule::Exclusive,
            ];
            let pins = [PinRule::Takes, PinRule::Takes, PinRule::Unshares];
            let versions = [(5, 4), (5, 10), (6, 12)];
            for ((rule, version), pin) in rules.into_iter().zip(versions).zip(pins) {
                let kernel = KernelTraits {
                    pin,
                    ..KernelTraits::own(rule, Some(version))
                };
                let one = expected(scenario.expected, &kernel);
                let some = one.is_some_and(|one| !one.outcomes.is_empty());
                assert!(some, "{} on {version:?}", scenario.id);
                let allowed = scenario.race().map(|race| expected(race.allowed, &kernel));
                assert_ne!(allowed, Some(None), "{} on {version:?}", scenario.id);
            }
        }
    }

    /// Kernels that there are: each rule of a kernel's own at the versions at which something changes, and what strategy
    /// kernels are switched to.
    fn kernels() -> impl Iterator<Item = KernelTraits> {
        use PinRule::{BreaksCow, Takes, Unshares};
        use SmallRule::{Exclusive, Mapcount, Refcount};
        let own = [
            (Mapcount, (5, 4), Takes),
            (Mapcount, (5, 4), BreaksCow),
            (Mapcount, (5, 8), PinRule::Unknown),
            (Refcount, (5, 10), Takes),
            (Refcount, (5, 10), BreaksCow),
            (Refcount, (5, 10), Unshares),
            (Refcount, (5, 18), PinRule::Unknown),
            (Exclusive, (5, 19), Unshares),
            (Exclusive, (6, 1), Unshares),
            (Exclusive, (6, 4), Unshares),
            (Exclusive, (6, 5), PinRule::Unknown),
            (Exclusive, (6, 12), Unshares),
            (Exclusive, (7, 2), Unshares),
        ];
        let own = own.map(|(rule, version, pin)| KernelTraits {
            pin,
            ..KernelTraits::own(rule, Some(version))
        });
        let switched = own.into_iter().flat_map(|kernel| {
            Rule::ALL.map(|rule| KernelTraits {
                switched: Some(rule),
                ..kernel
            })
        });
        let patched = [(5, 10), (6, 12), (7, 2)].map(Some);
        own.into_iter()
            .chain(switched.filter(move |kernel| patched.contains(&kernel.version)))
    }

    /// How many processes map the parent's page after a scenario's steps, by what `kernel` does of itself: fork shares but
    /// what it takes for pinned, and a write fault, or a pin that unshares, gives the parent a page of its own.
    fn mapped_by(scenario: &Scenario, kernel: &KernelTraits) -> u32 {
        let (by_mapcount, version) = (kernel.rule == SmallRule::Mapcount, kernel.version.unwrap());
        let direct_pins = version >= (6, 5);
        let (stores, unshares) = match kernel.pin {
            PinRule::BreaksCow => (true, false),
            PinRule::Unshares => (false, true),
            PinRule::Takes => (false, false),
            PinRule::Unknown => (by_mapcount, version >= FLAG),
        };
        let (mut inherited, mut pinned) = (true, false);
        let (mut first, mut second) = (0, 0);
        for step in scenario.steps {
            match step {
                Step::DontFork | Step::WipeOnFork => inherited = false,
                Step::RegisterBuffer => {
                    (first, second) = (0, 0);
                    pinned = match scenario.memory {
                        Memory::Hugetlb => version >= (5, 12),
                        _ => !by_mapcount,
                    };
                }
                Step::ReadInFlight => {
                    (first, second) = (0, 0);
                    pinned = direct_pins;
                }
                Step::ReadPinned if stores || unshares => (first, second) = (0, 0),
                Step::WriteDirect if stores || direct_pins => (first, second) = (0, 0),
                Step::Fork | Step::ForkUntouched | Step::ForkElsewhere => {
                    first = u32::from(inherited && !pinned);
                }
                Step::Descendants { .. } => first = scenario.descendants(),
                Step::ForkAgain => second = u32::from(inherited && !pinned),
                Step::ChildExits | Step::ChildStores | Step::ChildDrops => first = 0,
                Step::SecondExits => second = 0,
                // Whatever was shared is copied into a folio of one's own.
                Step::Collapse => (first, second) = (0, 0),
                _ => {}
            }
        }
        1 + first + second
    }

    #[test]
    fn what_must_be_proven_is_what_each_kernels_steps_lead_to() {
        for scenario in all().filter(|scenario| scenario.actor() == Actor::Parent) {
            // Older kernels have no such folios.
            let mthp = scenario.memory == Memory::Mthp;
            for kernel in kernels().filter(|kernel| !mthp || kernel.version >= Some((6, 8))) {
                let mapping = scenario.mapping_on(&kernel);
                let (Mapping::Anon(times) | Mapping::Folio(times) | Mapping::PteMapped(times)) =
                    mapping
                else {
                    continue;
                };
                assert_eq!(
                    times,
                    mapped_by(scenario, &kernel),
                    "{} on {kernel:?}",
                    scenario.id
                );
                let one = expected(scenario.expected, &kernel);
                // Where there is nothing to copy to, the other mapping is taken away.
                let can_copy = !scenario.has(Step::PoolDries);
                let stores = scenario.play == Workload::Stores(Actor::Parent) && can_copy;
                if let (Some(one), Timed::Store, true) = (one, scenario.timed, stores && times > 1)
                {
                    assert_eq!(
                        one.outcomes,
                        [Outcome::Copy],
                        "{} on {kernel:?}",
                        scenario.id
                    );
                }
            }
        }
    }

    /// Whether a text names a function, such as `do_wp_page()`, and a kernel's version, such as 6.12.
    fn names_function_and_version(text: &str) -> bool {
        let of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut calls = text.match_indices("()");
        let mut numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
        let version = |number: &str| {
            let parts: Vec<_> = number.trim_matches('.').split('.').collect();
            parts.len() > 1 && parts.iter().all(|part| part.parse::<u32>().is_ok())
        };
        calls.any(|(at, _)| text[..at].ends_with(of_name)) && numbers.any(version)
    }

    #[test]
    fn a_source_names_a_function_and_a_version() {
        let of_scenario = |scenario: &'static Scenario| {
            let allowed = scenario.race().map_or(&[][..], |race| race.allowed);
            let bases = scenario.expected.iter().map(|one| one.basis);
            bases.chain(allowed.iter().map(|one| one.basis))
        };
        let of_staged = STAGED.iter().flat_map(|staged| staged.expected);
        let bases = all().flat_map(of_scenario);
        for basis in bases.chain(of_staged.map(|one| one.basis)) {
            if let Basis::Source(text) = basis {
                assert!(names_function_and_version(text), "{text}");
            }
        }
        assert!(!names_function_and_version("do_wp_page()"));
        assert!(!names_function_and_version("6.12.107 (line 3)"));
    }

    #[test]
    fn globs_choose() {
        let ids = |globs: &[&str]| -> Vec<_> {
            let globs: Vec<String> = globs.iter().map(|g| g.to_string()).collect();
            choose(&globs).unwrap().iter().map(|s| s.id).collect()
        };
        assert_eq!(matching(&[]).unwrap().len(), all().count());
        let short = all().filter(|scenario| !scenario.long);
        assert!(ids(&[]).into_iter().eq(short.map(|scenario| scenario.id)));
        assert_eq!(ids(&["control/no-fault"]), ["control/no-fault"]);
        assert!(ids(&["copy/*"]).iter().all(|id| id.starts_with("copy/")));
        assert!(matches!(
            choose(&["nope/*".into()]),
            Err(ChoiceError::NoMatch(_))
        ));
        assert!(matches!(
            choose(&["[".into()]),
            Err(ChoiceError::BadGlob { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_text_is_chosen_from_or_refused(text in ".{0,40}") {
            if let Ok(chosen) = choose(&[text]) {
                prop_assert!(!chosen.is_empty());
            }
        }
    }
}
