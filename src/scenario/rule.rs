//! The reuse rules that the strategy kernel (scripts/strategy-kernel) can be switched to.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::outcome::Outcome;
use crate::record::schema::SmallRule;

/// A rule, by the name that the kernel's parameter `cow_reuse` has for it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The exclusive flag suffices, else there must be no reference but the mapping's: 5.19 and later unpatched.
    Exclusive,
    /// What the kernel does unpatched, where that is not the exclusive flag: 5.10.
    Stock,
    /// No reference but the mapping's; stores ignore the exclusive flag: 5.9 to 5.18.
    Refcount,
    /// One mapping and no swap entry besides: up to 5.8. Unsafe.
    Mapcount,
    /// What is not exclusive is copied: an upper bound.
    Never,
}

impl Rule {
    /// Every rule, the kernels' own first.
    pub const ALL: [Rule; 5] = [
        Rule::Exclusive,
        Rule::Stock,
        Rule::Refcount,
        Rule::Mapcount,
        Rule::Never,
    ];

    /// The name that the kernel and run files use.
    pub fn label(self) -> &'static str {
        match self {
            Rule::Exclusive => "exclusive",
            Rule::Stock => "stock",
            Rule::Refcount => "refcount",
            Rule::Mapcount => "mapcount",
            Rule::Never => "never",
        }
    }

    /// The name for people, who must not take the one that leaks data for harmless.
    pub fn title(self) -> &'static str {
        match self {
            Rule::Mapcount => "mapcount (unsafe)",
            other => other.label(),
        }
    }

    /// The rule of some kernel's that it stands for; `Unknown` where none was ever like it.
    pub fn era(self) -> SmallRule {
        match self {
            Rule::Exclusive => SmallRule::Exclusive,
            Rule::Stock | Rule::Refcount => SmallRule::Refcount,
            Rule::Mapcount => SmallRule::Mapcount,
            Rule::Never => SmallRule::Unknown,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// No rule has that name.
#[derive(Debug, thiserror::Error)]
#[error("a reuse rule is exclusive, stock, refcount, mapcount (unsafe) or never, found: {0}")]
pub struct NoSuchRule(String);

impl FromStr for Rule {
    type Err = NoSuchRule;

    fn from_str(text: &str) -> Result<Self, NoSuchRule> {
        let mut all = Rule::ALL.into_iter();
        all.find(|rule| rule.label() == text)
            .ok_or_else(|| NoSuchRule(text.into()))
    }
}

/// What a newer kernel is expected to do when it is switched to another rule than its own, where that is neither what
/// kernels of that rule did nor what it does of its own: it has things, such as `FAULT_FLAG_UNSHARE`, that those kernels
/// lacked, and the rule leaves them alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Switched {
    /// Under the refcount rule.
    pub refcount: &'static [Outcome],
    /// Under the mapcount rule.
    pub mapcount: &'static [Outcome],
    /// Where nothing but the exclusive flag allows a reuse.
    pub never: &'static [Outcome],
}

impl Switched {
    /// The same under each of them.
    pub const fn always(outcomes: &'static [Outcome]) -> Option<Self> {
        Some(Switched {
            refcount: outcomes,
            mapcount: outcomes,
            never: outcomes,
        })
    }

    /// Nobody else has the page, but it is not marked exclusive.
    pub const LAST_USER: Option<Self> = Some(Switched {
        refcount: &[Outcome::Reuse],
        mapcount: &[Outcome::Reuse],
        never: &[Outcome::Copy],
    });
    /// The page is marked exclusive, and nothing else refers to it.
    pub const OWN: Option<Self> = Self::always(&[Outcome::Reuse]);
    /// The page is marked exclusive, and something else refers to it.
    pub const OWN_BUT_HELD: Option<Self> = Some(Switched {
        refcount: &[Outcome::Copy],
        mapcount: &[Outcome::Reuse],
        never: &[Outcome::Reuse],
    });
    /// A pin for reading finds a page that nobody else has and that is not marked exclusive.
    pub const PIN_OF_LAST_USER: Option<Self> = Some(Switched {
        refcount: &[Outcome::UnshareMark],
        mapcount: &[Outcome::UnshareMark],
        never: &[Outcome::UnshareCopy],
    });

    /// What is expected under `rule`; nothing for a kernel's own.
    pub fn under(&self, rule: Rule) -> Option<&'static [Outcome]> {
        match rule {
            Rule::Refcount => Some(self.refcount),
            Rule::Mapcount => Some(self.mapcount),
            Rule::Never => Some(self.never),
            Rule::Exclusive | Rule::Stock => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_read_by_the_name_it_is_written_with() {
        for rule in Rule::ALL {
            assert_eq!(rule.label().parse::<Rule>().unwrap(), rule);
            assert_eq!(
                serde_json::to_value(rule).unwrap(),
                serde_json::json!(rule.label())
            );
        }
        let why = "fifo".parse::<Rule>().unwrap_err().to_string();
        assert!(why.contains("unsafe") && why.contains("fifo"), "{why}");
    }

    #[test]
    fn the_rule_that_leaks_is_called_unsafe_and_no_other_is() {
        for rule in Rule::ALL {
            assert_eq!(rule.title().contains("unsafe"), rule == Rule::Mapcount);
        }
    }
}
