//! The parameters of the strategy kernel (scripts/strategy-kernel): the reuse rule, the recheck, the delay of copies.

use crate::record::rule::Rule;
use crate::sys::files::{read, selected};

/// The rule that is followed, among those that there are.
pub const REUSE: &str = "/sys/module/kernel/parameters/cow_reuse";
/// Whether a copy is dropped when the page it was made of has become exclusive.
pub const RECHECK: &str = "/sys/module/kernel/parameters/cow_recheck";
/// How long each copy waits before it is installed, in µs.
pub const COPY_DELAY: &str = "/sys/module/kernel/parameters/cow_copy_delay_us";

/// Whether a kernel's command line turns the recheck on.
pub fn rechecks(cmdline: &str) -> bool {
    cmdline
        .split_whitespace()
        .any(|word| word == "cow_recheck=1")
}

/// What the parameter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knob {
    /// The rule that is followed.
    pub chosen: String,
    /// Every rule that may be chosen.
    pub rules: Vec<String>,
}

/// Why the kernel cannot be switched as asked.
#[derive(Debug, thiserror::Error)]
pub enum KnobError {
    /// It is another kernel.
    #[error(
        "--strategy needs a kernel that can be switched, found: no {REUSE}; build one with scripts/strategy-kernel/build and run it with: cowpath vm IMAGE -- --strategy ..."
    )]
    Missing,
    /// It does not know the rule.
    #[error("--strategy {rule} was asked for; this kernel offers: {offers}")]
    NotOffered {
        /// The rule.
        rule: Rule,
        /// What there is.
        offers: String,
    },
    /// It would put a machine at risk.
    #[error(
        "--strategy mapcount is unsafe: while it is chosen, any process of this machine may read what others store (CVE-2020-29374); a guest of `cowpath vm` is the place for it, or say --i-know where this machine holds nothing of value"
    )]
    Unsafe,
}

impl Knob {
    /// Reads it; `None` on a kernel that has none.
    pub fn read() -> Option<Knob> {
        read(REUSE).map(|text| Self::parse(&text))
    }

    fn parse(text: &str) -> Knob {
        Knob {
            chosen: selected(text).into(),
            rules: text
                .split_whitespace()
                .map(|rule| rule.trim_matches(['[', ']']).into())
                .collect(),
        }
    }
}

/// Whether this kernel may be switched to `rules`, before anything is; `disposable` tells that nothing of value is on
/// the machine.
///
/// # Errors
/// See [`KnobError`].
pub fn check(rules: &[Rule], disposable: bool) -> Result<(), KnobError> {
    match rules {
        [] => Ok(()),
        rules => allow(rules, Knob::read(), disposable),
    }
}

fn allow(rules: &[Rule], knob: Option<Knob>, disposable: bool) -> Result<(), KnobError> {
    let knob = knob.ok_or(KnobError::Missing)?;
    let offered = |rule: &&Rule| knob.rules.iter().any(|name| name == rule.label());
    if let Some(&rule) = rules.iter().find(|rule| !offered(rule)) {
        return Err(KnobError::NotOffered {
            rule,
            offers: knob.rules.join(", "),
        });
    }
    match rules.contains(&Rule::Mapcount) && !disposable {
        true => Err(KnobError::Unsafe),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knob() -> Option<Knob> {
        Some(Knob::parse("exclusive [refcount] mapcount never"))
    }

    #[test]
    fn the_parameter_tells_the_rule_that_is_followed_and_those_there_are() {
        let knob = knob().unwrap();
        assert_eq!(knob.chosen, "refcount");
        assert_eq!(knob.rules, ["exclusive", "refcount", "mapcount", "never"]);
    }

    #[test]
    fn a_kernel_without_the_parameter_is_told_where_to_get_one() {
        let why = allow(&[Rule::Refcount], None, true)
            .unwrap_err()
            .to_string();
        assert!(why.contains("scripts/strategy-kernel/build"), "{why}");
    }

    #[test]
    fn a_rule_that_the_kernel_lacks_is_refused_with_those_it_has() {
        let why = allow(&[Rule::Stock], knob(), true).unwrap_err().to_string();
        assert!(
            why.contains("stock") && why.contains("mapcount, never"),
            "{why}"
        );
    }

    #[test]
    fn the_rule_that_leaks_needs_a_guest_or_a_word() {
        let rules = [Rule::Exclusive, Rule::Mapcount];
        assert!(matches!(
            allow(&rules, knob(), false),
            Err(KnobError::Unsafe)
        ));
        assert!(allow(&rules, knob(), true).is_ok());
        assert!(allow(&[Rule::Never], knob(), false).is_ok());
    }
}
