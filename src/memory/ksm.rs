//! A second area of the same content, which ksmd merges with the first page by page.

use std::time::{Duration, Instant};

use nix::sys::mman::MmapAdvise;

use super::MemoryError;
use super::advice::advise;
use super::area::Area;
use super::pagemap::Pagemap;

const RUN: &str = "/sys/kernel/mm/ksm/run";

/// How long ksmd may take to merge an area.
const PATIENCE: Duration = Duration::from_secs(15);

/// The second area.
pub struct Twin(Option<Area>);

impl Twin {
    /// Waits until ksmd has merged every page of `area`, which holds the pattern with `tag`, with a page of
    /// another area.
    pub fn merged(area: &Area, tag: u64) -> Result<Self, MemoryError> {
        let run = std::fs::read_to_string(RUN)
            .map_err(|e| MemoryError::refused(format!("reading {RUN} (CONFIG_KSM)"), e))?;
        if run.trim() != "1" {
            return Err(MemoryError::Unsupported(format!(
                "needs ksmd running; found: {RUN} is {}; mend with: --tune, which starts it for the time of the run",
                run.trim()
            )));
        }
        let twin = Area::map(area.pages())?;
        twin.fill(tag);
        for one in [area, &twin] {
            advise(one, MmapAdvise::MADV_MERGEABLE, "MADV_MERGEABLE")?;
        }
        let pagemap = Pagemap::own()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (ours, theirs) = (pagemap.read(area)?, pagemap.read(&twin)?);
            let apart = ours
                .iter()
                .zip(&theirs)
                .position(|(our, their)| our.pfn().is_none() || our.pfn() != their.pfn());
            match apart {
                None => return Ok(Twin(Some(twin))),
                Some(page) if Instant::now() > deadline => {
                    return Err(MemoryError::NotReached {
                        page,
                        expected: "merged by ksmd (seen through page frame numbers)".into(),
                        found: format!("not merged within {} s", PATIENCE.as_secs()),
                    });
                }
                Some(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Unmaps the second area.
    pub fn unmap(&mut self) {
        self.0 = None;
    }
}
