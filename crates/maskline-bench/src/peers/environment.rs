//! The virtual environments in which programs run. Made once, in maskline's own folder; no other Python is ever changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use maskline::ModelInfo;
use maskline::runtime::{Cache, Entry, Key, Progress, hash_key};

use super::error::{Error, ErrorKind, Result};
use super::program::Program;
use super::python::{self, Facts};
use super::scripts::Scripts;

/// Options of [`Environment::prepare`].
#[derive(Clone)]
pub struct EnvironmentOptions {
    /// Where environments and scripts are kept.
    pub folder: PathBuf,
    /// Never use the network: an environment that is not there is an error.
    pub offline: bool,
    /// Use this Python as it is, and install nothing.
    pub python: Option<PathBuf>,
    /// The Python that makes environments; `None` for the first of `python3` and `python`.
    pub maker: Option<PathBuf>,
    /// Told what happens while an environment is made.
    pub progress: Option<Progress>,
}

impl EnvironmentOptions {
    /// Environments in `folder`, made with the network where they are missing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), offline: false, python: None, maker: None, progress: None }
    }

    fn tell(&self, text: &str) {
        if let Some(progress) = &self.progress {
            progress(text);
        }
    }
}

impl std::fmt::Debug for EnvironmentOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("EnvironmentOptions");
        debug.field("folder", &self.folder).field("offline", &self.offline).field("python", &self.python);
        debug.field("maker", &self.maker).finish_non_exhaustive()
    }
}

/// A Python with the packages of a program, and the scripts that it runs.
#[derive(Debug, Clone)]
pub struct Environment {
    pub(super) python: PathBuf,
    pub(super) scripts: Arc<Scripts>,
    /// Where programs keep their settings.
    pub(super) settings: PathBuf,
    /// Whether the Python is somebody else's, so that nothing may be written beside it.
    pub(super) is_foreign: bool,
    versions: Vec<(String, String)>,
    /// Keeps the environment from being removed.
    _in_use: Option<Entry>,
}

/// Packages in a Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Their names.
    pub packages: Vec<String>,
    /// On disk, with all that they require; `None` where a package does not tell its files.
    pub bytes: Option<u64>,
}

/// Variables by which pip would install elsewhere than it is told.
const PIP_PLACES: [&str; 6] = ["PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON"];

impl Environment {
    /// The environment of a program: that of an earlier run, one made now, or the Python that the options name.
    ///
    /// An environment appears whole or not at all; who wants one that another process is making waits for it. One that does not work
    /// any more (its Python was removed) is made again.
    ///
    /// # Errors
    /// `NoPython`, `Offline` or `Install` if there is none and it cannot be made, `Lacking` if the named Python has not what the
    /// program needs, `Io` if the folder cannot be written.
    pub fn prepare(program: Program, options: &EnvironmentOptions) -> Result<Self> {
        let scripts = Arc::new(Scripts::write(&options.folder)?);
        let settings = options.folder.join("settings");
        if let Some(python) = &options.python {
            let facts = named(python, program, &scripts)?;
            return Ok(Self { python: python.clone(), scripts, settings, is_foreign: true, versions: listed(facts), _in_use: None });
        }
        let packages = program.packages();
        let cache = Cache::new(options.folder.join(packages.name));
        let shelf = Shelf { cache, key: hash_key(["environment", packages.requirements]), program, options };
        let (entry, facts) = shelf.working(&scripts)?;
        let python = python::of_environment(&entry.path);
        Ok(Self { python, scripts, settings, is_foreign: false, versions: listed(facts), _in_use: Some(entry) })
    }

    /// Name and version of Python and of the program's main packages.
    pub fn versions(&self) -> &[(String, String)] {
        &self.versions
    }

    /// The packages that a program needs for a model, and their size with all that they require.
    ///
    /// # Errors
    /// `Unsupported` if the program does not run the model, `NoPython` if the interpreter does not tell.
    pub fn installed(&self, program: Program, info: &ModelInfo) -> Result<Installed> {
        let script = program.script(info)?;
        let unknown = |lines: Vec<String>| {
            Error::new(ErrorKind::NoPython, format!("{}: this Python does not tell its packages", self.python.display())).log(&lines)
        };
        let Facts { versions, bytes, .. } = python::facts_of(&self.python, script.needs, &self.scripts).map_err(unknown)?;
        Ok(Installed { packages: versions.into_iter().map(|(package, _)| package).collect(), bytes })
    }

    /// The interpreter.
    pub fn python(&self) -> &Path {
        &self.python
    }
}

fn listed(facts: Facts) -> Vec<(String, String)> {
    std::iter::once(("python".to_owned(), facts.python)).chain(facts.versions).collect()
}

