//! Writes the newc cpio archive that a kernel unpacks as its first root file system.
//!
//! The format is the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_755;
const CHARACTER_DEVICE: u32 = 0o020_600;
const PROGRAM: u32 = 0o100_755;
const TRAILER: &str = "TRAILER!!!";

/// An archive that grows entry by entry; parent directories appear by themselves.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file with mode 0755, or does nothing if the path is already there.
    ///
    /// `path` is taken from the root; a leading slash makes no difference.
    pub fn file(&mut self, path: &str, contents: &[u8]) {
        self.add(path, PROGRAM, (0, 0), contents);
    }

    /// Adds a directory with mode 0755, or does nothing if the path is already there.
    pub fn directory(&mut self, path: &str) {
        self.add(path, DIRECTORY, (0, 0), &[]);
    }

    /// Adds a character device with mode 0600, or does nothing if the path is already there.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.add(path, CHARACTER_DEVICE, (major, minor), &[]);
    }

    /// Ends the archive and gives its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, (0, 0), &[]);
        self.bytes
    }

    fn add(&mut self, path: &str, mode: u32, device: (u32, u32), contents: &[u8]) {
        let name = path.trim_matches('/');
        if name.is_empty() || self.names.contains(name) {
            return;
        }
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.directory(parent);
        }
        self.names.insert(name.to_owned());
        self.entry(name, mode, device, contents);
    }

    fn entry(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), contents: &[u8]) {
        let inode = self.names.len();
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let header = format!(
            "070701{inode:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{mtime:08x}{size:08x}\
             {dev:08x}{dev:08x}{major:08x}{minor:08x}{name_size:08x}{check:08x}",
            uid = 0,
            gid = 0,
            mtime = 0,
            size = contents.len(),
            dev = 0,
            name_size = name.len() + 1,
            check = 0,
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
