//! What is asked of two sides: their figures, how they are set against each other, and what an answer may rest on.

use serde::Serialize;

use super::spread::Spread;

/// What kind of figures a side holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Times: they vary, and a sample of them is all there is.
    PerRun,
    /// Executed instructions: what is the same in every boot of a side is a fact.
    Exact,
}

/// How two sides are set against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// New over base: figures above 0.
    Ratio,
    /// New less base: figures that may be 0 or negative.
    Difference,
}

/// One row of a table before it is answered.
#[derive(Clone, Debug)]
pub struct Question {
    /// What kind of figures these are.
    pub kind: ValueKind,
    /// How they are set against each other.
    pub scale: ChangeKind,
    /// The base: run by run, the repetitions' values; empty for a run that has none.
    pub base: Vec<Vec<f64>>,
    /// The new side.
    pub new: Vec<Vec<f64>>,
    /// Whether the n-th runs of both sides are a pair that was taken in turns.
    pub paired: bool,
    /// How far a recorded value may lie from the true one, in the values' unit: the clock's step, the width of a bucket.
    pub step: f64,
    /// The chance of a false verdict that this row may have: the table's, divided by its rows.
    pub chance: f64,
    /// How far runs of this lie apart on this machine, where that was measured before.
    pub measured: Option<Spread>,
}

/// What an answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Footing {
    /// Every boot of a side says the same, and in every layout of memory they differ by the same: there is nothing to estimate.
    Fact,
    /// Every boot of a side says the same, but by how much the sides differ depends on the layout: an estimate over layouts,
    /// which more boots do not make better.
    Layouts,
    /// Boots of one side, which should say the same, differ: estimated as times are.
    BootsDiffer,
    /// Runs that were taken in turns, pair by pair.
    Pairs,
    /// The runs of both sides.
    Runs,
    /// How far runs lie apart, as measured before: the sides have one run each.
    Measured,
    /// Nothing: the sides have one run each, and how far two runs of the same lie apart is unknown.
    OneRun,
}
