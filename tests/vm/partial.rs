//! What a guest has measured is not lost with it: it sends checkpoints, and the last one is kept.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use cowpath::guest::boot::{Boot, BootOutcome, BootWatch, boot};
use cowpath::guest::inbox::Inbox;
use cowpath::guest::patience::Patience;
use cowpath::guest::transfer::Ending;
use cowpath::record::io::read;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bench::{Bench, gone, stderr, within};
use super::left::corpus;

const SEND: &str = "cat checkpoint >>$result";
const PANIC: &str = "echo '[    1.5] Kernel panic - not syncing: no luck'";
const HANG: &str = "echo cowpath-guest: running; echo $$ >pid; exec sleep 1000";
const PARTIAL: &str = "lab/6.1.0-a.1.partial.json";

/// A bench whose guests have a checkpoint to send.
fn bench(script: &str) -> Bench {
    let bench = Bench::new(script);
    bench.message("checkpoint", Ending::Running, &corpus("stores.json"));
    bench
}

/// The partial file is there, is one, and nothing passes for a whole one.
fn is_kept(bench: &Bench) {
    let kept = read(&bench.path(PARTIAL)).unwrap_or_else(|error| panic!("{error}"));
    assert!(!kept.complete && !kept.results.is_empty());
    assert!(!bench.path("lab/6.1.0-a.1.json").exists());
}

/// A lost guest gave a partial file, the line that says so names it, and the exit code is 4.
fn lost_but_kept(script: &str, arguments: &[&str]) {
    let bench = bench(script);
    let output = bench.run(&[&bench.kernel("6.1.0-a")], arguments);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    is_kept(&bench);
    let path = bench.path(PARTIAL);
    let named = |text: &str| {
        text.lines().any(|line| {
            line.contains("what it had measured is in") && line.contains(path.to_str().unwrap())
        })
    };
    assert!(named(&said), "{said}");
    assert!(
        named(&String::from_utf8_lossy(&output.stdout)),
        "{output:?}"
    );
    let guest = &bench.guests()[0];
    assert_eq!(guest["outcome"], "lost");
    assert_eq!(guest["partial"], path.to_str().unwrap());
}

#[test]
fn a_guest_that_hits_the_limit_gives_what_it_has() {
    lost_but_kept(&format!("{SEND}; {HANG}"), &["--time-limit", "2"]);
}

#[test]
fn a_guest_that_panics_gives_what_it_has() {
    lost_but_kept(&format!("{SEND}; {PANIC}"), &[]);
}

#[test]
fn a_guest_that_loses_its_qemu_gives_what_it_has() {
    lost_but_kept(&format!("{SEND}; kill -9 $$"), &[]);
}

#[test]
fn a_guest_that_panics_earlier_the_second_time_gives_what_it_had_the_first() {
    lost_but_kept(&format!("[ $(wc -l <boots) = 1 ] && {SEND}; {PANIC}"), &[]);
}

#[test]
fn a_suite_that_is_killed_gives_what_it_had_written() {
    let bench = bench("cat good >$result");
    bench.message("good", Ending::Signal(9), &corpus("stores.json"));
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    is_kept(&bench);
}

#[test]
fn an_interrupt_keeps_what_the_guest_has_sent_and_says_where() {
    let bench = bench(&format!("{SEND}; {HANG}"));
    let mut cowpath = bench
        .command(&[&bench.kernel("6.1.0-a")], &[])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let there = within(Duration::from_secs(20), || bench.path(PARTIAL).exists());
    assert!(there, "the checkpoint is kept while the guest runs");
    kill(Pid::from_raw(cowpath.id().cast_signed()), Signal::SIGINT).unwrap();
    let said = std::io::read_to_string(cowpath.stderr.take().unwrap()).unwrap();
    assert_eq!(cowpath.wait().unwrap().code(), Some(130), "{said}");
    assert!(said.contains(PARTIAL), "{said}");
    is_kept(&bench);
    assert!(gone(bench.read("pid").trim().parse().unwrap()));
}

