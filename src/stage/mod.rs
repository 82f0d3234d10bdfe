//! Races played step by step on a guest's kernel: one CPU is held inside the copy window, the others
//! do what they like.

pub mod judge;
