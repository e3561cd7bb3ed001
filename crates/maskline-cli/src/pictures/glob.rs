//! Patterns such as `photos/*.jpg`. The crate `glob` matches names; it also walks folders, but passes over names that are no UTF-8.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

use glob::Pattern;
use maskline::Error;

use super::{bad, is_hidden, names_in};

/// What a pattern matches, by name.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// The folder before the first wildcard.
    pub(super) base: PathBuf,
    /// Files.
    pub(super) files: Vec<PathBuf>,
    /// Folders.
    pub(super) folders: Vec<PathBuf>,
}

/// A part of a pattern, between slashes.
#[derive(Debug, Clone)]
enum Part {
    Literal(OsString),
    Wild(Pattern),
    /// `**`: any number of folders.
    Anywhere,
}

/// The files and folders that a pattern matches. A byte of a name that is no UTF-8 is one character, which `?` and `*` match.
///
/// # Errors
/// `BadInput` for a pattern that is none.
pub(super) fn matches(pattern: &OsStr) -> Result<Matches, Error> {
    let parts = Path::new(pattern).components().map(part).collect::<Result<Vec<Part>, glob::PatternError>>();
    let mut parts = parts.map_err(|error| bad(format!("the pattern `{}` is broken: {error}", pattern.to_string_lossy())))?;
    // At the end, any number of folders means all that is in them.
    if matches!(parts.last(), Some(Part::Anywhere)) {
        parts.push(Part::Wild(Pattern::new("*").unwrap_or_default()));
    }
    let fixed = parts.iter().take_while(|part| matches!(part, Part::Literal(_))).count();
    let base = parts[..fixed].iter().fold(PathBuf::new(), |base, part| match part {
        Part::Literal(name) => base.join(name),
        _ => base,
    });
    let mut found = Matches { base: base.clone(), ..Matches::default() };
    expand(&base, &parts[fixed..], &mut found);
    Ok(found)
}

fn part(component: Component<'_>) -> Result<Part, glob::PatternError> {
    match component {
        Component::Normal(name) if name == "**" => Ok(Part::Anywhere),
        Component::Normal(name) if super::has_wildcard(name) => Pattern::new(&name.to_string_lossy()).map(Part::Wild),
        other => Ok(Part::Literal(other.as_os_str().to_owned())),
    }
}

fn expand(base: &Path, parts: &[Part], found: &mut Matches) {
    let Some((part, rest)) = parts.split_first() else {
        if base.is_dir() {
            found.folders.push(base.to_path_buf());
        } else if base.symlink_metadata().is_ok() {
            found.files.push(base.to_path_buf());
        }
        return;
    };
    if let Part::Literal(name) = part {
        return expand(&base.join(name), rest, found);
    }
    if let Part::Anywhere = part {
        expand(base, rest, found);
    }
    // What cannot be read matches nothing.
    for name in names_in(base).unwrap_or_default() {
        let path = base.join(&name);
        match part {
            Part::Wild(pattern) if pattern.matches(&name.to_string_lossy()) => expand(&path, rest, found),
            // Links may lead round in circles.
            Part::Anywhere if !is_hidden(&name) && !path.is_symlink() && path.is_dir() => expand(&path, parts, found),
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "b.png", "in/c.jpg", "in/deep/d.jpg", ".git/e.jpg", "in/x[1].jpg"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let found = |pattern: &str| {
            let matches = matches(folder.path().join(pattern).as_os_str()).unwrap();
            let names = |paths: &[PathBuf]| {
                paths.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect::<Vec<_>>()
            };
            (names(&matches.files), names(&matches.folders))
        };
        assert_eq!(found("*.jpg"), (vec!["a.jpg".into()], vec![]));
        assert_eq!(found("**/*.jpg").0, ["a.jpg", "in/c.jpg", "in/x[1].jpg", "in/deep/d.jpg"]);
        assert_eq!(found("i?/*").0, ["in/c.jpg", "in/x[1].jpg"]);
        assert_eq!(found("i?/*").1, ["in/deep"]);
        assert_eq!(found("in/x[[]1].jpg").0, ["in/x[1].jpg"]);
        assert_eq!(found("in/**").0.len(), 3);
        assert_eq!(found("none*/*"), (vec![], vec![]));
        assert!(matches(OsStr::new("a[")).is_err());
    }
}
