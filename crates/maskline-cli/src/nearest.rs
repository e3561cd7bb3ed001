//! What somebody may have meant.

/// The candidates that are spelt most like a word, the nearest first; none that is not like it at all.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wished: Vec<char> = word.to_lowercase().chars().take(LONGEST).collect();
    // A third of the letters may be wrong, and one of a short word.
    let most = (wished.len() / 3).max(1);
    let distance = |candidate: &str| distance(&wished, &candidate.to_lowercase().chars().take(LONGEST).collect::<Vec<char>>());
    let mut near: Vec<(usize, &str)> = candidates.into_iter().map(|candidate| (distance(candidate), candidate)).collect();
    near.retain(|(distance, _)| *distance <= most);
    near.sort();
    near.dedup();
    near.into_iter().map(|(_, candidate)| candidate).take(MOST).collect()
}

/// More suggestions than these are no help.
const MOST: usize = 3;
/// Letters of a word that are compared.
const LONGEST: usize = 200;

/// Letters to be changed, added, taken away or exchanged with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} or {last}", all.join(", ")),
    }
}

/// A message that quotes what a file holds, without the middle of what is longer than so many letters.
pub(crate) fn shortened(message: &str, most: usize) -> String {
    let count = message.chars().count();
    if count <= most {
        return message.to_owned();
    }
    let start: String = message.chars().take(most / 2).collect();
    let end: String = message.chars().skip(count - most / 2).collect();
    format!("{start} … {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_spelt_alike() {
        let names = ["person", "car", "cat", "traffic light", "bus"];
        assert_eq!(nearest("persn", names), ["person"]);
        assert_eq!(nearest("Perosn", names), ["person"]);
        assert_eq!(nearest("cas", names), ["car", "cat"]);
        assert_eq!(nearest("trafic ligth", names), ["traffic light"]);
        assert!(nearest("elephant", names).is_empty() && nearest("", []).is_empty());
        assert_eq!((shortened("short", 5).as_str(), shortened(&"é".repeat(5000), 600).chars().count()), ("short", 603));
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
