//! Where a run file goes, and that what was measured gets there: every kind of file, streams that are closed or full, and
//! kills at any moment.

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{cowpath, finish, load, no_root, small_run, wait_for};
use cowpath::record::io::parse;

/// The arguments of a run of one scenario into `output`.
fn run_into(output: &Path) -> Vec<&str> {
    small_run(&["control/no-fault"], output.to_str().unwrap())
}

#[test]
fn a_device_is_written_to_and_stays_a_device() {
    if no_root("a device is made") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let null = folder.path().join("null");
    let made = Command::new("mknod")
        .arg(&null)
        .args(["c", "1", "3"])
        .status();
    assert!(made.unwrap().success());
    let finished = finish(cowpath(&run_into(&null)));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let kind = fs::symlink_metadata(&null).unwrap().file_type();
    assert!(kind.is_char_device(), "{kind:?}");
}

#[test]
fn a_block_device_a_folder_and_a_pipe_that_nobody_reads_are_refused_before_anything_is_measured() {
    if no_root("a device is made") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (disk, pipe) = (folder.path().join("disk"), folder.path().join("pipe"));
    // A number that no driver has: it is refused by what it is, not by what happens when it is opened.
    let made = Command::new("mknod")
        .arg(&disk)
        .args(["b", "240", "77"])
        .status();
    assert!(made.unwrap().success());
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for (path, why) in [
        (disk.as_path(), "block device"),
        (folder.path(), "is a folder"),
        (&pipe, "nobody reads"),
        (&folder.path().join("missing/run.json"), "No such file"),
    ] {
        let finished = finish(cowpath(&run_into(path)));
        assert_eq!(finished.code, Some(2), "{}: {finished:?}", path.display());
        finished.complains(why);
        assert_eq!(finished.err.lines().count(), 1, "{}", finished.err);
        assert!(finished.out.is_empty(), "{}", finished.out);
    }
    assert!(
        fs::symlink_metadata(&disk)
            .unwrap()
            .file_type()
            .is_block_device()
    );
}

#[test]
fn a_link_is_followed_and_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("run.json"), folder.path().join("link"));
    symlink("run.json", &link).unwrap();
    let finished = finish(cowpath(&run_into(&link)));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(load(&file).complete);
}

#[test]
fn a_pipe_s_reader_gets_the_run_file() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let open = |read| {
        let mut options = fs::OpenOptions::new();
        options.read(read).write(!read);
        options.custom_flags(nix::libc::O_NONBLOCK).open(&pipe)
    };
    let reader = open(true).unwrap();
    let mut run = cowpath(&run_into(&pipe));
    run.stdout(Stdio::null()).stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    // From here on the reader waits for what it reads, and for its end.
    nix::fcntl::fcntl(&reader, nix::fcntl::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    // Holds the pipe open until the program has.
    let writer = open(false).unwrap();
    let reading = std::thread::spawn(move || std::io::read_to_string(reader).unwrap());
    let finished = common::Finished::from(run.wait_with_output().unwrap());
    drop(writer);
    let text = reading.join().unwrap();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(parse(&pipe, text.as_bytes()).unwrap().complete);
}

#[test]
fn the_run_file_alone_goes_to_standard_output_where_it_is_asked_for_there() {
    for name in ["-", "/dev/stdout"] {
        let finished = finish(cowpath(&run_into(Path::new(name))));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(
            parse(Path::new(name), finished.out.as_bytes())
                .unwrap()
                .complete
        );
        finished.complains("control/no-fault");
    }
}

#[test]
fn a_file_that_is_a_mount_is_written_to_in_place() {
    if no_root("a mount namespace is made") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (there, here) = (folder.path().join("there"), folder.path().join("here"));
    fs::write(&there, "x".repeat(1 << 20)).unwrap();
    fs::write(&here, "").unwrap();
    let before = fs::metadata(&there).unwrap().ino();
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"";
    command.args(["-m", "sh", "-c", script, "sh"]);
    command
        .args([&there, &here])
        .arg(common::PROGRAM)
        .args(run_into(&here));
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(fs::metadata(&there).unwrap().ino(), before);
    assert!(
        load(&there).complete,
        "nothing of what was there before is left behind it"
    );
}

