//! What `doctor --restore` believes, and what it does not.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use super::machine::{FOLDER, Given, JOURNAL, KSM, alone, value, write_journal, write_journal_of};
use crate::common::skip::{Need, skip};
use crate::common::{Finished, cowpath, finish};

const NOBODY: Option<u32> = Some(65534);

/// ksmd's sleep, which was 19 and was given 21.
const SLEEP: &str = r#"{"value":{"setting":"ksm-sleep","former":"19","given":["21"]}}"#;

fn sleep() -> String {
    format!("{KSM}/sleep_millisecs")
}

fn restore() -> Finished {
    finish(cowpath(&["doctor", "--restore"]))
}

#[test]
fn a_journal_that_anybody_may_have_written_is_ignored_with_one_line_that_says_why() {
    let Some(_alone) = alone() else { return };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::write(&target, "precious").unwrap();
    let line = format!(
        "{{\"value\":{{\"path\":\"{}\",\"former\":\"owned\"}}}}\n",
        target.display()
    );
    for place in [folder.path(), Path::new("/run")] {
        let journal = place.join("cowpath-4194305.journal");
        fs::write(&journal, &line).unwrap();
        chown(&journal, NOBODY, NOBODY).unwrap();
    }
    let mut command = cowpath(&["doctor", "--restore"]);
    command.env("TMPDIR", folder.path());
    let done = finish(command);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
    for said in ["ignored", "/run/cowpath-4194305.journal", "anybody's"] {
        done.complains(said);
    }
    assert_eq!(done.out, "nothing to put back\n");
}

#[test]
fn a_fifo_in_the_journals_place_does_not_hold_the_doctor_up() {
    let Some(_alone) = alone() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mode = Mode::from_bits_truncate(0o600);
    let old = folder.path().join("cowpath-4194305.journal");
    nix::unistd::mkfifo(&old, mode).unwrap();
    fs::DirBuilder::new().mode(0o700).create(FOLDER).unwrap();
    nix::unistd::mkfifo(JOURNAL, mode).unwrap();
    let mut command = cowpath(&["doctor", "--restore"]);
    command.env("TMPDIR", folder.path());
    let mut doctor = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while doctor.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            doctor.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = Finished::from(doctor.wait_with_output().unwrap());
    assert_eq!(done.code, Some(2), "{done:?}");
    done.complains("no regular file");
}

#[test]
fn a_journal_of_ours_is_replayed() {
    let Some(_alone) = alone() else { return };
    let _given = Given::set(&sleep(), "21");
    write_journal(SLEEP);
    let done = restore();
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(value(&sleep()), "19");
    assert_eq!(done.out, format!("put back: {} = 19\n", sleep()));
    assert!(!Path::new(JOURNAL).exists());
    assert_eq!(restore().out, "nothing to put back\n");
}

#[test]
fn a_journal_that_another_user_could_have_written_is_refused_with_what_is_wrong_with_it() {
    let Some(_alone) = alone() else { return };
    let _given = Given::set(&sleep(), "21");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = elsewhere.path().join("journal");
    let spoils: [(&str, &dyn Fn()); 7] = [
        ("owner 65534", &|| chown(JOURNAL, NOBODY, NOBODY).unwrap()),
        ("mode 0620", &|| mode(JOURNAL, 0o620)),
        ("2 links", &|| {
            fs::hard_link(JOURNAL, "/run/another-name").unwrap();
        }),
        ("a symbolic link", &|| {
            fs::copy(JOURNAL, &other).unwrap();
            fs::remove_file(JOURNAL).unwrap();
            symlink(&other, JOURNAL).unwrap();
        }),
        ("mode 0755", &|| mode(FOLDER, 0o755)),
        ("owner 65534", &|| chown(FOLDER, NOBODY, NOBODY).unwrap()),
        ("something else", &|| {
            fs::rename(FOLDER, "/run/moved").unwrap();
            symlink("/run/moved", FOLDER).unwrap();
        }),
    ];
    for (wrong, spoil) in spoils {
        write_journal(SLEEP);
        spoil();
        let done = restore();
        assert_eq!(value(&sleep()), "21", "{wrong}: {done:?}");
        assert_eq!(done.code, Some(2), "{wrong}: {done:?}");
        let said = done.err.contains(wrong) && done.err.contains("mend with: rm");
        assert!(said, "{wrong}: {done:?}");
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
        let _ = fs::remove_file("/run/another-name");
        let _ = fs::remove_dir_all(FOLDER).or_else(|_| fs::remove_file(FOLDER));
    }
}

