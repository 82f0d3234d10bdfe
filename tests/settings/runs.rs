//! Runs that change settings: two at once, refused changes, their order, and what is said of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use cowpath::machine::tune::{Setting, Tuner, Want};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::{
    Given, JOURNAL, KSM, alone, assert_as, freeze, guardian_of, long_run, state, value,
};
use crate::common::skip::{Need, skip};
use crate::common::{
    Finished, PROGRAM, cowpath, finish, load, private_copy, wait_for, wait_for_all_to_end,
};

fn has_ksm() -> bool {
    let has = Path::new(KSM).exists();
    if !has {
        skip(Need::Ksm, "ksmd is set going");
    }
    has
}

fn ksm_runs() {
    wait_for("ksmd", || {
        (value(&format!("{KSM}/run")) == "1").then_some(())
    });
}

/// A run that has set ksmd going.
struct Tuned {
    before: BTreeMap<String, String>,
    folder: tempfile::TempDir,
    program: PathBuf,
    run: Child,
}

impl Tuned {
    fn start() -> Option<Tuned> {
        let before = has_ksm().then(state)?;
        let folder = tempfile::tempdir().unwrap();
        let program = private_copy(folder.path());
        let run = long_run(&program, &["ksm/one-mapper-left"], &folder.path().join("r"));
        ksm_runs();
        Some(Tuned {
            before,
            folder,
            program,
            run,
        })
    }
}

fn interrupt(run: Child) -> Finished {
    kill(Pid::from_raw(run.id() as i32), Signal::SIGINT).unwrap();
    Finished::from(run.wait_with_output().unwrap())
}

#[test]
fn of_two_runs_at_once_the_second_names_the_first_and_changes_nothing() {
    let Some(_alone) = alone() else { return };
    if !has_ksm() {
        return;
    }
    let before = state();
    let folder = tempfile::tempdir().unwrap();
    let first = long_run(Path::new(PROGRAM), &["ksm/*"], &folder.path().join("a"));
    ksm_runs();
    let output = folder.path().join("b");
    let args = ["run", "mthp/*", "--tune", "--quick", "-o"];
    for second in [&args[..], &["doctor", "--restore"]] {
        let mut command = cowpath(second);
        if second[0] == "run" {
            command.arg(&output);
        }
        let second = finish(command);
        assert_eq!(second.code, Some(2), "{second:?}");
        let holder = format!("process {} holds", first.id());
        second.complains(&holder);
    }
    assert!(!output.exists());
    assert_eq!(value(&format!("{KSM}/run")), "1", "the first goes on");
    let first = interrupt(first);
    assert_eq!(first.code, Some(130), "{first:?}");
    assert_as(&before, "after both");
}

#[test]
fn settings_are_put_back_in_the_reverse_order_also_where_one_case_needs_what_another_does_not() {
    let Some(_alone) = alone() else { return };
    let advisor = format!("{KSM}/advisor_mode");
    if !Path::new(&advisor).exists() {
        skip(Need::Ksm, "ksmd's advisor is switched on");
        return;
    }
    // While it advises, nobody can set how many pages ksmd scans.
    let _given = Given::set(&advisor, "scan-time");
    let before = state();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut command = cowpath(&["run", "ksm/one-mapper-left", "reuse/child-exited", "--tune"]);
    command.args(["--pages", "256", "--trials", "1", "--reps", "4", "-o"]);
    let done = finish({
        command.arg(&path);
        command
    });
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_as(&before, "after the run");
    let file = load(&path);
    assert_eq!(file.skipped, [], "{done:?}");
    for measured in &file.results {
        assert_eq!(measured.lost, [], "{}", measured.scenario);
    }
    assert!(!done.err.contains("NOT PUT BACK"), "{done:?}");
}

#[test]
fn what_the_kernel_changes_along_with_a_setting_is_put_back_too() {
    let Some(_alone) = alone() else { return };
    let path = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled";
    let free = "/proc/sys/vm/min_free_kbytes";
    if !Path::new(path).exists() {
        skip(Need::Mthp, "a size is switched");
        return;
    }
    // Less than the kernel thinks huge pages need: it sets its own figure when a size is switched.
    let _given = Given::set(free, "20000");
    let before = state();
    let folder = tempfile::tempdir().unwrap();
    let mut command = cowpath(&["run", "mthp/child-alive", "--tune", "--pages", "256"]);
    command.args(["--trials", "1", "--reps", "1", "-o"]);
    command.arg(folder.path().join("r.json"));
    let done = finish(command);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(value(free), "20000");
    assert_as(&before, "after the run");
}

#[test]
fn folios_that_settings_do_not_give_are_no_result() {
    let Some(_alone) = alone() else { return };
    const THP: &str = "/sys/kernel/mm/transparent_hugepage";
    let (all, small) = (
        format!("{THP}/enabled"),
        format!("{THP}/hugepages-64kB/enabled"),
    );
    if !Path::new(&small).exists() {
        skip(Need::Mthp, "a size is switched");
        return;
    }
    let before = state();
    {
        // The kernel sets its own figure when a size is switched.
        let free = "/proc/sys/vm/min_free_kbytes";
        let _free = Given::set(free, &value(free));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        // Room for folios of the largest size.
        let run = |id: &str| {
            let mut command = cowpath(&["run", id, "--pages", "4096", "--trials", "2"]);
            command.args(["--reps", "2", "-o"]).arg(&path);
            finish(command)
        };
        {
            let _never = Given::set(&all, "never");
            for id in ["thp/zero-fill", "thp/zero-folio"] {
                let done = run(id);
                assert_eq!(done.code, Some(3), "{id}: {done:?}");
                done.tells("must be at madvise");
            }
        }
        // The larger size is given first: one fault fills many folios of the size under test.
        let _always = Given::set(&all, "madvise");
        let _small = Given::set(&small, "madvise");
        let done = run("mthp/zero-fill");
        assert_eq!(done.code, Some(3), "{done:?}");
    }
    assert_as(&before, "after the runs");
}

