//! The fingerprint: which reuse rule this kernel was seen to follow.

use std::cell::RefCell;

use crate::record::outcome::{Outcome, Tally};
use crate::record::rule::{LargeRule, PinRule, SmallRule};
use crate::record::schema::Strategy;
use crate::scenario::expectation::Basis;
use crate::scenario::extra_ref::{OTHERS_NEVER_FORKED, VMSPLICE_NEVER_FORKED, VMSPLICE_THEN_FORK};
use crate::scenario::thp;
use crate::scenario::unshare::{READ_PIN, READ_PIN_OF_SHARED, STORE_AFTER_READ_PIN};
use crate::worker::runner::Attempt;

/// What one discriminating scenario came to: reuse, copy, or a reason why neither can be said.
pub(super) type Discriminated = Result<Outcome, String>;

/// Establishes the rule by running the discriminating scenarios with `attempt`.
pub fn fingerprint(mut attempt: impl FnMut(&str) -> Attempt) -> Strategy {
    let evidence = RefCell::new(Vec::new());
    let mut look = |id: &str| -> Discriminated {
        let seen = match attempt(id) {
            Attempt::Done(repetition) => verdict(&repetition.tally),
            Attempt::Unreachable(why) | Attempt::Failed(why) | Attempt::Lost(why) => Err(why),
            Attempt::Interrupted => Err("interrupted".into()),
        };
        evidence.borrow_mut().push(match &seen {
            Ok((outcome, share)) => format!("{id}: {share} {}", outcome.label()),
            Err(why) => format!("{id}: {why}"),
        });
        seen.map(|(outcome, _)| outcome)
    };
    let small = small_rule(&mut look);
    evidence.borrow_mut().push(match small {
        SmallRule::Mapcount => "references beside mappings are ignored: the mapcount rule (up to 5.8)".into(),
        SmallRule::Refcount => {
            "an extra reference alone forces a copy: the refcount rule (5.9 to 5.18)".into()
        }
        SmallRule::Exclusive => {
            "an extra reference forces a copy only of a page that was shared: the exclusive flag (5.19 and later)".into()
        }
        SmallRule::Unknown => "the rule for small pages could not be told".into(),
    });
    let large = large_rule(small, &look(thp::PTE_MAPPED_CHILD_EXITED), || {
        look(thp::PTE_MAPPED_VMSPLICE)
    });
    evidence.borrow_mut().push(
        match large {
            LargeRule::Mapcount => "large folios: references beside mappings are ignored: the mapcount rule",
            LargeRule::Refcount => "large folios: more than one reference forces a copy: the refcount rule",
            LargeRule::Exclusive => {
                "large folios: the flag of each page, else the folio's references: copied though nobody else maps it (5.19 to 6.14)"
            }
            LargeRule::MmId => "large folios: reused when one mm maps them and nothing else refers to them: mm-id (6.15 and later)",
            LargeRule::Unknown => "the rule for large folios could not be told",
        }
        .into(),
    );
    let pin = pin_rule(small, &mut look);
    evidence.borrow_mut().push(
        match pin {
            PinRule::Takes => "a reading pin takes a shared page as it is",
            PinRule::BreaksCow => "a reading pin breaks the sharing by a write fault",
            PinRule::Unshares => "a reading pin unshares: FAULT_FLAG_UNSHARE (5.19 and later)",
            PinRule::Unknown => "what a reading pin does to a shared page could not be told",
        }
        .into(),
    );
    Strategy {
        small,
        large,
        pin,
        evidence: evidence.into_inner(),
    }
}

/// What the expectation of a scenario rests on by which the rule was told.
pub const TELLS_THE_RULE: Basis =
    Basis::Construction("the kernel's rule was told by what this comes to");

/// Whether that scenario was one of those by which the rule for small pages was told: what it comes to confirms nothing then.
pub fn told_by(strategy: &Strategy, scenario: &str) -> bool {
    let small = [
        VMSPLICE_THEN_FORK,
        VMSPLICE_NEVER_FORKED,
        READ_PIN_OF_SHARED,
        READ_PIN,
        STORE_AFTER_READ_PIN,
    ];
    let tells = small
        .into_iter()
        .chain(OTHERS_NEVER_FORKED)
        .any(|id| id == scenario);
    let mut evidence = strategy.evidence.iter();
    tells
        && evidence.any(|line| {
            line.strip_prefix(scenario)
                .is_some_and(|rest| rest.starts_with(": "))
        })
}

