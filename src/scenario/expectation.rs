//! What kernels are expected to do, and what that expectation rests on.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::record::basis::{BasisKind, ExpectedBasis};
use crate::record::outcome::Outcome;
use crate::record::rule::{PinRule, Rule, SmallRule};

/// A kernel version: major and minor.
pub type Version = (u32, u32);

/// The version that brought the exclusive flag, and with it `FAULT_FLAG_UNSHARE`.
pub const FLAG: Version = (5, 19);

/// What an expectation rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A source that was read: function and version, or commit.
    Source(&'static str),
    /// These kernels were seen to do it: what they do later is compared with what they did before.
    Observed(&'static str),
    /// It follows from something else that is expected.
    Reasoned(&'static str),
    /// True by construction: why agreement says nothing of the kernel.
    Construction(&'static str),
}

impl Basis {
    /// As a run file has it.
    pub fn recorded(self) -> ExpectedBasis {
        let (kind, what) = match self {
            Basis::Source(what) => (BasisKind::Source, what),
            Basis::Observed(what) => (BasisKind::Observed, what),
            Basis::Reasoned(what) => (BasisKind::Reasoned, what),
            Basis::Construction(what) => (BasisKind::Construction, what),
        };
        ExpectedBasis {
            kind,
            what: what.into(),
        }
    }

    /// In words.
    pub fn label(self) -> String {
        self.recorded().label()
    }
}

/// The rules under which something is expected: a kernel's own, and those that a strategy kernel was switched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "Vec<String>")]
pub struct Rules(u8);

impl Rules {
    /// A kernel's own mapcount rule.
    pub const OWN_MAPCOUNT: Rules = Rules(1);
    /// A kernel's own refcount rule.
    pub const OWN_REFCOUNT: Rules = Rules(1 << 1);
    /// The exclusive flag first, which is no rule to switch to: it is a newer kernel's own.
    pub const EXCLUSIVE: Rules = Rules(1 << 2);
    /// A kernel that was switched to mapcount.
    pub const SWITCHED_TO_MAPCOUNT: Rules = Rules(1 << 3);
    const SWITCHED_TO_REFCOUNT: Rules = Rules(1 << 4);
    /// A kernel that was switched to reuse nothing but what is marked exclusive.
    pub const NEVER: Rules = Rules(1 << 5);
    /// Mappings alone are counted.
    pub const MAPCOUNT: Rules = Self::OWN_MAPCOUNT.or(Self::SWITCHED_TO_MAPCOUNT);
    /// All references are counted.
    pub const REFCOUNT: Rules = Self::OWN_REFCOUNT.or(Self::SWITCHED_TO_REFCOUNT);
    /// A kernel's own rule of before the exclusive flag.
    pub const OWN_BEFORE_FLAG: Rules = Self::OWN_MAPCOUNT.or(Self::OWN_REFCOUNT);
    /// Any rule of a kernel's own.
    pub const OWN: Rules = Self::OWN_BEFORE_FLAG.or(Self::EXCLUSIVE);
    /// Any rule that a kernel was switched to.
    pub const SWITCHED: Rules = Self::SWITCHED_TO_MAPCOUNT
        .or(Self::SWITCHED_TO_REFCOUNT)
        .or(Self::NEVER);
    /// Whatever the rule.
    pub const ANY: Rules = Self::OWN.or(Self::SWITCHED);
    /// Any but that which reuses nothing.
    pub const BUT_NEVER: Rules = Rules(Self::ANY.0 & !Self::NEVER.0);

    /// Some of them in a word, the widest first.
    const NAMES: [(Rules, &str); 12] = [
        (Self::ANY, "any"),
        (Self::BUT_NEVER, "any but never"),
        (Self::OWN, "any of its own"),
        (Self::SWITCHED, "any that it was switched to"),
        (Self::MAPCOUNT, "mapcount"),
        (Self::REFCOUNT, "refcount"),
        (Self::OWN_MAPCOUNT, "mapcount of its own"),
        (Self::OWN_REFCOUNT, "refcount of its own"),
        (Self::EXCLUSIVE, "exclusive"),
        (
            Self::SWITCHED_TO_MAPCOUNT,
            "mapcount that it was switched to",
        ),
        (
            Self::SWITCHED_TO_REFCOUNT,
            "refcount that it was switched to",
        ),
        (Self::NEVER, "never"),
    ];

    /// These and those.
    pub const fn or(self, other: Rules) -> Rules {
        Rules(self.0 | other.0)
    }

    fn names(self) -> Vec<&'static str> {
        let mut left = self.0;
        let mut names = Vec::new();
        for (rules, name) in Self::NAMES {
            if left & rules.0 == rules.0 {
                left &= !rules.0;
                names.push(name);
            }
        }
        names
    }

    fn has(self, rule: Rules) -> bool {
        self.0 & rule.0 != 0
    }
}

impl Serialize for Rules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

/// The kernel of which something is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelTraits {
    /// The rule that it follows of itself.
    pub rule: SmallRule,
    /// The rule that it was switched to.
    pub switched: Option<Rule>,
    /// What its reading pins do to a shared page; where that was not established, what its rule and version let expect.
    pub pin: PinRule,
    /// Unknown for an unusual release.
    pub version: Option<Version>,
    /// Whether the kernel looks, under the PTL, for a page that has become exclusive (`cow_recheck=1`).
    pub recheck: bool,
    /// Whether pages are swapped out to memory alone (zram), and not to a device or a file.
    pub swap_in_memory: bool,
}

impl KernelTraits {
    /// A kernel that was left alone.
    pub fn own(rule: SmallRule, version: Option<Version>) -> Self {
        KernelTraits {
            rule,
            switched: None,
            pin: PinRule::Unknown,
            version,
            recheck: false,
            swap_in_memory: true,
        }
    }

    /// What its reading pins may do if it follows `rule`: more than one where neither was asked nor rule and version tell.
    fn pins(&self, rule: Rules) -> &'static [PinRule] {
        use PinRule::{BreaksCow, Takes, Unshares};
        match self.pin {
            Takes => &[Takes],
            BreaksCow => &[BreaksCow],
            Unshares => &[Unshares],
            PinRule::Unknown if rule == Rules::EXCLUSIVE => &[Unshares],
            PinRule::Unknown if Rules::SWITCHED.has(rule) => match self.version {
                Some(version) if version >= FLAG => &[Unshares],
                _ => &[Takes],
            },
            PinRule::Unknown if rule == Rules::OWN_REFCOUNT => &[Takes],
            PinRule::Unknown => match self.version {
                Some((5, 8)) => &[BreaksCow],
                _ => &[Takes, BreaksCow, Unshares],
            },
        }
    }

    /// The rules that it may follow: all three where its own is unknown.
    fn rules(&self) -> &'static [Rules] {
        match (self.switched, self.rule) {
            (Some(Rule::Mapcount), _) => &[Rules::SWITCHED_TO_MAPCOUNT],
            (Some(Rule::Refcount), _) => &[Rules::SWITCHED_TO_REFCOUNT],
            (Some(Rule::Never), _) => &[Rules::NEVER],
            // These are names of what a strategy kernel does of itself.
            (Some(Rule::Exclusive | Rule::Stock), _) => match self.version {
                Some(version) if version < FLAG => &[Rules::OWN_REFCOUNT],
                _ => &[Rules::EXCLUSIVE],
            },
            (None, SmallRule::Mapcount) => &[Rules::OWN_MAPCOUNT],
            (None, SmallRule::Refcount) => &[Rules::OWN_REFCOUNT],
            (None, SmallRule::Exclusive) => &[Rules::EXCLUSIVE],
            (None, SmallRule::Unknown) => {
                &[Rules::OWN_MAPCOUNT, Rules::OWN_REFCOUNT, Rules::EXCLUSIVE]
            }
        }
    }
}

