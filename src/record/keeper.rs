//! Keeps what a run has measured: in its run file where that can be replaced while the run goes on, and in the folder for
//! temporary files where it cannot, or where the disk is full.

use std::fs;
use std::path::{Path, PathBuf};

use super::io::text;
use super::output::{Output, WriteError, write_whole};
use super::schema::RunFile;

/// A run file that is not where it was to be.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It lies in another place.
    #[error("{cause}; the run file was written to {} instead", aside.display())]
    Aside {
        /// The place.
        aside: PathBuf,
        /// Why it is not where it was to be.
        cause: WriteError,
    },
    /// It could not be written there either.
    #[error("{cause}; {second}")]
    Nowhere {
        /// Why it is not where it was to be.
        cause: WriteError,
        /// Why it is not in the folder for temporary files.
        second: WriteError,
    },
    /// It could not be put into words.
    #[error(transparent)]
    Text(#[from] WriteError),
}

/// Keeps one run.
pub struct Keeper {
    output: Output,
    /// A file in the folder for temporary files, while it is needed.
    aside: Option<PathBuf>,
}

impl Keeper {
    /// Nothing is kept yet.
    pub fn new(output: Output) -> Keeper {
        Keeper {
            output,
            aside: None,
        }
    }

    /// Where the run file is to be.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Keeps what was measured so far; tells where, if that is not the run file's own place.
    ///
    /// # Errors
    /// When it can be kept nowhere.
    pub fn checkpoint(&mut self, run: &RunFile) -> Result<Option<&Path>, WriteError> {
        let bytes = text(run)?;
        if self.output.is_replaced() && self.output.write(&bytes).is_ok() {
            self.clear_aside();
        } else {
            self.set_aside(run, &bytes)?;
        }
        Ok(self.aside.as_deref())
    }

    /// Writes the run file, to the folder for temporary files where it cannot be written to its own place.
    ///
    /// # Errors
    /// When it is not in its own place; says where it is.
    pub fn keep(&mut self, run: &RunFile) -> Result<(), KeepError> {
        let bytes = text(run)?;
        let Err(cause) = self.output.write(&bytes) else {
            self.clear_aside();
            return Ok(());
        };
        Err(match self.set_aside(run, &bytes) {
            Ok(aside) => KeepError::Aside { aside, cause },
            Err(second) => KeepError::Nowhere { cause, second },
        })
    }

    fn clear_aside(&mut self) {
        if let Some(aside) = self.aside.take() {
            // It is in its own place now; a file too many is no reason to fail.
            let _ = fs::remove_file(aside);
        }
    }

    /// The name has a random part, so that nobody can put a link in its place beforehand.
    fn set_aside(&mut self, run: &RunFile, bytes: &[u8]) -> Result<PathBuf, WriteError> {
        let path = std::env::temp_dir().join(format!("cowpath-{}.json", run.id));
        write_whole(&path, bytes)?;
        self.aside = Some(path.clone());
        Ok(path)
    }
}
