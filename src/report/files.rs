//! The report's files: written aside first, then moved into place together, in place of an earlier report's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

use crate::report::error::{ReportError, Written};

/// The list of a report's files. A later report takes away those that it does not write itself.
pub const MANIFEST: &str = "MANIFEST";

/// First line of a list; the lines that follow hold a [`Fingerprint`] and the file's name.
const HEAD: &str = "Files that cowpath wrote: CRC-32, bytes, name";

/// By which a file is known again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    crc: u32,
    bytes: u64,
}

impl Fingerprint {
    fn of(content: &[u8]) -> Fingerprint {
        Fingerprint {
            crc: crc32fast::hash(content),
            bytes: content.len() as u64,
        }
    }
}

/// Files on their way into a directory. Dropped before [`Staging::publish`], they leave nothing behind.
pub struct Staging {
    out: PathBuf,
    aside: TempDir,
    names: BTreeMap<PathBuf, Fingerprint>,
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
            names: BTreeMap::new(),
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
            .find(|name| !self.names.contains_key(name))
            .unwrap_or_default();
        let path = self.aside.path().join(&name);
        let written = fs::create_dir_all(self.aside.path().join(dir))
            .and_then(|()| fs::write(&path, content.as_ref()));
        written.map_err(|source| ReportError::Write {
            path: self.out.join(&name),
            source,
        })?;
        self.names.insert(name, Fingerprint::of(content.as_ref()));
        Ok(())
    }

    /// Moves every file into place, and takes away what an earlier report left that this one does not write. A file
    /// that cowpath did not write, or that was changed since, stays.
    pub fn publish(mut self) -> Result<Written, ReportError> {
        let earlier = listed(&self.out);
        let list = Path::new(MANIFEST);
        let mut text = format!("{HEAD}\n");
        for (name, Fingerprint { crc, bytes }) in &self.names {
            let _ = writeln!(text, "{crc:08x} {bytes} {}", name.display());
        }
        let path = self.aside.path().join(list);
        fs::write(&path, &text).map_err(|source| ReportError::Write { path, source })?;
        self.names
            .insert(list.into(), Fingerprint::of(text.as_bytes()));
        for name in self.names.keys() {
            free(&self.out.join(name))?;
        }
        let mut files = Vec::new();
        for name in self.names.keys() {
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
        for (name, content) in earlier {
            let path = self.out.join(&name);
            let ours = || fs::read(&path).is_ok_and(|now| Fingerprint::of(&now) == content);
            if !self.names.contains_key(&name) && ours() {
                // A file too many is no reason to call the report a failure.
                let _ = fs::remove_file(&path);
            }
        }
        Ok(Written {
            index: self.out.join("index.html"),
            files,
        })
    }
}

/// Whether a file may take the name `path`: nothing has it, or a regular file. A link would not be followed, and a device
/// would be gone.
fn free(path: &Path) -> Result<(), ReportError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    let found = match found.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_symlink() => "a link",
        _ => "a device or a pipe",
    };
    Err(ReportError::Taken {
        path: path.into(),
        found,
    })
}

/// What the list of the report in `out` names: nothing where there is none. Names that lead out of `out` are left out.
fn listed(out: &Path) -> BTreeMap<PathBuf, Fingerprint> {
    let text = fs::read_to_string(out.join(MANIFEST)).unwrap_or_default();
    let Some(lines) = text.strip_prefix(HEAD) else {
        return BTreeMap::new();
    };
    let entry = |line: &str| {
        let (crc, rest) = line.split_once(' ')?;
        let (bytes, name) = rest.split_once(' ')?;
        let name = PathBuf::from(name);
        let inside = name.components().all(|c| matches!(c, Component::Normal(_)));
        let content = Fingerprint {
            crc: u32::from_str_radix(crc, 16).ok()?,
            bytes: bytes.parse().ok()?,
        };
        inside.then_some((name, content))
    };
    lines.lines().filter_map(entry).collect()
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
    fn what_is_no_regular_file_is_not_replaced_and_neither_is_anything_else() {
        let out = tempfile::tempdir().unwrap();
        let path = |name: &str| out.path().join(name);
        fs::write(path("a.html"), "earlier").unwrap();
        std::os::unix::fs::symlink("elsewhere", path("b.html")).unwrap();
        nix::unistd::mkfifo(&path("c.html"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for (stem, found) in [("b", "a link"), ("c", "a device or a pipe")] {
            let mut files = Staging::new(out.path()).unwrap();
            files.write("", "a", "html", "later").unwrap();
            files.write("", stem, "html", "later").unwrap();
            let message = files.publish().unwrap_err().to_string();
            assert!(message.contains(found), "{message}");
            assert_eq!(fs::read_to_string(path("a.html")).unwrap(), "earlier");
        }
        assert!(fs::symlink_metadata(path("b.html")).unwrap().is_symlink());
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
        assert_eq!(names, [MANIFEST, "a.copy-2.hgrm", "a.copy.hgrm"]);
        assert_eq!(fs::read_to_string(&written.files[1]).unwrap(), "two");
    }

    #[test]
    fn what_a_later_report_does_not_write_goes_unless_it_was_changed_or_is_not_ours() {
        let out = tempfile::tempdir().unwrap();
        let publish = |stems: &[&str]| {
            let mut files = Staging::new(out.path()).unwrap();
            for stem in stems {
                files.write("plots", stem, "svg", stem).unwrap();
            }
            files.publish().unwrap();
        };
        let path = |name: &str| out.path().join("plots").join(name);
        publish(&["kept", "gone", "changed"]);
        fs::write(path("changed.svg"), "by hand").unwrap();
        fs::write(path("foreign.svg"), "by hand").unwrap();
        publish(&["kept", "new"]);
        let there = |name: &str| path(name).exists();
        assert!(!there("gone.svg"));
        for name in ["kept.svg", "new.svg", "changed.svg", "foreign.svg"] {
            assert!(there(name), "{name}");
        }
    }

    #[test]
    fn a_list_that_leads_out_of_the_directory_is_not_followed() {
        let top = tempfile::tempdir().unwrap();
        let (victim, out) = (top.path().join("victim"), top.path().join("out"));
        fs::write(&victim, "x").unwrap();
        let mut files = Staging::new(&out).unwrap();
        let Fingerprint { crc, bytes } = Fingerprint::of(b"x");
        let line = |name: &str| format!("{crc:08x} {bytes} {name}\n");
        let list = [
            HEAD,
            "\n",
            &line("../victim"),
            &line(victim.to_str().unwrap()),
        ]
        .concat();
        fs::write(out.join(MANIFEST), list).unwrap();
        files.write("", "index", "html", "page").unwrap();
        files.publish().unwrap();
        assert!(victim.exists());
    }
}
