//! Running pip: watched, with limits, and gone with whoever started it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::library::LibraryOptions;
use crate::staging::tree_size;
use crate::wheel::Wheel;

/// How often a running download is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How often somebody is told of it.
const TELL: Duration = Duration::from_secs(1);
/// Lines of pip's output that an error shows.
const LAST_LINES: usize = 6;

/// How long a fetch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Longest time in which nothing comes and pip says nothing.
    pub stall: Duration,
    /// Longest time in all.
    pub total: Duration,
}

impl Default for FetchLimits {
    /// Two minutes, and an hour.
    fn default() -> Self {
        Self { stall: Duration::from_secs(120), total: Duration::from_secs(3600) }
    }
}

/// How one Python's pip did.
pub(crate) enum Attempt {
    Done,
    /// There is no such Python, or it has no pip.
    NoPip,
    /// The end of its output, and its status.
    Failed(String),
    /// The disk had no room.
    DiskFull,
}

/// What pip is asked for.
pub(crate) struct Download<'a> {
    pub(crate) wheel: &'a Wheel,
    pub(crate) options: &'a LibraryOptions,
    /// Where the wheel comes to, and everything else that pip writes.
    pub(crate) folder: &'a Path,
}

impl Download<'_> {
    /// Downloads the wheel with this Python's pip.
    ///
    /// # Errors
    /// `FetchFailed` where it was over a limit, `Io`.
    pub(crate) fn run(&self, python: &Path) -> Result<Attempt> {
        let log_path = self.folder.join("pip.log");
        let log = File::create(&log_path).and_then(|log| Ok((log.try_clone()?, log)));
        let log = log.map_err(|error| Error::io(&log_path, error))?;
        let mut pip = match Group::spawn(self.command(python).stdout(log.0).stderr(log.1)) {
            Ok(pip) => pip,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Attempt::NoPip),
            Err(error) => return Err(Error::io(python, error)),
        };
        let ended = self.watch(&mut pip, python);
        // pip says paths as the system has them, which need not be text.
        let log = String::from_utf8_lossy(&std::fs::read(&log_path).unwrap_or_default()).into_owned();
        match ended? {
            Ended::Exited(status) if status.success() => Ok(Attempt::Done),
            Ended::Exited(_) if log.contains("No module named pip") => Ok(Attempt::NoPip),
            Ended::Exited(_) if says_full(&log) => Ok(Attempt::DiskFull),
            Ended::Exited(status) => Ok(Attempt::Failed(format!("{}  | ({status})", last_lines(&log)))),
            Ended::OverLimit(reason) => {
                let wheel = self.wheel;
                let message = format!("pip was ended: {reason}, fetching {} {}\n{}", wheel.package, wheel.version, last_lines(&log));
                let help = format!("is the package index reachable (pip's own settings count, and HTTPS_PROXY)? Else: {}", wheel.way_out);
                Err(Error::new(ErrorKind::FetchFailed, message.trim_end()).with_help(help))
            }
        }
    }

    fn command(&self, python: &Path) -> Command {
        let mut command = Command::new(program(python));
        command.args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"]);
        command.args(["--disable-pip-version-check", "--progress-bar=off", "--require-hashes", "--implementation=cp"]);
        command.args(["--python-version=3.11", "--platform", self.wheel.platform]);
        // It is started in the folder, whose name need not be text, which pip's own code expects of its arguments.
        command.args(["--requirement", "requirements.txt", "--dest", "."]);
        // pip downloads to its temporary folder first: inside ours, its growth can be watched and a crash leaves nothing behind.
        command.env("TMPDIR", self.folder).stdin(Stdio::null());
        // Python looks for modules where it is started: what is called pip in the user's folder must not be taken for pip.
        command.current_dir(self.folder).env("PYTHONSAFEPATH", "1");
        command
    }

    fn watch(&self, pip: &mut Group, python: &Path) -> Result<Ended> {
        let LibraryOptions { limits, .. } = self.options;
        let (start, mut told, mut moved, mut size) = (Instant::now(), Instant::now(), Instant::now(), 0);
        loop {
            if let Some(status) = pip.child.try_wait().map_err(|error| Error::io(python, error))? {
                return Ok(Ended::Exited(status));
            }
            let now = tree_size(self.folder);
            if now != size {
                (size, moved) = (now, Instant::now());
            }
            if moved.elapsed() >= limits.stall {
                return Ok(Ended::OverLimit(format!("nothing came for {:.0} s", limits.stall.as_secs_f64())));
            }
            if start.elapsed() >= limits.total {
                return Ok(Ended::OverLimit(format!("it was not done after {:.0} s", limits.total.as_secs_f64())));
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                let (done, whole) = (largest_file(self.folder) as f64 / 1e6, self.wheel.bytes as f64 / 1e6);
                self.options.tell(&format!("  {done:.0} of {whole:.0} MB after {} s", start.elapsed().as_secs()));
            }
            std::thread::sleep(POLL);
        }
    }
}

