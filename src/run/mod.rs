//! The run file: its schema, reading, writing and merging.

pub mod schema;