#[test]
fn a_refused_change_is_noted_no_longer() {
    let Some(_alone) = alone() else { return };
    if !has_ksm() {
        return;
    }
    let before = state();
    let mut tuner = Tuner::start(Path::new(PROGRAM)).unwrap();
    let want = |setting, value: &str| Want::Value(setting, value.into());
    tuner.bring_about(&[want(Setting::KsmSleep, "21")]).unwrap();
    assert!(value(JOURNAL).contains("ksm-sleep"), "{}", value(JOURNAL));
    freeze(KSM);
    let both = [want(Setting::KsmSleep, "21"), want(Setting::KsmRun, "1")];
    let refused = tuner.bring_about(&both).unwrap_err().to_string();
    assert!(refused.contains("run = 1 is needed"), "{refused}");
    assert!(!value(JOURNAL).contains("ksm-run"), "{}", value(JOURNAL));
    assert!(value(JOURNAL).contains("ksm-sleep"), "{}", value(JOURNAL));
    umount2(KSM, MntFlags::MNT_DETACH).unwrap();
    tuner.bring_about(&[]).unwrap();
    assert!(!Path::new(JOURNAL).exists(), "nothing stands changed");
    assert_as(&before, "after it lapsed");
    assert_eq!(tuner.finish(), Vec::<String>::new());
}

#[test]
fn what_could_not_be_put_back_is_named_with_the_command_that_does() {
    let Some(_alone) = alone() else { return };
    let Some(tuned) = Tuned::start() else { return };
    // The guardian shares this namespace.
    freeze(KSM);
    let done = interrupt(tuned.run);
    for said in ["NOT PUT BACK", "run = 0", "cowpath doctor --restore"] {
        done.complains(said);
    }
    let failed = finish(cowpath(&["doctor", "--restore"]));
    assert_eq!(failed.code, Some(2), "{failed:?}");
    failed.complains("not put back");
    umount2(KSM, MntFlags::MNT_DETACH).unwrap();
    let mended = finish(cowpath(&["doctor", "--restore"]));
    assert_eq!(mended.code, Some(0), "{mended:?}");
    assert_as(&tuned.before, "after the doctor");
}

#[test]
fn a_run_whose_guardian_was_killed_puts_settings_back_itself_and_says_so() {
    let Some(_alone) = alone() else { return };
    let Some(tuned) = Tuned::start() else { return };
    let guardian = guardian_of(&tuned.program).expect("a guardian");
    kill(Pid::from_raw(guardian), Signal::SIGKILL).unwrap();
    let done = interrupt(tuned.run);
    done.complains("guardian process ended");
    assert_as(&tuned.before, "after the run");
    assert!(!Path::new(JOURNAL).exists());
}

#[test]
fn where_run_and_guardian_were_killed_doctor_and_every_run_name_the_command_that_mends_it() {
    let Some(_alone) = alone() else { return };
    let Some(mut tuned) = Tuned::start() else {
        return;
    };
    let guardian = guardian_of(&tuned.program).expect("a guardian");
    kill(Pid::from_raw(guardian), Signal::SIGKILL).unwrap();
    tuned.run.kill().unwrap();
    tuned.run.wait().unwrap();
    wait_for_all_to_end(&tuned.program);

    let output = tuned.folder.path().join("other.json");
    let output = output.to_str().unwrap();
    let plain = [
        "run",
        "control/no-fault",
        "--quick",
        "--pages",
        "256",
        "-o",
        output,
    ];
    let tuning = [&plain[..], &["--tune"]].concat();
    for (args, code) in [(&plain[..], 0), (&tuning, 2), (&["doctor"], 0)] {
        let done = finish(cowpath(args));
        assert_eq!(done.code, Some(code), "{done:?}");
        let said = done.err + &done.out;
        for word in ["ksm/run is 1 and was 0", "cowpath doctor --restore"] {
            assert!(said.contains(word), "{args:?}: {said}");
        }
    }
    let mended = finish(cowpath(&["doctor", "--restore"]));
    assert_eq!(mended.code, Some(0), "{mended:?}");
    assert_as(&tuned.before, "after the doctor");
    let doctor = finish(cowpath(&["doctor"]));
    assert!(!doctor.out.contains("--restore"), "{doctor:?}");
}

#[test]
fn without_a_run_to_write_to_nothing_is_changed_and_the_reason_is_said() {
    let Some(_alone) = alone() else { return };
    let before = state();
    let none = None::<&str>;
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, "/run", none, flags, none).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = cowpath(&["run", "race/store-store", "--tune", "--quick", "-o"]);
    command.arg(folder.path().join("r.json"));
    let done = finish(command);
    assert_eq!(done.code, Some(2), "{done:?}");
    for said in ["Read-only file system", "/run/cowpath", "mend with"] {
        done.complains(said);
    }
    assert_as(&before, "after it was refused");
}

#[test]
fn whoever_is_not_root_is_told_that_changing_settings_needs_root() {
    let Some(_alone) = alone() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = private_copy(folder.path());
    for args in [
        &["run", "control/no-fault", "--tune"][..],
        &["doctor", "--restore"],
    ] {
        let mut command = Command::new(&program);
        command.args(args).current_dir(folder.path());
        command.uid(65534).gid(65534);
        let done = finish(command);
        assert_eq!(done.code, Some(2), "{done:?}");
        done.complains("needs root; found: user 65534");
    }
    assert!(!fs::exists("/run/cowpath").unwrap());
}
