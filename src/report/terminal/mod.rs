//! What the program prints.

pub mod catalogue;
pub mod doctor;
pub mod noise;
mod remarks;
mod words;
pub mod run;
pub mod table;

use std::fmt::Write;

use crate::record::schema::Strategy;

fn strategy_text(strategy: &Strategy) -> String {
    let mut text = format!(
        "reuse strategy: {} for small pages, {} for large folios; a reading pin of a shared page: {}\n",
        strategy.small.label(),
        strategy.large.label(),
        strategy.pin.label()
    );
    for line in &strategy.evidence {
        let _ = writeln!(text, "  {line}");
    }
    text
}
