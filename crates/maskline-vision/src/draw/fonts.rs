//! Fonts of the system, for letters that the embedded one lacks.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ab_glyph::{Font as _, FontArc, FontVec};

/// Files that are opened at most.
const MOST_FILES: usize = 300;
/// Entries of folders that are looked at.
const MOST_ENTRIES: usize = 20_000;
/// Folders within folders.
const DEEPEST: usize = 6;
/// Larger fonts are not opened; those of all of Chinese, Japanese and Korean have 20 MB.
const LARGEST_FONT: u64 = 64 << 20;
/// Bytes of fonts that are kept, of those that had a letter.
const MOST_KEPT: u64 = 160 << 20;
/// How long files are opened in all.
const LONGEST: Duration = Duration::from_secs(3);
/// Letters above have no outlines in practice, or are too rare to be noted for each font.
const LETTERS: usize = 0x3_0000;

/// Words in the names of fonts with many letters, which are tried first.
const LIKELY: [&str; 22] = [
    "cjk",
    "sourcehan",
    "fallback",
    "wqy",
    "unifont",
    "arialuni",
    "arial unicode",
    "msyh",
    "yugoth",
    "meiryo",
    "malgun",
    "simsun",
    "msgothic",
    "pingfang",
    "hiragino",
    "sthei",
    "applesdgothic",
    "noto",
    "nirmala",
    "segoeui",
    "dejavusans",
    "freesans",
];
/// Words in the names of styles that tags are not written in.
const UNLIKELY: [&str; 8] = ["bold", "italic", "oblique", "mono", "serif", "light", "thin", "black"];

/// Where letters come from that the embedded font (Latin, digits, punctuation) lacks: Chinese, Japanese, Korean, Greek, Cyrillic, …
///
/// Files are looked for in folders only once a letter is missing, and only until it is found; what was found is kept, for all copies.
/// Letters are drawn one by one from left to right: scripts that join or turn theirs are readable at best. A letter that no font has
/// is written as `\u{72d7}`.
#[derive(Clone)]
pub struct Fonts {
    search: Arc<Mutex<Search>>,
}

struct Search {
    folders: Vec<PathBuf>,
    /// The fonts' files, the likeliest first; `None` before the folders have been listed.
    files: Option<Vec<PathBuf>>,
    /// What is known of the first files.
    opened: Vec<Opened>,
    kept: Vec<FontArc>,
    kept_bytes: u64,
    spent: Duration,
    known: HashMap<char, Option<usize>>,
}

/// A file that was opened once: its letters, a bit each, and its place among the fonts that are kept.
#[derive(Default)]
struct Opened {
    letters: Vec<u64>,
    kept: Option<usize>,
}

static SYSTEM: LazyLock<Fonts> = LazyLock::new(|| Fonts::in_folders(system_folders()));

impl Default for Fonts {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Fonts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fonts").finish_non_exhaustive()
    }
}

impl Fonts {
    /// The fonts that are installed, from the usual folders of Linux, macOS and Windows.
    pub fn system() -> Self {
        SYSTEM.clone()
    }

    /// The `.ttf`, `.otf` and `.ttc` files in folders and those below; missing ones hold none.
    pub fn in_folders(folders: Vec<PathBuf>) -> Self {
        let search = Search {
            folders,
            files: None,
            opened: Vec::new(),
            kept: Vec::new(),
            kept_bytes: 0,
            spent: Duration::ZERO,
            known: HashMap::new(),
        };
        Self { search: Arc::new(Mutex::new(search)) }
    }

    /// The embedded font alone: the same picture on every machine.
    pub fn embedded() -> Self {
        Self::in_folders(Vec::new())
    }

    /// A font that can draw this letter.
    pub(super) fn with_letter(&self, letter: char) -> Option<FontArc> {
        // A search that panicked elsewhere left a list that is still whole.
        let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match search.known.get(&letter) {
            Some(place) => *place,
            None => {
                let place = search.find(letter);
                search.known.insert(letter, place);
                place
            }
        };
        place.map(|place| search.kept[place].clone())
    }
}

