//! What tells the results of a run file apart, and how that is written.

use serde::Serialize;

use super::folio::FolioSize;
use super::rule::Rule;
use super::schema::Measured;

/// A scenario with everything in which two results of it may differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct CaseId {
    /// Scenario id.
    pub scenario: String,
    /// The reuse rule that the kernel was switched to; absent where it was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Rule>,
    /// Whether the kernel looked again before it installed a copy; absent where that was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recheck: Option<bool>,
    /// Folio size.
    pub folio: FolioSize,
    /// Threads.
    pub threads: u32,
    /// Clock ticks between the threads' deadlines.
    pub skew: i64,
    /// Whether threads shared CPUs.
    pub oversubscribed: bool,
    /// Pages of the area.
    pub pages: u32,
}

impl CaseId {
    /// The case of a result.
    pub fn of(measured: &Measured) -> CaseId {
        CaseId {
            scenario: measured.scenario.clone(),
            strategy: measured.strategy,
            recheck: measured.held.as_ref().map(|held| held.recheck),
            folio: measured.folio,
            threads: measured.threads,
            skew: measured.skew,
            oversubscribed: measured.oversubscribed,
            pages: measured.pages,
        }
    }

    /// The same with such a skew.
    pub fn with_skew(self, skew: i64) -> CaseId {
        CaseId { skew, ..self }
    }

    /// The same with so many threads.
    pub fn with_threads(self, threads: u32) -> CaseId {
        CaseId { threads, ..self }
    }

    /// The same, where the run as a whole tells the rule.
    pub fn without_strategy(self) -> CaseId {
        let strategy = None;
        CaseId { strategy, ..self }
    }

    /// Whether `other` is the same case, be it in another number of pages.
    pub fn is_but_for_pages(&self, other: &CaseId) -> bool {
        let pages = self.pages;
        *self
            == CaseId {
                pages,
                ..other.clone()
            }
    }

    /// Every parameter by its name, the scenario first: `own` is the rule that the kernel has of itself.
    pub fn parameters(&self) -> [(&'static str, String); 8] {
        let recheck = |on| if on { "on" } else { "off" };
        [
            ("scenario", self.scenario.clone()),
            ("folio", self.folio.to_string()),
            ("threads", self.threads.to_string()),
            ("skew", self.skew.to_string()),
            ("pages", self.pages.to_string()),
            ("strategy", self.strategy.map_or("own", Rule::label).into()),
            ("recheck", self.recheck.map_or("", recheck).into()),
            ("oversubscribed", self.oversubscribed.to_string()),
        ]
    }

    /// The scenario and what is not as usual: `race/store-store ×4 skew 200`.
    pub fn label(&self) -> String {
        self.spelled(false, self.threads > 1, self.skew != 0, false)
    }

    /// The scenario, the size of a large folio, and in what the case differs from others of its scenario.
    pub fn label_among<'a>(&self, others: impl IntoIterator<Item = &'a CaseId>) -> String {
        let others = others.into_iter();
        let alike: Vec<&CaseId> = others.filter(|o| o.scenario == self.scenario).collect();
        let differs = |same: fn(&CaseId, &CaseId) -> bool| alike.iter().any(|o| !same(self, o));
        self.spelled(
            differs(|a, b| a.folio == b.folio),
            differs(|a, b| a.threads == b.threads),
            differs(|a, b| a.skew == b.skew),
            differs(|a, b| a.pages == b.pages),
        )
    }

    /// The scenario with those of these parameters that are to be told, and the others where they are not as usual.
    fn spelled(&self, folio: bool, threads: bool, skew: bool, pages: bool) -> String {
        let recheck = |on| format!(" recheck {}", if on { "on" } else { "off" });
        let words = [
            (folio || self.folio != USUAL).then(|| format!(" {}", self.folio)),
            threads.then(|| format!(" ×{}", self.threads)),
            skew.then(|| format!(" skew {}", self.skew)),
            pages.then(|| format!(" {} pages", self.pages)),
            self.recheck.map(recheck),
            self.strategy.map(|rule| format!(" under {}", rule.label())),
            self.oversubscribed.then(|| " (CPUs shared)".into()),
        ];
        let words = words.into_iter().flatten();
        words.fold(self.scenario.clone(), |label, word| label + &word)
    }
}

/// The folio size that is not told.
const USUAL: FolioSize = FolioSize::of_kib(4);

/// Which cases had data that was not as it must be, and in how many of their words.
pub fn violated<'a>(results: impl IntoIterator<Item = &'a Measured>) -> Vec<String> {
    let wrong = results
        .into_iter()
        .filter(|measured| measured.integrity.violations > 0);
    wrong
        .map(|measured| {
            let integrity = &measured.integrity;
            let label = CaseId::of(measured).label();
            format!(
                "{label}: {} of {} words",
                integrity.violations, integrity.checked
            )
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A scenario with nothing unusual about it.
    pub(crate) fn case(id: &str) -> CaseId {
        CaseId {
            scenario: id.into(),
            strategy: None,
            recheck: None,
            folio: USUAL,
            threads: 1,
            skew: 0,
            oversubscribed: false,
            pages: 512,
        }
    }

    #[test]
    fn what_is_unusual_is_told() {
        let plain = case("copy/child-alive");
        assert_eq!(plain.label(), "copy/child-alive");
        let odd = CaseId {
            strategy: Some(Rule::Mapcount),
            recheck: Some(true),
            folio: FolioSize::of_kib(64),
            threads: 4,
            skew: -20,
            oversubscribed: true,
            ..case("race/store-store")
        };
        assert_eq!(
            odd.label(),
            "race/store-store 64k ×4 skew -20 recheck on under mapcount (CPUs shared)"
        );
    }

    #[test]
    fn so_is_in_what_cases_of_one_scenario_differ() {
        let (one, other) = (case("a/b"), case("a/b").with_threads(2).with_skew(7));
        let more = CaseId {
            pages: 64,
            ..one.clone()
        };
        let all = [one.clone(), other.clone(), more, case("a/c").with_skew(9)];
        assert_eq!(one.label_among(&all), "a/b ×1 skew 0 512 pages");
        assert_eq!(other.label_among(&all), "a/b ×2 skew 7 512 pages");
        assert_eq!(all[3].label_among(&all), "a/c");
        let large = CaseId {
            folio: FolioSize::of_kib(2048),
            ..one.clone()
        };
        assert_eq!(large.label_among([&large]), "a/b 2m");
        assert_eq!(one.label_among([&one, &large]), "a/b 4k");
    }

    #[test]
    fn pages_are_the_only_parameter_that_may_differ_between_sides() {
        let one = case("a/b");
        let more = CaseId {
            pages: 64,
            ..one.clone()
        };
        assert!(one != more && one.is_but_for_pages(&more));
        assert!(!one.is_but_for_pages(&more.with_skew(1)));
    }
}