/// A scenario's verdict, if at least 99 % of its stores agree, and their share in words.
pub(super) fn verdict(tally: &Tally) -> Result<(Outcome, String), String> {
    let total = tally.total();
    match tally.dominant() {
        Some(Outcome::Unknown) | None => Err("outcomes could not be told".into()),
        Some(outcome) if tally.get(outcome) * 100 >= total * 99 => Ok((
            outcome,
            format!("{} of {total} stores:", tally.get(outcome)),
        )),
        Some(_) => Err(format!(
            "mixed outcomes: {} reuse, {} copy of {total}",
            tally.reuse, tally.copy
        )),
    }
}

/// The rule by references of two kinds, as far as both can be had: one alone may not be what it is taken for.
fn small_rule(look: &mut impl FnMut(&str) -> Discriminated) -> SmallRule {
    let by_pipe = match look(VMSPLICE_THEN_FORK) {
        Ok(Outcome::Reuse) => Some(SmallRule::Mapcount),
        Ok(Outcome::Copy) => match look(VMSPLICE_NEVER_FORKED) {
            Ok(Outcome::Copy) => Some(SmallRule::Refcount),
            Ok(Outcome::Reuse) => Some(SmallRule::Exclusive),
            _ => None,
        },
        _ => None,
    };
    let another = OTHERS_NEVER_FORKED.iter().find_map(|id| look(id).ok());
    match (by_pipe, another) {
        (Some(rule), None) => rule,
        (Some(SmallRule::Refcount), Some(Outcome::Copy)) => SmallRule::Refcount,
        (Some(rule), Some(Outcome::Reuse)) if rule != SmallRule::Refcount => rule,
        (None, Some(Outcome::Copy)) => SmallRule::Refcount,
        (None, Some(Outcome::Reuse)) => match look(READ_PIN) {
            Ok(Outcome::UnshareReuse) => match look(STORE_AFTER_READ_PIN) {
                Ok(Outcome::Reuse) => SmallRule::Exclusive,
                Ok(Outcome::NoFault) => SmallRule::Mapcount,
                _ => SmallRule::Unknown,
            },
            Ok(Outcome::NoFault) => SmallRule::Mapcount,
            _ => SmallRule::Unknown,
        },
        _ => SmallRule::Unknown,
    }
}

/// Whether a pin of a shared page faults, and, before the exclusive flag, whether it leaves a PTE that stores still fault on.
pub(super) fn pin_rule(small: SmallRule, look: &mut impl FnMut(&str) -> Discriminated) -> PinRule {
    match (look(READ_PIN_OF_SHARED), small) {
        (Ok(Outcome::NoFault), _) => PinRule::Takes,
        (Ok(Outcome::UnshareCopy), SmallRule::Exclusive) => PinRule::Unshares,
        (Ok(Outcome::UnshareCopy), _) => match look(STORE_AFTER_READ_PIN) {
            Ok(Outcome::NoFault) => PinRule::BreaksCow,
            Ok(Outcome::Reuse | Outcome::Copy) => PinRule::Unshares,
            // Without an exclusive flag nothing but a write fault has something to do to a page that nobody else maps.
            _ => match look(READ_PIN) {
                Ok(Outcome::UnshareReuse) => PinRule::BreaksCow,
                Ok(Outcome::NoFault) => PinRule::Unshares,
                _ => PinRule::Unknown,
            },
        },
        _ => PinRule::Unknown,
    }
}

