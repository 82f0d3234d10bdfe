//! What was counted, or why it was not.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A count, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Known{T}")]
#[serde(untagged, deny_unknown_fields)]
pub enum Known<T> {
    /// Counted.
    Counted(T),
    /// Not counted.
    Unavailable {
        /// Why.
        unavailable: String,
    },
}

impl<T> Known<T> {
    /// Nothing was counted, for this reason.
    pub fn unavailable(why: impl Into<String>) -> Self {
        let unavailable = why.into();
        Known::Unavailable { unavailable }
    }

    /// What was counted.
    pub fn counted(&self) -> Option<&T> {
        match self {
            Known::Counted(counted) => Some(counted),
            Known::Unavailable { .. } => None,
        }
    }
}

impl<T> From<Result<T, String>> for Known<T> {
    fn from(counted: Result<T, String>) -> Self {
        counted.map_or_else(Known::unavailable, Known::Counted)
    }
}

impl<T: AddAssign> Known<T> {
    /// Adds another part's count; where either part was not counted, the other is the sum. For counts that say of how much
    /// they are: a rate over a part of the repetitions is still one.
    pub fn add_to_known(&mut self, other: Self) {
        match (&mut *self, other) {
            (Known::Counted(sum), Known::Counted(more)) => *sum += more,
            (Known::Unavailable { .. }, counted @ Known::Counted(_)) => *self = counted,
            (_, Known::Unavailable { .. }) => {}
        }
    }

    /// Adds another part's count; where either part was not counted, the sum is not. For counts that are set against the whole.
    pub fn add_if_both(&mut self, other: Self) {
        match (&mut *self, other) {
            (Known::Counted(sum), Known::Counted(more)) => *sum += more,
            (Known::Counted(_), missing) => *self = missing,
            (Known::Unavailable { .. }, _) => {}
        }
    }
}

/// Adds what was counted under each name; what is missing under a name on either side is missing of the sum, which is set
/// against the whole.
pub fn add_under_each_name<K: Ord + Clone, T: AddAssign>(
    sums: &mut BTreeMap<K, Known<T>>,
    more: BTreeMap<K, Known<T>>,
) {
    let absent = || Known::unavailable("not every part has this count");
    for (name, sum) in &mut *sums {
        if !more.contains_key(name) {
            *sum = absent();
        }
    }
    for (name, count) in more {
        match sums.get_mut(&name) {
            Some(sum) => sum.add_if_both(count),
            None => {
                sums.insert(name, absent());
            }
        }
    }
}

/// Adds another part's count, where either part was asked for one.
pub fn add_where_asked<T: AddAssign>(sum: &mut Option<Known<T>>, more: Option<Known<T>>) {
    match (&mut *sum, more) {
        (Some(sum), Some(more)) => sum.add_if_both(more),
        (_, more) => *sum = sum.take().or(more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(count: Option<u64>) -> Known<u64> {
        count.ok_or("no".to_string()).into()
    }

    #[test]
    fn a_part_that_was_not_counted_is_left_out_or_makes_the_whole_unknown() {
        for (one, other) in [(Some(1), None), (None, Some(1))] {
            let mut sum = known(one);
            sum.add_to_known(known(other));
            assert_eq!(sum, known(Some(1)));
            let mut sum = known(one);
            sum.add_if_both(known(other));
            assert_eq!(sum, known(None));
        }
        let mut sum = known(Some(1));
        sum.add_to_known(known(Some(2)));
        sum.add_if_both(known(Some(4)));
        assert_eq!(sum, known(Some(7)));
    }

    #[test]
    fn counts_add_up_by_name_and_one_that_is_missing_anywhere_is_missing() {
        let counts = |all: &[(&'static str, Option<u64>)]| -> BTreeMap<_, _> {
            all.iter().map(|&(name, n)| (name, known(n))).collect()
        };
        let mut sums = counts(&[("a", Some(1)), ("b", Some(2)), ("c", Some(3))]);
        add_under_each_name(
            &mut sums,
            counts(&[("b", None), ("a", Some(10)), ("d", Some(1))]),
        );
        let found: Vec<_> = sums
            .iter()
            .map(|(name, sum)| (*name, sum.counted().copied()))
            .collect();
        assert_eq!(
            found,
            [("a", Some(11)), ("b", None), ("c", None), ("d", None)]
        );
    }
}
