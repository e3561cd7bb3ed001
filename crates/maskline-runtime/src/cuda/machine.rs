//! The NVIDIA driver and cards of this machine, as far as it tells without CUDA.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long `nvidia-smi` may take; with a driver that hangs it never ends.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
/// What `nvidia-smi` is asked for, in this order.
const FIELDS: &str = "--query-gpu=driver_version,compute_cap,name";

/// The driver and the cards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Such as `580.95.05`.
    pub(crate) driver: Option<String>,
    pub(crate) cards: Vec<Card>,
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) name: String,
    /// Such as `9.0`.
    pub(crate) capability: Option<String>,
}

impl Machine {
    /// What `nvidia-smi` says and, where there is none, what the kernel says, which knows no compute capabilities.
    ///
    /// It starts a process, which takes up to some seconds where no other program uses the cards.
    pub(crate) fn look() -> Self {
        nvidia_smi().map(|text| parse(&text)).filter(|told| told.driver.is_some()).unwrap_or_else(Self::of_kernel)
    }

    /// What the kernel says.
    pub(crate) fn of_kernel() -> Self {
        let version = std::fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
        Self { driver: driver_of(&version), cards: kernel_cards(Path::new("/proc/driver/nvidia/gpus")) }
    }

    /// The driver's line: 580 of `580.95.05`.
    pub(crate) fn driver_line(&self) -> Option<u32> {
        self.driver.as_deref()?.split('.').next()?.parse().ok()
    }

    /// Driver and cards in one line, each with all that is known of it; `None` where no card is known.
    pub(crate) fn identity(&self) -> Option<String> {
        let cards: Vec<String> = self.cards.iter().map(Card::to_string).collect();
        (!cards.is_empty()).then(|| format!("{} {}", self.driver.as_deref().unwrap_or("?"), cards.join(", ")))
    }
}

impl std::fmt::Display for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)?;
        self.capability.as_ref().map_or(Ok(()), |capability| write!(f, " (compute capability {capability})"))
    }
}

fn nvidia_smi() -> Option<String> {
    let mut command = Command::new("nvidia-smi");
    command.args([FIELDS, "--format=csv,noheader"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let (mut child, start) = (command.spawn().ok()?, Instant::now());
    loop {
        match child.try_wait() {
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(POLL),
            Ok(Some(status)) if status.success() => break,
            _ => {
                // It may have ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    // A line per card, which the pipe holds while it runs.
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads lines such as `580.95.05, 9.0, NVIDIA H200`.
fn parse(text: &str) -> Machine {
    let mut machine = Machine::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ',').map(str::trim);
        let (Some(driver), Some(capability), Some(name)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let is_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        if !is_number(driver) || name.is_empty() {
            continue;
        }
        machine.driver = Some(driver.to_owned());
        machine.cards.push(Card { name: name.to_owned(), capability: Some(capability.to_owned()).filter(|text| is_number(text)) });
    }
    machine
}

/// The version in the kernel module's words: the first that looks like one.
fn driver_of(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version"))?;
    let is_version = |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    line.split_whitespace().find(is_version).map(str::to_owned)
}

/// The cards in the kernel's list.
fn kernel_cards(list: &Path) -> Vec<Card> {
    let entries = std::fs::read_dir(list).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path().join("information")).collect();
    files.sort();
    let name = |file: &std::path::PathBuf| {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("Model:")).map(|name| name.trim().to_owned())
    };
    files.iter().filter_map(name).map(|name| Card { name, capability: None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nvidia_smi_says_is_read() {
        let machine = parse("580.95.05, 9.0, NVIDIA H200\n580.95.05, [N/A], Tesla, old\n");
        assert_eq!((machine.driver.as_deref(), machine.driver_line()), (Some("580.95.05"), Some(580)));
        assert_eq!(machine.cards[0], Card { name: "NVIDIA H200".into(), capability: Some("9.0".into()) });
        assert_eq!(machine.cards[1], Card { name: "Tesla, old".into(), capability: None });
        assert_eq!(machine.identity().as_deref(), Some("580.95.05 NVIDIA H200 (compute capability 9.0), Tesla, old"));
        for nothing in ["", "No devices were found\n", "NVIDIA-SMI has failed, because it, could not\n"] {
            assert_eq!(parse(nothing), Machine::default(), "{nothing}");
            assert_eq!(parse(nothing).identity(), None);
        }
    }

    #[test]
    fn what_the_kernel_says_is_read() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.54.03  Tue Jun  6 22:20:39 UTC 2023\nGCC version:  gcc 12.2.0\n";
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (root@host)\n";
        assert_eq!((driver_of(closed).as_deref(), driver_of(open).as_deref()), (Some("535.54.03"), Some("580.95.05")));
        assert_eq!(driver_of("GCC version: 12.2.0"), None);
        let list = tempfile::tempdir().expect("folder");
        let card = list.path().join("0000:17:00.0");
        std::fs::create_dir(&card).expect("folder");
        std::fs::write(card.join("information"), "Model: \t\t NVIDIA L4\nIRQ:   \t\t 141\n").expect("file");
        assert_eq!(kernel_cards(list.path()), [Card { name: "NVIDIA L4".into(), capability: None }]);
        assert!(kernel_cards(&list.path().join("absent")).is_empty());
    }
}
