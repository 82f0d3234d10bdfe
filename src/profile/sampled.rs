//! A scenario on the running kernel, its stacks sampled.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path as FilePath;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::ProfileError;
use super::document::{
    Counts, Entered, Function, Node, Path, PathSource, Profile, ProfileDocument, ProfiledKernel,
    SCHEMA, Sampled,
};
use crate::guest::error::VmError;
use crate::guest::symbols::Symbols;
use crate::record::outcome::Outcome;
use crate::sys::uname;
use crate::worker::sampled::{SAMPLED_COMMAND, Sampling, Task};

/// Samples the process that carries out `task`.
///
/// # Errors
/// If the kernel refuses samples or symbols, the page state cannot be had, or `stop` was set meanwhile.
pub fn sampled(
    task: &Task,
    program: &FilePath,
    stop: &AtomicBool,
) -> Result<ProfileDocument, ProfileError> {
    let started = jiff::Timestamp::now();
    let refused = |what: String| ProfileError::Refused(what);
    let text = std::fs::read_to_string("/proc/kallsyms")
        .map_err(|error| refused(format!("reading /proc/kallsyms: {error}")))?;
    let symbols = Symbols::parse(&text)?;
    let mut child = Command::new(program)
        .arg(SAMPLED_COMMAND)
        .arg(serde_json::to_string(task).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| refused(format!("starting {}: {error}", program.display())))?;
    let output = match reply_of(&mut child, stop) {
        Ok(Some(output)) => output,
        Ok(None) => return Err(VmError::Interrupted.into()),
        Err(error) => return Err(refused(format!("waiting for the sampled process: {error}"))),
    };
    let reply: Result<Sampling, String> =
        serde_json::from_slice(&output.stdout).map_err(|error| {
            refused(format!(
                "the sampled process ended with {} and no reply: {error}",
                output.status
            ))
        })?;
    let sampling = reply.map_err(refused)?;
    let release = uname().release;
    Ok(ProfileDocument {
        schema: SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: started.to_string(),
        scenario: task.scenario.clone(),
        folio: task.folio.size(),
        profiles: vec![profile(&sampling, task, &symbols, release)],
        differences: Vec::new(),
    })
}

/// How often the wish to stop is looked at.
const TICK: Duration = Duration::from_millis(20);

/// What the process has said when it ends; nothing where `stop` was set before, and it was ended.
fn reply_of(child: &mut Child, stop: &AtomicBool) -> std::io::Result<Option<Output>> {
    let mut stdout = Vec::new();
    let mut from = child.stdout.take();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| from.as_mut().map(|from| from.read_to_end(&mut stdout)));
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if stop.load(Ordering::Relaxed) {
                child.kill()?;
                child.wait()?;
                break None;
            }
            std::thread::sleep(TICK);
        };
        if let Ok(Some(Err(error))) = reader.join() {
            return Err(error);
        }
        Ok(status)
    })
    .map(|status| {
        status.map(|status| Output {
            status,
            stdout,
            stderr: Vec::new(),
        })
    })
}

fn profile(sampling: &Sampling, task: &Task, symbols: &Symbols, release: String) -> Profile {
    let in_kernel: u64 = sampling.stacks.iter().map(|(_, count)| count).sum();
    let samples = in_kernel + sampling.user;
    let mut notes = Vec::new();
    if sampling.event == "cpu-clock" {
        notes.push("no PMU: samples are a timer's interrupts, so what runs with interrupts off shows where they are let in again".to_owned());
    }
    if sampling.throttled > 0 {
        notes.push(format!(
            "the kernel paused sampling {} times, since samples came faster than kernel.perf_event_max_sample_rate allows",
            sampling.throttled
        ));
    }
    if samples < task.samples {
        notes.push(format!(
            "{} samples were asked for; {} s were over before",
            task.samples, task.seconds
        ));
    }
    Profile {
        kernel: ProfiledKernel {
            label: release.clone(),
            release,
            image: String::new(),
        },
        evidence: PathSource::Sampled(Sampled {
            event: sampling.event.clone(),
            samples,
            user: sampling.user,
            lost: sampling.lost,
            period: sampling.period,
            stores: sampling.outcomes.total(),
            notes,
        }),
        paths: vec![path(sampling, symbols)],
    }
}

