//! The `cowpath` program; see the library's `cli`.

fn main() -> std::process::ExitCode {
    cowpath::cli::main()
}