/// The Python that was named, if it has what the program needs.
fn named(python: &Path, program: Program, scripts: &Scripts) -> Result<Facts> {
    let broken = |lines: Vec<String>| {
        let message = format!("{}: this Python cannot be run", python.display());
        Error::new(ErrorKind::NoPython, message).log(&lines).help("name the interpreter itself, such as .venv/bin/python")
    };
    let facts = python::facts(python, program, scripts).map_err(broken)?;
    if facts.missing.is_empty() {
        return Ok(facts);
    }
    let message = format!("{}: this Python lacks what {program} needs: {}", python.display(), facts.missing.join(", "));
    Err(Error::new(ErrorKind::Lacking, message)
        .help("install them there yourself, or leave --peer-python away: maskline then makes an environment of its own"))
}

/// Where the environment of a program is, or will be.
struct Shelf<'a> {
    cache: Cache,
    key: Key,
    program: Program,
    options: &'a EnvironmentOptions,
}

impl Shelf<'_> {
    fn make(&self) -> Result<Entry> {
        self.cache.get_or_build(&self.key, |folder| make(folder, self.program, self.options))
    }

    /// The environment, made now or again if need be, and what it has.
    fn working(&self, scripts: &Scripts) -> Result<(Entry, Facts)> {
        let program = self.program;
        let look = |entry: &Entry| python::facts(&python::of_environment(&entry.path), program, scripts);
        let entry = self.make()?;
        if let Ok(facts) = look(&entry)
            && facts.missing.is_empty()
        {
            return Ok((entry, facts));
        }
        let is_old = !entry.built;
        let path = entry.path.clone();
        // Its lock would keep ourselves from removing it.
        drop(entry);
        self.cache.remove(&self.key)?;
        let broken = |reason: String| {
            let message = format!("the environment of {program} does not work, though pip installed it\n  in   {}", path.display());
            Error::new(ErrorKind::Install, message).log(&[reason])
        };
        if !is_old {
            return Err(broken("it was removed again".into()));
        }
        self.options.tell(&format!("the environment of {program} does not work any more: it is made again"));
        let entry = self.make()?;
        let facts = look(&entry).map_err(|lines| broken(lines.join(" ")))?;
        if facts.missing.is_empty() { Ok((entry, facts)) } else { Err(broken(format!("it lacks {}", facts.missing.join(", ")))) }
    }
}

/// Makes an environment in an empty folder, which is renamed afterwards: its interpreter does not mind, only the scripts that packages
/// install do, and nobody calls those.
fn make(folder: &Path, program: Program, options: &EnvironmentOptions) -> Result<()> {
    let packages = program.packages();
    if options.offline {
        let message = format!("the environment of {program} is not in {} and fetching is switched off (offline)", options.folder.display());
        return Err(Error::new(ErrorKind::Offline, message)
            .help("run once with the network, or name a Python that has the packages with --peer-python"));
    }
    let maker = python::maker(options.maker.as_deref())?;
    options.tell(&format!("making an environment for {program}, once: {}", packages.size));
    python::output_of(python::isolated(&maker).args(["-m", "venv"]).arg(folder)).map_err(|lines| {
        let message = format!("{} could not make a virtual environment", maker.display());
        Error::new(ErrorKind::NoPython, message).log(&lines).help("install Python's venv module (on Debian: python3-venv)")
    })?;
    let list = folder.join("requirements.txt");
    std::fs::write(&list, packages.requirements).map_err(|error| Error::io(&list, &error))?;
    let mut pip = python::isolated(&python::of_environment(folder));
    pip.args(["-m", "pip", "install", "--no-deps", "--no-user", "--no-input", "--no-cache-dir", "--prefer-binary"]);
    pip.args(["--disable-pip-version-check", "--progress-bar=off", "--requirement"]).arg(&list);
    for variable in PIP_PLACES {
        pip.env_remove(variable);
    }
    // What a crash leaves of a download then goes with the unfinished environment.
    let downloads = folder.join("downloads");
    std::fs::create_dir(&downloads).map_err(|error| Error::io(&downloads, &error))?;
    pip.env("TMPDIR", &downloads);
    python::output_of(&mut pip).map_err(|lines| {
        Error::new(ErrorKind::Install, format!("pip could not install the packages of {program}"))
            .log(&lines)
            .help("look at the network and the disk, or name a Python that has the packages with --peer-python")
    })?;
    std::fs::remove_dir_all(&downloads).map_err(|error| Error::io(&downloads, &error))?;
    options.tell(&format!("the environment of {program} is ready"));
    Ok(())
}
