//! Perf counters around a pass of stores: opened in groups, read with the time they really counted.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use nix::unistd::Pid;
use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware, Software, Tracepoint};
use perf_event::{Builder, Counter, Group, ReadFormat};
use serde::{Deserialize, Serialize};

/// A count, or why there is none.
pub type Count = Result<Counted, String>;

/// A count and the time it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Events counted while the counter ran.
    pub value: u64,
    /// Time the counter was enabled, in ns.
    pub enabled_ns: u64,
    /// Time the counter counted, in ns. Never 0.
    pub running_ns: u64,
}

/// The tracepoints that are counted, as category and name.
pub const TRACEPOINTS: [(&str, &str); 3] = [
    ("exceptions", "page_fault_user"),
    ("kmem", "mm_page_alloc"),
    ("kmem", "mm_page_free"),
];

/// Tracepoint ids by `category:name`, or why there is none.
pub type TracepointIds = BTreeMap<String, Result<u64, String>>;

/// A counter that is kept in use.
pub struct Held(#[expect(dead_code, reason = "held for its descriptor")] Counter);

/// Keeps every tracepoint of `ids` in use, stopped, and the software events that are counted.
/// Where that is refused, nothing is held: workers then report the refusal.
///
/// The first use and the last change the kernel's code while it runs (static keys), which takes long, and in
/// between every fault on the machine takes a longer path: 54 instructions of a reuse on 6.12. Not for while stores are
/// timed, therefore, but under QEMU's multi-threaded emulation: there another CPU may still run the breakpoint that
/// stood in the code for a moment, and the kernel panics; times mean nothing there anyway.
pub fn hold(ids: &TracepointIds) -> Vec<Held> {
    let tracepoints = ids
        .values()
        .filter_map(|id| Some(Builder::new(Tracepoint::with_id(*id.as_ref().ok()?))));
    let software = [
        Software::CONTEXT_SWITCHES,
        Software::CPU_MIGRATIONS,
        Software::PAGE_FAULTS,
        Software::PAGE_FAULTS_MIN,
    ];
    tracepoints
        .filter_map(|mut event| event.include_kernel().build().ok())
        .chain(
            software
                .into_iter()
                .filter_map(|event| Builder::new(event).include_kernel().build().ok()),
        )
        .map(Held)
        .collect()
}

/// What is counted.
enum Kind {
    Hardware(Hardware),
    Cache(CacheId, CacheOp),
    Software(Software),
    Tracepoint,
}

/// Groups of counters by name. The members of a group run together or not at all, so a ratio within
/// a group is sound; a PMU has few counters, hence two small hardware groups.
fn groups() -> Vec<Vec<(String, Kind)>> {
    let named = |name: &str, kind| (name.to_string(), kind);
    vec![
        vec![
            named("cycles:k", Kind::Hardware(Hardware::CPU_CYCLES)),
            named("instructions:k", Kind::Hardware(Hardware::INSTRUCTIONS)),
        ],
        vec![
            named(
                "dTLB-load-misses:k",
                Kind::Cache(CacheId::DTLB, CacheOp::READ),
            ),
            named(
                "dTLB-store-misses:k",
                Kind::Cache(CacheId::DTLB, CacheOp::WRITE),
            ),
            named("LLC-load-misses:k", Kind::Cache(CacheId::LL, CacheOp::READ)),
            named(
                "LLC-store-misses:k",
                Kind::Cache(CacheId::LL, CacheOp::WRITE),
            ),
        ],
        [
            named("page-faults", Kind::Software(Software::PAGE_FAULTS)),
            named("minor-faults", Kind::Software(Software::PAGE_FAULTS_MIN)),
            named(
                "context-switches",
                Kind::Software(Software::CONTEXT_SWITCHES),
            ),
            named("cpu-migrations", Kind::Software(Software::CPU_MIGRATIONS)),
        ]
        .into_iter()
        .chain(TRACEPOINTS.map(|(category, name)| (format!("{category}:{name}"), Kind::Tracepoint)))
        .collect(),
    ]
}

/// One open group and its members by name.
struct OpenGroup {
    group: Group,
    members: Vec<(String, Counter)>,
}

/// Counters of one process, open and stopped.
pub struct Counters {
    open: Vec<OpenGroup>,
    missing: BTreeMap<String, String>,
}

impl Counters {
    /// Opens every counter on process `pid`, or on this thread for `None`. A counter that the kernel
    /// refuses is remembered with the reason.
    pub fn open(pid: Option<Pid>, tracepoints: &TracepointIds) -> Self {
        let mut counters = Counters {
            open: Vec::new(),
            missing: BTreeMap::new(),
        };
        for specs in groups() {
            match open_group(pid) {
                Ok(group) => counters.add_group(group, specs, pid, tracepoints),
                Err(e) => {
                    let why = reason(&e);
                    let names = specs.into_iter().map(|(name, _)| (name, why.clone()));
                    counters.missing.extend(names);
                }
            }
        }
        counters
    }

    fn add_group(
        &mut self,
        mut group: Group,
        specs: Vec<(String, Kind)>,
        pid: Option<Pid>,
        tracepoints: &TracepointIds,
    ) {
        let mut members = Vec::new();
        for (name, kind) in specs {
            match add_member(&mut group, &name, &kind, pid, tracepoints) {
                Ok(counter) => members.push((name, counter)),
                Err(why) => {
                    self.missing.insert(name, why);
                }
            }
        }
        if !members.is_empty() {
            self.open.push(OpenGroup { group, members });
        }
    }

    /// Starts counting from zero.
    pub fn start(&mut self) -> io::Result<()> {
        for open in &mut self.open {
            open.group.reset()?;
        }
        self.open
            .iter_mut()
            .try_for_each(|open| open.group.enable())
    }

    /// Stops counting and reads every counter.
    pub fn stop(&mut self) -> io::Result<BTreeMap<String, Count>> {
        for open in &mut self.open {
            open.group.disable()?;
        }
        let missing = self.missing.iter();
        let mut counts: BTreeMap<_, _> = missing
            .map(|(name, why)| (name.clone(), Err(why.clone())))
            .collect();
        for open in &mut self.open {
            let data = open.group.read()?;
            let ns = |time: Option<std::time::Duration>| {
                time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
            };
            let (enabled_ns, running_ns) = (ns(data.time_enabled()), ns(data.time_running()));
            for (name, counter) in &open.members {
                let count = match data.get(counter) {
                    Some(entry) if running_ns > 0 => Ok(Counted {
                        value: entry.value(),
                        enabled_ns,
                        running_ns,
                    }),
                    _ => Err("opened, but never scheduled on the PMU".to_string()),
                };
                counts.insert(name.clone(), count);
            }
        }
        Ok(counts)
    }
}

fn observe(builder: &mut Builder, pid: Option<Pid>) {
    match pid {
        Some(pid) => builder.observe_pid(pid.as_raw()),
        None => builder.observe_self(),
    };
}

/// A group under a software leader that is opened stopped: a leader opened running would leave
/// members that are added later uncounted until the next context switch.
fn open_group(pid: Option<Pid>) -> io::Result<Group> {
    let mut leader = Group::builder();
    observe(&mut leader, pid);
    leader.enabled(false).build_group()
}

fn add_member(
    group: &mut Group,
    name: &str,
    kind: &Kind,
    pid: Option<Pid>,
    tracepoints: &TracepointIds,
) -> Result<Counter, String> {
    let mut builder = match kind {
        Kind::Hardware(event) => Builder::new(*event),
        Kind::Software(event) => Builder::new(*event),
        Kind::Cache(which, operation) => Builder::new(Cache {
            which: *which,
            operation: *operation,
            result: CacheResult::MISS,
        }),
        Kind::Tracepoint => match tracepoints.get(name) {
            Some(Ok(id)) => Builder::new(Tracepoint::with_id(*id)),
            Some(Err(why)) => return Err(why.clone()),
            None => return Err("not looked up".into()),
        },
    };
    let hardware = matches!(kind, Kind::Hardware(_) | Kind::Cache(..));
    observe(&mut builder, pid);
    // Members are opened enabled and follow their leader; opened disabled, those of another PMU than
    // the leader's count too little.
    builder
        .enabled(true)
        .include_kernel()
        .include_hv()
        .exclude_user(hardware)
        .read_format(
            ReadFormat::GROUP
                | ReadFormat::ID
                | ReadFormat::TOTAL_TIME_ENABLED
                | ReadFormat::TOTAL_TIME_RUNNING,
        );
    match group.add(&builder) {
        // A fault taken in user mode is a user event: it can be counted with the kernel excluded.
        Err(e) if !hardware && is_refusal(&e) => group.add(builder.exclude_kernel(true)),
        other => other,
    }
    .map_err(|e| reason(&e))
}

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

pub(super) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV) => {
            format!("this machine's PMU does not offer it, or there is none ({error})")
        }
        Some(libc::EACCES | libc::EPERM) if nix::unistd::geteuid().is_root() => format!(
            "refused to root ({error}); a container's filter does that: --security-opt seccomp=unconfined --cap-add=PERFMON"
        ),
        Some(libc::EACCES | libc::EPERM) => {
            let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
            format!(
                "refused ({error}); needs CAP_PERFMON or kernel.perf_event_paranoid <= 1, found {}: sudo sysctl kernel.perf_event_paranoid=1",
                paranoid.as_deref().map_or("none", str::trim)
            )
        }
        Some(libc::ENOSYS) => "the kernel is built without perf events".into(),
        _ => format!("perf_event_open: {error}"),
    }
}

