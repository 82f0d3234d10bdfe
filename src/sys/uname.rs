//! What the kernel calls itself, uname(2).

use std::ffi::OsStr;

/// The kernel's names as texts; all empty where the kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uname {
    /// Such as `6.12.94+deb13-amd64`.
    pub release: String,
    /// When and by whom it was built.
    pub version: String,
    /// The architecture, such as `x86_64`.
    pub machine: String,
}

/// Asks the running kernel.
pub fn uname() -> Uname {
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    nix::sys::utsname::uname().map_or_else(
        |_| Uname::default(),
        |names| Uname {
            release: text(names.release()),
            version: text(names.version()),
            machine: text(names.machine()),
        },
    )
}
