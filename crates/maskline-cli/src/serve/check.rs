//! `maskline serve --check`: what holds, from where, and whether it could be served.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use maskline_server::ServerOptions;

use super::settings::Settings;
use crate::failure::Failure;
use crate::terminal;

/// What was said, and where.
pub(super) struct Told<'a> {
    pub(super) settings: &'a Settings,
    pub(super) matches: &'a ArgMatches,
    pub(super) file: Option<&'a Path>,
}

/// Prints what holds.
///
/// # Errors
/// What would keep the server from starting.
pub(super) fn check(options: &ServerOptions, told: &Told<'_>) -> Result<(), Failure> {
    options.check()?;
    let mut table = terminal::table(&["setting", "value", "from"]);
    let names: Vec<&str> = options.models.iter().map(|model| model.name.as_str()).collect();
    table.add_row(["models", &names.join(", "), ""]);
    for setting in told.settings.list() {
        let from = match (&setting.value, told.matches.value_source(setting.id)) {
            (None, _) => "default".to_owned(),
            (_, Some(ValueSource::CommandLine)) => "flag".to_owned(),
            (_, Some(ValueSource::EnvVariable)) => "environment".to_owned(),
            _ => told.file.map_or_else(|| "file".to_owned(), |file| file.display().to_string()),
        };
        let value = setting.value.or_else(|| usual(told.matches, setting.id)).unwrap_or_default();
        table.add_row([setting.name, value, from]);
    }
    terminal::print(&format!("{table}\n"))
}

/// The default, as the flag's help tells it.
fn usual(_: &ArgMatches, id: &str) -> Option<String> {
    use clap::CommandFactory;
    let command = crate::args::Arguments::command();
    let serve = command.get_subcommands().find(|command| command.get_name() == "serve")?;
    let argument = serve.get_arguments().find(|argument| argument.get_id() == id)?;
    let help = argument.get_help()?.to_string();
    let (_, rest) = help.split_once("[default: ")?;
    Some(rest.split(']').next()?.to_owned())
}
