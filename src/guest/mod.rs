//! The same suite inside another kernel.
//!
//! Each kernel image is booted under QEMU with this very program as its init ([`init`]), which runs
//! the suite and sends the run file back ([`transfer`]). A program linked statically is all that the
//! guest needs; the libraries of one that is not are packed with it ([`program`]). Built so:
//!
//! ```sh
//! RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --release --target x86_64-unknown-linux-gnu
//! ```
//!
//! A program that offers this must call [`branch`] before it parses its command line.

pub mod arch;
pub mod args;
pub mod boot;
pub mod console;
pub mod cpio;
pub mod debugged;
pub mod engine;
pub mod error;
pub mod gdb;
pub mod guard;
pub mod init;
pub mod image;
pub mod inbox;
pub mod initramfs;
mod lab;
pub mod rendezvous;
pub mod spec;
pub mod memory_file;
pub mod modules;
mod output;
mod partial;
pub mod patience;
pub mod pin;
pub mod processors;
pub mod program;
pub mod qemu;
pub mod registers;
mod result;
mod schedule;
pub mod symbols;
pub mod transfer;

pub use lab::{Lab, run};
pub use result::{GuestOutcome, GuestResult, Timing};

/// Takes over if this process was started as a guest's init or as QEMU's guard.
///
/// Comes back at once in any other process. Call it first thing in `main`.
pub fn branch() {
    if init::is_init() {
        init::init();
    } else if guard::is_guard() {
        tell!("cowpath: {}", guard::become_qemu());
    } else {
        return;
    }
    std::process::exit(1);
}
