//! What a regression report needs: the mail's text, and C files that compile and come to what their scenario comes to.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::skip::{Need, skip};
use common::{cowpath, finish, is_installed, no_root};
use cowpath::scenario::catalogue::all;

/// The C file of a scenario, or why there is none.
fn c(id: &str) -> Result<String, String> {
    let done = finish(cowpath(&["list", id, "--c"]));
    match done.code {
        Some(0) => Ok(done.out),
        _ => Err(done.err),
    }
}

fn no_compiler() -> bool {
    let missing = !is_installed("cc") || !Path::new("/usr/include/linux/userfaultfd.h").exists();
    if missing {
        skip(Need::Compiler, "no cc, or no headers");
    }
    missing
}

/// Compiles a C file with every warning an error; the program's path.
fn compiled(folder: &Path, id: &str, text: &str, defines: &[&str]) -> std::path::PathBuf {
    let name = id.replace('/', "-");
    let (file, program) = (folder.join(format!("{name}.c")), folder.join(&name));
    fs::write(&file, text).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-Werror"])
        .args(defines);
    cc.arg("-o").arg(&program).arg(&file);
    let done = finish(cc);
    assert_eq!(done.code, Some(0), "{id}: {done:?}");
    program
}

#[test]
fn every_scenario_has_a_c_file_that_compiles_or_a_reason() {
    if no_compiler() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut made = 0;
    for scenario in all() {
        match c(scenario.id) {
            Ok(text) => {
                compiled(folder.path(), scenario.id, &text, &[]);
                made += 1;
            }
            Err(why) => assert!(why.contains("there is no C file: it has "), "{why}"),
        }
    }
    assert!(made >= 50, "{made}");
    for id in [
        "reuse/exclusive",
        "reuse/child-exited",
        "copy/child-alive",
        "copy/in-child",
    ] {
        assert!(c(id).is_ok(), "{id}");
    }
}

#[test]
fn what_the_stores_of_a_c_file_came_to_is_what_its_scenario_comes_to() {
    if no_compiler() || no_root("frames are seen by root alone") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // As many pages as there are bytes from one to the next: equal constants may share a register.
    let defines = ["-DUNITS=4096", "-DTRIALS=1", "-DRUNS=1"];
    for (id, moved) in [
        ("reuse/exclusive", 0),
        ("reuse/child-exited", 0),
        ("copy/child-alive", 4096),
        ("copy/in-child", 4096),
        ("inherit/two-children", 4096),
        ("touch/zero-fill", 4096),
        ("extra-ref/vmsplice-then-fork", 4096),
        ("control/no-fault", 0),
    ] {
        let program = compiled(folder.path(), id, &c(id).unwrap(), &defines);
        let done = finish(Command::new(program));
        assert_eq!(done.code, Some(0), "{id}: {done:?}");
        let told = format!("{moved} of 4096 have another frame afterwards");
        assert!(done.out.contains(&told), "{id}: {done:?}");
        assert!(done.out.starts_with(&format!("{id}: median ")), "{done:?}");
    }
    for id in [
        "cost/fork",
        "cost/fork-vmas",
        "cost/unmap-last",
        "cost/mprotect",
        "cost/mprotect-shared",
    ] {
        let program = compiled(folder.path(), id, &c(id).unwrap(), &defines);
        let done = finish(Command::new(program));
        assert_eq!(done.code, Some(0), "{id}: {done:?}");
        assert!(done.out.contains("for 2 MiB on CPU"), "{id}: {done:?}");
    }
}

#[test]
fn one_scenario_has_a_c_file_and_several_have_none() {
    let several = finish(cowpath(&["list", "copy/*", "--c"]));
    assert_eq!(several.code, Some(2));
    several.complains("--c takes one scenario");
    let race = c("race/store-store").unwrap_err();
    assert!(race.contains("it has threads that must meet"), "{race}");
}

