//! What a kernel is expected to do that was switched to a rule which is not its own.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::outcome::Outcome;
use crate::record::rule::Rule;

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
