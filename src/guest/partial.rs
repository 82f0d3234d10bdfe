//! What a guest has measured so far, kept in a file for the case that no more comes of it.

use std::cell::Cell;
use std::path::PathBuf;

use serde_json::Value;

use crate::record::output::write_whole;

/// The file, which exists only as long as there is no result.
pub struct Partial<'a> {
    path: PathBuf,
    /// The length of what is in it.
    kept: Cell<usize>,
    tell: &'a dyn Fn(String),
}

impl<'a> Partial<'a> {
    /// Nothing yet; an older lab's file is removed.
    pub fn new(path: PathBuf, tell: &'a dyn Fn(String)) -> Self {
        let _ = std::fs::remove_file(&path);
        Self {
            path,
            kept: Cell::new(0),
            tell,
        }
    }

    /// Keeps a checkpoint, unless an earlier boot of the same guest had measured more.
    pub fn keep(&self, run_file: &[u8]) {
        if run_file.len() < self.kept.get() {
            return;
        }
        let kept = match incomplete(run_file) {
            Some(bytes) => write_whole(&self.path, &bytes).map_err(|error| error.to_string()),
            None => Err("the guest sent a checkpoint that is no run file".to_owned()),
        };
        match kept {
            Ok(()) => self.kept.set(run_file.len()),
            Err(why) => (self.tell)(format!("checkpoint: {why}")),
        }
    }

    /// Where it is, if there is any.
    pub fn path(&self) -> Option<PathBuf> {
        (self.kept.get() > 0).then(|| self.path.clone())
    }

    /// Removes it, now that the whole is there.
    pub fn remove(&self) {
        if self.kept.replace(0) > 0 {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The run file with `complete` false, whatever it said; `None` if it is no object.
fn incomplete(run_file: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(run_file).ok()?;
    let complete = value
        .as_object_mut()?
        .insert("complete".to_owned(), false.into());
    match complete {
        Some(Value::Bool(false)) => Some(run_file.to_vec()),
        _ => serde_json::to_vec_pretty(&value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_never_complete() {
        let read = |text: &str| {
            let bytes = incomplete(text.as_bytes())?;
            serde_json::from_slice::<Value>(&bytes).ok()
        };
        for text in [
            "{\"complete\": true}",
            "{\"complete\": 1}",
            "{}",
            "{\"complete\": false}",
        ] {
            assert_eq!(read(text).unwrap()["complete"], false, "{text}");
        }
        assert_eq!(read("[1]"), None);
        assert_eq!(read("{"), None);
        let own = b"{ \"complete\":false }";
        assert_eq!(
            incomplete(own).as_deref(),
            Some(&own[..]),
            "left as it was sent"
        );
    }

    #[test]
    fn of_two_boots_the_one_that_measured_more_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("6.1.1.partial.json");
        std::fs::write(&path, "an older lab's").unwrap();
        let partial = Partial::new(path.clone(), &|_| {});
        assert!(partial.path().is_none() && !path.exists());
        let (less, more) = ("{\"complete\":false}", "{\"complete\":false,\"n\":1}");
        for sent in [less, more, less] {
            partial.keep(sent.as_bytes());
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), more);
        assert_eq!(partial.path().as_ref(), Some(&path));
        partial.remove();
        assert!(partial.path().is_none() && !path.exists());
    }
}
