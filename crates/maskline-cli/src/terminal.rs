//! stdout is data, stderr is talk.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};

use crate::failure::Failure;

/// Writes data to stdout. A closed reader (`| head`) ends the command without fuss.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::new(maskline::ErrorKind::Io, format!("standard output: {error}")),
    })
}

/// A text within a line for a person: line breaks, escapes that colour the terminal, and letters that are not seen or turn the direction
/// of others are shown as `\n`, `\u{1b}`, `\u{202e}`.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_odd = |letter: char| {
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}');
        letter.is_control() || turns || matches!(letter, '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}')
    };
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|letter| if is_odd(letter) { letter.escape_default().to_string() } else { letter.to_string() }).collect()
}

/// Writes a line of talk to stderr.
pub(crate) fn say(text: &str) {
    // Where talk cannot be written, there is nobody to talk to.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes an error to stderr, in red on a terminal.
pub(crate) fn complain(text: &str) {
    if colours() { say(&format!("\x1b[1;31merror:\x1b[0m {text}")) } else { say(&format!("error: {text}")) }
}

/// Whether stderr is a terminal on which colours are wanted.
fn colours() -> bool {
    is_talking() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns that text may take: the terminal's, else those that most have.
pub(crate) fn width() -> usize {
    let own = comfy_table::Table::new().width().filter(|_| std::io::stdout().is_terminal());
    own.map_or(120, |width| usize::from(width).clamp(60, 200))
}

/// Whether a person watches stderr.
pub(crate) fn is_talking() -> bool {
    std::io::stderr().is_terminal()
}

/// A table without lines between rows; numbers are the caller's to align. It keeps to the terminal's width, and to 80 columns elsewhere.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    let rule = |fill| LineStyle::none().fill(fill).junction(fill);
    table.load_style(TableStyle::new().top_border(rule('─')).header_separator(rule('─')).bottom_border(rule('─')));
    table.set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    if !std::io::stdout().is_terminal() {
        table.set_width(80);
    }
    table
}

/// Says what is waited for, if it takes more than a moment. Ends with its life.
pub(crate) struct Waiting {
    done: Option<std::sync::mpsc::Sender<()>>,
    speaker: Option<std::thread::JoinHandle<()>>,
}

impl Waiting {
    /// Says `text` after `time`, unless dropped before.
    pub(crate) fn after(time: std::time::Duration, text: String) -> Self {
        let (done, is_done) = std::sync::mpsc::channel();
        let speaker = std::thread::spawn(move || {
            if is_done.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                say(&text);
            }
        });
        Self { done: Some(done), speaker: Some(speaker) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.done.take();
        if let Some(speaker) = self.speaker.take() {
            // It only talks; a panic of it is nobody's loss.
            let _ = speaker.join();
        }
    }
}
