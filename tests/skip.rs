//! A test that lacks something passes with one line, and fails where COWPATH_REQUIRE says that the machine has it.

mod common;

use std::path::Path;
use std::process::Command;

use common::skip::{Need, skip};
use common::{Finished, finish};

#[test]
#[ignore = "the other tests run it"]
fn lacking() {
    skip(Need::Cpio, "it is not here");
}

fn lacking_where(required: &str) -> Finished {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--ignored", "--exact", "lacking"])
        .env("COWPATH_REQUIRE", required);
    finish(test)
}

#[test]
fn what_the_machine_lacks_is_skipped_with_a_line_that_is_seen() {
    for required in ["", "root,qemu-aarch64", "root, "] {
        let finished = lacking_where(required);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let line = "skipped: lacking: it is not here (cpio)\n";
        finished.complains(line);
    }
}

#[test]
fn what_the_machine_has_is_not_skipped() {
    for required in ["cpio", "root,cpio,qemu", "all"] {
        let finished = lacking_where(required);
        assert_eq!(finished.code, Some(101), "{finished:?}");
        finished.tells("it is not here");
    }
}

#[test]
fn a_name_that_stands_for_nothing_is_told() {
    let finished = lacking_where("root,cpoi");
    assert_eq!(finished.code, Some(101), "{finished:?}");
    finished.tells("cpoi");
}

/// What prints the word on its own is skipped in CI too, and passes.
#[test]
fn no_test_says_it_in_another_way() {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![tree.join("src"), tree.join("tests")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text: String = text.split_whitespace().collect();
                let said = ["(\"skipped:", "(\"\\nskipped:"].map(|said| format!("println!{said}"));
                found.extend(said.iter().any(|said| text.contains(said)).then_some(path));
            }
        }
    }
    assert_eq!(found, [""; 0].map(Path::new));
}
