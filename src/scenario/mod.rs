//! The catalogue: page states, their actors, the kernel path they take and the outcome each strategy predicts.

pub mod outcome;
