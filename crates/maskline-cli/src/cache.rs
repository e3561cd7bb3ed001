//! `maskline cache`.

use std::time::{Duration, SystemTime};

use maskline::ErrorKind;
use maskline::runtime::{Cache, PruneOptions, cache_limit, check_home, home_dir};
use serde_json::{Value, json};

use crate::args;
use crate::failure::Failure;
use crate::pictures::shown;
use crate::terminal;

pub(crate) fn cache(command: &args::Cache) -> Result<(), Failure> {
    let home = home_dir();
    check_home(&home)?;
    let cache = Cache::new(home.join("bundles"));
    match command {
        args::Cache::Du(json) => du(&cache, json.json),
        args::Cache::Prune { all, older_than, max_size, dry_run } => {
            if !all && older_than.is_none() && max_size.is_none() {
                return Err(Failure::new(ErrorKind::InvalidOption, "say what to prune: --all, --older-than DAYS or --max-size MB"));
            }
            let day = Duration::from_secs(24 * 60 * 60);
            let pruned = cache.prune(&PruneOptions {
                all: *all,
                older_than: older_than.map(|days| day.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX))),
                max_bytes: max_size.map(|megabytes| megabytes.saturating_mul(1_000_000)),
                dry_run: *dry_run,
            })?;
            let verb = if *dry_run { "would remove" } else { "removed" };
            terminal::say(&format!("{verb} {} models, {:.1} MB; {} in use", pruned.entries, pruned.bytes as f64 / 1e6, pruned.in_use));
            Ok(())
        }
    }
}

fn du(cache: &Cache, as_json: bool) -> Result<(), Failure> {
    let limit = cache_limit()?;
    let entries = cache.entries()?;
    let total: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let rows = entries.iter().map(|entry| {
        let manifest: Value =
            std::fs::read(entry.path.join("manifest.json")).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let name = manifest["info"]["architecture"].as_str().unwrap_or("?").to_string();
        let days = SystemTime::now().duration_since(entry.last_used).unwrap_or_default().as_secs() as f64 / 86400.0;
        (entry, name, days)
    });
    if as_json {
        let entries: Vec<Value> = rows
            .map(|(entry, name, days)| json!({"key": entry.key, "path": shown(&entry.path), "architecture": name, "bytes": entry.bytes, "unused_days": days}))
            .collect();
        return terminal::print(&format!("{}\n", json!({"root": shown(cache.root()), "bytes": total, "limit": limit, "entries": entries})));
    }
    let mut table = terminal::table(&["model", "MB", "unused for", "key"]);
    for (entry, name, days) in rows {
        table.add_row([name, format!("{:.1}", entry.bytes as f64 / 1e6), format!("{days:.1} days"), entry.key.clone()]);
    }
    let bound = match limit {
        Some(bytes) => format!("of at most {:.0} MB (MASKLINE_CACHE_MAX)", bytes as f64 / 1e6),
        None => "without a limit (MASKLINE_CACHE_MAX)".into(),
    };
    terminal::print(&format!("{table}\n{:.1} MB {bound} in {}\n", total as f64 / 1e6, cache.root().display()))
}
