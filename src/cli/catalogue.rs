//! `cowpath list` and `cowpath schema`.

use anyhow::{Result, bail};

use super::args::{ListArgs, PAGES, SchemaOf};
use crate::cli::say::say;
use crate::record::io::json_schema;
use crate::report::dossier::reproducer::reproducer;
use crate::report::terminal;
use crate::scenario::Scenario;
use crate::scenario::catalogue::matching;
use crate::suite::sizes::usual;
use crate::worker::units::units;
use crate::{exit, profile};

pub(super) fn list(args: &ListArgs) -> Result<u8> {
    let scenarios = matching(&args.globs)?;
    if args.c {
        return c(&scenarios);
    }
    if args.json {
        say(&terminal::catalogue::json(&scenarios)?)?;
    } else {
        say(&terminal::catalogue::text(&scenarios))?;
    }
    Ok(exit::OK)
}

/// The C file of one scenario, in the folios that are most likely to be had.
fn c(scenarios: &[&Scenario]) -> Result<u8> {
    let [scenario] = scenarios else {
        bail!("--c takes one scenario; {} were named", scenarios.len());
    };
    let folio = usual(scenario.memory);
    let count = units(scenario, folio, PAGES);
    match reproducer(scenario, folio, count as u32) {
        Ok(text) => say(text.trim_end())?,
        Err(why) => bail!("{}: there is no C file: it has {why}", scenario.id),
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