impl Search {
    fn find(&mut self, letter: char) -> Option<usize> {
        let start = Instant::now();
        let spent = self.spent;
        let folders = &self.folders;
        let count = self.files.get_or_insert_with(|| font_files(folders)).len().min(MOST_FILES);
        let found = (0..count).find_map(|index| {
            if index == self.opened.len() {
                // Looked for on, but not for ever.
                if spent + start.elapsed() > LONGEST {
                    return None;
                }
                let letters = self.open(index).map(|(font, _)| letters_of(&font)).unwrap_or_default();
                self.opened.push(Opened { letters, kept: None });
            }
            self.opened.get(index).filter(|opened| opened.has(letter))?;
            self.kept_font(index).filter(|place| can_draw(&self.kept[*place], letter))
        });
        self.spent += start.elapsed();
        found
    }

    /// Where the font of a file is kept, which is read for that at first.
    fn kept_font(&mut self, index: usize) -> Option<usize> {
        if let Some(place) = self.opened[index].kept {
            return Some(place);
        }
        let (font, bytes) = self.open(index).filter(|(_, bytes)| self.kept_bytes + bytes <= MOST_KEPT)?;
        self.kept_bytes += bytes;
        self.kept.push(font);
        self.opened[index].kept = Some(self.kept.len() - 1);
        self.opened[index].kept
    }

    /// The font of a file, and its size.
    fn open(&self, index: usize) -> Option<(FontArc, u64)> {
        let file = self.files.as_ref()?.get(index)?;
        let size = file.metadata().ok().filter(|facts| facts.is_file())?.len();
        if size > LARGEST_FONT {
            return None;
        }
        let bytes = std::fs::read(file).ok()?;
        Some((FontArc::from(FontVec::try_from_vec(bytes).ok()?), size))
    }
}

impl Opened {
    fn has(&self, letter: char) -> bool {
        let code = letter as usize;
        self.letters.get(code / 64).is_some_and(|bits| bits >> (code % 64) & 1 == 1)
    }
}

fn letters_of(font: &FontArc) -> Vec<u64> {
    let mut letters = vec![0; LETTERS / 64];
    for code in font.codepoint_ids().map(|(_, letter)| letter as usize).filter(|code| *code < LETTERS) {
        letters[code / 64] |= 1 << (code % 64);
    }
    letters
}

/// Fonts of emoji have pictures where others have outlines.
fn can_draw(font: &FontArc, letter: char) -> bool {
    let glyph = font.glyph_id(letter);
    glyph.0 != 0 && (letter.is_whitespace() || font.outline(glyph).is_some())
}

/// The font files in these folders, the most likely first.
fn font_files(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open: Vec<(PathBuf, usize)> = folders.iter().rev().map(|folder| (folder.clone(), 0)).collect();
    let mut entries = 0;
    while let Some((folder, depth)) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            entries += 1;
            if entries > MOST_ENTRIES {
                break;
            }
            let path = entry.path();
            let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
            if ending.is_some_and(|ending| ["ttf", "otf", "ttc"].contains(&ending.as_str())) {
                files.push(path);
            } else if depth < DEEPEST && path.is_dir() {
                open.push((path, depth + 1));
            }
        }
    }
    let order = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let likely = LIKELY.iter().position(|word| name.contains(word)).unwrap_or(LIKELY.len());
        let style = UNLIKELY.iter().filter(|word| name.contains(*word)).count();
        // Of a family the plain style; the name makes the order the same on every run.
        (likely, style, name)
    };
    files.sort_by_cached_key(order);
    files
}

fn system_folders() -> Vec<PathBuf> {
    let below = |variable: &str, rest: &str| std::env::var_os(variable).map(|folder| PathBuf::from(folder).join(rest));
    let fixed = ["/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", "/system/fonts"];
    let own = [
        below("HOME", ".fonts"),
        below("HOME", ".local/share/fonts"),
        below("XDG_DATA_HOME", "fonts"),
        below("HOME", "Library/Fonts"),
        below("WINDIR", "Fonts"),
        below("LOCALAPPDATA", "Microsoft/Windows/Fonts"),
    ];
    // Relative folders would depend on where the program runs.
    own.into_iter().flatten().filter(|folder| folder.is_absolute()).chain(fixed.map(PathBuf::from)).collect()
}
