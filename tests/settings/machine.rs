//! The machine's settings, and a /run that nobody else sees.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::common::skip::{Need, skip};
use crate::common::{no_root, processes_of};

pub const KSM: &str = "/sys/kernel/mm/ksm";
pub const FOLDER: &str = "/run/cowpath";
pub const JOURNAL: &str = "/run/cowpath/journal";

/// What a test holds that changes settings: they take turns.
pub struct Alone {
    _turn: MutexGuard<'static, ()>,
}

/// Waits for the turn of this test, and gives it and what it starts an empty /run; `None`, having said why, where that
/// is not to be had.
pub fn alone() -> Option<Alone> {
    static TURN: Mutex<()> = Mutex::new(());
    if no_root("settings are changed") {
        return None;
    }
    let turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    if let Err(e) = own_run() {
        skip(Need::Root, format!("a mount namespace: {e}"));
        return None;
    }
    Some(Alone { _turn: turn })
}

/// The namespace is this thread's, and that of the processes that it starts.
fn own_run() -> nix::Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(
        Some("none"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=755"),
    )
}

/// Makes what lies at `path` read-only in this namespace.
pub fn freeze(path: &str) {
    let none = None::<&str>;
    mount(Some(path), path, none, MsFlags::MS_BIND, none).expect("a bind mount");
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(none, path, none, flags, none).expect("a read-only mount");
}

/// Every setting of /sys/kernel/mm and /proc/sys/vm, and the others that a run may touch, file by file.
pub fn state() -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    for folder in ["/sys/kernel/mm", "/proc/sys/vm"] {
        gather(Path::new(folder), &mut state);
    }
    for path in ["/proc/sys/kernel/task_delayacct", "/proc/swaps"] {
        state.insert(path.into(), fs::read_to_string(path).unwrap_or_default());
    }
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut devices: Vec<_> = devices.map(|entry| entry.file_name()).collect();
    devices.sort();
    state.insert("/sys/block".into(), format!("{devices:?}"));
    state
}

fn gather(folder: &Path, state: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if found.is_dir() {
            gather(&path, state);
        }
        // Reading one of them does what it is for, the other is as large as memory.
        let is_none = path.ends_with("stat_refresh") || path.ends_with("page_idle/bitmap");
        if !found.is_file() || is_none || found.mode() & 0o600 != 0o600 {
            continue;
        }
        if let Ok(text) = fs::read_to_string(&path) {
            state.insert(path.display().to_string(), text);
        }
    }
}

/// Asserts that every setting is as before.
pub fn assert_as(before: &BTreeMap<String, String>, when: &str) {
    let now = state();
    let differ = |(path, was): (&String, &String)| {
        let is = now.get(path);
        (is != Some(was)).then(|| format!("{path}: {is:?}, was {was:?}"))
    };
    let differences: Vec<_> = before.iter().filter_map(differ).collect();
    assert!(differences.is_empty(), "{when}: {differences:#?}");
    assert_eq!(before.len(), now.len(), "{when}");
}

/// The value of a setting.
pub fn value(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_string()
}

/// A setting that a test gives a value, and that gets its former one back.
pub struct Given {
    path: String,
    former: String,
}

impl Given {
    pub fn set(path: &str, to: &str) -> Given {
        let text = value(path);
        let former = text
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(']'));
        let former = former.map_or(text.clone(), |(word, _)| word.to_string());
        fs::write(path, to).unwrap_or_else(|e| panic!("{path} = {to}: {e}"));
        Given {
            path: path.into(),
            former,
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.former);
    }
}

/// Notes `changes` as a run would have.
pub fn write_journal(changes: &str) {
    let boot = value("/proc/sys/kernel/random/boot_id");
    write_journal_of(&boot, changes);
}

pub fn write_journal_of(boot: &str, changes: &str) {
    let _ = fs::DirBuilder::new().mode(0o700).create(FOLDER);
    let text = format!(r#"{{"boot":"{boot}","changes":[{changes}]}}"#);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600);
    std::io::Write::write_all(&mut file.open(JOURNAL).unwrap(), text.as_bytes()).unwrap();
}

/// A run of `program` that changes settings and goes on for long.
pub fn long_run(program: &Path, globs: &[&str], output: &Path) -> Child {
    Command::new(program)
        .arg("run")
        .args(globs)
        .args([
            "--tune", "--pages", "256", "--trials", "2", "--reps", "200", "-o",
        ])
        .arg(output)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// The guardian of that run, once it is there.
pub fn guardian_of(program: &Path) -> Option<i32> {
    processes_of(program).into_iter().find(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("guardian")
    })
}
