//! Words of the tables of a run and of the remarks below them.

use crate::record::case::CaseId;
use crate::record::schema::{Measured, RunFile};

/// The scenario, what is not as usual about the case, and in what its results differ from each other.
pub(super) fn case(file: &RunFile, measured: &Measured) -> String {
    let cases: Vec<CaseId> = file.results.iter().map(CaseId::of).collect();
    CaseId::of(measured).label_among(&cases)
}

/// A share that does not round to all or nothing unless it is.
pub(super) fn percent(share: f64) -> String {
    if share == 100.0 || share == 0.0 {
        format!("{share:.0} %")
    } else if share > 99.99 {
        ">99.99 %".into()
    } else if share < 0.01 {
        "<0.01 %".into()
    } else {
        format!("{share:.2} %")
    }
}

pub(super) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