/// What some kernels are expected to come to. Of several, the first that holds for a kernel is what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Expectation<T = &'static [Outcome]> {
    /// The first version that it holds for; absent where it holds from the first on.
    pub since: Option<Version>,
    /// The first version that it no longer holds for, if there is one.
    pub before: Option<Version>,
    /// The rules that it holds under.
    pub rules: Rules,
    /// What reading pins do to a shared page where it holds; absent where that does not matter.
    pub pins: Option<&'static [PinRule]>,
    /// Whether it holds with the recheck only (true), without it only (false), or either way.
    pub recheck: Option<bool>,
    /// Whether it holds where pages are swapped out to memory alone (true), where they go to a device or a file (false), or
    /// either way.
    pub swap_in_memory: Option<bool>,
    /// What is expected; of several outcomes, any. A page state, where it is one that the kernel decides.
    pub outcomes: T,
    /// What it rests on.
    pub basis: Basis,
}

impl<T> Expectation<&'static [T]> {
    /// Any of these is expected, of every kernel.
    pub const fn any_of(outcomes: &'static [T], basis: Basis) -> Self {
        Expectation::of(outcomes, basis)
    }
}

impl<T: Copy> Expectation<T> {
    /// Expected of every kernel.
    pub const fn of(outcomes: T, basis: Basis) -> Self {
        Expectation {
            since: None,
            before: None,
            rules: Rules::ANY,
            pins: None,
            recheck: None,
            swap_in_memory: None,
            outcomes,
            basis,
        }
    }

