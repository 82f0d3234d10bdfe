//! Words of the tables of a run and of the remarks below them.

use std::fmt::Write;

use crate::record::folio::Folio;
use crate::record::schema::{Measured, RunFile};

/// The scenario, and in what its results differ from each other.
pub(super) fn case(file: &RunFile, measured: &Measured) -> String {
    let alike: Vec<&Measured> = file
        .results
        .iter()
        .filter(|other| other.scenario == measured.scenario)
        .collect();
    let mut text = measured.scenario.clone();
    if measured.folio != Folio::Page.to_string() {
        let _ = write!(text, " {}", measured.folio);
    }
    if alike.iter().any(|other| other.threads != measured.threads) {
        let _ = write!(text, " x{}", measured.threads);
    }
    if alike.iter().any(|other| other.skew != measured.skew) {
        let _ = write!(text, " skew {}", measured.skew);
    }
    if let Some(held) = &measured.held {
        let _ = write!(
            text,
            ", recheck {}",
            if held.recheck { "on" } else { "off" }
        );
    }
    if let Some(rule) = measured.strategy {
        let _ = write!(text, ", {}", rule.title());
    }
    if measured.oversubscribed {
        text += " (CPUs shared)";
    }
    text
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
