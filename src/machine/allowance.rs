//! How much memory this process may take: what the machine has left and what its memory cgroup allows, and whether the
//! kernel has killed for want of memory.

use std::path::{Path, PathBuf};

use super::host::meminfo;
use crate::sys::files::read;

/// The smaller of what the machine and the cgroups have left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// So many bytes.
    pub bytes: u64,
    /// The cgroup's file that says so, and the limit in it; `None` where it is the machine's memory.
    pub limit: Option<(PathBuf, u64)>,
}

impl Left {
    /// Who allows no more, in words.
    pub fn by(&self) -> String {
        match &self.limit {
            Some((file, limit)) => format!("{} is {} MiB", file.display(), limit >> 20),
            None => "MemAvailable in /proc/meminfo".into(),
        }
    }
}

/// What is left now; `None` where neither the machine nor a cgroup tells.
pub fn left() -> Option<Left> {
    let machine = meminfo("MemAvailable").map(|bytes| Left { bytes, limit: None });
    let cgroup = Cgroup::own().and_then(|cgroup| cgroup.left());
    machine
        .into_iter()
        .chain(cgroup)
        .min_by_key(|left| left.bytes)
}

/// How many processes the kernel has killed for want of memory, and the file that says so: in this process's cgroup,
/// else on the machine.
pub fn kills() -> Option<(PathBuf, u64)> {
    let own = Cgroup::own().and_then(|cgroup| cgroup.kills());
    own.or_else(|| kills_in("/proc/vmstat".into()))
}

/// Names of the files that one version of cgroups has.
#[derive(Clone, Copy, Debug)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// The key in memory.stat of pages of files that have not been used lately: these are given up first.
    files: &'static str,
    kills: &'static str,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: "total_inactive_file",
    kills: "memory.oom_control",
};
const V2: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    files: "inactive_file",
    kills: "memory.events",
};

/// The memory cgroup of a process.
struct Cgroup {
    files: Files,
    /// Its folder and those above it, up to where the hierarchy is mounted.
    folders: Vec<PathBuf>,
}

impl Cgroup {
    fn own() -> Option<Self> {
        Self::find(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)
    }

    /// From the texts of /proc/PID/cgroup and /proc/PID/mountinfo.
    fn find(cgroup: &str, mounts: &str) -> Option<Self> {
        let line = |wanted: fn(&str) -> bool| {
            cgroup.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let (controllers, path) = (fields.next()?, fields.next()?);
                wanted(controllers).then_some(path)
            })
        };
        let memory = |list: &str| list.split(',').any(|name| name == "memory");
        let (files, path, kind) = match line(|list| list.split(',').any(|name| name == "memory")) {
            Some(path) => (V1, path, "cgroup"),
            None => (V2, line(str::is_empty)?, "cgroup2"),
        };
        let (root, point) = mounts.lines().find_map(|line| {
            let (mount, system) = line.split_once(" - ")?;
            let mut system = system.split(' ');
            let is_it = system.next()? == kind
                && (kind == "cgroup2" || memory(system.nth(1).unwrap_or_default()));
            let mut mount = mount.split(' ').skip(3);
            is_it.then_some((mount.next()?, mount.next()?))
        })?;
        let point = Path::new(point);
        // What is mounted may be a part of the hierarchy; a process outside of it is held by its root at least.
        let below = path.strip_prefix(root.trim_end_matches('/'));
        let below = below.unwrap_or_default().trim_start_matches('/');
        let below = match below.starts_with("..") {
            true => "",
            false => below,
        };
        let own = point.join(below);
        let folders = own.ancestors().take_while(|at| at.starts_with(point));
        Some(Cgroup {
            files,
            folders: folders.map(Path::to_path_buf).collect(),
        })
    }

    /// What the tightest of the limits leaves; `None` where there is no limit.
    fn left(&self) -> Option<Left> {
        let left = |folder: &PathBuf| {
            let file = folder.join(self.files.limit);
            // Without a limit, one version says "max" and the other a number that no machine has.
            let limit: u64 = read(&file)?.parse().ok()?;
            if limit >= 1 << 62 {
                return None;
            }
            let usage: u64 = read(folder.join(self.files.usage))?.parse().ok()?;
            let stat = read(folder.join("memory.stat")).unwrap_or_default();
            let used = usage.saturating_sub(value(&stat, self.files.files).unwrap_or(0));
            Some(Left {
                bytes: limit.saturating_sub(used),
                limit: Some((file, limit)),
            })
        };
        let each = self.folders.iter().filter_map(left);
        each.min_by_key(|left| left.bytes)
    }

    fn kills(&self) -> Option<(PathBuf, u64)> {
        kills_in(self.folders.first()?.join(self.files.kills))
    }
}

