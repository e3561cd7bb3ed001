//! Accelerators by NVIDIA, as their driver names them.

use std::process::{Command, Stdio};

use super::files::{Files, field};

/// What the driver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accelerator {
    pub(super) device: String,
    pub(super) driver: Option<String>,
}

/// From the driver's files, else from the program that comes with it.
pub(super) fn find(files: &Files) -> Option<Accelerator> {
    in_files(files).or_else(|| in_answer(&ask()?))
}

fn in_files(files: &Files) -> Option<Accelerator> {
    let cards = files.list("proc/driver/nvidia/gpus", "").into_iter();
    let devices = cards.filter_map(|card| Some(field(&files.read(card.join("information"))?, "Model")?.to_string())).collect();
    let driver = files.read("proc/driver/nvidia/version").and_then(|text| version_in(&text));
    Some(Accelerator { device: counted(devices)?, driver })
}

/// The first word of the line of the kernel module that is a version: `NVRM version: … Kernel Module  535.104.05  Sat …`.
fn version_in(text: &str) -> Option<String> {
    let words = field(text, "NVRM version")?.split_whitespace();
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    words.into_iter().find(is_version).map(ToString::to_string)
}

fn ask() -> Option<String> {
    let arguments = ["--query-gpu=name,driver_version", "--format=csv,noheader"];
    let output = Command::new("nvidia-smi").args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn in_answer(answer: &str) -> Option<Accelerator> {
    let cards: Vec<(&str, &str)> = answer.lines().filter_map(|line| line.split_once(',')).collect();
    let driver = cards.first().map(|(_, driver)| driver.trim().to_string());
    Some(Accelerator { device: counted(cards.iter().map(|(name, _)| name.trim().to_string()).collect())?, driver })
}

/// `2 × NVIDIA L4`; cards of several models side by side.
fn counted(mut names: Vec<String>) -> Option<String> {
    names.sort();
    let groups: Vec<String> = names
        .chunk_by(|a, b| a == b)
        .map(|same| if same.len() > 1 { format!("{} × {}", same.len(), same[0]) } else { same[0].clone() })
        .collect();
    (!groups.is_empty()).then(|| groups.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_names_its_cards() {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let version =
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc version 12.2.0\n";
        let card = "Model: \t\t NVIDIA L4\nIRQ:   \t\t 120\nGPU UUID: \t GPU-00000000\n";
        let files = Files::with(
            folder.path(),
            &[
                ("proc/driver/nvidia/version", version),
                ("proc/driver/nvidia/gpus/0000:01:00.0/information", card),
                ("proc/driver/nvidia/gpus/0000:02:00.0/information", card),
            ],
        );
        let two = Accelerator { device: "2 × NVIDIA L4".into(), driver: Some("535.104.05".into()) };
        assert_eq!(in_files(&files), Some(two));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (x)\n";
        assert_eq!(version_in(open).as_deref(), Some("570.86.15"));
        assert_eq!(in_files(&Files::with(&folder.path().join("empty"), &[])), None);
    }

    #[test]
    fn its_program_does_too() {
        let found = in_answer("NVIDIA H100 80GB HBM3, 550.54.15\n");
        assert_eq!(found, Some(Accelerator { device: "NVIDIA H100 80GB HBM3".into(), driver: Some("550.54.15".into()) }));
        assert_eq!(in_answer("No devices were found\n"), None);
    }
}
