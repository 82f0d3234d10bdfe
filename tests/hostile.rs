//! Run files and profiles by strangers: whatever the bytes are, they are refused in one line or read, and what is read
//! can be compared, drawn and exported without harm.

mod common;

mod hostile {
    pub mod mutations;
    pub mod numbers;
    pub mod refusals;
    pub mod samples;
}