enum Ended {
    Exited(ExitStatus),
    OverLimit(String),
}

/// A process and those that it started. Dropping it ends them all; so does the end of this process, however it comes.
struct Group {
    child: Child,
    /// Leads the group, and ends it at the end of its own input, which is this process's end.
    #[cfg(unix)]
    guard: Option<Child>,
}

impl Group {
    #[cfg(unix)]
    fn spawn(command: &mut Command) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        // In a group of its own it can be ended with all that it started, but a Ctrl-C at the terminal does not reach it: hence the
        // guard, which is there first. Without a shell there is none, and pip runs to its own end.
        let mut guard = Command::new("sh");
        guard.args(["-c", "read line; kill -KILL 0"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut guard = guard.process_group(0).spawn().ok();
        let group = guard.as_ref().and_then(|guard| i32::try_from(guard.id()).ok());
        match command.process_group(group.unwrap_or(0)).spawn() {
            Ok(child) => Ok(Self { child, guard }),
            Err(error) => {
                // Its input is closed first, so that it goes by itself.
                let _ = guard.as_mut().map(Child::wait);
                Err(error)
            }
        }
    }

    #[cfg(not(unix))]
    fn spawn(command: &mut Command) -> std::io::Result<Self> {
        command.spawn().map(|child| Self { child })
    }

    #[cfg(unix)]
    fn end(&mut self) {
        let leader = self.guard.as_ref().unwrap_or(&self.child).id();
        let group = i32::try_from(leader).ok().and_then(rustix::process::Pid::from_raw);
        // Until its leader is waited for, below, the group's number is nobody else's; pip's own may be, once pip has ended.
        let is_ours = self.guard.is_some() || self.child.try_wait().is_ok_and(|status| status.is_none());
        if let Some(group) = group.filter(|_| is_ours) {
            // No such group means that all have ended.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        if let Some(guard) = &mut self.guard {
            let _ = guard.wait();
        }
    }

    #[cfg(not(unix))]
    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
        // Collected, so that no dead process stays behind.
        let _ = self.child.wait();
    }
}

/// Whether pip's words are about a disk without room: those of the system's errors 28 and 122.
fn says_full(log: &str) -> bool {
    ["No space left on device", "Errno 28", "Disk quota exceeded", "Errno 122", "not enough space on the disk"]
        .iter()
        .any(|words| log.contains(words))
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| format!("  | {line}\n")).collect()
}

/// Bytes of the largest file below a folder: the download, wherever pip keeps it.
fn largest_file(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => largest_file(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).max().unwrap_or(0)
}

/// A Python as it is found from any folder.
fn program(python: &Path) -> PathBuf {
    let is_name = python.components().count() < 2;
    if is_name { python.to_owned() } else { std::path::absolute(python).unwrap_or_else(|_| python.to_owned()) }
}

/// The Pythons that are tried, in this order.
pub(crate) fn pythons(options: &LibraryOptions) -> Vec<PathBuf> {
    match &options.python {
        Some(python) => vec![python.clone()],
        None => ["python3", "python", "py"].map(PathBuf::from).to_vec(),
    }
}

/// The folders in which the first Python at hand keeps its packages; none where there is no Python.
///
/// It starts a process, which takes a part of a second.
pub(crate) fn package_folders(options: &LibraryOptions) -> Vec<PathBuf> {
    const SCRIPT: &str = "import site, sysconfig
found = [sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]
for name in ('getsitepackages', 'getusersitepackages'):
    more = getattr(site, name, list)()
    found += [more] if isinstance(more, str) else more
print('\\n'.join(dict.fromkeys(path for path in found if path)))";
    let answer = pythons(options).iter().find_map(|python| {
        let output = apart(python).args(["-c", SCRIPT]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    answer.unwrap_or_default().lines().map(PathBuf::from).filter(|path| path.is_absolute()).collect()
}

/// A Python that takes no module of the current folder for one of its own.
fn apart(python: &Path) -> Command {
    let mut command = Command::new(program(python));
    command.stdin(Stdio::null()).current_dir(if cfg!(windows) { r"C:\" } else { "/" }).env("PYTHONSAFEPATH", "1");
    command
}

/// The pip that a fetch would use, in its own words (`pip 23.2.1 from … (python 3.11)`); `None` where none is found.
///
/// It starts a process, which takes a part of a second.
pub fn pip_version(options: &LibraryOptions) -> Option<String> {
    pythons(options).iter().find_map(|python| {
        let mut command = apart(python);
        command.args(["-m", "pip", "--version", "--disable-pip-version-check"]);
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    })
}