    /// The same under these rules only.
    pub const fn under(self, rules: Rules) -> Self {
        Expectation { rules, ..self }
    }

    /// The same only where reading pins do one of these to a shared page.
    pub const fn pins(self, pins: &'static [PinRule]) -> Self {
        Expectation {
            pins: Some(pins),
            ..self
        }
    }

    /// The same from a version on.
    pub const fn since(self, since: Version) -> Self {
        Expectation {
            since: Some(since),
            ..self
        }
    }

    /// The same before a version.
    pub const fn before(self, before: Version) -> Self {
        Expectation {
            before: Some(before),
            ..self
        }
    }

    /// The same with, or without, the recheck only.
    pub const fn recheck(self, on: bool) -> Self {
        Expectation {
            recheck: Some(on),
            ..self
        }
    }

    /// The same where pages are swapped out to a device or a file only.
    pub const fn swapping_to_a_device(self) -> Self {
        Expectation {
            swap_in_memory: Some(false),
            ..self
        }
    }

    /// What bounds it, in words; empty where it holds for every kernel.
    pub fn condition(&self) -> String {
        let name = |(major, minor)| format!("{major}.{minor}");
        let mut words = Vec::new();
        if self.rules != Rules::ANY {
            words.push(format!("under {}", self.rules.names().join(" or ")));
        }
        words.extend(self.since.map(|since| format!("from {} on", name(since))));
        words.extend(self.before.map(|before| format!("before {}", name(before))));
        words.extend(self.pins.map(|pins| {
            let pins: Vec<&str> = pins.iter().map(|pin| pin.label()).collect();
            format!("where a reading pin {}", pins.join(" or "))
        }));
        match self.recheck {
            Some(true) => words.push("with the recheck".into()),
            Some(false) => words.push("without the recheck".into()),
            None => {}
        }
        match self.swap_in_memory {
            Some(true) => words.push("swapping to zram".into()),
            Some(false) => words.push("swapping to a device or a file".into()),
            None => {}
        }
        words.join(", ")
    }

    /// The same at the head of a line, behind `others` that hold before it does.
    pub fn condition_after(&self, others: usize) -> String {
        match self.condition() {
            any if any.is_empty() && others > 0 => "else: ".into(),
            any if any.is_empty() => any,
            condition => format!("{condition}: "),
        }
    }

