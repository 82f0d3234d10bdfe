//! Profiles from their files, and those of before against those of after.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::changes;
use super::diff;
use super::document::{EARLIER, PathDifference, PathSource, Profile, ProfileDocument, SCHEMA};
use super::stacks::folded_bytes;
use super::text;
use crate::record::bounds;
use crate::record::folio::FolioSize;
use crate::record::io::{misfit, on_one_line};
use crate::report::format::count;

/// The largest profile that is read, in bytes: some hundred times a usual one.
const LARGEST: u64 = 256 << 20;

/// The longest that the stacks of a kernel may be, in bytes: some thousand times as long as usual ones.
const LONGEST_STACKS: u64 = 64 << 20;

/// Profiles that cannot be read, or not be compared.
#[derive(Debug, thiserror::Error)]
pub enum ProfileCompareError {
    /// A file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: std::io::Error,
    },
    /// The file is larger than any profile.
    #[error("{}: not a profile that is read: it is larger than {LARGEST} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A file is no profile, or not whole.
    #[error("{}: not a profile that can be used: {reason}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Two profiles show different things.
    #[error("{} does not compare: {what}: {base} before, {new} after{remedy}", path.display())]
    Unlike {
        /// The file of after.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// Before.
        base: String,
        /// After.
        new: String,
        /// What can be done about it.
        remedy: &'static str,
    },
}

/// Whether a file says that it holds a profile, of this version or another. What can be read once only, such
/// as a pipe, is left to the reader of run files.
pub fn is_profile(path: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: String,
    }
    if !path.is_file() {
        return false;
    }
    // This program writes the schema first, so that a file that is cut short or too large tells it too.
    begins_as_profile(path).unwrap_or(false)
        || bytes(path).is_ok_and(|text| {
            serde_json::from_slice::<Head>(&text)
                .is_ok_and(|head| head.schema.starts_with("cowpath.profile/"))
        })
}

fn begins_as_profile(path: &Path) -> std::io::Result<bool> {
    let mut head = String::new();
    let told = File::open(path)?.take(100).read_to_string(&mut head);
    Ok(told.is_ok() && head.contains("\"cowpath.profile/"))
}

fn bytes(path: &Path) -> Result<Vec<u8>, ProfileCompareError> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text))
        .map_err(|source| ProfileCompareError::Io {
            path: path.into(),
            source,
        })?;
    match text.len() as u64 > LARGEST {
        true => Err(ProfileCompareError::TooLarge { path: path.into() }),
        false => Ok(text),
    }
}

/// The profile in a file, strictly.
///
/// # Errors
/// If it cannot be read, is no profile, or holds something that cannot be.
pub fn read(path: &Path) -> Result<ProfileDocument, ProfileCompareError> {
    let unfit = |reason: String| ProfileCompareError::Unfit {
        path: path.into(),
        reason: on_one_line(&reason),
    };
    let text = bytes(path)?;
    let mut document: ProfileDocument =
        serde_json::from_slice(&text).map_err(|_| unfit(misfit::<ProfileDocument>(&text)))?;
    if ![SCHEMA, EARLIER].contains(&document.schema.as_str()) {
        return Err(unfit(format!(
            "its schema is {:?}, this version reads {SCHEMA:?} and {EARLIER:?}",
            document.schema
        )));
    }
    bounds::check(&document).map_err(|beyond| unfit(beyond.to_string()))?;
    if document.profiles.is_empty() {
        return Err(unfit("it holds no kernel".into()));
    }
    let usual = document.profiles.iter().filter_map(Profile::usual);
    if usual.map(folded_bytes).any(|bytes| bytes > LONGEST_STACKS) {
        return Err(unfit(format!(
            "its stacks would take more than {LONGEST_STACKS} bytes written out"
        )));
    }
    SCHEMA.clone_into(&mut document.schema);
    Ok(document)
}

/// A profile whose paths can be set against others.
fn read_stepped(path: &Path) -> Result<ProfileDocument, ProfileCompareError> {
    let unfit = |reason| ProfileCompareError::Unfit {
        path: path.into(),
        reason,
    };
    let document = read(path)?;
    for profile in &document.profiles {
        let PathSource::Stepped(_) = profile.evidence else {
            return Err(unfit(
                "its stacks are sampled: shares of time, not a path".into(),
            ));
        };
        if profile.usual().is_none() {
            return Err(unfit(format!("{} has no path", profile.kernel.label)));
        }
    }
    Ok(document)
}

/// What a comparison found.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileComparison {
    /// `cowpath.profile-compare/1`.
    pub schema: &'static str,
    /// One for each kernel of after.
    pub pairs: Vec<Pairing>,
    /// The growth that is allowed, as a share.
    pub allowed: Option<f64>,
}

/// One kernel of after against that of before.
#[derive(Clone, Debug, Serialize)]
pub struct Pairing {
    /// The scenario's id.
    pub scenario: String,
    /// The size of the folios.
    pub folio: FolioSize,
    /// What the usual path came to, before and after.
    pub outcomes: [String; 2],
    /// Whether the two do not compare and were compared all the same.
    pub marked: bool,
    /// The difference.
    pub difference: PathDifference,
}