#[test]
fn a_stream_that_is_full_or_that_nobody_reads_costs_nothing_that_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    for (streams, codes) in [
        ("> /dev/full", &[2][..]),
        ("> /dev/full 2>&1", &[2]),
        ("2> /dev/full", &[0]),
        (">&- 2>&-", &[0]),
        ("2>&1 | head -1", &[0]),
        ("2>&1 | true", &[0]),
    ] {
        let _ = fs::remove_file(&path);
        let mut command = Command::new("bash");
        let script = format!("set -o pipefail; \"$@\" {streams}");
        command
            .args(["-c", &script, "bash", common::PROGRAM])
            .args(run_into(&path));
        let finished = finish(command);
        let code = finished.code.unwrap();
        assert!(codes.contains(&code), "{streams}: {finished:?}");
        let run = load(&path);
        assert!(run.complete, "{streams}");
        assert_eq!(run.results[0].repetitions.len(), 2, "{streams}");
        assert!(!run.results[0].counters.is_empty(), "{streams}");
        assert!(
            !finished.err.contains("panicked"),
            "{streams}: {}",
            finished.err
        );
    }
}

#[test]
fn a_run_that_measured_nothing_says_so_by_its_exit_code_whoever_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    // Without --strategy this race cannot be had on any kernel.
    let args = small_run(&["race/unshare-under-copy"], path.to_str().unwrap());
    for streams in ["", "> /dev/full", "| true"] {
        let mut command = Command::new("bash");
        let script = format!("set -o pipefail; \"$@\" {streams}");
        command
            .args(["-c", &script, "bash", common::PROGRAM])
            .args(&args);
        assert_eq!(finish(command).code, Some(3), "{streams}");
    }
}

#[test]
fn a_run_that_is_killed_leaves_what_it_had_measured() {
    let folder = tempfile::tempdir().unwrap();
    for moment in 0..9 {
        let path = folder.path().join(format!("{moment}.json"));
        let mut run = cowpath(&[
            "run", "copy/*", "reuse/*", "--pages", "512", "--trials", "2",
        ]);
        run.args(["--reps", "40", "-o"]).arg(&path);
        let mut run = run
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the first repetition", || path.exists().then_some(()));
        std::thread::sleep(Duration::from_millis(60 * moment));
        run.kill().unwrap();
        run.wait().unwrap();
        let partial = load(&path);
        assert!(!partial.complete);
        assert!(!partial.results.is_empty());
        let others = fs::read_dir(folder.path()).unwrap().count() as u64;
        assert!(
            others <= 2 * (moment + 1),
            "at most the checkpoint that was being written is left"
        );
    }
}

#[test]
fn what_cannot_be_replaced_while_the_run_goes_on_is_kept_elsewhere_until_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let aside = || {
        let mut names = fs::read_dir(&temporary)
            .unwrap()
            .flatten()
            .map(|e| e.path());
        names.find(|path| path.extension().is_some_and(|e| e == "json"))
    };
    let mut run = cowpath(&[
        "run",
        "copy/*",
        "--pages",
        "512",
        "--reps",
        "60",
        "-o",
        "/dev/full",
    ]);
    run.env("TMPDIR", &temporary)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut killed = run.spawn().unwrap();
    wait_for("a checkpoint", || aside().filter(|path| path.exists()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let kept = aside().unwrap();
    assert!(!load(&kept).complete);
    fs::remove_file(kept).unwrap();

    let mut run = cowpath(&run_into(Path::new("/dev/full")));
    run.env("TMPDIR", &temporary);
    let finished = finish(run);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let kept = aside().unwrap();
    assert!(load(&kept).complete);
    let said = format!("was written to {} instead", kept.display());
    finished.complains(&said);
}