#[test]
fn a_killed_cowpath_leaves_what_the_guest_has_sent() {
    let bench = bench(&format!("{SEND}; {HANG}"));
    let (mut cowpath, _) = bench.start(&[&bench.kernel("6.1.0-a")], &[]);
    assert!(within(Duration::from_secs(20), || bench
        .path(PARTIAL)
        .exists()));
    cowpath.kill().unwrap();
    cowpath.wait().unwrap();
    is_kept(&bench);
}

#[test]
fn a_guest_that_ends_well_leaves_its_result_alone() {
    let bench = bench(&format!("{SEND}; sleep 0.3; {SEND}; cat good >>$result"));
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(bench.read("lab/6.1.0-a.1.json"), "{}");
    assert!(!bench.path(PARTIAL).exists());
}

#[test]
fn an_older_lab_s_partial_file_does_not_stand_for_a_guest_that_sent_nothing() {
    let bench = bench("exit 1");
    std::fs::create_dir(bench.path("lab")).unwrap();
    std::fs::write(bench.path(PARTIAL), "{}").unwrap();
    let output = bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!bench.path(PARTIAL).exists());
    assert!(stderr(&output).contains("nothing that it measured has arrived"));
}

/// Watches a shell script with that much patience, as if it were a guest.
fn watched(script: &str, patience: Patience) -> Boot {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let watch = BootWatch {
        log: &folder.path().join("log"),
        patience,
        stop: &|| false,
        pin: None,
        tell: &|_| {},
        keep: &|_| {},
    };
    boot(command, Inbox::new().unwrap(), &watch)
}

fn silent_for(seconds: u64) -> Patience {
    Patience {
        total: Duration::from_secs(60),
        silence: Some(Duration::from_secs(seconds)),
    }
}

#[test]
fn a_guest_is_given_up_when_nothing_comes_of_it_however_much_its_kernel_says() {
    let noise =
        "echo cowpath-guest: running; while echo '[ 9.0] rcu: INFO: stall'; do sleep 0.2; done";
    let BootOutcome::Lost(reason) = watched(noise, silent_for(1)).verdict else {
        panic!("a lost guest was expected");
    };
    assert_eq!(reason, "no progress within 1 s; the guest was running");
}

#[test]
fn a_guest_that_comes_on_is_not_given_up_for_being_slow() {
    let slow = "echo cowpath-guest: running; for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.5; done; echo cowpath-guest: ended";
    let boot = watched(slow, silent_for(4));
    let BootOutcome::Lost(reason) = boot.verdict else {
        panic!("a guest without a result was expected");
    };
    assert!(
        reason.contains("the guest went away while ended"),
        "{reason}"
    );
}

#[test]
fn an_emulated_guest_gets_a_longer_limit_for_a_repetition_unless_one_is_asked_for() {
    let script = r#"for word; do
        [ "$before" = -initrd ] && grep -a -o -e '--limit.[0-9][0-9]*' "$word" >limits
        before=$word
    done
    cat good >$result"#;
    let bench = bench(script);
    let kernel = bench.kernel("6.1.0-a");
    let limits = |more: &[&str]| {
        let mut command = bench.command(&[&kernel], &[]);
        let output = command.arg("--").args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        bench.read("limits")
    };
    assert_eq!(limits(&[]), "--limit=300\n");
    assert_eq!(limits(&["--limit=7"]), "--limit=7\n");
}

#[test]
fn how_long_a_guest_is_waited_for_is_said_and_grows_with_what_is_asked() {
    let bench = bench("cat good >$result");
    let kernel = bench.kernel("6.1.0-a");
    let in_all = |arguments: &[&str], more: &[&str]| -> u64 {
        let mut command = bench.command(&[Path::new(&kernel)], arguments);
        let said = stderr(&command.arg("--").args(more).output().unwrap());
        let (before, _) = said
            .split_once(" in all")
            .unwrap_or_else(|| panic!("{said}"));
        let mut words = before.rsplit(' ');
        let unit = if words.next() == Some("h") { 3_600 } else { 1 };
        words.next().unwrap().parse::<u64>().unwrap() * unit
    };
    let (quick, whole) = (in_all(&[], &["--quick"]), in_all(&[], &[]));
    assert!(
        quick > 2 * 660,
        "{quick} s are too short for the suite under emulation"
    );
    assert!(whole > quick, "{whole} after {quick}");
    assert_eq!(in_all(&["--time-limit", "77"], &[]), 77);
}
