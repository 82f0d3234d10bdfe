//! The initramfs is an archive that others read as it was meant.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use cowpath::guest::cpio::Archive;
use proptest::prelude::*;

use crate::common::skip::{Need, skip};

/// Name to mode and contents, read by the format's description alone.
fn read(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut entries = BTreeMap::new();
    let mut at = 0;
    loop {
        assert_eq!(&bytes[at..at + 6], b"070701", "no entry at {at}");
        let field = |index: usize| {
            let start = at + 6 + 8 * index;
            let text = std::str::from_utf8(&bytes[start..start + 8]).unwrap();
            usize::from_str_radix(text, 16).unwrap()
        };
        let (mode, size, name_size) = (field(1), field(6), field(11));
        let name = std::str::from_utf8(&bytes[at + 110..at + 110 + name_size - 1]).unwrap();
        let start = (at + 110 + name_size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert_eq!(start, bytes.len(), "something follows the trailer");
            return entries;
        }
        let contents = bytes[start..start + size].to_vec();
        let before = entries.insert(name.to_owned(), (mode as u32, contents));
        assert!(before.is_none(), "{name} is there twice");
        at = (start + size).next_multiple_of(4);
    }
}

fn pack(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut archive = Archive::new();
    for (path, contents) in files {
        archive.file(path, contents);
    }
    archive.finish()
}

fn files() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    // A file and a folder cannot have one name: folders begin with d, files with f.
    let path = "(d[a-z0-9._-]{0,8}/){0,3}f[a-z0-9._-]{0,20}";
    proptest::collection::btree_map(path, any::<Vec<u8>>(), 0..12)
}

proptest! {
    #[test]
    fn every_file_comes_out_as_it_went_in_with_its_folders_before_it(files in files()) {
        let entries = read(&pack(&files));
        for (path, contents) in &files {
            prop_assert_eq!(&entries[path].1, contents);
            for (at, _) in path.match_indices('/') {
                prop_assert_eq!(entries[&path[..at]].0, 0o040_755);
            }
        }
        let packed = entries.values().filter(|(mode, _)| *mode == 0o100_755).count();
        prop_assert_eq!(packed, files.len());
    }
}

#[test]
fn cpio_lists_what_was_packed() {
    let files = BTreeMap::from([
        ("init".to_owned(), vec![7; 4097]),
        ("lib/x86_64-linux-gnu/libc.so.6".to_owned(), vec![]),
    ]);
    let Ok(mut cpio) = Command::new("cpio")
        .args(["-t", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    else {
        skip(Need::Cpio, "cpio is not installed");
        return;
    };
    cpio.stdin.take().unwrap().write_all(&pack(&files)).unwrap();
    let output = cpio.wait_with_output().unwrap();
    assert!(output.status.success());
    let listing = String::from_utf8(output.stdout).unwrap();
    let expected = "init\nlib\nlib/x86_64-linux-gnu\nlib/x86_64-linux-gnu/libc.so.6\n";
    assert_eq!(listing, expected);
}