/// Checks the counters against a known number: first stores to `pages` fresh pages are `pages` faults.
///
/// # Errors
/// What was counted instead, when `page-faults` is available and wrong.
pub fn self_test() -> Result<(), String> {
    const PAGES: usize = 32;
    let area = crate::memory::area::Area::map(PAGES).map_err(|e| e.to_string())?;
    let mut counters = Counters::open(None, &TracepointIds::new());
    let count = counters.start().and_then(|()| {
        area.fill(1);
        counters.stop()
    });
    match count.map_err(|e| e.to_string())?.get("page-faults") {
        Some(Ok(counted)) if counted.value == PAGES as u64 => Ok(()),
        Some(Ok(counted)) => Err(format!(
            "the counters do not count right here: {} page faults seen where there were {PAGES}",
            counted.value
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_self_test_passes_or_the_counter_says_why_not() {
        self_test().unwrap();
        let mut counters = Counters::open(None, &TracepointIds::new());
        counters.start().unwrap();
        let counts = counters.stop().unwrap();
        for (name, count) in &counts {
            match count {
                Ok(counted) => assert!(counted.running_ns > 0, "{name}"),
                Err(why) => assert!(!why.is_empty(), "{name}"),
            }
        }
        assert!(counts.contains_key("page-faults") && counts.contains_key("cycles:k"));
    }
}
