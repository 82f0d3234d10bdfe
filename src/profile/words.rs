//! Words that both a profile and a difference use.

use crate::profile::document::FigurePair;
use crate::report::format::count;

/// Where two paths part, in words.
pub fn divergence(divergence: &super::document::Divergence, base: &str, new: &str) -> String {
    let does = |next: &Option<String>| match next {
        Some(function) => format!("enters {function}"),
        None => "enters nothing more".into(),
    };
    let within = match divergence.within.last() {
        Some(function) => format!("in {function}"),
        None => "at the start".into(),
    };
    format!(
        "the paths part {within}, after {} functions entered alike: {base} {} (instruction {}), {new} {} (instruction {})",
        divergence.alike,
        does(&divergence.base),
        count(divergence.base_at),
        does(&divergence.new),
        count(divergence.new_at),
    )
}

/// What became of a part of the path.
pub fn word(pair: &FigurePair) -> &'static str {
    match (&pair.base, &pair.new) {
        (None, _) => "added",
        (_, None) => "gone",
        (Some(base), Some(new)) => match new.instructions.cmp(&base.instructions) {
            std::cmp::Ordering::Less => "fewer",
            std::cmp::Ordering::Equal if base == new => "same",
            std::cmp::Ordering::Equal => "other",
            std::cmp::Ordering::Greater => "more",
        },
    }
}

/// A change with its sign.
pub fn change(base: u64, new: u64) -> String {
    match new >= base {
        true => format!("+{}", count(new - base)),
        false => format!("-{}", count(base - new)),
    }
}
