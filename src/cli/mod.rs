//! Arguments in, exit codes out; no logic of its own.
