//! How many results agree with what was expected of them: that is a confirmed prediction only where the expectation rests
//! on a source, and nothing at all where it is true by construction.

use super::basis::BasisKind;
use super::schema::Measured;

/// How many results came to what was expected of them, by what that rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Those that agree, each kind by itself.
    agree: [usize; BasisKind::ALL.len()],
    /// Those that agree with an expectation of an older file, which does not say what it rests on.
    unfounded: usize,
    /// Those that do not.
    pub differ: usize,
}

impl Agreement {
    /// Counts results; one of which nothing was expected, or which nobody could tell, counts nowhere, and neither does
    /// one that agrees by construction.
    pub fn of<'a>(results: impl IntoIterator<Item = &'a Measured>) -> Self {
        let mut found = Agreement::default();
        for measured in results {
            match (measured.agrees(), &measured.basis) {
                (None, _) => {}
                (Some(false), _) => found.differ += 1,
                (Some(true), Some(basis)) if basis.kind.agreement().is_none() => {}
                (Some(true), Some(basis)) => found.agree[basis.kind as usize] += 1,
                (Some(true), None) => found.unfounded += 1,
            }
        }
        found
    }

    /// Results of which something was expected and which could be told.
    pub fn all(&self) -> usize {
        self.agree.iter().sum::<usize>() + self.unfounded + self.differ
    }

    /// The counts in words, such as `74 as derived from source, 18 as seen before, 3 differ`.
    pub fn label(&self) -> String {
        let kinds = BasisKind::ALL.into_iter().zip(self.agree);
        let kinds = kinds.filter_map(|(kind, count)| Some((kind.agreement()?, count)));
        let others = [
            ("as expected (the file does not say why)", self.unfounded),
            ("differ", self.differ),
        ];
        let each = kinds.chain(others).filter(|&(_, count)| count > 0);
        let words: Vec<String> = each
            .map(|(what, count)| format!("{count} {what}"))
            .collect();
        match words[..] {
            [] => "none could be told".into(),
            _ => words.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_by_construction_is_not_told() {
        let found = Agreement {
            agree: [1, 0, 0, 7],
            ..Agreement::default()
        };
        assert_eq!(found.label(), "1 as derived from source");
        assert_eq!(BasisKind::Construction.agreement(), None);
    }

    #[test]
    fn agreement_is_told_by_what_was_expected_of() {
        let none = Agreement::default();
        assert_eq!(
            (none.all(), none.label().as_str()),
            (0, "none could be told")
        );
        let found = Agreement {
            agree: [74, 18, 0, 0],
            unfounded: 0,
            differ: 3,
        };
        assert_eq!(found.all(), 95);
        assert_eq!(
            found.label(),
            "74 as derived from source, 18 as seen before, 3 differ"
        );
    }
}
