//! Races: threads that meet at every page, what they do there, and what became of it.

pub mod floor;
pub mod ground;
pub mod judge;
pub mod repeat;

mod deeds;
mod edge;
mod integrity;
mod party;
mod trial;
