//! Class names, as training tools read them.

use std::fmt::Write;

/// The list of class names beside YOLO's labels.
pub const CLASSES_TXT: &str = "classes.txt";
/// The description of YOLO's data set.
pub const DATA_YAML: &str = "data.yaml";

/// The names and texts of the files that belong to YOLO's labels; `pictures` is the folder of the pictures, as seen from them.
pub fn yolo_files(names: &[impl AsRef<str>], pictures: &str, keypoints: Option<usize>) -> [(&'static str, String); 2] {
    let data_set = YoloDataSet { train: pictures, validation: pictures, keypoints, ..YoloDataSet::default() };
    [(CLASSES_TXT, classes_txt(names)), (DATA_YAML, data_yaml(names, &data_set))]
}

/// `classes.txt`: a name per line, in the order of the class indices. Line breaks and other controls within a name, which the format
/// cannot hold, become spaces.
pub fn classes_txt(names: &[impl AsRef<str>]) -> String {
    let line = |name: &str| name.chars().map(|letter| if is_break(letter) { ' ' } else { letter }).chain(['\n']).collect::<String>();
    names.iter().map(|name| line(name.as_ref())).collect()
}

/// Where the pictures of a YOLO data set lie, and what is labelled in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YoloDataSet<'a> {
    /// The folder that the others are relative to, with forward slashes; ultralytics takes the file's own where there is none.
    pub root: Option<&'a str>,
    /// Pictures to train with. Labels are looked for in the folder of the same name with `labels` in place of `images`.
    pub train: &'a str,
    /// Pictures to validate with.
    pub validation: &'a str,
    /// How many keypoints an object has, each as x, y and visibility.
    pub keypoints: Option<usize>,
}

impl Default for YoloDataSet<'_> {
    /// `images`, for training as for validation.
    fn default() -> Self {
        Self { root: None, train: "images", validation: "images", keypoints: None }
    }
}

/// `data.yaml` of a YOLO data set, as ultralytics reads it: `path`, `train`, `val`, `kpt_shape`, `nc` and `names` by class index.
///
/// Every text is in double quotes with YAML's escapes, so that it comes back as it was: `yes`, `1.0`, `a: b`, quotes, line breaks.
pub fn data_yaml(names: &[impl AsRef<str>], data_set: &YoloDataSet<'_>) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| text += &format!("{key}: {value}\n");
    if let Some(root) = data_set.root {
        line("path", &quoted(root));
    }
    line("train", &quoted(data_set.train));
    line("val", &quoted(data_set.validation));
    if let Some(count) = data_set.keypoints {
        line("kpt_shape", &format!("[{count}, 3]"));
    }
    line("nc", &names.len().to_string());
    if names.is_empty() {
        line("names", "{}");
        return text;
    }
    text += "names:\n";
    for (index, name) in names.iter().enumerate() {
        text += &format!("  {index}: {}\n", quoted(name.as_ref()));
    }
    text
}

/// A YAML scalar in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            _ if !is_printable(letter) => {
                let code = u32::from(letter);
                // Writing to a string cannot fail.
                let _ = if code > 0xffff { write!(quoted, "\\U{code:08X}") } else { write!(quoted, "\\u{code:04X}") };
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether YAML takes a letter as it is, and does not break a line at it.
fn is_printable(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_break(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}
