//! O_DIRECT reads and writes that stay in flight: the kernel has taken its references on every page and
//! the transfer has not begun.
//!
//! A system call over two buffers, the area and one more page, takes its references buffer by buffer.
//! The second buffer's page is missing and registered with userfaultfd, so the kernel waits for it
//! while it holds those on the area: for as long as it must, on any file or device, and with no help
//! from a slow disk.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::MemoryError;
use super::area::{Area, Content};
use super::pin::{Direct, whole};
use crate::sys::missing::{UFFD_FOR_ALL, addressed};
use crate::sys::uffd::Uffd;

/// The most pages of which all are held at once: with the one more page, they fit into one request to
/// the block layer (256 pages), which is not sent off before it is full.
pub const MOST: u32 = 128;

/// How long the kernel may take to come to the second buffer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the pages to the file: they are only read.
    Write,
    /// From the file to the pages.
    Read,
}

/// A transfer in flight; ends when this is dropped. A read then overwrites the area.
pub struct InFlight {
    held: Option<Uffd>,
    caller: Option<JoinHandle<nix::Result<()>>>,
    more: Area,
}

impl InFlight {
    /// Starts a transfer between all of `area`, of [`MOST`] pages at most, and `file`; returns when the
    /// kernel holds its references on the area. The area must outlive the transfer.
    ///
    /// # Errors
    /// Where faults taken inside the kernel cannot be held up, or the file cannot be used so.
    pub fn start(area: &Area, file: &Direct, way: Direction) -> Result<Self, MemoryError> {
        let uffd = Uffd::open(0).map_err(|e| MemoryError::refused("userfaultfd()", e))?;
        if uffd.user_mode_only() {
            return Err(MemoryError::Unsupported(format!(
                "needs userfaultfd for faults inside the kernel; found it restricted to user mode; mend with: {}",
                addressed(UFFD_FOR_ALL)
            )));
        }
        let more = Area::map(1)?;
        uffd.register_missing(more.base() as usize, more.len())
            .map_err(|e| MemoryError::refused("registering a page with userfaultfd", e))?;
        let buffers = [area, &more].map(|area| (area.base() as usize, area.len()));
        let fd = file.as_fd().as_raw_fd();
        let caller = std::thread::spawn(move || transfer(fd, buffers, way));
        let transfer = InFlight {
            held: Some(uffd),
            caller: Some(caller),
            more,
        };
        transfer.wait()?;
        Ok(transfer)
    }

    /// Proves, once in a process, that transfers of `file` take the pages themselves and no copies of them: a read that
    /// is in flight has changed nothing yet, and a write sends what is stored while it is in flight. File systems that
    /// lie in memory take O_DIRECT and copy (tmpfs since 6.6), and so do others for some files.
    ///
    /// # Errors
    /// That they copy, or that this cannot be found out.
    pub fn prove(file: &Direct, way: Direction) -> Result<(), MemoryError> {
        static READS: OnceLock<bool> = OnceLock::new();
        static WRITES: OnceLock<bool> = OnceLock::new();
        let known = match way {
            Direction::Read => &READS,
            Direction::Write => &WRITES,
        };
        let takes = match known.get() {
            Some(&takes) => takes,
            None => takes_pages(file, way)?,
        };
        match *known.get_or_init(|| takes) {
            true => Ok(()),
            false => Err(copies()),
        }
    }

    /// Lets the transfer go and waits for its end.
    ///
    /// # Errors
    /// That not all of it was transferred.
    pub fn finish(mut self) -> Result<(), MemoryError> {
        self.release()
            .map_err(|e| MemoryError::refused("a transfer that was in flight", e))
    }

    fn release(&mut self) -> nix::Result<()> {
        if let Some(held) = self.held.take() {
            // A forked child may hold the descriptor too: closing it would not be enough.
            let _ = held.unregister(self.more.base() as usize, self.more.len());
        }
        match self.caller.take() {
            Some(caller) => caller.join().unwrap_or(Err(Errno::EIO)),
            None => Ok(()),
        }
    }

    /// Waits until the kernel asks for the second buffer's page.
    fn wait(&self) -> Result<(), MemoryError> {
        let began = Instant::now();
        while let (Some(held), Some(caller)) = (&self.held, &self.caller) {
            let mut fds = [PollFd::new(held.as_fd(), PollFlags::POLLIN)];
            let asked = poll(&mut fds, PollTimeout::from(10u8))
                .map_err(|e| MemoryError::refused("waiting for userfaultfd", e))?;
            if asked > 0 {
                break;
            }
            if caller.is_finished() || began.elapsed() > PATIENCE {
                return Err(copies());
            }
        }
        Ok(())
    }
}