fn mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_value_that_the_setting_cannot_hold_is_named_and_the_rest_is_put_back() {
    let Some(_alone) = alone() else { return };
    let _given = Given::set(&sleep(), "21");
    let bad = r#"{"value":{"setting":"ksm-run","former":"7","given":["1"]}}"#;
    write_journal(&format!("{SLEEP},{bad}"));
    let before = value(&format!("{KSM}/run"));
    let done = restore();
    assert_eq!(value(&sleep()), "19", "{done:?}");
    assert_eq!(value(&format!("{KSM}/run")), before);
    assert_eq!(done.code, Some(2), "{done:?}");
    done.complains("cannot hold \"7\"");
    done.tells("put back");
    let kept = fs::read_to_string(JOURNAL).unwrap();
    assert!(
        kept.contains("ksm-run") && !kept.contains("ksm-sleep"),
        "{kept}"
    );
}

#[test]
fn a_journal_that_names_a_path_is_not_understood() {
    let Some(_alone) = alone() else { return };
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    fs::write(&target, "precious").unwrap();
    let path = target.display();
    for change in [
        format!(r#"{{"value":{{"path":"{path}","former":"owned"}}}}"#),
        format!(r#"{{"value":{{"setting":"{path}","former":"owned","given":["precious"]}}}}"#),
    ] {
        write_journal(&change);
        let done = restore();
        assert_eq!(done.code, Some(2), "{done:?}");
        done.complains("not understood");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }
}

#[test]
fn what_somebody_else_has_set_since_is_left_alone_and_said() {
    let Some(_alone) = alone() else { return };
    let _given = Given::set(&sleep(), "33");
    write_journal(SLEEP);
    let done = restore();
    assert_eq!(value(&sleep()), "33", "{done:?}");
    assert_eq!(done.code, Some(0), "{done:?}");
    done.tells("left alone");
    assert!(!Path::new(JOURNAL).exists());
}

#[test]
fn the_journal_of_an_earlier_boot_is_not_replayed_since_that_boot_has_reset_everything() {
    let Some(_alone) = alone() else { return };
    let _given = Given::set(&sleep(), "21");
    write_journal_of("another", SLEEP);
    let done = restore();
    assert_eq!(value(&sleep()), "21", "{done:?}");
    assert_eq!((done.code, &*done.out), (Some(0), "nothing to put back\n"));
    assert!(!Path::new(JOURNAL).exists());
}

#[test]
fn a_swap_device_of_somebody_elses_is_left_alone_and_one_without_content_removed() {
    let Some(_alone) = alone() else { return };
    let Ok(made) = fs::read_to_string("/sys/class/zram-control/hot_add") else {
        skip(Need::Zram, "a device is made");
        return;
    };
    let number: u32 = made.trim().parse().unwrap();
    let device = format!("/sys/block/zram{number}");
    let theirs = format!(r#"{{"zram":{{"others":[],"number":{number}}}}}"#);
    fs::write(format!("{device}/disksize"), "16M").unwrap();
    write_journal(&theirs);
    let done = restore();
    done.tells("left alone");
    assert!(Path::new(&device).exists());

    fs::write(format!("{device}/reset"), "1").unwrap();
    let others: Vec<u32> = (0..number).collect();
    write_journal(&format!(
        r#"{{"zram":{{"others":{others:?},"number":null}}}}"#
    ));
    let done = restore();
    done.tells("removed");
    assert!(!Path::new(&device).exists());
}
