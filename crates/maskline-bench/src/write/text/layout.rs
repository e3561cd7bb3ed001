//! Columns and lines that fit a width.

use super::super::shorten;
use super::super::table::{Column, Kind, Table, Terminal};
use super::wrap::{length, plain, wrapped};

/// Between columns.
const GAP: usize = 2;
/// Words are wrapped to no less while columns can go instead.
const NARROW: usize = 24;
/// Words are wrapped to no less at all.
const NARROWEST: usize = 14;

/// A column with the cells that a terminal shows of it.
#[derive(Debug, Clone)]
struct Shown<'a> {
    column: &'a Column,
    cells: Vec<String>,
    width: usize,
    rank: u8,
}

impl Shown<'_> {
    /// As wide as its cells and as the longest word of its head.
    fn fit(&mut self) {
        let head = self.column.name.split(' ').map(length);
        self.width = self.cells.iter().map(|cell| length(cell)).chain(head).max().unwrap_or(0);
    }

    fn may_wrap(&self) -> bool {
        matches!(self.column.kind, Kind::Words | Kind::Answer)
    }
}

/// The lines of a table with its head. What does not fit beside each other comes in blocks below each other.
pub(in crate::write) fn table(table: &Table, width: usize) -> Vec<String> {
    let mut shown: Vec<Shown<'_>> = table.columns.iter().enumerate().filter_map(|(i, column)| self::shown(table, i, column)).collect();
    squeeze(&mut shown, width);
    let mut lines = Vec::new();
    for mut block in blocks(shown, table.keys, width) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        relax(&mut block, width);
        lines.extend(block_lines(&block, table.rows.len(), width));
    }
    lines
}

/// The columns, in as many blocks as it takes; each begins with those that name the rows.
fn blocks(shown: Vec<Shown<'_>>, keys: usize, width: usize) -> Vec<Vec<Shown<'_>>> {
    let (keys, rest) = shown.split_at(keys.min(shown.len()));
    let mut blocks = vec![keys.to_vec()];
    for own in rest {
        let is_full = blocks.last().is_some_and(|block| block.len() > keys.len() && total(block) + GAP + own.width > width);
        if is_full {
            blocks.push(keys.to_vec());
        }
        blocks.last_mut().into_iter().for_each(|block| block.push(own.clone()));
    }
    blocks
}

fn block_lines(shown: &[Shown<'_>], rows: usize, width: usize) -> Vec<String> {
    let heads: Vec<Vec<String>> = shown.iter().map(|own| wrapped(&own.column.name, [own.width, 0])).collect();
    let tallest = heads.iter().map(Vec::len).max().unwrap_or(0);
    // Heads end on one line, right above their figures.
    let from_below = heads.into_iter().map(|mut head| {
        head.splice(0..0, std::iter::repeat_n(String::new(), tallest - head.len()));
        head
    });
    let mut lines = row(shown, &from_below.collect::<Vec<_>>());
    lines.push("─".repeat(total(shown).min(width)));
    for i in 0..rows {
        let cells = shown.iter().enumerate().map(|(column, own)| match &own.cells[i] {
            // The name of the row above.
            cell if column == 0 && i > 0 && *cell == own.cells[i - 1] => vec![String::new()],
            cell if own.may_wrap() => wrapped(cell, [own.width, 2]),
            cell => vec![cell.clone()],
        });
        lines.extend(row(shown, &cells.collect::<Vec<_>>()));
    }
    lines.iter().map(|line| shorten(line.trim_end(), width)).collect()
}

fn shown<'a>(table: &Table, index: usize, column: &'a Column) -> Option<Shown<'a>> {
    let (rank, is_bare) = match column.terminal {
        Terminal::Never => return None,
        Terminal::Whole(rank) => (rank, false),
        Terminal::Bare(rank) => (rank, true),
    };
    let cell = |row: &Vec<String>| {
        let cell = row.get(index).map_or("", String::as_str);
        let end = if is_bare { " [" } else { ": " };
        let is_cut = is_bare || matches!(column.kind, Kind::Status | Kind::Answer);
        plain(if is_cut { cell.split_once(end).map_or(cell, |(before, _)| before) } else { cell })
    };
    let mut shown = Shown { column, cells: table.rows.iter().map(cell).collect(), width: 0, rank };
    shown.fit();
    Some(shown)
}

