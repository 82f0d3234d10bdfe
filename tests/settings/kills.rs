//! Runs and guardians that are killed at random moments.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::{JOURNAL, alone, assert_as, guardian_of, long_run, state};
use crate::common::{cowpath, finish, private_copy, wait_for_all_to_end};

/// How often a run is killed.
const KILLS: u64 = 25;
/// The latest moment after a run's start; by then it has changed each kind of setting.
const LATEST: u64 = 2_000_000;

#[test]
fn kills_at_random_moments_leave_every_setting_as_before() {
    let Some(_alone) = alone() else { return };
    let seed = std::env::var("COWPATH_KILL_SEED").ok();
    let seed = seed.and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("COWPATH_KILL_SEED={seed}");
    let before = state();
    let folder = tempfile::tempdir().unwrap();
    let program = private_copy(folder.path());
    let globs = [
        "ksm/one-*",
        "mthp/child-*",
        "hugetlb/child-*",
        "swap/read-back",
        "reuse/child-*",
    ];
    let mut random = seed | 1;
    let mut draw = |below: u64| {
        // Marsaglia's xorshift64.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut left = 0;
    for round in 0..KILLS {
        let mut run = long_run(&program, &globs, &folder.path().join("r.json"));
        std::thread::sleep(Duration::from_micros(draw(LATEST)));
        let end = |pid: Option<i32>| {
            if let Some(pid) = pid {
                // It may have ended by itself.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        };
        let who = match draw(3) {
            0 => {
                run.kill().unwrap();
                "the runner"
            }
            1 => {
                end(guardian_of(&program));
                run.kill().unwrap();
                "the guardian, then the runner"
            }
            _ => {
                run.kill().unwrap();
                end(guardian_of(&program));
                "the runner, then the guardian"
            }
        };
        run.wait().unwrap();
        wait_for_all_to_end(&program);
        left += u32::from(state() != before);
        let when = format!("kill {round} of {who}, COWPATH_KILL_SEED={seed}");
        let doctor = finish(cowpath(&["doctor", "--restore"]));
        assert_eq!(doctor.code, Some(0), "{when}: {doctor:?}");
        assert_as(&before, &format!("{when}: {doctor:?}"));
        assert!(!Path::new(JOURNAL).exists(), "{when}");
    }
    println!("{left} of {KILLS} kills left settings to the doctor");
}
