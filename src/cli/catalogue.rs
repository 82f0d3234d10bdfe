//! `cowpath list` and `cowpath schema`.

use anyhow::Result;

use super::args::ListArgs;
use super::{exit, say};
use crate::report::terminal;
use crate::run::io::json_schema;
use crate::scenario::catalogue::choose;

pub(super) fn list(args: &ListArgs) -> Result<u8> {
    let scenarios = choose(&args.globs)?;
    if args.json {
        say(&terminal::catalogue_json(&scenarios)?)?;
    } else {
        say(&terminal::catalogue(&scenarios))?;
    }
    Ok(exit::OK)
}

pub(super) fn schema() -> Result<u8> {
    say(&json_schema())?;
    Ok(exit::OK)
}
