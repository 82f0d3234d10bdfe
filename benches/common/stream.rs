//! Streams that take whatever is printed. Criterion prints as `println!` does, and ends the program where nobody reads.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use nix::unistd::{dup, dup2_stderr, dup2_stdout};

/// What a stream was before, and who passes on what is printed to it since.
struct Passing {
    original: OwnedFd,
    passing: JoinHandle<()>,
}

/// Both streams; dropped, they are what they were, and everything is passed on.
pub struct Streams {
    out: Option<Passing>,
    err: Option<Passing>,
}

impl Streams {
    /// Takes the place of both; a terminal stays as it is, since it can neither be full nor closed.
    pub fn hold() -> Streams {
        let out = (!io::stdout().is_terminal())
            .then(|| hold(dup(io::stdout())?, |pipe| Ok(dup2_stdout(pipe)?)));
        let err = (!io::stderr().is_terminal())
            .then(|| hold(dup(io::stderr())?, |pipe| Ok(dup2_stderr(pipe)?)));
        // What cannot be held stays as it is.
        Streams {
            out: out.and_then(Result::ok),
            err: err.and_then(Result::ok),
        }
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        let _ = io::stdout().flush();
        if let Some(Passing { original, passing }) = self.out.take() {
            let _ = dup2_stdout(original);
            let _ = passing.join();
        }
        if let Some(Passing { original, passing }) = self.err.take() {
            let _ = dup2_stderr(original);
            let _ = passing.join();
        }
    }
}

fn hold(original: OwnedFd, replace: impl FnOnce(OwnedFd) -> io::Result<()>) -> io::Result<Passing> {
    let (mut reader, writer) = io::pipe()?;
    let mut to = File::from(original.try_clone()?);
    let passing = std::thread::spawn(move || {
        let (mut chunk, mut read) = ([0; 4096], true);
        while let Ok(n @ 1..) = reader.read(&mut chunk) {
            read = read && to.write_all(&chunk[..n]).is_ok();
        }
    });
    replace(writer.into())?;
    Ok(Passing { original, passing })
}
