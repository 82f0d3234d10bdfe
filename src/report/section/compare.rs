//! The new side against the base: what changed, and every ratio with its interval.

use crate::compare::options::Verdict;
use crate::compare::row::Row;
use crate::compare::side::Difference;
use crate::compare::table::Comparison;
use crate::report::compare::{self, estimate, p_value, remarks, verdict};
use crate::report::document::{
    Block, Cell, Column, Fact, Facts, Forest, ForestRow, Section, Table,
};
use crate::report::error::ReportError;
use crate::report::format;
use crate::report::view::View;

pub fn sections(view: &View) -> Result<Vec<Section>, ReportError> {
    let Some(comparison) = &view.comparison else {
        return Ok(Vec::new());
    };
    let mut blocks = vec![Block::Facts(Facts {
        caption: String::new(),
        prominent: true,
        items: facts(comparison),
    })];
    if !comparison.mismatches.is_empty() {
        blocks.push(Block::notice(
            "These runs do not compare; it was done because it was asked for.",
        ));
    }
    blocks.extend(differences("What does not compare", &comparison.mismatches));
    blocks.extend(differences(
        "What changed besides the figures",
        &comparison.changes,
    ));
    if !comparison.rows.is_empty() {
        let rows: Vec<&Row> = comparison.rows.iter().collect();
        blocks.push(Block::Forest(forest(&rows, remarks(comparison))));
    }
    blocks.extend(signed(comparison));
    blocks.extend(differences(
        "Settings and kernel options that differ",
        &comparison.settings,
    ));
    Ok(vec![Section::new("comparison", "New against base", blocks)])
}

fn differences(caption: &str, differences: &[Difference]) -> Option<Block> {
    let rows = differences.iter().map(|d| {
        [&d.what, &d.base, &d.new]
            .map(|text| Cell::new(text.as_str()))
            .into()
    });
    (!differences.is_empty()).then(|| {
        Block::Table(Table::of_sentences(
            caption,
            ["what", "base", "new"].map(Column::words),
            rows,
        ))
    })
}

fn signed(comparison: &Comparison) -> Option<Block> {
    let mut table = compare::signed(comparison);
    if comparison.rows.is_empty() {
        table.notes = remarks(comparison);
    }
    (!table.rows.is_empty()).then_some(Block::Table(table))
}

fn facts(comparison: &Comparison) -> Vec<Fact> {
    let side = |name: &str, side: &crate::compare::table::Brief| {
        let runs = format!("{} runs", side.runs.len());
        Fact::new(name, side.label.clone()).detail(runs)
    };
    let mut facts = vec![side("Base", &comparison.base), side("New", &comparison.new)];
    for verdict in [
        Verdict::Slower,
        Verdict::Faster,
        Verdict::Same,
        Verdict::CantTell,
    ] {
        let fact = Fact::new(verdict.label(), comparison.count(verdict).to_string());
        facts.push(match verdict {
            Verdict::Same => {
                let within = 100.0 * comparison.options.same;
                fact.detail(format!("within {within:.1} %"))
            }
            _ => fact,
        });
    }
    facts
}

/// Rows as ratios around a line at 1.
pub(super) fn forest(rows: &[&Row], notes: Vec<String>) -> Forest {
    let ends = rows.iter().filter_map(|row| row.effect.interval);
    let furthest = ends
        .flat_map(|ends| [ends.low.ln().abs(), ends.high.ln().abs()])
        .chain(rows.iter().map(|row| row.effect.change.ln().abs()))
        .fold(0.02, f64::max)
        // Beyond a factor of 2 an interval is cut off: the others would be dots beside it.
        .min(2f64.ln());
    let place = |ratio: f64| (50.0 + 50.0 * ratio.ln() / furthest).clamp(0.0, 100.0);
    Forest {
        caption: match rows.first() {
            Some(row) => format!(
                "New over base, values in {}: the ratio with the interval that decides",
                row.unit.label()
            ),
            None => String::new(),
        },
        low: format!("× {:.2}", (-furthest).exp()),
        high: format!("× {:.2}", furthest.exp()),
        rows: rows.iter().map(|row| line(row, &place)).collect(),
        notes,
    }
}

fn line(row: &Row, place: &dyn Fn(f64) -> f64) -> ForestRow {
    let effect = &row.effect;
    ForestRow {
        label: row.label(),
        base: estimate(&effect.base),
        new: estimate(&effect.new),
        at: place(effect.change),
        ends: effect.interval.map(|ends| ends.map(place)),
        ratio: format::ratio(effect),
        p: p_value(effect),
        mde: effect.mde.map_or("–".into(), format::change),
        verdict: verdict(row.verdict, row.marked, row.primary),
        kind: match row.verdict {
            Verdict::Slower => "slower",
            Verdict::Faster => "faster",
            Verdict::Same => "same",
            Verdict::CantTell => "open",
        },
    }
}
