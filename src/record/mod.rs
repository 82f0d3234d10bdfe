//! What a measurement leaves behind: the types of the run file, its words, reading it strictly and writing it whole.

pub mod audit;
pub mod agreement;
pub mod basis;
pub mod bounds;
pub mod case;
pub mod clock;
pub mod counts;
pub mod folio;
pub mod io;
pub mod keeper;
pub mod known;
pub mod latency;
pub mod method;
pub mod moves;
pub mod outcome;
pub mod output;
pub mod progress;
pub mod race;
pub mod rule;
pub mod schema;
pub mod predicted;
pub mod staged;
pub mod sum;
pub mod sweep;
pub mod unit;
pub mod virtualization;