    fn holds(&self, rule: Rules, pin: PinRule, kernel: &KernelTraits) -> bool {
        let any_version = self.since.is_none() && self.before.is_none();
        let version = kernel.version.map_or(any_version, |version| {
            self.since.is_none_or(|since| since <= version)
                && self.before.is_none_or(|before| version < before)
        });
        let recheck = self.recheck.is_none_or(|on| on == kernel.recheck);
        let swap = self
            .swap_in_memory
            .is_none_or(|memory| memory == kernel.swap_in_memory);
        let pin = self.pins.is_none_or(|pins| pins.contains(&pin));
        version && recheck && swap && pin && self.rules.has(rule)
    }
}

/// What is expected of `kernel`: nothing where nothing certain can be said, because its rule is unknown and rules differ,
/// or because no expectation holds for it.
pub fn expected<T: Copy + PartialEq>(
    expectations: &'static [Expectation<T>],
    kernel: &KernelTraits,
) -> Option<&'static Expectation<T>> {
    let rules = kernel.rules().iter();
    let pairs = rules.flat_map(|&rule| kernel.pins(rule).iter().map(move |&pin| (rule, pin)));
    let under = |(rule, pin)| {
        let mut all = expectations.iter();
        all.find(|one| one.holds(rule, pin, kernel))
    };
    let mut each = pairs.map(under);
    let one = each.next()??;
    let alike =
        |other: Option<&Expectation<T>>| other.is_some_and(|it| it.outcomes == one.outcomes);
    each.all(alike).then_some(one)
}

/// A kernel that was switched to reuse nothing copies what is not marked exclusive.
pub(super) const NEVER_REUSED: Expectation = Expectation::any_of(
    &[Outcome::Copy],
    Basis::Source("scripts/strategy-kernel/patches: wp_reuse_by_rule() for 5.10, 6.12 and 7.2"),
)
.under(Rules::NEVER);

/// Nobody else has the page, but it is not marked exclusive.
pub(super) const fn last_user(basis: Basis) -> [Expectation; 2] {
    [NEVER_REUSED, Expectation::any_of(&[Outcome::Reuse], basis)]
}

/// Nobody else has the page, and where there is an exclusive flag, the page is marked.
pub(super) const fn own(basis: Basis) -> [Expectation; 2] {
    let [never, reuse] = last_user(basis);
    [never.before(FLAG), reuse]
}

/// As [`own`], but where a newer kernel was switched to reuse nothing, nothing certain can be said.
pub(super) const fn perhaps_own(outcomes: &'static [Outcome], basis: Basis) -> [Expectation; 2] {
    [
        NEVER_REUSED.before(FLAG),
        Expectation::any_of(outcomes, basis).under(Rules::BUT_NEVER),
    ]
}

/// A reference beside the mappings forces a copy, unless references are ignored.
pub(super) const fn by_reference(ignored: Basis, counted: Basis) -> [Expectation; 2] {
    [
        Expectation::any_of(&[Outcome::Reuse], ignored).under(Rules::MAPCOUNT),
        Expectation::any_of(&[Outcome::Copy], counted),
    ]
}

