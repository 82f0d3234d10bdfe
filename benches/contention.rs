//! How do faults on the same pages scale with threads that sweep them without waiting for each other?

mod common;

fn main() {
    common::measure("contention", |scenario| scenario.group() == "contention");
}
