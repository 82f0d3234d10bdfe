//! What a refusal says: what was needed, what was found, and what mends it, to whoever asks.

mod common;

use cowpath::record::folio::FolioSize;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::skip::{Need, skip};
use common::{Finished, cowpath, finish, load, no_root, processes_of, small_run, wait_for};

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
    run.tells(needed);
    let mend = format!(
        "outside of this user namespace or container: sudo {}",
        common::PROGRAM
    );
    run.tells(&mend);
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
fn root_of_a_user_namespace_is_told_that_settings_are_changed_outside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut args = small_run(&["ksm/*", "hugetlb/zero-fill"], path.to_str().unwrap());
    args.push("--tune");
    let Some(run) = unshared(&["-U", "-r"], &args) else {
        return;
    };
    let said = format!("{}{}", run.out, run.err);
    assert!(!said.contains("run as root"), "{said}");
    assert!(said.contains("outside of this user namespace"), "{said}");
}

#[test]
fn root_is_not_told_to_use_sudo() {
    if no_root("being root is what this is about") {
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
fn under_the_proc_of_another_pid_namespace_no_other_process_is_taken_for_a_child() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let globs = ["copy/in-child", "control/no-fault"];
    let args = small_run(&globs, path.to_str().unwrap());
    let Some(run) = unshared(&["-U", "-r", "-p", "-f"], &args) else {
        return;
    };
    assert_eq!(run.code, Some(0), "{run:?}");
    let skipped = &load(&path).skipped;
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    let needed = "needs a /proc of this PID namespace";
    assert!(skipped[0].reason.contains(needed), "{skipped:?}");
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
    run.tells(reason);
}

#[test]
fn a_folio_size_that_no_chosen_scenario_has_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for (asked, words) in [
        ("2m", &["--folio 2m", "they have 4k"][..]),
        ("4k,hugetlb-2m", &["--folio hugetlb-2m", "they have 4k"]),
        ("3m", &["power of two", "this machine has 4k"]),
        ("1k", &["power of two", "this machine has 4k"]),
        ("huge", &["not a folio size", "this machine has 4k"]),
    ] {
        let mut run = cowpath(&["run", "control/*", "race/exit", "--folio", asked, "-o"]);
        run.arg(folder.path().join("r.json"));
        let run = finish(run);
        assert_eq!(run.code, Some(2), "{asked}: {run:?}");
        for word in words {
            run.complains(word);
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

#[test]
fn a_process_that_is_forbidden_huge_pages_is_told_by_what() {
    let forbidden = |args: &[&str]| {
        let mut command = cowpath(args);
        // SAFETY: prctl(2) is async-signal-safe.
        unsafe {
            command.pre_exec(|| Ok(nix::sys::prctl::set_thp_disable(true)?));
        }
        finish(command)
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    // What a fill made is seen after it, and the small zero page is not the huge zero folio.
    for id in ["thp/child-alive", "thp/zero-fill", "thp/zero-folio"] {
        let run = forbidden(&small_run(&[id], path.to_str().unwrap()));
        assert_eq!(run.code, Some(3), "{id}: {run:?}");
        run.tells("PR_SET_THP_DISABLE");
    }
    let doctor = forbidden(&["doctor"]);
    doctor.tells("PR_SET_THP_DISABLE");
}

/// Has the kernel refuse one system call of the command and of all its children, where these of its arguments, counted from
/// 0, are these.
fn without(command: &mut Command, call: libc::c_long, arguments: &[(u32, u32)]) {
    let code = |code: u32, k: u32, jf: usize| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: jf as u8,
        k,
    };
    // The number of the call is the first word of struct seccomp_data, the arguments are the third double word and on.
    let mut words = vec![(0, call as u32)];
    words.extend(arguments.iter().map(|&(nth, value)| (16 + 8 * nth, value)));
    let mut filter = Vec::new();
    for (at, &(offset, value)) in words.iter().enumerate() {
        let to_the_last = 2 * (words.len() - at) - 1;
        filter.push(code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0));
        filter.push(code(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            value,
            to_the_last,
        ));
    }
    let returned = libc::BPF_RET | libc::BPF_K;
    filter.push(code(
        returned,
        libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        0,
    ));
    filter.push(code(returned, libc::SECCOMP_RET_ALLOW, 0));
    // SAFETY: prctl(2) is async-signal-safe, and the filter lives across both calls.
    unsafe {
        command.pre_exec(move || {
            let program = libc::sock_fprog {
                len: filter.len() as u16,
                filter: filter.as_ptr().cast_mut(),
            };
            let done = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0;
            match done {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            }
        });
    }
}

#[test]
fn a_call_that_is_refused_is_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    for (call, glob) in [
        (libc::SYS_process_vm_readv, "unshare/readv-exclusive"),
        (libc::SYS_pwrite64, "unshare/direct-write-child-exited"),
    ] {
        let mut command = cowpath(&small_run(&[glob], path.to_str().unwrap()));
        without(&mut command, call, &[]);
        let run = finish(command);
        assert_eq!(run.code, Some(3), "{glob}: {run:?}");
        run.tells("Operation not permitted");
    }
}

#[test]
fn a_call_of_a_race_that_is_refused_is_no_race() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    // Of one page: the C library drops larger pieces.
    let of_a_page = [(1, 4096), (2, libc::MADV_DONTNEED as u32)];
    let mut command = cowpath(&small_run(&["race/dontneed"], path.to_str().unwrap()));
    without(&mut command, libc::SYS_madvise, &of_a_page);
    let run = finish(command);
    assert_eq!(run.code, Some(3), "{run:?}");
    let why = "madvise(MADV_DONTNEED) of a page failed while it was raced for: EPERM";
    assert!(run.out.contains(why), "{run:?}");
}