/// A folio that one mm maps wholly is reused by mapcount and by mm-id; a reference beside the mappings
/// tells the two apart.
fn large_rule(
    small: SmallRule,
    whole: &Discriminated,
    in_pipe: impl FnOnce() -> Discriminated,
) -> LargeRule {
    match (whole, small) {
        (Ok(Outcome::Reuse), _) => match in_pipe() {
            Ok(Outcome::Reuse) => LargeRule::Mapcount,
            Ok(Outcome::Copy) => LargeRule::MmId,
            _ => LargeRule::Unknown,
        },
        (Ok(Outcome::Copy), SmallRule::Refcount) => LargeRule::Refcount,
        (Ok(Outcome::Copy), SmallRule::Exclusive) => LargeRule::Exclusive,
        _ => LargeRule::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::rule::Rule;
    use crate::scenario::catalogue;
    use crate::scenario::expectation::{KernelTraits, expected};
    use crate::worker::protocol::Findings;

    /// The rules of a kernel on which these scenarios come to that; others cannot be had.
    fn strategy(come_to: &[(&str, Outcome)]) -> Strategy {
        fingerprint(|id| match come_to.iter().find(|(one, _)| *one == id) {
            Some(&(_, outcome)) => {
                let mut repetition = Findings::default();
                repetition.tally.add(outcome, 100);
                Attempt::Done(Box::new(repetition))
            }
            None => Attempt::Unreachable("vmsplice copies here".into()),
        })
    }

    fn rule(come_to: &[(&str, Outcome)]) -> SmallRule {
        strategy(come_to).small
    }

    fn by_pipe(then_fork: Outcome, never_forked: Outcome) -> SmallRule {
        rule(&[
            (VMSPLICE_THEN_FORK, then_fork),
            (VMSPLICE_NEVER_FORKED, never_forked),
        ])
    }

    #[test]
    fn two_scenarios_tell_the_three_rules_apart() {
        use Outcome::*;
        assert_eq!(by_pipe(Reuse, Reuse), SmallRule::Mapcount);
        assert_eq!(by_pipe(Copy, Copy), SmallRule::Refcount);
        assert_eq!(by_pipe(Copy, Reuse), SmallRule::Exclusive);
        assert_eq!(by_pipe(Unknown, Reuse), SmallRule::Unknown);
        assert_eq!(by_pipe(Copy, NoFault), SmallRule::Unknown);
    }

    #[test]
    fn where_vmsplice_copies_another_reference_tells_the_rule() {
        use Outcome::*;
        let [ring, direct] = OTHERS_NEVER_FORKED;
        assert_eq!(rule(&[(ring, Copy)]), SmallRule::Refcount);
        assert_eq!(rule(&[(direct, Copy)]), SmallRule::Refcount);
        assert_eq!(rule(&[(ring, Reuse)]), SmallRule::Unknown);
        let marked = [(ring, Reuse), (READ_PIN, UnshareReuse)];
        let after = |outcome| rule(&[&marked[..], &[(STORE_AFTER_READ_PIN, outcome)]].concat());
        assert_eq!(after(Reuse), SmallRule::Exclusive);
        assert_eq!(after(NoFault), SmallRule::Mapcount);
        let strategy = fingerprint(|_| Attempt::Unreachable("none".into()));
        assert!(told_by(&strategy, ring) && !told_by(&strategy, READ_PIN));
        assert!(!told_by(&strategy, thp::PTE_MAPPED_CHILD_EXITED));
        let not_marked = [(ring, Reuse), (READ_PIN, NoFault)];
        assert_eq!(rule(&not_marked), SmallRule::Mapcount);
    }

    #[test]
    fn a_pin_that_stores_leaves_nothing_for_the_next_store_to_fault_on() {
        use Outcome::*;
        let pin = |never_forked, come_to: &[(&str, Outcome)]| {
            let told = [
                (VMSPLICE_THEN_FORK, never_forked),
                (VMSPLICE_NEVER_FORKED, Reuse),
            ];
            strategy(&[&told[..], come_to].concat()).pin
        };
        assert_eq!(pin(Reuse, &[(READ_PIN_OF_SHARED, NoFault)]), PinRule::Takes);
        let copied = (READ_PIN_OF_SHARED, UnshareCopy);
        let after = |outcome| pin(Reuse, &[copied, (STORE_AFTER_READ_PIN, outcome)]);
        assert_eq!(after(NoFault), PinRule::BreaksCow);
        assert_eq!(after(Reuse), PinRule::Unshares);
        assert_eq!(pin(Copy, &[copied]), PinRule::Unshares);
        let exited = |outcome| pin(Reuse, &[copied, (READ_PIN, outcome)]);
        assert_eq!(exited(UnshareReuse), PinRule::BreaksCow);
        assert_eq!(exited(NoFault), PinRule::Unshares);
        assert_eq!(pin(Reuse, &[copied]), PinRule::Unknown);
        assert_eq!(pin(Copy, &[]), PinRule::Unknown);
    }

    #[test]
    fn references_of_two_kinds_that_differ_tell_no_rule() {
        use Outcome::*;
        let [ring, _] = OTHERS_NEVER_FORKED;
        let both = |then_fork, never_forked, other| {
            rule(&[
                (VMSPLICE_THEN_FORK, then_fork),
                (VMSPLICE_NEVER_FORKED, never_forked),
                (ring, other),
            ])
        };
        assert_eq!(both(Copy, Reuse, Reuse), SmallRule::Exclusive);
        assert_eq!(both(Copy, Copy, Copy), SmallRule::Refcount);
        assert_eq!(both(Reuse, Reuse, Reuse), SmallRule::Mapcount);
        assert_eq!(both(Copy, Copy, Reuse), SmallRule::Unknown);
        assert_eq!(both(Reuse, Reuse, Copy), SmallRule::Unknown);
        assert_eq!(both(Copy, Reuse, Copy), SmallRule::Unknown);
    }

    fn outcomes(id: &str, kernel: &KernelTraits) -> &'static [Outcome] {
        let expectations = catalogue::find(id).unwrap().expected;
        expected(expectations, kernel).map_or(&[], |one| one.outcomes)
    }

    #[test]
    fn the_catalogue_predicts_what_the_rules_are_told_apart_by() {
        let expected = |id, rule| outcomes(id, &KernelTraits::own(rule, None));
        for rule in [
            SmallRule::Mapcount,
            SmallRule::Refcount,
            SmallRule::Exclusive,
        ] {
            let one = |id| match expected(id, rule) {
                [outcome] => *outcome,
                other => panic!("{id}: {other:?}"),
            };
            assert_eq!(
                by_pipe(one(VMSPLICE_THEN_FORK), one(VMSPLICE_NEVER_FORKED)),
                rule
            );
        }
        assert_eq!(expected(VMSPLICE_THEN_FORK, SmallRule::Unknown), []);
        assert_eq!(
            expected("copy/child-alive", SmallRule::Unknown),
            [Outcome::Copy]
        );
    }

    #[test]
    fn a_switched_kernel_follows_the_rule_where_the_rule_decides_and_itself_elsewhere() {
        let (old, new) = (Some((5, 10)), Some((6, 12)));
        let expected = |id, rule, version| {
            let kernel = KernelTraits {
                switched: Some(rule),
                ..KernelTraits::own(SmallRule::Unknown, version)
            };
            outcomes(id, &kernel)
        };
        use Outcome::*;
        for rule in [Rule::Refcount, Rule::Mapcount] {
            assert_eq!(expected("reuse/child-exited", rule, new), [Reuse]);
            assert_eq!(expected("protect/mprotect", rule, new), [NoFault]);
            assert_eq!(expected("protect/mprotect", rule, old), [Reuse]);
        }
        assert_eq!(expected("reuse/child-exited", Rule::Never, new), [Copy]);
        assert_eq!(expected("reuse/exclusive", Rule::Never, new), [Reuse]);
        assert_eq!(expected("reuse/exclusive", Rule::Never, old), [Copy]);
        assert_eq!(expected(VMSPLICE_THEN_FORK, Rule::Mapcount, new), [Reuse]);
        assert_eq!(expected(VMSPLICE_THEN_FORK, Rule::Refcount, new), [Copy]);
        assert_eq!(
            expected(VMSPLICE_NEVER_FORKED, Rule::Exclusive, new),
            [Reuse]
        );
        let batch = "extra-ref/lru-batch";
        assert_eq!(expected(batch, Rule::Stock, old), [Copy]);
        assert_eq!(expected(batch, Rule::Refcount, old), [Reuse]);
        let pte_mapped = thp::PTE_MAPPED_CHILD_EXITED;
        assert_eq!(expected(pte_mapped, Rule::Mapcount, new), [Copy]);
        assert_eq!(expected(pte_mapped, Rule::Mapcount, old), [Reuse]);
        assert_eq!(expected(pte_mapped, Rule::Mapcount, Some((7, 2))), [Reuse]);
        assert_eq!(expected(pte_mapped, Rule::Never, Some((7, 2))), [Copy]);
    }

    #[test]
    fn mixed_outcomes_are_no_verdict() {
        let mut repetition = Findings::default();
        repetition.tally.add(Outcome::Copy, 90);
        repetition.tally.add(Outcome::Reuse, 10);
        let strategy = fingerprint(|_| Attempt::Done(Box::new(repetition.clone())));
        assert_eq!(strategy.small, SmallRule::Unknown);
        assert!(
            strategy.evidence[0].contains("mixed"),
            "{:?}",
            strategy.evidence
        );
    }
}
