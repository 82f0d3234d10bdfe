//! `cowpath report`.

use anyhow::Result;

use super::args::ReportArgs;
use super::{exit, say};
use crate::report;
use crate::run::io::read;

pub(super) fn report(args: &ReportArgs) -> Result<u8> {
    let runs = args
        .runs
        .iter()
        .map(|path| read(path))
        .collect::<Result<Vec<_>, _>>()?;
    let written = report::write(&runs, &args.output)?;
    eprintln!(
        "{} files written; open this one in a browser:",
        written.files.len()
    );
    say(&written.index.display().to_string())?;
    Ok(exit::OK)
}
