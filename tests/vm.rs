//! `cowpath vm` through its own command line: with a stand-in for QEMU that behaves as told, and with
//! QEMU and real kernels where there are any.

mod common;
mod vm {
    pub mod aarch64;
    pub mod archive;
    pub mod bench;
    pub mod debugger;
    pub mod kernels;
    pub mod left;
    pub mod lost;
    pub mod stepper;
    pub mod partial;
    pub mod refused;
    pub mod signals;
    pub mod staged;
    pub mod sweep;
}