impl Pairing {
    /// Whether the path grew by more than is allowed.
    fn beyond(&self, allowed: f64) -> bool {
        let [base, new] = self.difference.whole.instructions();
        new as f64 > base as f64 * (1.0 + allowed)
    }
}

impl ProfileComparison {
    /// Whether every path stays within what is allowed, or nothing was asked. Instructions are counted,
    /// so there is no doubt that an interval would have to cover.
    pub fn passed(&self) -> bool {
        let beyond = |allowed| self.pairs.iter().any(|pairing| pairing.beyond(allowed));
        !self.allowed.is_some_and(beyond)
    }
}

/// Sets every kernel in `new` against the first kernel of the profile in `base` that shows the same
/// scenario.
///
/// # Errors
/// If a file cannot be read, is no stepped profile, or has no counterpart; and if two were made with
/// different CPU models, unless `anyway`.
pub fn compare(
    base: &[PathBuf],
    new: &[PathBuf],
    allowed: Option<f64>,
    anyway: bool,
) -> Result<ProfileComparison, ProfileCompareError> {
    let base = base
        .iter()
        .map(|path| read_stepped(path))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pairs = Vec::new();
    for path in new {
        let after = read_stepped(path)?;
        let same = |before: &&ProfileDocument| {
            before.scenario == after.scenario && before.folio == after.folio
        };
        let Some(before) = base.iter().find(same) else {
            let shown =
                |document: &ProfileDocument| format!("{} ({})", document.scenario, document.folio);
            return Err(ProfileCompareError::Unlike {
                path: path.clone(),
                what: "the scenario",
                base: on_one_line(&base.iter().map(shown).collect::<Vec<_>>().join(", ")),
                new: on_one_line(&shown(&after)),
                remedy: "",
            });
        };
        for profile in &after.profiles {
            pairs.push(pairing(path, before, profile, anyway)?);
        }
    }
    Ok(ProfileComparison {
        schema: "cowpath.profile-compare/1",
        pairs,
        allowed,
    })
}

fn pairing(
    path: &Path,
    before: &ProfileDocument,
    new: &Profile,
    anyway: bool,
) -> Result<Pairing, ProfileCompareError> {
    let base = &before.profiles[0];
    let cpu = |profile: &Profile| match &profile.evidence {
        PathSource::Stepped(stepped) => stepped.cpu.clone(),
        PathSource::Sampled(_) => String::new(),
    };
    let marked = cpu(base) != cpu(new);
    if marked && !anyway {
        return Err(ProfileCompareError::Unlike {
            path: path.into(),
            what: "QEMU's CPU model",
            base: on_one_line(&cpu(base)),
            new: on_one_line(&cpu(new)),
            remedy: " (--anyway compares and marks it)",
        });
    }
    let outcome = |profile: &Profile| profile.usual().map_or("", text::outcome).to_owned();
    let mut difference = diff::difference(base, new).ok_or_else(|| ProfileCompareError::Unfit {
        path: path.into(),
        reason: "it has no path".into(),
    })?;
    if difference.base == difference.new {
        difference.base += " (before)";
        difference.new += " (after)";
    }
    Ok(Pairing {
        scenario: before.scenario.clone(),
        folio: before.folio,
        outcomes: [outcome(base), outcome(new)],
        marked,
        difference,
    })
}

/// As text: for each pair the tables by phase and by function, and what the gate says.
pub fn text(comparison: &ProfileComparison) -> String {
    let mut out = String::new();
    for pairing in &comparison.pairs {
        let _ = writeln!(out, "{} ({})", pairing.scenario, pairing.folio);
        let [base, new] = &pairing.outcomes;
        if base != new {
            let _ = writeln!(out, "  Changed: the usual path ends in {new}, not {base}");
        }
        if pairing.marked {
            let _ = writeln!(out, "  Does not compare: another CPU model of QEMU's");
        }
        out += &changes::difference(&pairing.difference);
        out.push('\n');
    }
    if let Some(allowed) = comparison.allowed {
        out += &gate(comparison, allowed);
    }
    // What files say must not move a terminal's cursor.
    out.replace(|c: char| c.is_control() && c != '\n', " ")
}

fn gate(comparison: &ProfileComparison, allowed: f64) -> String {
    let mut out = String::new();
    for pairing in comparison.pairs.iter().filter(|p| p.beyond(allowed)) {
        let [base, new] = pairing.difference.whole.instructions();
        let _ = writeln!(
            out,
            "beyond the gate: {} on {}: {} to {} instructions ({:+.1} %)",
            pairing.scenario,
            pairing.difference.new,
            count(base),
            count(new),
            (new as f64 / base as f64 - 1.0) * 100.0,
        );
    }
    let verdict = if comparison.passed() {
        "passed"
    } else {
        "FAILED"
    };
    let _ = writeln!(out, "gate of {} %: {verdict}", allowed * 100.0);
    out
}
