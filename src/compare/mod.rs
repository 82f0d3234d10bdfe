//! Two sides of run files, before and after: what differs, by how much, how sure that is, and what is too small to see.
//!
//! [`side`] keeps of each run file what a comparison needs, [`changes`] says what differs besides the figures, [`table`] puts
//! rows, corrections and verdicts together, [`signed`] has the rows that may be negative, [`gate`]
//! says whether a change should be stopped, [`noise`] and [`drift`] compare runs with themselves. The statistics of one row are
//! [`stats`](crate::stats)'.

pub mod changes;
pub mod drift;
pub mod gate;
pub mod history;
pub mod noise;
pub mod side;
pub mod signed;
pub mod table;
pub mod options;
pub mod row;
mod notes;
mod paths;
