//! The rules by which a kernel decides between reuse and copy: those that kernels follow, and those that the strategy kernel
//! (scripts/strategy-kernel) can be switched to.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By which rule the kernel decides between reuse and copy for small pages.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SmallRule {
    /// Up to 5.8: reuse if mapcount and swap count add up to one.
    Mapcount,
    /// 5.9 to 5.18: reuse if the reference count is one.
    Refcount,
    /// From 5.19: reuse if the page is marked exclusive, else by refcount.
    Exclusive,
    /// Not established; the evidence says why.
    Unknown,
}

impl SmallRule {
    /// The name that run files use.
    pub fn label(self) -> &'static str {
        match self {
            SmallRule::Mapcount => "mapcount",
            SmallRule::Refcount => "refcount",
            SmallRule::Exclusive => "exclusive",
            SmallRule::Unknown => "unknown",
        }
    }
}

/// By which rule the kernel decides for large folios.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LargeRule {
    /// The mapcount rule.
    Mapcount,
    /// The refcount rule.
    Refcount,
    /// The exclusive flag, then the refcount rule for the folio as a whole.
    Exclusive,
    /// From 6.15: reuse if mapcount equals refcount and one mm owns the folio.
    MmId,
    /// Not established; the evidence says why.
    Unknown,
}

impl LargeRule {
    /// The name that run files use.
    pub fn label(self) -> &'static str {
        match self {
            LargeRule::Mapcount => "mapcount",
            LargeRule::Refcount => "refcount",
            LargeRule::Exclusive => "exclusive",
            LargeRule::MmId => "mm-id",
            LargeRule::Unknown => "unknown",
        }
    }
}

/// What a pin for reading (GUP without `FOLL_WRITE`, as process_vm_readv takes it) does to an anonymous page that is shared. No
/// version tells: stable releases of 5.4 and 5.7 have changed it within their series.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum PinRule {
    /// It takes the page as it is: up to 5.7, and 5.9 to 5.18.
    Takes,
    /// It breaks the sharing by a write fault (should_force_cow_break()): 5.8, and stable releases before it.
    BreaksCow,
    /// It unshares, and leaves the PTE read-only: `FAULT_FLAG_UNSHARE`, 5.19 and later.
    Unshares,
    /// Not established, or by a version that did not ask.
    #[default]
    Unknown,
}

impl PinRule {
    /// The name that run files use.
    pub fn label(self) -> &'static str {
        match self {
            PinRule::Takes => "takes",
            PinRule::BreaksCow => "breaks-cow",
            PinRule::Unshares => "unshares",
            PinRule::Unknown => "unknown",
        }
    }
}

/// A rule, by the name that the kernel's parameter `cow_reuse` has for it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
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
    pub fn stands_for(self) -> SmallRule {
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
