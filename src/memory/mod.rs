//! Mappings and the page states that a scenario needs.
