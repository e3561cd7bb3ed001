//! Made-up phrases: the same in every run and for every program.

use maskline::{Error, ErrorKind, Result};

use crate::report::{TextKind, Texts};

/// Scores of objects have to be above it, for every program: what the references of OWL use. Those of SAM 3 use more, but generated
/// weights give its queries scores between this and 0.5, and masks that are not made would not be measured.
pub(crate) const LEAST_SCORE: f32 = 0.1;

/// Things that a person would name by one word.
const THINGS: [&str; 128] = [
    "dog", "cup", "car", "tree", "chair", "shoe", "bird", "lamp", "boat", "book", "door", "horse", "plate", "truck", "hat", "clock",
    "apple", "bridge", "spoon", "sofa", "kite", "mug", "cow", "bench", "bottle", "fence", "pear", "bus", "key", "window", "sheep", "bowl",
    "train", "glove", "rope", "bicycle", "knife", "goat", "table", "flag", "basket", "leaf", "phone", "stone", "fork", "plane", "carrot",
    "pillow", "wheel", "cat", "ladder", "lemon", "vase", "helmet", "duck", "mirror", "coat", "brush", "onion", "tent", "candle", "gate",
    "rabbit", "screw", "towel", "bell", "melon", "tractor", "pot", "shelf", "swan", "paper", "scarf", "drum", "cake", "chimney", "bear",
    "button", "hammer", "bread", "pencil", "roof", "fish", "jar", "carpet", "oven", "flower", "tower", "belt", "violin", "egg", "tram",
    "sign", "bucket", "pigeon", "curtain", "cherry", "wagon", "ring", "desk", "frog", "suitcase", "plum", "crane", "sock", "piano",
    "mushroom", "van", "comb", "shirt", "tomato", "barrel", "hen", "umbrella", "grape", "post", "bag", "radio", "zebra", "stove", "nut",
    "engine", "purse", "statue", "wolf", "pipe", "biscuit", "anchor",
];
const QUALITIES: [&str; 16] = [
    "small red",
    "large",
    "broken",
    "wooden",
    "bright yellow",
    "old",
    "white",
    "round",
    "dark blue",
    "dusty",
    "shiny",
    "green",
    "empty",
    "striped",
    "heavy grey",
    "new",
];
const PLACES: [&str; 8] =
    ["on a table", "near the water", "behind a wall", "in the grass", "under a bridge", "on the left", "beside a person", "in the shade"];

/// Phrases of a question that is always the same.
const OBJECTS: [&str; 3] = ["a red car on the road", "a person on a bicycle", "a traffic light"];

/// The phrases of kinds that are always the same; `None` of others.
pub(crate) fn fixed(kind: TextKind) -> Option<&'static [&'static str]> {
    match kind {
        TextKind::Word => Some(&["car"]),
        TextKind::Phrase => Some(&OBJECTS[..1]),
        TextKind::Objects => Some(&OBJECTS),
        TextKind::Words | TextKind::Phrases | TextKind::Given => None,
    }
}

/// How many of a kind there are; given ones are not counted.
pub(crate) fn most_phrases(kind: TextKind) -> usize {
    match kind {
        TextKind::Words => THINGS.len(),
        TextKind::Phrases => THINGS.len() * QUALITIES.len() * PLACES.len(),
        TextKind::Given => usize::MAX,
        TextKind::Word | TextKind::Phrase | TextKind::Objects => fixed(kind).map_or(0, <[_]>::len),
    }
}

/// The phrases of a call, no two alike.
///
/// # Errors
/// `InvalidOption` for more than there are.
pub(crate) fn phrases(texts: Texts, given: &[String]) -> Result<Vec<String>> {
    phrases_of(0, texts, given)
}

/// The phrases of one of several callers, in an order of his own; those of caller 0 are [`phrases`]. Given and fixed ones are the same for
/// all.
pub(crate) fn phrases_of(caller: usize, texts: Texts, given: &[String]) -> Result<Vec<String>> {
    let Texts { kind, count } = texts;
    let most = if kind == TextKind::Given { given.len() } else { most_phrases(kind) };
    if count > most {
        let error = Error::new(ErrorKind::InvalidOption, "text").expecting(format!("at most {most} {}", kind.name()));
        return Err(error.but_found(count).with_help("give your own, with --text"));
    }
    let first = caller.wrapping_mul(count);
    let phrase = |index: usize| match kind {
        TextKind::Given => given[index].clone(),
        TextKind::Words => THINGS[(first + index) % most].to_owned(),
        TextKind::Phrases => phrase((first + index) % most),
        TextKind::Word | TextKind::Phrase | TextKind::Objects => fixed(kind).map_or("", |fixed| fixed[index]).to_owned(),
    };
    Ok((0..count).map(phrase).collect())
}

/// The phrase with this number: all differ, and neighbours differ in every part.
fn phrase(number: usize) -> String {
    let round = number / THINGS.len();
    let (thing, quality) = (THINGS[number % THINGS.len()], QUALITIES[(number + round) % QUALITIES.len()]);
    let place = PLACES[(number + round / QUALITIES.len()) % PLACES.len()];
    let article = if quality.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {quality} {thing} {place}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_phrases_of_a_call_are_alike() {
        for kind in [TextKind::Words, TextKind::Phrases] {
            let all = phrases(Texts { kind, count: most_phrases(kind) }, &[]).expect("as many as there are");
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            let is_of_kind = |phrase: &String| (phrase.split(' ').count() == 1) == (kind == TextKind::Words);
            assert!(all.iter().all(is_of_kind));
            let error = phrases(Texts { kind, count: most_phrases(kind) + 1 }, &[]).expect_err("one more");
            assert!(error.to_string().contains("--text"), "{error}");
        }
        assert_eq!(phrases(Texts { kind: TextKind::Phrases, count: 1 }, &[]).expect("one"), ["a small red dog on a table"]);
    }

    #[test]
    fn questions_by_complexity_are_the_same_for_all() {
        let of = |kind, caller| phrases_of(caller, Texts { kind, count: most_phrases(kind) }, &[]).expect("as many as there are");
        assert_eq!(of(TextKind::Word, 3), ["car"]);
        assert_eq!(of(TextKind::Phrase, 0), ["a red car on the road"]);
        assert_eq!((of(TextKind::Objects, 0).len(), of(TextKind::Objects, 7)), (3, of(TextKind::Objects, 0)));
        assert!(phrases(Texts { kind: TextKind::Word, count: 2 }, &[]).is_err());
    }

    #[test]
    fn callers_search_for_different_things_and_all_for_what_is_given() {
        let words = Texts { kind: TextKind::Words, count: 10 };
        let of = |caller| phrases_of(caller, words, &[]).expect("words");
        let all: HashSet<String> = (0..12).flat_map(of).collect();
        assert_eq!((all.len(), of(0)), (120, phrases(words, &[]).expect("words")));
        assert_eq!(of(50).iter().collect::<HashSet<_>>().len(), 10, "they begin again, but no caller has one twice");
        let given = ["a".to_owned(), "b".to_owned()];
        assert_eq!(phrases_of(3, Texts { kind: TextKind::Given, count: 2 }, &given).expect("both"), given);
    }
}
