//! A guest either ends with a result or is lost; nothing in between, nothing left running.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use cowpath::guest::transfer::Ending;

use super::bench::{Bench, cowpath_vm, gone, stderr, within};

const GOOD: &str = "cat good >$result";
const PANIC: &str = "echo '[    1.5] Kernel panic - not syncing: no luck'";
const HANG: &str = "echo $$ >pid; exec sleep 1000";

#[test]
fn a_guest_that_ends_well_leaves_its_run_file_as_it_was_sent() {
    let bench = Bench::new(GOOD);
    bench.message("good", Ending::Exit(0), "{\"schema\": \"any\"}");
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(bench.read("lab/6.1.0-a.1.json"), "{\"schema\": \"any\"}");
}

#[test]
fn a_failed_run_is_not_a_lost_guest() {
    let bench = Bench::new(GOOD);
    bench.message("good", Ending::Exit(1), "{}");
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(bench.guests()[0]["outcome"], "finished");
}

#[test]
fn a_kernel_that_panics_is_booted_once_more_and_the_others_still_run() {
    let bench = Bench::new(&format!("[ $kernel = bad ] && {PANIC} || {GOOD}"));
    let output = bench.run(&[&bench.kernel("bad"), &bench.kernel("fine")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(bench.read("boots"), "bad\nbad\nfine\n");
    assert!(stderr(&output).contains("once more"), "{}", stderr(&output));
    let guests = bench.guests();
    assert_eq!(guests[0]["outcome"], "lost");
    assert_eq!(guests[0]["reason"], "Kernel panic - not syncing: no luck");
    assert_eq!(guests[0]["retried"], "Kernel panic - not syncing: no luck");
    assert!(
        guests[0]["console_tail"][0]
            .as_str()
            .unwrap()
            .contains("no luck")
    );
    assert_eq!(guests[1]["outcome"], "finished");
}

#[test]
fn a_kernel_that_panics_once_gives_a_result_that_says_so() {
    let bench = Bench::new(&format!("[ $(wc -l <boots) = 1 ] && {PANIC} || {GOOD}"));
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        bench.guests()[0]["retried"],
        "Kernel panic - not syncing: no luck"
    );
    assert!(
        bench
            .read("lab/6.1.0-a.1.panicked.console.log")
            .contains("no luck")
    );
}

#[test]
fn a_guest_that_hangs_is_given_up_and_killed() {
    let bench = Bench::new(HANG);
    let start = Instant::now();
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &["--time-limit", "1"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
    let reason = bench.guests()[0]["reason"].to_string();
    assert!(reason.contains("no result within 1 s"), "{reason}");
    assert!(gone(bench.read("pid").trim().parse().unwrap()));
}

#[test]
fn a_killed_qemu_is_a_lost_guest() {
    let bench = Bench::new("kill -9 $$");
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(bench.guests()[0]["reason"], "QEMU was killed by signal 9");
}

#[test]
fn a_suite_killed_in_a_guest_without_memory_is_lost() {
    let bench = Bench::new(&format!(
        "echo '[ 9.0] Out of memory: Killed process 7'; {GOOD}"
    ));
    bench.message("good", Ending::Signal(9), "");
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("ran out of memory"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_run_file_that_arrives_damaged_is_no_result() {
    let bench = Bench::new("sed 's/{}/{]/' good >$result");
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("damaged"), "{}", stderr(&output));
    assert!(!bench.path("lab/6.1.0-a.1.json").exists());
}

#[test]
fn an_older_lab_s_run_file_does_not_stand_for_a_lost_guest() {
    let bench = Bench::new("exit 1");
    fs::create_dir(bench.path("lab")).unwrap();
    fs::write(bench.path("lab/6.1.0-a.1.json"), "{}").unwrap();
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!bench.path("lab/6.1.0-a.1.json").exists());
}

#[test]
fn a_guest_that_never_ends_a_line_fills_neither_memory_nor_log() {
    let bench =
        Bench::new("head -c 300000000 /dev/zero | tr '\\0' x; echo; echo next; cat good >$result");
    let command = bench.command(&[&bench.kernel("6.1.0-a")], &SMALL);
    let output = in_little_memory(&command).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let log = bench.read("lab/6.1.0-a.1.console.log");
    assert!(log.len() < 10_000, "{} bytes of log", log.len());
    let cut = "xx [299991808 more bytes of this line were cut]\nnext\n";
    assert!(log.ends_with(cut), "{}", &log[log.len() - 100..]);
}

#[test]
fn a_guest_that_never_stops_talking_is_given_up_in_time_and_its_log_says_where_it_is_cut() {
    let ado = "x".repeat(2_000);
    let bench = Bench::new(&format!("echo 'cowpath-guest: running'; exec yes {ado}"));
    let mut command = bench.command(&[&bench.kernel("6.1.0-a")], &SMALL);
    command.args(["--time-limit", "5"]);
    let output = in_little_memory(&command).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", output.stderr.len());
    let log = bench.read("lab/6.1.0-a.1.console.log");
    assert!(log.len() <= (16 << 20) + 200, "{} bytes of log", log.len());
    assert!(log.ends_with("this log was cut here, at 16777216 bytes; the guest said more]\n"));
    let told = stderr(&output);
    assert!(told.len() < 4 << 20, "{} bytes on the terminal", told.len());
    assert!(told.contains("says more than 1048576 bytes; see "));
}

#[test]
fn a_guest_that_sends_without_end_is_lost_and_the_host_keeps_its_memory() {
    let bench = Bench::new("exec cat /dev/zero >$result");
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let reason = "the guest sent more than any run file has";
    assert_eq!(bench.guests()[0]["reason"], reason);
}

#[test]
fn what_a_guest_says_moves_no_cursor_of_the_host_s_terminal() {
    let bench = Bench::new(&format!(
        "printf 'cowpath-guest: running\\n\\033[2J\\033]0;owned\\007\\n'; {GOOD}"
    ));
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains(" [2J ]0;owned"), "{told:?}");
    assert!(
        !told.contains('\u{1b}') && !told.contains('\u{7}'),
        "{told:?}"
    );
}

#[test]
fn a_comma_of_the_folder_for_temporary_files_ends_no_option_of_qemu_s() {
    let bench = Bench::new(r#"printf '%s\n' "$@" >words; exit 1"#);
    let folder = bench.path("a,b");
    fs::create_dir(&folder).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cowpath"))
        .args(["stage", "window/pin", "--qemu"])
        .args([
            bench.path("qemu"),
            "--kernel".into(),
            bench.kernel("6.1.0-a"),
        ])
        .args(["-o".into(), bench.path("staged")])
        .env("TMPDIR", &folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let words = bench.read("words");
    let socket = words.lines().find(|word| word.starts_with("unix:"));
    let doubled = format!("unix:{}/a,,b/", bench.path("").display());
    let doubled = doubled.replace("//", "/");
    assert!(socket.unwrap().starts_with(&doubled), "{words}");
    assert!(words.contains("-sandbox\non,"), "{words}");
}

/// Another init than this program, which with what debuggers need would take all of that.
const SMALL: [&str; 2] = ["--init", "/bin/true"];

/// A command with so much address space as the program and little else take.
fn in_little_memory(command: &Command) -> Command {
    let mut little = Command::new("sh");
    little
        .args(["-c", "ulimit -v 400000; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(std::process::Stdio::null());
    little
}

#[test]
fn a_program_that_is_not_qemu_is_refused_before_anything_is_booted() {
    let bench = Bench::new(GOOD);
    let output = cowpath_vm(&bench.path("lab"))
        .args(["--accel", "tcg", "--qemu", "/bin/true"])
        .arg(bench.kernel("6.1.0-a"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("a working QEMU was needed"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn modules_that_are_not_the_kernel_s_are_wrong_usage() {
    let bench = Bench::new(GOOD);
    let folder = bench.path("empty");
    fs::create_dir(&folder).unwrap();
    let output = bench.run(
        &[&bench.kernel("6.1.0-a")],
        &["--modules", folder.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("6.1.0-a/kernel"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn qemu_does_not_outlive_a_killed_cowpath() {
    let bench = Bench::new(HANG);
    let (mut cowpath, qemu) = bench.start(&[&bench.kernel("6.1.0-a")], &[]);
    cowpath.kill().unwrap();
    cowpath.wait().unwrap();
    assert!(
        within(Duration::from_secs(5), || gone(qemu)),
        "process {qemu} lives on"
    );
}

#[test]
fn an_interrupt_ends_the_lab_and_its_guest() {
    let bench = Bench::new(HANG);
    let (mut cowpath, qemu) = bench.start(&[&bench.kernel("6.1.0-a")], &[]);
    let process = cowpath.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &process])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(cowpath.wait().unwrap().code(), Some(130));
    assert!(gone(qemu), "process {qemu} lives on");
}

#[test]
fn repetitions_are_interleaved_and_each_leaves_its_own_run_file() {
    let bench = Bench::new(GOOD);
    let kernels = [bench.kernel("a"), bench.kernel("b")];
    let output = bench.run(&[&kernels[0], &kernels[1]], &["--reps", "3", "--jobs", "1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(bench.read("boots"), "a\nb\nb\na\na\nb\n");
    for name in ["a.1", "a.2", "a.3", "b.1", "b.2", "b.3"] {
        assert_eq!(bench.read(&format!("lab/{name}.json")), "{}");
    }
}

#[test]
fn one_kernel_given_twice_gives_two_run_files() {
    let bench = Bench::new(GOOD);
    let kernel = bench.kernel("a");
    bench.run(&[&kernel, &kernel], &[]);
    assert_eq!(bench.read("lab/a.1.json"), "{}");
    assert_eq!(bench.read("lab/a~2.1.json"), "{}");
}
