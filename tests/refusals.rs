//! What a refusal says: what was needed, what was found, and what mends it, to whoever asks.

mod common;

use std::process::Command;

use common::skip::{Need, skip};
use common::{Finished, cowpath, finish, is_root, load, small_run};

/// The program in namespaces of its own, which `flags` of unshare(1) name; `None` where they cannot be had.
fn unshared(flags: &[&str], args: &[&str]) -> Option<Finished> {
    let mut probe = Command::new("unshare");
    probe.args(flags).arg("true");
    if !probe.output().is_ok_and(|output| output.status.success()) {
        let lacking = format!("unshare {} does nothing", flags.join(" "));
        skip(Need::UserNamespaces, lacking);
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(flags).arg(common::PROGRAM).args(args);
    Some(finish(command))
}

#[test]
fn root_of_a_user_namespace_is_told_that_capabilities_are_needed_outside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let globs = ["reuse/child-exited", "extra-ref/lru-batch"];
    let args = small_run(&globs, path.to_str().unwrap());
    let Some(run) = unshared(&["-U", "-r"], &args) else {
        return;
    };
    assert_eq!(run.code, Some(0), "{run:?}");
    let needed = "CAP_SYS_ADMIN in the initial user namespace";
    assert!(run.out.contains(needed), "{}", run.out);
    let mend = format!(
        "outside of this user namespace or container: sudo {}",
        common::PROGRAM
    );
    assert!(run.out.contains(&mend), "{}", run.out);
    let file = load(&path);
    let proven = &file.results[0].setup.unproven;
    assert!(proven.iter().any(|why| why.contains(needed)), "{proven:?}");
    let doctor = unshared(&["-U", "-r"], &["doctor"]).unwrap();
    for said in [&run.out, &run.err, &doctor.out] {
        for wrong in ["which is there", "run as root", "has CAP_PERFMON"] {
            assert!(!said.contains(wrong), "{wrong}: {said}");
        }
    }
}

#[test]
fn root_is_not_told_to_use_sudo() {
    if !is_root() {
        skip(Need::Root, "being root is what this is about");
        return;
    }
    let doctor = finish(cowpath(&["doctor"]));
    assert!(!doctor.out.contains("sudo "), "{}", doctor.out);
}

#[test]
fn in_a_pid_namespace_nobody_claims_that_no_damon_thread_runs() {
    let flags = ["-U", "-r", "-p", "-f", "--mount-proc"];
    let Some(doctor) = unshared(&flags, &["doctor", "--json"]) else {
        return;
    };
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    let json: serde_json::Value = serde_json::from_str(&doctor.out).unwrap();
    let checks = json["audit"].as_array().unwrap();
    let aging = checks.iter().find(|c| c["check"] == "page-aging").unwrap();
    let state = aging["state"].as_str().unwrap();
    assert!(state.starts_with("unknown"), "{aging}");
}

#[test]
fn a_scenario_without_the_folio_size_asked_for_is_skipped_with_that_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let globs = ["control/no-fault", "hugetlb/zero-fill"];
    let mut args = small_run(&globs, path.to_str().unwrap());
    args.extend(["--folio", "4k"]);
    let run = finish(cowpath(&args));
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = load(&path);
    let skipped = &file
        .skipped
        .iter()
        .find(|s| s.scenario.starts_with("hugetlb"));
    let reason = &skipped.expect("it is skipped").reason;
    assert!(reason.contains("found: --folio 4k"), "{reason}");
    assert!(run.out.contains(reason), "{}", run.out);
}

#[test]
fn a_folio_size_that_no_chosen_scenario_has_is_wrong_usage() {
    for (asked, words) in [
        ("2m", &["--folio 2m", "they have 4k"][..]),
        ("4k,hugetlb-2m", &["--folio hugetlb-2m", "they have 4k"]),
        ("3m", &["power of two", "this machine has 4k"]),
        ("1k", &["power of two", "this machine has 4k"]),
        ("huge", &["not a folio size", "this machine has 4k"]),
    ] {
        let run = finish(cowpath(&[
            "run",
            "control/*",
            "race/exit",
            "--folio",
            asked,
        ]));
        assert_eq!(run.code, Some(2), "{asked}: {run:?}");
        for word in words {
            assert!(run.err.contains(word), "{asked}: {}", run.err);
        }
    }
}

#[test]
fn an_error_of_the_operating_system_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for args in [
        &["report", "/no/such/r.json", "-o", folder][..],
        &["compare", "/no/such/r.json", "--with", "/no/such/r.json"],
        &[
            "compare",
            "/no/such/profile.json",
            "--with",
            "/no/such/profile.json",
        ],
        &["run", "--resume", "-o", "/no/such/r.json"],
        &["run", "-o", "/no/such/folder/r.json"],
        &[
            "profile",
            "copy/child-alive",
            "--kernel",
            "/no/such/image",
            "-o",
            folder,
        ],
        &["stage", "--kernel", "/no/such/image", "-o", folder],
    ] {
        let finished = finish(cowpath(args));
        let said = &finished.err;
        assert!(said.matches("(os error").count() <= 1, "{args:?}: {said}");
        assert_ne!(finished.code, Some(0), "{args:?}: {said}");
    }
}