/// `cowpath dossier` on published run files of these kernels, and where it writes.
fn dossier(base: &str, new: &str, more: &[&str]) -> Option<(common::Finished, tempfile::TempDir)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/history");
    if !folder.is_dir() {
        skip(Need::Published, "no published run files");
        return None;
    }
    let out = tempfile::tempdir().unwrap();
    let of = |kernel: &str| {
        let names = fs::read_dir(&folder)
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let begins = |path: &Path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(kernel))
        };
        let mut names: Vec<_> = names
            .filter(|path| begins(path) && path.is_file())
            .collect();
        names.sort();
        assert!(!names.is_empty(), "{kernel}");
        names
    };
    let mut command = cowpath(&["dossier"]);
    command
        .args(of(base))
        .arg("--with")
        .args(of(new))
        .args(more)
        .arg("-o")
        .arg(out.path());
    Some((finish(command), out))
}

#[test]
fn the_mail_says_what_got_slower_in_what_state_and_where() {
    let paths =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/history/paths/copy-child-alive.json");
    let paths = paths.to_string_lossy();
    let Some((done, out)) = dossier("6.1.", "6.12.", &["--paths", &paths]) else {
        return;
    };
    assert_eq!(done.code, Some(0), "{done:?}");
    done.tells("mail.txt");
    let mail = fs::read_to_string(out.path().join("mail.txt")).unwrap();
    let first = mail.lines().next().unwrap();
    assert!(first.starts_with("Subject: [REGRESSION] "), "{first}");
    let introduced = mail
        .lines()
        .find(|line| line.starts_with("#regzbot "))
        .unwrap();
    assert!(
        introduced.starts_with("#regzbot introduced: v6.1.") && introduced.contains("..v6.12."),
        "{introduced}"
    );
    let at = |text: &str| {
        mail.find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {mail}"))
    };
    // What differs comes before what was proven, and that before where it lies.
    assert!(at("What differs besides") < at("Kernel configuration"));
    assert!(at("compiler: gcc-12") < at("CONFIG_PER_VMA_LOCK: n -> y"));
    assert!(at("CONFIG_PER_VMA_LOCK") < at("Page states, proven"));
    assert!(at("Page states, proven") < at("memcpy_orig +"));
    at("copy/child-alive, copy: ");
    at("both came to: 100.0 % copy");
    at("Data checks that failed, in all scenarios of both sides: 0");
    at("no C file for thp/exclusive 2m: it has a PMD that is");
    let long = |line: &&str| line.chars().count() > 75 && !line.starts_with("Subject: ");
    assert_eq!(
        mail.lines().filter(long).collect::<Vec<_>>(),
        Vec::<&str>::new()
    );
    assert!(out.path().join("copy-child-alive.c").is_file());
}

#[test]
fn whole_configurations_are_compared_and_what_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_string_lossy().into_owned()
    };
    let base = file("base", "CONFIG_A=y\nCONFIG_B=m\n");
    let new = file("new", "# CONFIG_A is not set\nCONFIG_B=m\nCONFIG_C=\"x\"\n");
    let Some((done, out)) = dossier("6.1.", "6.12.", &["--config", &base, &new]) else {
        return;
    };
    assert_eq!(done.code, Some(0), "{done:?}");
    let mail = fs::read_to_string(out.path().join("mail.txt")).unwrap();
    assert!(
        mail.contains("CONFIG_A: y -> n\n") && mail.contains("CONFIG_C: n -> \"x\"\n"),
        "{mail}"
    );
    assert!(
        !mail.contains("CONFIG_B") && !mail.contains("CONFIG_PER_VMA_LOCK"),
        "{mail}"
    );
    assert!(
        mail.contains("give the profile of both kernels with --paths"),
        "{mail}"
    );
    let none = file("none", "a mail\n");
    let (done, out) = dossier("6.1.", "6.12.", &["--config", &base, &none]).unwrap();
    assert_eq!(done.code, Some(2));
    done.complains("no kernel configuration");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn sides_that_do_not_compare_make_no_report() {
    let Some((done, out)) = dossier("6.1.", "6.12.", &["--anyway"]) else {
        return;
    };
    assert_eq!(done.code, Some(2), "{done:?}");
    done.complains("needs sides that compare");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn without_a_regression_there_is_no_mail() {
    let Some((done, out)) = dossier("6.12.", "6.12.", &[]) else {
        return;
    };
    assert_eq!(done.code, Some(2), "{done:?}");
    done.complains("there is no regression to report");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}
