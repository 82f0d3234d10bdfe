//! The report's files: written aside first, then moved into place together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::report::{ReportError, Written};

/// Files on their way into a directory. Dropped before [`Staging::publish`], they leave nothing behind.
pub struct Staging {
    out: PathBuf,
    aside: TempDir,
    names: BTreeSet<PathBuf>,
}

impl Staging {
    /// Files that will end in `out`, which is made if it is missing.
    pub fn new(out: &Path) -> Result<Staging, ReportError> {
        let failed = |source| ReportError::Write {
            path: out.into(),
            source,
        };
        fs::create_dir_all(out).map_err(failed)?;
        // In `out` itself: moving a file into place is only atomic within one file system.
        let aside = tempfile::Builder::new()
            .prefix(".cowpath-")
            .tempdir_in(out)
            .map_err(failed)?;
        Ok(Staging {
            out: out.into(),
            aside,
            names: BTreeSet::new(),
        })
    }

    /// Writes a file that will be called `stem.extension` in the directory `dir` of the report, or `stem-2.extension`
    /// and so on where that name is taken. `stem` must be a [slug](crate::report::format::slug).
    pub fn write(
        &mut self,
        dir: &str,
        stem: &str,
        extension: &str,
        content: impl AsRef<[u8]>,
    ) -> Result<(), ReportError> {
        let name = (1..)
            .map(|n| {
                if n == 1 {
                    String::new()
                } else {
                    format!("-{n}")
                }
            })
            .map(|suffix| Path::new(dir).join(format!("{stem}{suffix}.{extension}")))
            .find(|name| !self.names.contains(name))
            .unwrap_or_default();
        let path = self.aside.path().join(&name);
        let written = fs::create_dir_all(self.aside.path().join(dir))
            .and_then(|()| fs::write(&path, content));
        written.map_err(|source| ReportError::Write {
            path: self.out.join(&name),
            source,
        })?;
        self.names.insert(name);
        Ok(())
    }

    /// Moves every file into place.
    pub fn publish(self) -> Result<Written, ReportError> {
        let mut files = Vec::new();
        for name in &self.names {
            let path = self.out.join(name);
            let moved = path
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::rename(self.aside.path().join(name), &path));
            moved.map_err(|source| ReportError::Write {
                path: path.clone(),
                source,
            })?;
            files.push(path);
        }
        Ok(Written {
            index: self.out.join("index.html"),
            files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_in_place_before_everything_is_written() {
        let out = tempfile::tempdir().unwrap();
        let earlier = out.path().join("index.html");
        fs::write(&earlier, "earlier").unwrap();

        let mut files = Staging::new(out.path()).unwrap();
        files.write("", "index", "html", "later").unwrap();
        // A name that the file system refuses stands for a disk that is full.
        let full = files.write("plots", &"a".repeat(300), "svg", "");
        let message = full.unwrap_err().to_string();
        assert!(
            message.contains("plots/aaa") && message.contains("free space"),
            "{message}"
        );
        drop(files);

        assert_eq!(fs::read_to_string(&earlier).unwrap(), "earlier");
        assert_eq!(
            fs::read_dir(out.path()).unwrap().count(),
            1,
            "nothing is left behind"
        );
    }

    #[test]
    fn names_that_clash_are_told_apart() {
        let out = tempfile::tempdir().unwrap();
        let mut files = Staging::new(&out.path().join("new")).unwrap();
        for content in ["one", "two"] {
            files.write("hgrm", "a.copy", "hgrm", content).unwrap();
        }
        let written = files.publish().unwrap();
        let names: Vec<_> = written.files.iter().filter_map(|f| f.file_name()).collect();
        assert_eq!(names, ["a.copy-2.hgrm", "a.copy.hgrm"]);
        assert_eq!(fs::read_to_string(&written.files[0]).unwrap(), "two");
    }
}