#[test]
fn a_transfer_that_copies_is_a_skip_and_no_loss_of_data() {
    if !Path::new("/dev/shm").is_dir() {
        skip(Need::DirectIo, "there is no /dev/shm");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let globs = ["extra-ref/direct-read-in-flight", "unshare/direct-write-*"];
    let mut command = cowpath(&small_run(&globs, path.to_str().unwrap()));
    command.env("TMPDIR", "/dev/shm");
    let run = finish(command);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_eq!(run.out.matches("skipped: ").count(), 3, "{run:?}");
}

#[test]
fn a_repetition_that_takes_too_long_is_told_which_option_allows_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = cowpath(&["run", "copy/child-alive", "--limit", "1", "--reps", "1"]);
    run.args(["--trials", "100000", "-o"]);
    run.arg(folder.path().join("r.json"));
    let run = finish(run);
    run.complains("1 s (--limit)");
    run.complains("--limit 2");
}

/// A memory cgroup that allows `bytes`, and the text of the script that enters it; removed on drop.
struct MemoryCgroup(std::path::PathBuf);

impl MemoryCgroup {
    fn new(name: &str, bytes: u64) -> Option<MemoryCgroup> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = |wanted: fn(&str) -> bool| {
            own.lines().find_map(|line| {
                let fields: Vec<&str> = line.splitn(3, ':').collect();
                wanted(fields[1]).then(|| fields[2].to_owned())
            })
        };
        let name = format!("cowpath-test-{name}-{}", std::process::id());
        let (folder, limit) = match path(|list| list.split(',').any(|one| one == "memory")) {
            Some(path) => (
                format!("/sys/fs/cgroup/memory{path}"),
                "memory.limit_in_bytes",
            ),
            None => (
                format!("/sys/fs/cgroup{}", path(str::is_empty)?),
                "memory.max",
            ),
        };
        let folder = std::path::Path::new(&folder).join(name);
        std::fs::create_dir(&folder).ok()?;
        let group = MemoryCgroup(folder);
        std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
        // What could be swapped out, were there swap, would not have anybody killed.
        for (file, none) in [("memory.swappiness", "0"), ("memory.swap.max", "0")] {
            let _ = std::fs::write(group.0.join(file), none);
        }
        Some(group)
    }

    /// The program with these arguments inside.
    fn run(&self, args: &[&str]) -> Finished {
        let mut command = self.enter(Path::new(common::PROGRAM));
        command.args(args);
        finish(command)
    }

    /// `program` inside.
    fn enter(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "echo $$ > \"$1/cgroup.procs\" && shift && exec \"$@\"",
                "sh",
            ])
            .arg(&self.0)
            .arg(program);
        command
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn more_pages_than_the_memory_cgroup_allows_are_refused_before_anything_is_measured() {
    let Some(group) = MemoryCgroup::new("pages", 96 << 20) else {
        skip(Need::MemoryCgroup, "none can be made");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut args = small_run(&["copy/child-alive"], path.to_str().unwrap());
    args[3] = "100000";
    let run = group.run(&args);
    assert_eq!(run.code, Some(3), "{run:?}");
    for word in ["needs 1187 MiB", "is 96 MiB", "mend with: --pages"] {
        run.tells(word);
    }
    let doctor = group.run(&["doctor"]);
    doctor.tells("is 96 MiB");
}

#[test]
fn a_worker_that_the_kernel_kills_for_want_of_memory_is_told_so() {
    let shm = Path::new("/dev/shm");
    let Some(group) = MemoryCgroup::new("kill", 128 << 20).filter(|_| shm.is_dir()) else {
        skip(Need::MemoryCgroup, "none can be made, or no /dev/shm");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let program = common::private_copy(folder.path());
    let mut run = group.enter(&program);
    run.args(["run", "copy/child-alive", "--pages", "4096"])
        .args(["--trials", "40", "--reps", "4", "-o"])
        .arg(folder.path().join("r.json"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    // The run has seen what is left by then.
    wait_for("a worker", || {
        (processes_of(&program).len() > 1).then_some(())
    });
    // Memory that no process's end gives back, charged to the cgroup.
    let held = format!("/dev/shm/cowpath-test-{}", std::process::id());
    let mut hold = group.enter(Path::new("/usr/bin/env"));
    hold.args(["dd", "if=/dev/zero", "bs=1M", "count=100"])
        .arg(format!("of={held}"));
    hold.output().unwrap();
    let finished = Finished::from(run.wait_with_output().unwrap());
    std::fs::remove_file(held).unwrap();
    let said = format!("{}{}", finished.out, finished.err);
    assert!(
        said.contains("the kernel killed for want of memory"),
        "{said}"
    );
    assert!(said.contains("is 128 MiB"), "{said}");
}

#[test]
fn an_interrupted_run_goes_on_with_what_its_file_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let globs = ["control/no-fault", "copy/child-alive"];
    let args = small_run(&globs, path.to_str().unwrap());
    assert_eq!(finish(cowpath(&args)).code, Some(0));
    // The same as an interrupt leaves it: the second repetitions are still to be made.
    let mut partial = load(&path);
    partial.complete = false;
    for measured in &mut partial.results {
        measured.repetitions.truncate(1);
    }
    cowpath::record::io::write(&path, &partial).unwrap();
    let resume = |more: &[&str]| {
        let mut command = cowpath(&["run", "--resume", "-o"]);
        command.arg(&path).args(more);
        finish(command)
    };
    let refused = resume(&[
        "copy/*",
        "--pages",
        "512",
        "--trials",
        "3",
        "--reps",
        "4",
        "--seed",
        "7",
        "--skew",
        "5",
        "--threads",
        "2",
        "--quick",
        "--folio",
        "4k",
        "--aa",
    ]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    for differs in [
        "scenarios copy/* (the file has control/no-fault copy/child-alive)",
        "--pages 512 (the file has 256)",
        "--trials 3 (the file has 2)",
        "--reps 4 (the file has 2)",
        "--seed 7 (",
        "--skew 5 (the file has 0)",
        "--threads 2 (the file has none)",
        "--quick (the file is without)",
        "--folio 4k (the file has none)",
        "--aa (the file is without)",
    ] {
        refused.complains(differs);
    }
    let goes_on = resume(&["--pages", "256", "--trials", "2"]);
    assert_eq!(goes_on.code, Some(0), "{goes_on:?}");
    let whole = load(&path);
    assert!(whole.complete);
    assert_eq!(whole.config, partial.config);
    assert_eq!(whole.id, partial.id);
    let made: Vec<_> = whole.results.iter().map(|m| m.repetitions.len()).collect();
    assert_eq!(made, [2, 2]);
    let again = resume(&[]);
    assert_eq!(again.code, Some(2), "{again:?}");
    again.complains("complete");
}

#[test]
fn a_file_that_no_run_left_behind_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let args = small_run(&["control/no-fault"], path.to_str().unwrap());
    assert_eq!(finish(cowpath(&args)).code, Some(0));
    let mut partial = load(&path);
    partial.complete = false;
    type Spoil = fn(&mut cowpath::record::schema::RunFile);
    let cases: [(Spoil, &str); 9] = [
        (|file| file.config.pages = u32::MAX, "config.pages: "),
        (
            |file| file.config.threads = vec![u32::MAX],
            "config.threads[0]: ",
        ),
        (|file| file.config.pages = (1 << 22) + 1, "config.pages is"),
        (|file| file.config.threads = vec![257], "config.threads is"),
        (|file| file.config.cpus = vec![4095], "CPUs 4095"),
        (
            |file| file.config.folios = vec![FolioSize::of_kib(1)],
            "config.folios",
        ),
        (|file| file.config.trials = 0, "config.trials is"),
        (
            |file| file.results[0].scenario = "copy/child-alive".into(),
            "a result of copy/child-alive",
        ),
        (
            |file| file.host.cpu = "Another\u{1b}[2J\n".into(),
            "the CPU was Another",
        ),
    ];
    for (spoil, word) in cases {
        let mut file = partial.clone();
        spoil(&mut file);
        cowpath::record::io::write(&path, &file).unwrap();
        let mut command = cowpath(&["run", "--resume", "-o"]);
        command.arg(&path);
        let finished = finish(command);
        assert_eq!(finished.code, Some(2), "{word}: {finished:?}");
        finished.complains(word);
        let control = finished.err.trim_end().find(char::is_control);
        assert_eq!(control, None, "{word}: {:?}", finished.err);
    }
}
