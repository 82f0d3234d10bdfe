//! The guest's side: this program as the first process of a kernel, where it runs the suite once.

use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios;

use super::console::{BootStage, PREFIX};
use super::transfer::{Ending, Message, PORT};
pub use crate::machine::guest::{MARKER, is_guest};
use crate::memory::pin::DIRECT_DEVICE;

/// Where the words of this program's command line lie, each ended by a NUL byte.
pub const ARGUMENTS: &str = "/cowpath/arguments";
/// Where modules lie, named in the order in which they are loaded.
pub const MODULES: &str = "/cowpath/modules";

/// The file that is sent to the host when the program has ended.
pub const RUN_FILE: &str = "/tmp/run.json";
/// How long the suite's last words may take to be passed on.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long the result's port may take to appear after its driver was loaded.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

const NO_PORT: &str = "no port for the run file: neither virtio-serial (are virtio_pci and virtio_console modules of this kernel? then \
    name its modules with --modules) nor a second serial port (CONFIG_SERIAL_8250)";

/// True if this process is a guest's init: it has process id 1, and the kernel's command line said
/// `COWPATH_GUEST=1`, which a kernel hands to init in the environment.
pub fn is_init() -> bool {
    std::process::id() == 1 && std::env::var_os(MARKER).is_some()
}

/// Sets the guest up, runs the suite, sends the run file to the host and powers off.
///
/// What goes wrong is said on the console. Returns only if powering off fails.
pub fn init() {
    if let Err(reason) = serve() {
        say(&format!("failed: {reason}"));
    }
    let failed = reboot(RebootMode::RB_POWER_OFF).map(|never: Infallible| match never {});
    say(&format!("failed: cannot power off: {failed:?}"));
}

fn serve() -> Result<(), String> {
    mount_all()?;
    load_modules();
    let arguments = std::fs::read_to_string(ARGUMENTS)
        .map_err(|error| format!("cannot read {ARGUMENTS}: {error}"))?;
    if arguments.starts_with("run\0") {
        // Nothing of what it measures could be had.
        port()?;
    }
    say(BootStage::Ready.word());
    say(BootStage::Running.word());
    let status = run(arguments.split_terminator('\0'))
        .map_err(|error| format!("cannot run the suite: {error}"))?;
    say(BootStage::Ending.word());
    send(ending(status))
}

/// In a guest, sends the run file so far to the host, and comes back when that has it.
///
/// What measures calls this between two repetitions: whoever watched the file would send it beside the next one.
///
/// # Errors
/// Why it could not be sent.
pub fn checkpoint() -> Result<(), String> {
    match is_guest() {
        true => send(Ending::Running),
        false => Ok(()),
    }
}

/// Runs the suite and passes on what it says. Pipes let it see that nobody watches a progress bar.
fn run<'a>(arguments: impl Iterator<Item = &'a str>) -> std::io::Result<ExitStatus> {
    let (reader, writer) = std::io::pipe()?;
    let mut suite = Command::new("/init")
        .args(arguments)
        .env_remove(MARKER)
        .envs(direct_device())
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    // A worker that outlives the suite may hold the pipe open: the suite's end is what counts.
    let copy = std::thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            write(&line);
        }
    });
    let status = suite.wait();
    let patience = Instant::now() + LAST_WORDS;
    while !copy.is_finished() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
    }
    status
}

/// A block device in memory for O_DIRECT, which the guest's file systems lack.
fn direct_device() -> Option<(&'static str, &'static str)> {
    std::fs::write("/sys/block/zram0/disksize", "16M").ok()?;
    Some((DIRECT_DEVICE, "/dev/zram0"))
}

fn ending(status: ExitStatus) -> Ending {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exit(byte(code)),
        (None, signal) => Ending::Signal(byte(signal.unwrap_or_default())),
    }
}

fn mount_all() -> Result<(), String> {
    for (kind, at, needed) in [
        ("proc", "/proc", true),
        ("sysfs", "/sys", true),
        ("devtmpfs", "/dev", true),
        ("tmpfs", "/tmp", true),
        ("tracefs", "/sys/kernel/tracing", false),
        ("debugfs", "/sys/kernel/debug", false),
    ] {
        match mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>) {
            Ok(()) => {}
            Err(error) if needed => return Err(format!("cannot mount {kind} on {at}: {error}")),
            Err(error) => say(&format!("{kind} is not to be had: {error}")),
        }
    }
    Ok(())
}

/// Loads what was packed; a module that will not load is said, and missed by whom it concerns.
fn load_modules() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(MODULES)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    for path in files {
        if let Err(error) = load(&path) {
            say(&format!("cannot load {}: {error}", path.display()));
        }
    }
    let needed = [
        ("zram", "/sys/class/zram-control"),
        ("loop", "/dev/loop-control"),
    ];
    let missing = needed.iter().filter(|(_, sign)| !Path::new(sign).exists());
    let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        say(&format!(
            "without {}, which this kernel has neither built in nor as a module that was found: what needs it is skipped",
            missing.join(" and ")
        ));
    }
}

fn load(path: &Path) -> std::io::Result<()> {
    let file = File::open(path)?;
    match finit_module(&file, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends the run file as it is now.
fn send(ending: Ending) -> Result<(), String> {
    let port = port()?;
    let run_file = std::fs::read(RUN_FILE).unwrap_or_default();
    let message = Message { ending, run_file };
    transmit(&port, &message.encode())
        .map_err(|error| format!("cannot write to {}: {error}", port.display()))
}

/// Writes all of it, as it is, and waits until it has gone.
fn transmit(port: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options()
        .write(true)
        .custom_flags(libc::O_NOCTTY)
        .open(port)?;
    if file.is_terminal() {
        let mut settings = termios::tcgetattr(&file)?;
        termios::cfmakeraw(&mut settings);
        termios::tcsetattr(&file, termios::SetArg::TCSANOW, &settings)?;
        file.write_all(bytes)?;
        return Ok(termios::tcdrain(&file)?);
    }
    file.write_all(bytes)
}

/// The device of the result's port: the virtio-serial port by its name in sysfs, since there is no udev to make a link, or
/// else, in a kernel without its drivers, the second serial port.
fn port() -> Result<PathBuf, String> {
    let drivers = ["pci/drivers/virtio-pci", "virtio/drivers/virtio_console"];
    if !drivers
        .iter()
        .all(|driver| Path::new("/sys/bus").join(driver).exists())
    {
        let serial = std::fs::read_to_string("/sys/class/tty/ttyS1/type").unwrap_or_default();
        return match serial.trim() {
            "" | "0" => Err(NO_PORT.to_owned()),
            _ => Ok("/dev/ttyS1".into()),
        };
    }
    let deadline = Instant::now() + PORT_PATIENCE;
    loop {
        let ports = std::fs::read_dir("/sys/class/virtio-ports")
            .into_iter()
            .flatten()
            .flatten();
        for entry in ports {
            let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == PORT {
                return Ok(Path::new("/dev").join(entry.file_name()));
            }
        }
        if Instant::now() > deadline {
            return Err(NO_PORT.to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn say(what: &str) {
    write(format!("{PREFIX}{what}").as_bytes());
}

/// One write a line, so that no kernel message comes between.
fn write(line: &[u8]) {
    // Without a console there is nobody to tell.
    let _ = std::io::stderr().write_all(&[line, b"\n"].concat());
}
