//! `cowpath dossier`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::args::DossierArgs;
use super::compare::{gate_code, options};
use super::inputs::{run_files, side};
use crate::cli::say::say;
use crate::compare::table::compare;
use crate::profile::compare as profiles;
use crate::report::dossier;
use crate::report::dossier::config::Configs;
use crate::report::files::Staging;

pub(super) fn dossier(args: &DossierArgs) -> Result<u8> {
    let all = args.base.iter().chain(&args.new);
    if let Some(profile) = all.into_iter().find(|path| profiles::is_profile(path)) {
        bail!(
            "{}: a profile has no repetitions to judge by; give run files, and profiles by --paths",
            profile.display()
        );
    }
    if args.how.anyway {
        bail!(
            "a regression report needs sides that compare, so --anyway means nothing here; `cowpath compare --anyway` shows what was seen"
        );
    }
    let options = options(&args.how)?;
    let configs = match &args.config[..] {
        [base, new] => Some(Configs {
            base: config(base)?,
            new: config(new)?,
        }),
        _ => None,
    };
    let base = side(&run_files(&args.base)?)?;
    let new = side(&run_files(&args.new)?)?;
    let comparison = compare(&base, &new, &options)?;
    let made = dossier::dossier(&base, &new, &comparison, configs.as_ref())?;
    let mut files = Staging::new(&args.output)?;
    files.write("", "mail", "txt", &made.mail)?;
    for (name, text) in &made.programs {
        files.write("", name.trim_end_matches(".c"), "c", text)?;
    }
    files.publish()?;
    tell!(
        "{} C files beside the mail; read it before you send it:",
        made.programs.len()
    );
    say(&args.output.join("mail.txt").display().to_string())?;
    Ok(gate_code(&comparison))
}

fn config(path: &Path) -> Result<std::collections::BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let options = Configs::options(&text);
    if options.is_empty() {
        bail!(
            "{}: no kernel configuration: no line of it begins with CONFIG_",
            path.display()
        );
    }
    Ok(options)
}
