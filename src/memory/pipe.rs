//! Pages held in pipes by vmsplice: an extra reference, and a witness of what became of the page.

use std::fs::File;
use std::io::{self, IoSlice, Read};
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, vmsplice};
use nix::unistd::pipe;

use super::MemoryError;
use super::area::{Area, page_size, stored_word};

/// Slots asked of each pipe; the limit for an unprivileged user is 1 MiB (fs.pipe-max-size).
const PIPE_BYTES: libc::c_int = 1 << 20;

/// Every page of an area, held in as many pipes as it takes.
pub struct PipeHold {
    pipes: Vec<PipeFill>,
}

/// Whether vmsplice shares pages with the pipe, or copies them; found out once in a process.
fn shares() -> Result<bool, MemoryError> {
    static SHARES: OnceLock<bool> = OnceLock::new();
    if let Some(&known) = SHARES.get() {
        return Ok(known);
    }
    let found = sees_later_store(PipeHold::splice)?;
    Ok(*SHARES.get_or_init(|| found))
}

/// Whether a pipe that was filled with a page of this process alone, which is writable and stays where it is, sees a store
/// that is made afterwards.
fn sees_later_store(put: impl Fn(&PipeHold, &Area) -> io::Result<()>) -> Result<bool, MemoryError> {
    let page = Area::map(1)?;
    page.fill(1);
    let hold = PipeHold::room(&page)?;
    put(&hold, &page).map_err(|e| MemoryError::refused("vmsplice()", e))?;
    page.store(PROBE);
    Ok(hold.witness()? == [stored_word(PROBE, 0)])
}

/// The tag of the store that is looked for.
const PROBE: u64 = 5;

/// One pipe and how many pages it holds.
struct PipeFill {
    read: File,
    write: OwnedFd,
    pages: usize,
}

impl PipeHold {
    /// Puts a reference on every page of `area` (of a large folio on its first page) into pipes, without copying.
    pub fn take(area: &Area) -> Result<Self, MemoryError> {
        let hold = Self::open(area)?;
        hold.splice(area)
            .map_err(|e| MemoryError::refused("vmsplice()", e))?;
        Ok(hold)
    }

    /// Pipes with room for every page of `area`, still empty.
    ///
    /// # Errors
    /// If there are none to be had, or vmsplice copies pages here: nothing would refer to the area's own then.
    pub fn open(area: &Area) -> Result<Self, MemoryError> {
        match shares()? {
            true => Self::room(area),
            false => Err(MemoryError::Unsupported(
                "needs a vmsplice() that puts pages themselves into a pipe; found: vmsplice copies here".into(),
            )),
        }
    }

    fn room(area: &Area) -> Result<Self, MemoryError> {
        let page = page_size();
        let mut hold = PipeHold { pipes: Vec::new() };
        let mut done = 0;
        while done < area.pages() {
            let (read, write) = pipe().map_err(|e| MemoryError::refused("pipe()", e))?;
            // A refusal (fs.pipe-user-pages-soft) leaves the pipe smaller: more pipes are taken.
            let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
            let bytes = fcntl(&write, FcntlArg::F_GETPIPE_SZ)
                .map_err(|e| MemoryError::refused("fcntl(F_GETPIPE_SZ)", e))?;
            let slots = bytes as usize / page;
            let pages = slots.min(area.pages() - done);
            done += pages;
            hold.pipes.push(PipeFill {
                read: File::from(read),
                write,
                pages,
            });
        }
        Ok(hold)
    }

    /// Takes the next page out of the pipes, in page order, into `buffer`, which is a page long: the
    /// pipe's reference on it is gone afterwards. `taken` is the number of pages taken before.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn release(&self, taken: usize, buffer: &mut [u8]) -> io::Result<()> {
        let mut before = 0;
        for held in &self.pipes {
            if taken < before + held.pages {
                return (&held.read).read_exact(buffer);
            }
            before += held.pages;
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// Fills the pipes with the pages of `area`. Allocates nothing, so that a forked child may call it.
    pub fn splice(&self, area: &Area) -> io::Result<()> {
        let (page, stride) = (page_size(), area.stride());
        let mut next = 0;
        for held in &self.pipes {
            let end = next + held.pages;
            while next < end {
                // Pages that lie side by side go in one call.
                let together = if stride == page { end - next } else { 1 };
                // SAFETY: the range is inside the area's mapping, which outlives this call; the pipe
                // keeps references on the pages, not on the mapping.
                let slice = unsafe {
                    std::slice::from_raw_parts(
                        area.base().wrapping_add(next * stride),
                        together * page,
                    )
                };
                let slices = [IoSlice::new(slice)];
                let spliced = vmsplice(&held.write, &slices, SpliceFFlags::SPLICE_F_NONBLOCK)?;
                if spliced < page {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                next += spliced / page;
            }
        }
        Ok(())
    }

    /// Empties the pipes and tells the first word of every page as the pipe sees it, in page order.
    pub fn witness(self) -> Result<Vec<u64>, MemoryError> {
        let mut words = Vec::new();
        let mut buffer = vec![0; page_size()];
        for mut held in self.pipes {
            for _ in 0..held.pages {
                held.read
                    .read_exact(&mut buffer)
                    .map_err(|e| MemoryError::refused("reading the pipe", e))?;
                let first = buffer[..8].try_into().unwrap_or_default();
                words.push(u64::from_ne_bytes(first));
            }
        }
        Ok(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::tests::unforked;

    #[test]
    fn a_pipe_that_holds_a_copy_is_told_from_one_that_holds_the_page() {
        assert!(sees_later_store(PipeHold::splice).unwrap());
        let copy = |hold: &PipeHold, area: &Area| {
            // SAFETY: the area's one page, which nobody stores to meanwhile.
            let bytes = unsafe { std::slice::from_raw_parts(area.base(), area.len()) };
            let written = nix::unistd::write(&hold.pipes[0].write, bytes)?;
            assert_eq!(written, bytes.len());
            Ok(())
        };
        assert!(!sees_later_store(copy).unwrap());
    }

    #[test]
    fn a_pipe_sees_stores_to_a_page_that_is_not_copied() {
        let area = unforked(600);
        area.fill(1);
        let hold = PipeHold::take(&area).unwrap();
        area.store(5);
        let seen = hold.witness().unwrap();
        let stored: Vec<u64> = (0..600).map(|page| stored_word(5, page)).collect();
        assert_eq!(seen, stored);
    }
}