fn kills_in(file: PathBuf) -> Option<(PathBuf, u64)> {
    let kills = value(&read(&file)?, "oom_kill")?;
    Some((file, kills))
}

/// The number that follows `key` on a line of its own.
fn value(text: &str, key: &str) -> Option<u64> {
    let number = |line: &str| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(number)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    /// Writes files below `root`.
    fn tree(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_tightest_limit_up_the_hierarchy_counts() {
        let folder = tempfile::tempdir().unwrap();
        let point = folder.path();
        tree(
            point,
            &[
                ("a/b/memory.max", "max\n"),
                ("a/b/memory.current", "1000\n"),
                ("a/b/memory.events", "low 0\noom 7\noom_kill 3\n"),
                ("a/memory.max", "104857600\n"),
                ("a/memory.current", "62914560\n"),
                ("a/memory.stat", "anon 1\ninactive_file 10485760\n"),
            ],
        );
        let mounts = format!(
            "30 23 0:26 / {} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
            point.display()
        );
        let cgroup = Cgroup::find("0::/a/b\n", &mounts).unwrap();
        let left = cgroup.left().unwrap();
        assert_eq!(left.bytes >> 20, 50);
        assert_eq!(left.limit, Some((point.join("a/memory.max"), 100 << 20)));
        assert_eq!(cgroup.kills().unwrap().1, 3);
    }

    #[test]
    fn the_first_version_is_read_too_where_a_part_of_it_is_mounted() {
        let folder = tempfile::tempdir().unwrap();
        let point = folder.path();
        tree(
            point,
            &[
                ("memory.limit_in_bytes", "9223372036854771712\n"),
                ("memory.usage_in_bytes", "5\n"),
                ("c/memory.limit_in_bytes", "4194304\n"),
                ("c/memory.usage_in_bytes", "1048576\n"),
                (
                    "c/memory.oom_control",
                    "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
                ),
            ],
        );
        let mounts = format!(
            "40 23 0:30 /docker/abc {} rw - cgroup cgroup rw,cpu\n41 23 0:31 /docker/abc {} rw - cgroup cgroup rw,memory\n",
            point.join("not-this").display(),
            point.display()
        );
        let text = "5:cpu:/docker/abc\n4:memory:/docker/abc/c\n0::/\n";
        let cgroup = Cgroup::find(text, &mounts).unwrap();
        assert_eq!(cgroup.left().unwrap().bytes, 3 << 20);
        assert_eq!(cgroup.kills().unwrap().1, 2);
        let outside = Cgroup::find("4:memory:/elsewhere\n", &mounts).unwrap();
        assert_eq!(outside.folders, [point]);
        assert_eq!(outside.left(), None, "no limit");
    }

    #[test]
    fn this_machine_tells_what_is_left() {
        let left = left().unwrap();
        assert!(left.bytes > 1 << 20, "{left:?}");
        assert!(left.bytes <= meminfo("MemTotal").unwrap(), "{left:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics(cgroup in "[0-9:,a-z/.\n]{0,60}", mounts in "[0-9a-z/ .-]{0,80}") {
            if let Some(cgroup) = Cgroup::find(&cgroup, &mounts) {
                cgroup.left();
                cgroup.kills();
            }
        }
    }
}
