//! A swap device in memory: made, and removed again.

use std::fs;
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::setting::Undone;
use crate::sys::files::{names, read};
use crate::sys::swap::{is_marked, swap_off, swap_on};

const ADD: &str = "/sys/class/zram-control/hot_add";
const REMOVE: &str = "/sys/class/zram-control/hot_remove";

/// The size of the device.
const BYTES: u64 = 256 << 20;
/// How long another process may look into the device, as udev does into every new one.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether there is swap space.
pub(super) fn has_swap() -> bool {
    read("/proc/swaps").is_some_and(|swaps| swaps.lines().count() > 1)
}

/// The numbers of all zram devices.
pub(super) fn numbers() -> Vec<u32> {
    let number = |name: String| name.strip_prefix("zram")?.parse().ok();
    names("/sys/block").into_iter().filter_map(number).collect()
}

/// Has the kernel make another device, and tells its number.
pub(super) fn add() -> Result<u32, String> {
    read(ADD)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("found: no {ADD}; mend with: modprobe zram"))
}

/// Swaps to the new device `number`.
pub(super) fn swap_to(number: u32) -> Result<(), String> {
    let size = format!("/sys/block/zram{number}/disksize");
    fs::write(&size, BYTES.to_string()).map_err(|e| format!("{size}: {e}"))?;
    let device = format!("/dev/zram{number}");
    swap_on(Path::new(&device)).map_err(|e| format!("{device}: {e}"))
}

/// Removes the device `number`, or where the number was not noted, those that are not among `others` and empty.
pub(super) fn remove(others: &[u32], number: Option<u32>) -> Result<Undone, String> {
    let mine: Vec<u32> = match number {
        Some(number) => numbers().into_iter().filter(|n| *n == number).collect(),
        None => numbers()
            .into_iter()
            .filter(|n| !others.contains(n) && size(*n) == Some(0))
            .collect(),
    };
    let mut removed = Vec::new();
    for number in mine {
        let device = format!("/dev/zram{number}");
        if !is_ours(number).map_err(|e| format!("{device}: {e}"))? {
            return Ok(Undone::LeftAlone(format!(
                "{device} is not the one that the run made"
            )));
        }
        take_away(number).map_err(|e| format!("removing {device}: {e}"))?;
        removed.push(format!("{device} removed"));
    }
    Ok(match removed.is_empty() {
        true => Undone::AsBefore,
        false => Undone::PutBack(removed.join(", ")),
    })
}

fn size(number: u32) -> Option<u64> {
    read(format!("/sys/block/zram{number}/disksize"))?
        .parse()
        .ok()
}

/// Whether the device is empty, or of the size and with the mark that this program gives it: somebody else may have
/// one of the same number by now.
fn is_ours(number: u32) -> io::Result<bool> {
    match size(number) {
        Some(0) => Ok(true),
        Some(BYTES) => is_marked(Path::new(&format!("/dev/zram{number}"))),
        _ => Ok(false),
    }
}

fn take_away(number: u32) -> io::Result<()> {
    let device = format!("/dev/zram{number}");
    let is_swapped_to = read("/proc/swaps").is_some_and(|swaps| {
        let mut lines = swaps.lines();
        lines.any(|line| line.split_whitespace().next() == Some(&device))
    });
    if is_swapped_to {
        swap_off(Path::new(&device))?;
    }
    if size(number) != Some(0) {
        patiently(|| fs::write(format!("/sys/block/zram{number}/reset"), "1"))?;
    }
    patiently(|| fs::write(REMOVE, number.to_string()))
}

/// Tries again while the device is busy.
fn patiently(mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match act() {
            Err(e) if e.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}
