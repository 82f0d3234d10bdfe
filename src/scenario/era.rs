//! Kernels that do something else than their reuse strategy alone would say: predictions by version.

use schemars::JsonSchema;
use serde::Serialize;

use crate::record::outcome::Outcome;

/// A prediction for a span of kernel versions. It goes before the strategy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Era {
    /// The first version, major and minor.
    pub since: (u32, u32),
    /// The first version that it no longer holds for.
    pub before: (u32, u32),
    /// The outcomes that these kernels allow.
    pub expected: &'static [Outcome],
    /// Where the prediction comes from: a commit, a source that was read, a kernel that was seen.
    pub basis: &'static str,
}

/// No version: the end of an era that lasts.
const NEVER: (u32, u32) = (u32::MAX, 0);

impl Era {
    /// From version `since` on.
    pub const fn since(
        since: (u32, u32),
        expected: &'static [Outcome],
        basis: &'static str,
    ) -> Self {
        Era {
            since,
            before: NEVER,
            expected,
            basis,
        }
    }

    /// Up to, but not in, version `before`.
    pub const fn before(
        before: (u32, u32),
        expected: &'static [Outcome],
        basis: &'static str,
    ) -> Self {
        Era {
            since: (0, 0),
            before,
            expected,
            basis,
        }
    }

    /// From version `since` up to, but not in, version `before`.
    pub const fn between(
        since: (u32, u32),
        before: (u32, u32),
        expected: &'static [Outcome],
        basis: &'static str,
    ) -> Self {
        Era {
            since,
            before,
            expected,
            basis,
        }
    }

    /// Whether it holds for `version`.
    pub fn holds(&self, version: (u32, u32)) -> bool {
        self.since <= version && version < self.before
    }

    /// The span in words.
    pub fn span(&self) -> String {
        let name = |(major, minor)| format!("{major}.{minor}");
        match (self.since, self.before) {
            ((0, 0), before) => format!("before {}", name(before)),
            (since, NEVER) => format!("{} and later", name(since)),
            (since, before) => format!("{} up to before {}", name(since), name(before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_begins_with_its_first_version_and_ends_before_its_last() {
        let era = Era::between((5, 19), (6, 0), &[], "");
        assert!(era.holds((5, 19)) && era.holds((5, 20)));
        assert!(!era.holds((5, 18)) && !era.holds((6, 0)));
        assert!(Era::since((6, 15), &[], "").holds((7, 2)));
        assert_eq!(Era::since((6, 15), &[], "").span(), "6.15 and later");
        assert_eq!(Era::before((6, 0), &[], "").span(), "before 6.0");
    }
}
