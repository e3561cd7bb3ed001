//! A table of text, which Markdown, HTML and the terminal show alike.

/// What is in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Words, which stand to the left.
    Words,
    /// Figures, some with an interval: `12.3 [12.1, 12.6]`. They stand to the right.
    Number,
    /// A verdict, with its reason after a colon.
    Status,
    /// A word or two, with what they rest on after a colon.
    Answer,
}

/// What becomes of a column in a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Terminal {
    /// It is left out.
    Never,
    /// It is shown. Where there is too little room, columns of the highest rank go first, those of rank 0 never.
    Whole(u8),
    /// As `Whole`, but figures lose their intervals.
    Bare(u8),
}

/// A column's head, and how to show it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) terminal: Terminal,
}

impl Column {
    pub(super) fn new(name: impl Into<String>, kind: Kind, terminal: Terminal) -> Self {
        Self { name: name.into(), kind, terminal }
    }

    /// A column of figures that a terminal shows while there is room.
    pub(super) fn number(name: impl Into<String>, rank: u8) -> Self {
        Self::new(name, Kind::Number, Terminal::Whole(rank))
    }

    /// As [`number`](Self::number), without intervals in a terminal.
    pub(super) fn bare(name: impl Into<String>, rank: u8) -> Self {
        Self::new(name, Kind::Number, Terminal::Bare(rank))
    }

    /// A column of figures that a terminal does not show.
    pub(super) fn paper(name: impl Into<String>) -> Self {
        Self::new(name, Kind::Number, Terminal::Never)
    }

    /// A column of words that a terminal shows while there is room.
    pub(super) fn words(name: impl Into<String>, rank: u8) -> Self {
        Self::new(name, Kind::Words, Terminal::Whole(rank))
    }

    /// A column of answers that a terminal shows while there is room.
    pub(super) fn answer(name: impl Into<String>, rank: u8) -> Self {
        Self::new(name, Kind::Answer, Terminal::Whole(rank))
    }

    /// A column of verdicts.
    pub(super) fn status() -> Self {
        Self::new("status", Kind::Status, Terminal::Whole(0))
    }

    /// Whether it stands to the right.
    pub(super) fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }
}

/// A table as text.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) columns: Vec<Column>,
    /// How many of the first columns name a row.
    pub(super) keys: usize,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: impl Into<String>, note: impl Into<String>, columns: Vec<Column>) -> Self {
        Self { title: title.into(), note: note.into(), columns, keys: 1, rows: Vec::new() }
    }

    /// With rows that so many of the first columns name.
    pub(super) fn keyed(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    pub(super) fn rows(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Self {
        self.rows = rows.into_iter().collect();
        self
    }
}
