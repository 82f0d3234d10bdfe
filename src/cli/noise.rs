//! `cowpath noise`.

use anyhow::{Context, Result, bail};

use super::args::NoiseArgs;
use super::inputs::{run_files, side};
use crate::cli::say::say;
use crate::compare::noise;
use crate::compare::options::Statistic;
use crate::exit;
use crate::record::output::write_whole;
use crate::report::terminal;

pub(super) fn noise(args: &NoiseArgs) -> Result<u8> {
    let side = side(&run_files(&args.runs)?)?;
    if let Some(other) = side.inner.first() {
        bail!(
            "these runs are not of the same thing: {}: {:?} against {:?}",
            other.what,
            other.base,
            other.new
        );
    }
    let profile = noise::profile(&side, &Statistic::ALL).context(
        "one run cannot tell how far two lie apart; give three or more of the same thing",
    )?;
    say(&terminal::noise::text(&profile))?;
    if let Some(path) = &args.output {
        let mut text = serde_json::to_vec_pretty(&profile)?;
        text.push(b'\n');
        write_whole(path, &text)?;
        tell!("written: {}", path.display());
    }
    Ok(exit::OK)
}
