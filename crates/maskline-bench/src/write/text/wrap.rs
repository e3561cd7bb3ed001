//! Lines of words.

/// Lines of at most so many letters, all but the first indented, broken between words where that is possible.
pub(in crate::write) fn wrapped(text: &str, [width, indent]: [usize; 2]) -> Vec<String> {
    let text = plain(text);
    let width = width.max(indent + 1);
    let lead: String = text.chars().take_while(|letter| *letter == ' ').collect();
    let mut lines = vec![lead];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let Some(line) = lines.last_mut() else { break };
            let is_blank = line.trim_start().is_empty();
            let used = length(line) + usize::from(!is_blank);
            // A word that no line can hold is broken where it is; any other begins a line of its own.
            let room = width.saturating_sub(used);
            let longest = width - indent;
            let takes = if rest.len() <= room {
                rest.len()
            } else if room > 0 && (is_blank || rest.len() > longest) {
                room
            } else {
                lines.push(" ".repeat(indent));
                continue;
            };
            if !is_blank {
                line.push(' ');
            }
            line.extend(rest.drain(..takes));
        }
    }
    lines
}

/// Text without what a terminal might obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter == '\n' || letter == '\t' { ' ' } else { letter }).map(visible).collect()
}

fn visible(letter: char) -> char {
    let turns_direction = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if letter.is_control() || turns_direction { '\u{fffd}' } else { letter }
}

/// Letters of a text. Those of double width count as one.
pub(super) fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::{length, wrapped};

    #[test]
    fn words_stay_whole_where_they_can() {
        assert_eq!(wrapped("one two three", [8, 2]), ["one two", "  three"]);
        assert_eq!(wrapped("  one two", [6, 4]), ["  one", "    tw", "    o"]);
        assert_eq!(wrapped("abcdefgh ij", [5, 1]), ["abcde", " fgh", " ij"]);
        assert_eq!(wrapped("a\u{1b}[31mb\nc", [20, 0]), ["a\u{fffd}[31mb c"]);
        assert_eq!(wrapped("", [5, 0]), [""]);
        for width in 1..30 {
            let lines = wrapped("some words, an-extraordinarily-long-one-among-them, and more", [width, 3]);
            assert!(lines.iter().all(|line| length(line) <= width.max(4)), "{width}: {lines:?}");
        }
    }
}
