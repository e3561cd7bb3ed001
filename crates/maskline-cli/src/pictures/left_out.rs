//! What is passed over, and is said once.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// More endings than these are only counted.
const MOST_ENDINGS: usize = 8;

/// What folders hold beside the pictures that are read.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Files that are no pictures, by ending.
    endings: BTreeMap<String, usize>,
    /// Folders that are not looked into.
    pub(super) folders: usize,
    /// Folders whose name begins with a dot.
    pub(super) hidden: usize,
    /// Folders that were seen under another name.
    pub(super) links: usize,
    /// Pipes and devices.
    pub(super) special: usize,
    /// The folder of the answers.
    pub(super) output: Option<PathBuf>,
    /// Pictures in it that an earlier run wrote.
    pub(super) answers: usize,
    /// How often a file was named once more.
    pub(super) twice: usize,
}

impl LeftOut {
    /// A file that is no picture.
    pub(super) fn ending(&mut self, ending: &str) {
        *self.endings.entry(ending.to_owned()).or_default() += 1;
    }

    /// All of it in a few words; `None` where nothing was left out.
    pub(super) fn said(&self) -> Option<String> {
        let mut parts = self.files();
        if self.folders > 0 {
            parts.push(format!("{} (-r looks into them)", folders(self.folders)));
        }
        if self.hidden > 0 {
            parts.push(format!("{} whose name begins with a dot", folders(self.hidden)));
        }
        if self.links > 0 {
            parts.push(format!("{} that was seen already, behind a link", folders(self.links)));
        }
        if self.special > 0 {
            parts.push(format!("{} that is no file", self.special));
        }
        if let Some(folder) = &self.output {
            parts.push(format!("the output folder {}", folder.display()));
        }
        if self.answers > 0 {
            parts.push(format!("{} that maskline wrote", pictures(self.answers)));
        }
        if self.twice > 0 {
            parts.push(format!("{} named more than once, which is done once", pictures(self.twice)));
        }
        (!parts.is_empty()).then(|| format!("left out: {}", parts.join(", ")))
    }

    /// Counts by ending, the most frequent first.
    fn files(&self) -> Vec<String> {
        let mut endings: Vec<(&String, &usize)> = self.endings.iter().collect();
        endings.sort_by_key(|(ending, count)| (std::cmp::Reverse(**count), *ending));
        let told = endings.iter().take(MOST_ENDINGS).map(|(ending, count)| match ending.as_str() {
            "" => format!("{count} without an ending"),
            ending => format!("{count} .{ending}"),
        });
        let rest: usize = endings.iter().skip(MOST_ENDINGS).map(|(_, count)| **count).sum();
        told.chain((rest > 0).then(|| format!("{rest} other files"))).collect()
    }
}

/// `1 folder`, `2 folders`.
pub(super) fn folders(count: usize) -> String {
    format!("{count} folder{}", if count == 1 { "" } else { "s" })
}

fn pictures(count: usize) -> String {
    format!("{count} picture{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_said_in_a_line() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.said(), None);
        ["txt", "", "json", "txt"].into_iter().for_each(|ending| left_out.ending(ending));
        left_out.folders = 1;
        left_out.twice = 2;
        let said = "left out: 2 .txt, 1 without an ending, 1 .json, 1 folder (-r looks into them), 2 pictures named more than once, which \
                    is done once";
        assert_eq!(left_out.said().as_deref(), Some(said));
        (0..20).for_each(|number| left_out.ending(&format!("x{number:02}")));
        assert!(left_out.said().is_some_and(|said| said.contains("1 .x04, 15 other files")));
    }
}
