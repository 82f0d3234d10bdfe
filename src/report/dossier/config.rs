//! Kernel configurations of two sides, and in what they differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::compare::side::Difference;

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

    /// The options that differ.
    pub(super) fn differences(&self) -> Vec<Difference> {
        differing(&self.base, &self.new, "n")
    }
}

/// Entries that differ, in the order of their names; `absent` stands for one that a side does not have.
pub(super) fn differing(
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

#[cfg(test)]
mod tests {
    use super::*;

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
