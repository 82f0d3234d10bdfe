//! What the program refuses to do with root's privilege, whoever asks.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::skip::{Need, skip};
use common::{cowpath, finish, is_root, no_root, private_copy};

const KPTR_RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";

#[test]
fn what_serves_in_a_guest_is_refused_outside_one_and_hides_kernel_addresses_no_less() {
    let subject = [
        "subject",
        "reuse/child-exited",
        "--folio",
        "4k",
        "--pages",
        "8",
    ];
    let controller = ["controller", "window/pin", "--reps", "1"];
    let former = is_root().then(|| {
        let former = fs::read_to_string(KPTR_RESTRICT).unwrap();
        fs::write(KPTR_RESTRICT, "1").unwrap();
        former
    });
    let outcomes = [&subject[..], &controller].map(|args| {
        let done = finish(cowpath(args));
        (done, fs::read_to_string(KPTR_RESTRICT).unwrap())
    });
    if let Some(former) = &former {
        fs::write(KPTR_RESTRICT, former).unwrap();
    }
    for (done, restricted) in outcomes {
        assert_eq!(done.code, Some(2), "{done:?}");
        done.complains("needs a kernel that cowpath booted");
        if former.is_some() {
            assert_eq!(restricted, "1\n");
        }
    }
}

#[test]
fn a_variable_in_the_environment_has_no_device_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("device");
    let precious = vec![b'p'; 1 << 20];
    fs::write(&device, &precious).unwrap();
    let mut command = cowpath(&["run", "unshare/direct-write-child-alive", "--quick"]);
    command.args(["--pages", "8", "-o"]);
    command.arg(folder.path().join("r.json"));
    command.env("COWPATH_DIRECT_DEVICE", &device);
    let done = finish(command);
    assert!(fs::read(&device).unwrap() == precious, "{done:?}");
    assert_eq!(done.code, Some(3), "{done:?}");
    done.tells("unset COWPATH_DIRECT_DEVICE");
}

#[test]
fn a_program_that_runs_as_its_owner_refuses_every_command() {
    if no_root("a set-user-ID program of root's is made") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = private_copy(folder.path());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let flags = nix::sys::statvfs::statvfs(&program).unwrap().flags();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    if flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID) || status.contains("NoNewPrivs:\t1") {
        skip(Need::SetUserId, "the program is run as its owner");
        return;
    }
    let output = folder.path().join("r.json");
    let output = output.to_str().unwrap();
    for args in [
        &["run", "control/no-fault", "--tune", "-o", output][..],
        &["run", "control/no-fault", "-o", output],
        &["doctor", "--restore"],
        &["guardian"],
        &["worker"],
    ] {
        let mut command = Command::new(&program);
        command.args(args).current_dir("/").uid(65534).gid(65534);
        let done = finish(command);
        assert_eq!(done.code, Some(2), "{args:?}: {done:?}");
        assert!(
            done.err.contains("not made to run set-user-ID"),
            "{args:?}: {done:?}"
        );
        assert_eq!(done.err.lines().count(), 1, "{done:?}");
    }
    assert!(!fs::exists(output).unwrap());
}