/// What [`InFlight::prove`] finds out on a page of its own.
fn takes_pages(file: &Direct, way: Direction) -> Result<bool, MemoryError> {
    let page = Area::map(1)?;
    page.fill(1);
    let transfer = InFlight::start(&page, file, way)?;
    Ok(match way {
        Direction::Read => page.violations(Content::Filled(1), None) == 0,
        Direction::Write => {
            page.fill(2);
            drop(transfer);
            page.fill(3);
            // SAFETY: the page is the area's own, which is read through raw pointers alone.
            unsafe { file.read(page.base()) }
                .map_err(|e| MemoryError::refused("reading back with O_DIRECT", e))?;
            page.violations(Content::Filled(2), None) == 0
        }
    })
}

fn copies() -> MemoryError {
    MemoryError::Unsupported(
        "needs a file whose O_DIRECT transfers take pages themselves; found one that copies them; mend with: TMPDIR=/a/folder/on/a/disk".into(),
    )
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let _ = self.release();
    }
}

/// The call itself.
///
/// # Errors
/// Its own; EIO where it has moved less than the buffers hold.
fn transfer(fd: i32, buffers: [(usize, usize); 2], way: Direction) -> nix::Result<()> {
    let vectors = buffers.map(|(base, length)| libc::iovec {
        iov_base: base as *mut libc::c_void,
        iov_len: length,
    });
    let (list, count) = (vectors.as_ptr(), vectors.len() as i32);
    // SAFETY: both buffers outlive the call: whoever dropped the transfer has joined this thread. The
    // area's owner looks at it meanwhile; the kernel writes to it only after that, by `InFlight`'s drop.
    let moved = unsafe {
        match way {
            Direction::Write => libc::pwritev(fd, list, count, 0),
            Direction::Read => libc::preadv(fd, list, count, 0),
        }
    };
    whole(moved, buffers.iter().map(|(_, length)| length).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn a_read_changes_the_pages_only_when_it_is_let_go() {
        let area = Area::map(8).unwrap();
        area.fill(5);
        let file = match Direct::open(9) {
            Ok(file) => file,
            Err(why) => return skip(Need::DirectIo, why),
        };
        file.fill(9, 7).unwrap();
        let transfer = match InFlight::start(&area, &file, Direction::Read) {
            Ok(transfer) => transfer,
            Err(why) => return skip(Need::Uffd, why),
        };
        assert_eq!(area.violations(Content::Filled(5), None), 0);
        transfer.finish().unwrap();
        assert_eq!(area.violations(Content::Filled(7), None), 0, "the file's");
    }

    #[test]
    fn what_is_read_is_lost_to_who_has_other_pages_by_then() {
        let area = Area::map(8).unwrap();
        area.fill(5);
        let file = match Direct::open(9) {
            Ok(file) => file,
            Err(why) => return skip(Need::DirectIo, why),
        };
        file.fill(9, 7).unwrap();
        let transfer = match InFlight::start(&area, &file, Direction::Read) {
            Ok(transfer) => transfer,
            Err(why) => return skip(Need::Uffd, why),
        };
        area.drop_pages().unwrap();
        area.fill(6);
        transfer.finish().unwrap();
        assert_eq!(area.violations(Content::Filled(6), None), 0);
    }

    #[test]
    fn a_file_in_memory_copies_and_says_so() {
        let folder = std::path::Path::new("/dev/shm");
        let file = match Direct::open_in(folder, 2) {
            Ok(file) => file,
            Err(why) => return skip(Need::DirectIo, format!("/dev/shm: {why}")),
        };
        for way in [Direction::Read, Direction::Write] {
            match takes_pages(&file, way) {
                Ok(takes) => assert!(!takes, "{way:?}"),
                Err(MemoryError::Unsupported(why)) if why.contains("copies") => {}
                Err(why) => return skip(Need::Uffd, why),
            }
        }
    }

    #[test]
    fn a_file_on_a_disk_takes_the_pages() {
        let file = match Direct::open(2) {
            Ok(file) => file,
            Err(why) => return skip(Need::DirectIo, why),
        };
        for way in [Direction::Read, Direction::Write] {
            match takes_pages(&file, way) {
                Ok(takes) => assert!(takes, "{way:?}"),
                Err(why) => return skip(Need::DirectIo, why),
            }
        }
    }
}
