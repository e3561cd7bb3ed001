//! Names of classes and functions in a pickle: which of them can only mean an attack.

use super::value::Global;
use crate::error::{Error, ErrorKind};

/// Top-level modules of which no checkpoint has an honest use: they start processes, load code, or reach files and networks.
const MODULES: &[&str] = &[
    "_ctypes",
    "_io",
    "_pickle",
    "_posixsubprocess",
    "_socket",
    "_thread",
    "_winapi",
    "_xxsubinterpreters",
    "aiohttp",
    "asyncio",
    "bdb",
    "cProfile",
    "cffi",
    "cloudpickle",
    "codeop",
    "ctypes",
    "dill",
    "distutils",
    "doctest",
    "ftplib",
    "http",
    "httplib",
    "httpx",
    "idlelib",
    "imp",
    "importlib",
    "io",
    "joblib",
    "linecache",
    "marshal",
    "mmap",
    "multiprocessing",
    "nt",
    "os",
    "pdb",
    "pickle",
    "pip",
    "pkgutil",
    "platform",
    "popen2",
    "posix",
    "pty",
    "pydoc",
    "requests",
    "runpy",
    "setuptools",
    "shelve",
    "shutil",
    "signal",
    "smtplib",
    "socket",
    "ssl",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "timeit",
    "urllib",
    "urllib2",
    "venv",
    "webbrowser",
    "winreg",
    "zipimport",
];

/// Dangerous members of modules that honest checkpoints use too. `getattr` is missing here: see [`is_method_look_up`].
const MEMBERS: &[(&[&str], &[&str])] = &[
    (
        &["builtins", "__builtin__"],
        &[
            "__import__",
            "apply",
            "breakpoint",
            "compile",
            "delattr",
            "eval",
            "exec",
            "execfile",
            "exit",
            "file",
            "globals",
            "help",
            "input",
            "locals",
            "open",
            "quit",
            "raw_input",
            "reload",
            "setattr",
            "vars",
        ],
    ),
    (&["types"], &["CodeType", "FunctionType", "LambdaType", "MethodType", "ModuleType"]),
    (&["operator", "_operator"], &["attrgetter", "call", "itemgetter", "methodcaller"]),
    (&["functools"], &["reduce"]),
    (&["code"], &["InteractiveConsole", "InteractiveInterpreter", "compile_command", "interact"]),
    (&["commands"], &["getoutput", "getstatusoutput"]),
    (&["profile", "trace"], &["Profile", "Trace", "run", "runctx"]),
    (&["torch"], &["load", "compile"]),
    (&["torch.serialization"], &["load", "_load", "_legacy_load"]),
    (&["torch.hub"], &["load", "_load_local", "download_url_to_file", "load_state_dict_from_url"]),
    (&["torch.utils.cpp_extension"], &["load", "load_inline"]),
    (&["numpy"], &["load", "fromfile", "save", "savez", "memmap"]),
    (&["numpy.testing._private.utils", "numpy.testing"], &["runstring", "rundocs"]),
    (&["logging.config"], &["dictConfig", "fileConfig", "listen"]),
];

/// The error for a global that is only in a pickle to run code, if it is one.
pub(super) fn refuse(global: &Global<'_>) -> Option<Error> {
    let path = format!("{}.{}", global.module, global.name);
    is_dangerous(&path).then(|| would_run(&path))
}

fn is_dangerous(path: &str) -> bool {
    let top = path.split('.').next().unwrap_or(path);
    // Protocol 4 allows dotted names, so the border between module and member may be anywhere …
    let mut borders = path.match_indices('.').map(|(border, _)| (&path[..border], &path[border + 1..]));
    let is_listed =
        |module: &str, member: &str| MEMBERS.iter().any(|(modules, members)| modules.contains(&module) && members.contains(&member));
    MODULES.contains(&top) || borders.any(|(module, member)| is_listed(module, member)) || reaches_through(path)
}

/// … and a harmless module may be named to reach one that it imports: `torch` `serialization.os.system`.
fn reaches_through(path: &str) -> bool {
    let hidden = |part: &str| matches!(part, "builtins" | "os" | "posix" | "nt" | "subprocess" | "sys" | "shutil" | "socket");
    path.split('.').skip(1).any(|part| hidden(part) || part.starts_with("__"))
}

pub(super) fn would_run(what: &str) -> Error {
    let message = format!("this file would run `{what}` when loaded by PyTorch; maskline never executes anything, and refuses it");
    Error::new(ErrorKind::Unsafe, message).with_help("do not load it anywhere; get the checkpoint from its official source")
}

/// `builtins.getattr`, which pickles of protocol 2 use for methods. It cannot be refused as such: the YOLOv8 segmentation and
/// pose heads kept `self.detect = Detect.forward` for a long time, so their checkpoints hold `getattr(Detect, "forward")`.
pub(super) fn is_getattr(global: &Global<'_>) -> bool {
    matches!(global.module.as_ref(), "builtins" | "__builtin__") && global.name == "getattr"
}

/// Whether the second argument of `getattr` is an ordinary method name. Reaching for `__globals__` and the like is an attack.
pub(super) fn is_method_look_up(name: &str) -> bool {
    !name.starts_with("__") && !MODULES.contains(&name) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