/// All stacks as one tree; of callees, those with most samples come first.
pub fn path(sampling: &Sampling, symbols: &Symbols) -> Path {
    let mut roots = Vec::new();
    if sampling.user > 0 {
        add(&mut roots, &["[user space]".to_owned()], sampling.user);
    }
    for (stack, count) in &sampling.stacks {
        let last = stack.len().saturating_sub(1);
        let way: Vec<String> = stack
            .iter()
            .rev()
            .enumerate()
            .map(|(index, address)| {
                // All but the innermost are return addresses, which may lie behind their function.
                let behind = u64::from(index != last);
                let within = address.saturating_sub(behind);
                super::path::name(symbols, within)
            })
            .collect();
        add(&mut roots, &way, *count);
    }
    let mut at = 0;
    order(&mut roots, &mut at);
    let counts = Counts {
        instructions: at,
        ..Counts::default()
    };
    Path {
        outcome: sole(&sampling.outcomes),
        faults: Vec::new(),
        counts,
        page_table_writes: Vec::new(),
        phases: Vec::new(),
        functions: functions(&roots),
        tree: roots,
    }
}

/// The outcome of all stores, if they have one.
fn sole(tally: &crate::record::outcome::Tally) -> Option<Outcome> {
    let mut seen = Outcome::ALL.into_iter().filter(|it| tally.get(*it) > 0);
    match (seen.next(), seen.next()) {
        (outcome, None) => outcome,
        _ => None,
    }
}

fn add(nodes: &mut Vec<Node>, way: &[String], count: u64) {
    let Some((first, rest)) = way.split_first() else {
        return;
    };
    let index = match nodes.iter().position(|node| node.function == *first) {
        Some(index) => index,
        None => {
            nodes.push(Node {
                function: first.clone(),
                entered: Entered::Call,
                at: 0,
                own: 0,
                total: 0,
                phase: String::new(),
                children: Vec::new(),
            });
            nodes.len() - 1
        }
    };
    let node = &mut nodes[index];
    node.total += count;
    if rest.is_empty() {
        node.own += count;
    }
    add(&mut node.children, rest, count);
}

/// Puts callees in order and numbers the samples: a function's own, then those below it.
fn order(nodes: &mut [Node], at: &mut u64) {
    nodes.sort_by(|a, b| {
        b.total
            .cmp(&a.total)
            .then_with(|| a.function.cmp(&b.function))
    });
    for node in nodes {
        node.at = *at;
        *at += node.own;
        order(&mut node.children, at);
    }
}

fn functions(roots: &[Node]) -> Vec<Function> {
    let mut found: Vec<Function> = Vec::new();
    for root in roots {
        collect(root, &mut Vec::new(), &mut found);
    }
    found.sort_by(|a, b| {
        let most = b.own.instructions.cmp(&a.own.instructions);
        most.then_with(|| a.name.cmp(&b.name))
    });
    found
}

/// Adds up a node and those below it; a function inside itself counts once in its total.
fn collect<'n>(node: &'n Node, within: &mut Vec<&'n str>, found: &mut Vec<Function>) {
    let index = match found.iter().position(|it| it.name == node.function) {
        Some(index) => index,
        None => {
            found.push(Function {
                name: node.function.clone(),
                calls: 0,
                total: 0,
                own: Counts::default(),
            });
            found.len() - 1
        }
    };
    found[index].own.instructions += node.own;
    if !within.contains(&node.function.as_str()) {
        found[index].total += node.total;
    }
    within.push(&node.function);
    for child in &node.children {
        collect(child, within, found);
    }
    within.pop();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::outcome::Tally;

    #[test]
    fn stacks_become_a_tree_whose_shares_add_up() {
        let symbols =
            Symbols::parse("ffffffff80000000 T entry\nffffffff80000100 T inner\n").unwrap();
        let inner = 0xffff_ffff_8000_0110;
        // Behind the last instruction of `entry`, whose last is the call.
        let back = 0xffff_ffff_8000_0100;
        let sampling = Sampling {
            event: "cpu-clock".into(),
            period: 1,
            stacks: vec![(vec![inner, back], 7), (vec![0xffff_ffff_8000_0010], 2)],
            user: 1,
            lost: 0,
            throttled: 0,
            outcomes: Tally::default(),
        };
        let path = path(&sampling, &symbols);
        assert_eq!(path.counts.instructions, 10);
        let entry = &path.tree[0];
        assert_eq!(
            (entry.function.as_str(), entry.own, entry.total),
            ("entry", 2, 9)
        );
        assert_eq!(
            (entry.children[0].function.as_str(), entry.children[0].own),
            ("inner", 7)
        );
        assert_eq!(path.tree[1].function, "[user space]");
        let inner = path.functions.iter().find(|it| it.name == "inner").unwrap();
        assert_eq!((inner.own.instructions, inner.total), (7, 7));
        assert_eq!(
            super::super::stacks::folded(&path),
            "entry 2\nentry;inner 7\n[user space] 1\n"
        );
    }
}
