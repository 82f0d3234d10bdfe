//! What a run may change of the machine, and that it is put back: whoever is killed, whoever else wrote to where changes
//! are noted. As root only, each test with a /run of its own.

mod common;
mod settings {
    pub mod journal;
    pub mod kills;
    pub mod machine;
    pub mod runs;
}
