//! `cowpath list` and `cowpath schema`.

use anyhow::Result;

use super::args::{ListArgs, SchemaOf};
use crate::cli::say::say;
use crate::record::io::json_schema;
use crate::report::terminal;
use crate::scenario::catalogue::choose;
use crate::{exit, profile};

pub(super) fn list(args: &ListArgs) -> Result<u8> {
    let scenarios = choose(&args.globs)?;
    if args.json {
        say(&terminal::catalogue::json(&scenarios)?)?;
    } else {
        say(&terminal::catalogue::text(&scenarios))?;
    }
    Ok(exit::OK)
}

pub(super) fn schema(of: SchemaOf) -> Result<u8> {
    say(&match of {
        SchemaOf::Run => json_schema(),
        SchemaOf::Profile => profile::document::json_schema(),
    })?;
    Ok(exit::OK)
}