/// The same, except of a page that is marked exclusive.
pub(super) const fn by_reference_if_not_exclusive(
    counted: Basis,
    exclusive: Basis,
) -> [Expectation; 3] {
    [
        NEVER_REUSED.before(FLAG),
        Expectation::any_of(&[Outcome::Copy], counted).under(Rules::REFCOUNT),
        Expectation::any_of(&[Outcome::Reuse], exclusive),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASIS: Basis = Basis::Reasoned("a test");

    fn outcomes(
        expectations: &'static [Expectation<u32>],
        rule: SmallRule,
        version: Option<Version>,
    ) -> Option<u32> {
        expected(expectations, &KernelTraits::own(rule, version)).map(|one| one.outcomes)
    }

    #[test]
    fn the_first_that_holds_is_expected() {
        const SOME: &[Expectation<u32>] = &[
            Expectation::of(1, BASIS).since((5, 19)).before((6, 4)),
            Expectation::of(2, BASIS).under(Rules::REFCOUNT),
            Expectation::of(3, BASIS),
        ];
        let exclusive = |version| outcomes(SOME, SmallRule::Exclusive, version);
        assert_eq!(exclusive(Some((6, 1))), Some(1));
        assert_eq!(exclusive(Some((5, 18))), Some(3));
        assert_eq!(exclusive(Some((6, 4))), Some(3));
        assert_eq!(exclusive(None), Some(3));
        assert_eq!(outcomes(SOME, SmallRule::Refcount, None), Some(2));
    }

    #[test]
    fn an_unknown_rule_is_expected_to_do_only_what_all_rules_do() {
        const SOME: &[Expectation<u32>] = &[
            Expectation::of(1, BASIS).since((6, 15)),
            Expectation::of(2, BASIS).under(Rules::REFCOUNT),
            Expectation::of(3, BASIS),
        ];
        assert_eq!(outcomes(SOME, SmallRule::Unknown, Some((6, 1))), None);
        assert_eq!(outcomes(SOME, SmallRule::Unknown, Some((6, 15))), Some(1));
    }

    #[test]
    fn a_pin_that_was_not_asked_about_is_expected_only_to_do_what_all_that_are_possible_do() {
        const SOME: &[Expectation<u32>] = &[
            Expectation::of(1, BASIS).pins(&[PinRule::Takes]),
            Expectation::of(2, BASIS).pins(&[PinRule::BreaksCow]),
            Expectation::of(3, BASIS),
        ];
        let of = |rule, version, pin| {
            let kernel = KernelTraits {
                pin,
                ..KernelTraits::own(rule, Some(version))
            };
            expected(SOME, &kernel).map(|one| one.outcomes)
        };
        use SmallRule::{Exclusive, Mapcount, Refcount};
        assert_eq!(of(Mapcount, (5, 4), PinRule::Unknown), None);
        assert_eq!(of(Mapcount, (5, 4), PinRule::Takes), Some(1));
        assert_eq!(of(Mapcount, (5, 4), PinRule::BreaksCow), Some(2));
        assert_eq!(of(Mapcount, (5, 8), PinRule::Unknown), Some(2));
        assert_eq!(of(Refcount, (5, 10), PinRule::Unknown), Some(1));
        assert_eq!(of(Exclusive, (6, 1), PinRule::Unknown), Some(3));
    }

    #[test]
    fn the_recheck_is_part_of_the_kernel() {
        const SOME: &[Expectation<u32>] = &[Expectation::of(1, BASIS).recheck(true)];
        let kernel = |recheck| KernelTraits {
            recheck,
            ..KernelTraits::own(SmallRule::Mapcount, None)
        };
        assert!(expected(SOME, &kernel(true)).is_some());
        assert!(expected(SOME, &kernel(false)).is_none());
    }

    #[test]
    fn where_pages_are_swapped_out_to_is_part_of_the_kernel() {
        const SOME: &[Expectation<u32>] = &[
            Expectation::of(1, BASIS).swapping_to_a_device(),
            Expectation::of(2, BASIS),
        ];
        let kernel = |swap_in_memory| KernelTraits {
            swap_in_memory,
            ..KernelTraits::own(SmallRule::Exclusive, None)
        };
        assert_eq!(expected(SOME, &kernel(false)).unwrap().outcomes, 1);
        assert_eq!(expected(SOME, &kernel(true)).unwrap().outcomes, 2);
        assert_eq!(SOME[0].condition(), "swapping to a device or a file");
    }

    #[test]
    fn conditions_are_told_and_no_condition_is_not() {
        let one = Expectation::of(1, BASIS);
        assert_eq!(one.condition(), "");
        let own = one.under(Rules::OWN_MAPCOUNT.or(Rules::NEVER));
        assert_eq!(own.condition(), "under mapcount of its own or never");
        let bounded = one.under(Rules::MAPCOUNT).since((5, 19)).before((6, 0));
        assert_eq!(
            bounded.condition(),
            "under mapcount, from 5.19 on, before 6.0"
        );
    }
}
