//! Two sides of run files, before and after: what differs, by how much, how sure that is, and what is too small to see.
//!
//! [`side`] keeps of each run file what a comparison needs, [`changes`] says what differs besides the figures, [`effect`]
//! and [`rank`] hold the statistics of one row, [`signed`] those of a row that may be negative, [`table`] puts rows, corrections and verdicts together, and [`gate`]
//! says whether a change should be stopped.

pub mod changes;
pub mod effect;
pub mod gate;
pub mod rank;
pub mod side;
pub mod signed;
pub mod table;
