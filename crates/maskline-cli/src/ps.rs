//! `maskline ps` and `maskline stop`: what a running server is doing, and its end.

use std::time::Duration;

use clap::Args;
use maskline::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::terminal;

/// No server that is there takes longer to say how it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which server.
#[derive(Debug, Args)]
pub(crate) struct Peer {
    /// The server.
    #[arg(long, env = "MASKLINE_URL", default_value = "http://127.0.0.1:8000")]
    url: String,
    /// Key that the server wants.
    #[arg(long, env = "MASKLINE_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    #[command(flatten)]
    peer: Peer,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Say nothing, and end with exit code 1 where the server is not ready: for health checks.
    #[arg(long, conflicts_with = "json")]
    ready: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Unload only this model.
    model: Option<String>,
    #[command(flatten)]
    peer: Peer,
}

impl Peer {
    /// Asks the server; `body` is posted where there is one.
    fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.url.trim_end_matches('/'));
        // What stands in the environment for others is not for a server of one's own.
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).proxy(None).build();
        let agent = ureq::Agent::new_with_config(config);
        let key = self.api_key.as_ref().map(|key| format!("Bearer {key}"));
        let sent = match body {
            Some(body) => {
                let request = agent.post(&url).header("content-type", "application/json");
                let request = if let Some(key) = key { request.header("authorization", key) } else { request };
                request.send(body.to_string())
            }
            None => {
                let request = agent.get(&url);
                if let Some(key) = key { request.header("authorization", key) } else { request }.call()
            }
        };
        let unreachable = |error: ureq::Error| {
            let new = Error::new(ErrorKind::Unavailable, format!("no server answers at {}: {error}", self.url));
            new.with_help("start one: maskline serve; or name it: --url")
        };
        let mut response = sent.map_err(unreachable)?;
        let text = response.body_mut().read_to_string().map_err(unreachable)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if response.status().is_success() {
            return Ok(answer);
        }
        let said = answer["detail"].as_str().or(answer["error"].as_str()).unwrap_or("it does not say why");
        let error = Error::new(ErrorKind::Failed, format!("{url} answers {}: {said}", response.status()));
        Err(answer["help"].as_str().map_or(error.clone(), |help| error.with_help(help)).into())
    }
}

/// `maskline ps`.
pub(crate) fn ps(arguments: &Ps) -> Result<(), Failure> {
    if arguments.ready {
        return arguments.peer.ask("/v2/health/ready", None).map(drop);
    }
    let answer = arguments.peer.ask("/v1/server", None)?;
    if arguments.json {
        return terminal::print(&format!("{answer}\n"));
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut table = terminal::table(&["model", "state", "provider", "under way", "idle", "why"]);
    for model in answer["models"].as_array().into_iter().flatten() {
        table.add_row([
            text(&model["name"]),
            text(&model["state"]),
            model["provider"].as_str().unwrap_or("").to_owned(),
            text(&model["under_way"]),
            model["idle_s"].as_f64().map_or_else(String::new, |seconds| format!("{seconds:.0} s")),
            model["reason"].as_str().unwrap_or("").to_owned(),
        ]);
    }
    let seconds = answer["uptime_s"].as_f64().unwrap_or(0.0);
    let memory = answer["memory"]["resident"].as_f64().map_or_else(String::new, |bytes| format!(", {:.0} MB", bytes / 1e6));
    let head = format!(
        "maskline {} at {}: {}, pid {}, up {seconds:.0} s{memory}",
        text(&answer["version"]),
        arguments.peer.url,
        text(&answer["state"]),
        text(&answer["pid"])
    );
    terminal::say(&head);
    terminal::print(&format!("{table}\n"))
}

/// `maskline stop`.
pub(crate) fn stop(arguments: &Stop) -> Result<(), Failure> {
    let path = match &arguments.model {
        Some(model) => format!("/v1/models/{model}/unload"),
        None => "/v1/server/stop".to_owned(),
    };
    arguments.peer.ask(&path, Some(&json!({})))?;
    terminal::say(&match &arguments.model {
        Some(model) => format!("{model} is unloaded"),
        None => "ending: what was accepted is finished".into(),
    });
    Ok(())
}
