//! Where the program is, and what it understands.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// Environment variable that names the program where it is not `ffmpeg` on the `PATH`.
pub const PROGRAM_VARIABLE: &str = "MASKLINE_FFMPEG";

/// The first version that knows `-fps_mode`.
const FPS_MODE: (u32, u32) = (5, 1);

/// Windows' word for a process that Ctrl-C does not reach.
#[cfg(windows)]
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

/// Whether `ffmpeg` is there and starts.
pub fn is_available() -> bool {
    Program::find().is_ok()
}

/// An `ffmpeg` that starts.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: OsString,
    knows_fps_mode: bool,
}

impl Program {
    /// The program that [`PROGRAM_VARIABLE`] names, else the one on the `PATH`; once found, it stays.
    ///
    /// # Errors
    /// `Unavailable` where there is none.
    pub(crate) fn find() -> Result<Self> {
        static FOUND: OnceLock<Program> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found.clone());
        }
        let found = Self::look()?;
        Ok(FOUND.get_or_init(|| found).clone())
    }

    fn look() -> Result<Self> {
        let named = std::env::var_os(PROGRAM_VARIABLE).filter(|name| !name.is_empty());
        let path = named.clone().unwrap_or_else(|| "ffmpeg".into());
        let output = quiet(&path).arg("-version").stdin(Stdio::null()).output().map_err(|error| missing(named.as_deref(), &error))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(version) = text.strip_prefix("ffmpeg version ") else {
            let error = Error::new(ErrorKind::Unavailable, "the program does not answer as ffmpeg does").at(Path::new(&path));
            return Err(error.with_help(format!("name ffmpeg in {PROGRAM_VARIABLE}, or install it: {}", install_hint())));
        };
        // Builds between releases are named after commits, and are newer than what is old here.
        Ok(Self { path, knows_fps_mode: numbers(version).is_none_or(|found| found >= FPS_MODE) })
    }

    /// A command of it that says no more than it is asked to.
    pub(crate) fn command(&self) -> Command {
        let mut command = quiet(&self.path);
        command.args(["-hide_banner", "-nostats"]);
        command
    }

    /// Arguments by which every frame comes once, at its own time.
    pub(crate) fn every_frame(&self) -> [&'static str; 2] {
        if self.knows_fps_mode { ["-fps_mode", "passthrough"] } else { ["-vsync", "passthrough"] }
    }

    /// The `ffprobe` beside it.
    fn probe(&self) -> OsString {
        let path = Path::new(&self.path);
        let name = path.file_name().map(|name| name.to_string_lossy().replacen("ffmpeg", "ffprobe", 1)).unwrap_or_default();
        path.with_file_name(name).into_os_string()
    }
}

/// The number of frames that a file's header tells, where it does and `ffprobe` is there.
pub(crate) fn known_length(program: &Program, path: &Path) -> Option<usize> {
    let mut command = quiet(&program.probe());
    command.args(["-v", "quiet", "-protocol_whitelist", "file", "-format_whitelist", super::decode::FORMATS]);
    command.args(["-select_streams", "V:0", "-show_entries", "stream=nb_frames", "-of", "json"]);
    let output = command.arg(file_argument(path)).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let told: Value = serde_json::from_slice(&output.stdout).ok()?;
    told["streams"][0]["nb_frames"].as_str()?.parse().ok().filter(|count| *count > 0)
}

/// A name that is a file's, whatever it looks like: an option, or the address of something else.
pub(crate) fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

fn quiet(path: &OsString) -> Command {
    let mut command = Command::new(path);
    // The first makes a file of its own in the working folder.
    command.env_remove("FFREPORT").env("AV_LOG_FORCE_NOCOLOR", "1");
    // Ctrl-C is for us: we end our children, or let them finish what is whole.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(&mut command, CREATE_NEW_PROCESS_GROUP);
    command
}

/// Major and minor of `5.1.9-0+deb12u1`, or `n7.0`.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('n').split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    let major = numbers.next()?.ok()?;
    // `N-12345-g0123456` has no number here.
    Some((major, numbers.next().and_then(Result::ok).unwrap_or(0)))
}

fn missing(named: Option<&OsStr>, error: &std::io::Error) -> Error {
    let help = format!("{}, or name one in {PROGRAM_VARIABLE}; folders of pictures and raw frames need none", install_hint());
    let unavailable = |message: String| Error::new(ErrorKind::Unavailable, message).with_help(&help);
    match named {
        Some(name) => unavailable(format!("{PROGRAM_VARIABLE} names a program that does not start: {error}")).at(Path::new(name)),
        None if error.kind() == std::io::ErrorKind::NotFound => {
            unavailable("ffmpeg, which reads and writes clips, is not installed".into())
        }
        None => unavailable(format!("ffmpeg does not start: {error}")),
    }
}

fn install_hint() -> &'static str {
    if cfg!(target_os = "macos") {
        "brew install ffmpeg"
    } else if cfg!(windows) {
        "winget install Gyan.FFmpeg"
    } else {
        "apt install ffmpeg (or dnf, pacman, apk)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(numbers("5.1.9-0+deb12u1 Copyright"), Some((5, 1)));
        assert_eq!(numbers("n7.0 Copyright"), Some((7, 0)));
        assert_eq!(numbers("6 Copyright"), Some((6, 0)));
        assert_eq!(numbers("N-112233-g0123456 Copyright"), None);
    }

    #[test]
    fn the_probe_is_the_one_beside_it() {
        let probe = |path: &str| Program { path: path.into(), knows_fps_mode: true }.probe();
        assert_eq!(probe("ffmpeg"), "ffprobe");
        assert_eq!(probe("/opt/ffmpeg/bin/ffmpeg"), "/opt/ffmpeg/bin/ffprobe");
    }

    #[test]
    fn names_are_never_options_or_addresses() {
        for name in ["-y", "http://x/y.mp4", "concat:a|b", "pipe:0"] {
            assert_eq!(file_argument(Path::new(name)).to_str(), Some(format!("file:{name}").as_str()));
        }
    }
}