fn total(shown: &[Shown<'_>]) -> usize {
    shown.iter().map(|own| own.width).sum::<usize>() + GAP * shown.len().saturating_sub(1)
}

/// Makes the columns fit, where that can be: first words are wrapped, then columns go, then words get narrower still.
fn squeeze(shown: &mut Vec<Shown<'_>>, width: usize) {
    narrow(shown, width, NARROW);
    while total(shown) > width {
        let Some(worst) = shown.iter().map(|own| own.rank).max().filter(|rank| *rank > 0) else { break };
        let last = shown.iter().rposition(|own| own.rank == worst);
        last.into_iter().for_each(|last| drop(shown.remove(last)));
        // What went may have made room for words.
        shown.iter_mut().filter(|own| own.may_wrap()).for_each(Shown::fit);
        narrow(shown, width, NARROW);
    }
    narrow(shown, width, NARROWEST);
}

/// Gives room that is left to the columns with the tallest heads.
fn relax(shown: &mut [Shown<'_>], width: usize) {
    const LOW: usize = 2;
    let height = |own: &Shown<'_>| wrapped(&own.column.name, [own.width, 0]).len();
    while total(shown) < width {
        let tallest = shown.iter_mut().max_by_key(|own| height(own)).filter(|own| height(own) > LOW);
        let Some(tallest) = tallest else { return };
        tallest.width += 1;
    }
}

/// Takes from the widest column of words until the table fits or none is wider than `least`.
fn narrow(shown: &mut [Shown<'_>], width: usize, least: usize) {
    while total(shown) > width {
        let over = total(shown) - width;
        let widest = shown.iter_mut().filter(|own| own.may_wrap() && own.width > least).max_by_key(|own| own.width);
        let Some(widest) = widest else { return };
        widest.width -= over.min(widest.width - least).min(widest.width.div_ceil(8));
    }
}

/// The lines of a row whose cells have lines.
fn row(shown: &[Shown<'_>], cells: &[Vec<String>]) -> Vec<String> {
    let tallest = cells.iter().map(Vec::len).max().unwrap_or(0);
    let line = |i: usize| {
        let cells = shown.iter().zip(cells).map(|(own, lines)| {
            let cell = lines.get(i).map_or("", String::as_str);
            let space = " ".repeat(own.width.saturating_sub(length(cell)));
            if own.column.is_number() { space + cell } else { cell.to_owned() + &space }
        });
        cells.collect::<Vec<_>>().join(&" ".repeat(GAP))
    };
    (0..tallest).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Column, Table, length, table};

    #[test]
    fn the_least_important_columns_go_first() {
        let columns = vec![Column::words("name", 0), Column::bare("first", 1), Column::number("second", 2), Column::paper("third")];
        let cells = |name: &str| [name, "1.00 [0.9, 1.1]", "2.00 [1.9, 2.1]", "3.00"].map(str::to_owned).to_vec();
        let own = Table::new("t", "", columns).rows([cells("a"), cells("a much longer name")]);
        assert_eq!(table(&own, 60)[3], "a much longer name   1.00  2.00 [1.9, 2.1]");
        assert_eq!(table(&own, 40)[0], "name                first");
        assert_eq!([&table(&own, 25)[0], &table(&own, 24)[0]], ["name                first", "name"]);
        for width in 4..80 {
            assert!(table(&own, width).iter().all(|line| length(line) <= width), "{width}");
        }
    }
    #[test]
    fn what_does_not_fit_comes_in_blocks() {
        let columns = ["name", "a", "b", "c"].map(|name| Column::number(name, 0)).to_vec();
        let own = Table::new("t", "", columns).rows([["x", "111111", "222222", "333333"].map(str::to_owned).to_vec()]);
        let lines = table(&own, 20);
        assert_eq!(lines[2], "   x  111111  222222");
        assert_eq!(lines[4..], ["name       c", "────────────", "   x  333333"]);
    }
}
