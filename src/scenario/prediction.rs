//! What each strategy allows.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::outcome::Outcome;
use crate::record::rule::SmallRule;

/// What each strategy allows: outcomes, or results of a raced page. One is a certain prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Prediction<T: 'static = Outcome> {
    /// Up to 5.8.
    pub mapcount: &'static [T],
    /// 5.9 to 5.18.
    pub refcount: &'static [T],
    /// From 5.19.
    pub exclusive: &'static [T],
}

impl<T: 'static> Prediction<T> {
    /// The same under every strategy.
    pub const fn always(outcomes: &'static [T]) -> Self {
        Prediction {
            mapcount: outcomes,
            refcount: outcomes,
            exclusive: outcomes,
        }
    }
}

/// What `prediction` says under a rule; nothing when the rule is unknown and the rules differ.
pub fn under<T: PartialEq>(prediction: &Prediction<T>, rule: SmallRule) -> &'static [T] {
    let &Prediction {
        mapcount,
        refcount,
        exclusive,
    } = prediction;
    match rule {
        SmallRule::Mapcount => mapcount,
        SmallRule::Refcount => refcount,
        SmallRule::Exclusive => exclusive,
        SmallRule::Unknown if mapcount == refcount && refcount == exclusive => mapcount,
        SmallRule::Unknown => &[],
    }
}
