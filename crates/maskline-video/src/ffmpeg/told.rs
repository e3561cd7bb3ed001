//! What the program tells while it works: the time of each frame, and what is wrong.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::Sender;

use crate::time::Ratio;

/// Longest part of a line that is looked at: metadata may be of any length.
const LONGEST_LINE: usize = 2048;
/// Complaints that are kept of the first and of the last.
const KEPT: usize = 3;

/// What is told of one frame before its pixels come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Its place in what comes, from 0.
    pub(super) number: usize,
    /// `None` where the clip has no times.
    pub(super) ticks: Option<i64>,
    /// Width and height in pixels.
    pub(super) size: (usize, usize),
}

/// What is told, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The clip's clock (seconds per tick), and its frames per second where they are even.
    Clock {
        tick: Ratio,
        rate: Option<Ratio>,
    },
    Frame(Stamp),
}

/// Complaints, the first and the last of them.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    first: Vec<String>,
    last: VecDeque<String>,
}

impl Complaints {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Whether one of those that are kept has these words.
    pub(crate) fn say(&self, words: &str) -> bool {
        self.first.iter().chain(&self.last).any(|line| line.contains(words))
    }

    /// As one line.
    pub(crate) fn shown(&self) -> String {
        self.first.iter().chain(&self.last).cloned().collect::<Vec<_>>().join("; ")
    }

    fn add(&mut self, line: String) {
        if self.first.contains(&line) || self.last.contains(&line) {
            return;
        }
        if self.first.len() < KEPT {
            self.first.push(line);
        } else {
            self.last.push_back(line);
            if self.last.len() > KEPT {
                self.last.pop_front();
            }
        }
    }
}

/// Listens until the program has no more to say. News that nobody waits for are dropped; the pipe must be emptied all the same.
pub(crate) fn listen(from: impl Read, news: &Sender<News>) -> Complaints {
    let mut from = BufReader::new(from);
    let mut complaints = Complaints::default();
    let mut line = Vec::new();
    while read_line(&mut from, &mut line).is_ok_and(|is_any| is_any) {
        let text = String::from_utf8_lossy(&line);
        if let Some(told) = news_in(&text) {
            let _ = news.send(told);
        } else if let Some(complaint) = complaint_in(&text) {
            complaints.add(complaint);
        }
    }
    complaints
}

/// The beginning of the next line, whose rest is passed over; false at the end.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut is_any = false;
    loop {
        let waiting = from.fill_buf()?;
        if waiting.is_empty() {
            return Ok(is_any);
        }
        is_any = true;
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let part = &waiting[..end.unwrap_or(waiting.len())];
        line.extend_from_slice(&part[..part.len().min(LONGEST_LINE - line.len())]);
        let used = end.map_or(waiting.len(), |end| end + 1);
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// `[Parsed_showinfo_2 @ 0x…] [info] n:   0 pts:   1024 pts_time:0.1 … s:320x240 …`
fn news_in(line: &str) -> Option<News> {
    let said = line.strip_prefix("[Parsed_showinfo_")?.split_once("] [info] ")?.1;
    if let Some(clock) = said.strip_prefix("config in time_base: ") {
        let (tick, rate) = clock.split_once(", frame_rate: ")?;
        return Some(News::Clock { tick: tick.trim().parse().ok()?, rate: rate.trim().parse().ok() });
    }
    let said = said.strip_prefix("n:")?;
    let (number, said) = said.split_once(" pts:")?;
    let (ticks, said) = said.split_once(" pts_time:")?;
    let (width, height) = said.split_once(" s:")?.1.split_once(' ')?.0.split_once('x')?;
    let size = (width.parse().ok()?, height.parse().ok()?);
    Some(News::Frame(Stamp { number: number.trim().parse().ok()?, ticks: ticks.trim().parse().ok(), size }))
}

/// What an error says, without the address of the part that says it.
fn complaint_in(line: &str) -> Option<String> {
    let said = ["[error] ", "[fatal] ", "[panic] "].iter().find_map(|level| line.split_once(level))?.1;
    let said: String = said.trim().chars().filter(|letter| !letter.is_control()).take(300).collect();
    (!said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read() {
        let line =
            "[Parsed_showinfo_2 @ 0x5] [info] n:  12 pts:  12288 pts_time:1.2     pos:  8051 fmt:rgb24 sar:1/1 s:321x241 i:P iskey:0";
        assert_eq!(news_in(line), Some(News::Frame(Stamp { number: 12, ticks: Some(12288), size: (321, 241) })));
        let without = line.replace("  12288", "  NOPTS").replace("1.2 ", "NOPTS ");
        assert_eq!(news_in(&without), Some(News::Frame(Stamp { number: 12, ticks: None, size: (321, 241) })));
        let clock = "[Parsed_showinfo_2 @ 0x5] [info] config in time_base: 1001/30000, frame_rate: 0/0";
        assert_eq!(news_in(clock), Some(News::Clock { tick: Ratio::new(1001, 30000).expect("a ratio"), rate: None }));
        assert_eq!(news_in("[info]     title           : n: 0 pts: 5 pts_time:1 s:9x9 x"), None);
    }

    #[test]
    fn complaints_are_few_and_long_lines_short() {
        let mut text = format!("[info] {}\n[h264 @ 0x1] [error] first\n", "x".repeat(1 << 20));
        (0..1000).for_each(|number| text += &format!("[h264 @ 0x{number}] [error] number {number}\n"));
        text += "[h264 @ 0x2] [error] first\n[fatal] the end";
        let (sender, news) = std::sync::mpsc::channel();
        let complaints = listen(text.as_bytes(), &sender);
        assert_eq!(complaints.shown(), "first; number 0; number 1; number 998; number 999; the end");
        assert!(news.try_recv().is_err());
    }
}
