//! Everything that is asked for over HTTP: one table of routes, which the
//! router, the description and the tests read.

mod metrics;
mod pictures;
mod stream;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, patch, post};
use axum::{Router, middleware};
use laterna_control::{Change, Command};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::reply::{Problem, json, typed};
use crate::server::{Count, Shared};
use crate::{guard, page, socket};

const OPENAPI: &str = include_str!("openapi.json");

/// What is served and described.
fn routes() -> [(Method, &'static str, MethodRouter<Arc<Shared>>); 10] {
    [
        (Method::GET, "/api/v1/state", get(state)),
        (Method::GET, "/api/v1/stats", get(statistics)),
        (Method::PATCH, "/api/v1/controls", patch(controls)),
        (Method::POST, "/api/v1/command", post(command)),
        (Method::GET, "/api/v1/frame.jpg", get(pictures::jpeg)),
        (Method::GET, "/api/v1/frame.png", get(pictures::png)),
        (Method::GET, "/api/v1/stream.mjpg", get(stream::mjpeg)),
        (Method::GET, "/api/v1/openapi.json", get(openapi)),
        (Method::GET, "/healthz", get(health)),
        (Method::GET, "/metrics", get(metrics::metrics)),
    ]
}

/// Everything that the server answers to.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let api = routes()
        .into_iter()
        .fold(Router::new(), |router, (_, path, method)| router.route(path, method));
    api.route("/", get(page::index))
        .route("/assets/{name}", get(page::part))
        .route("/ws", get(socket::upgrade))
        .fallback(absent)
        .method_not_allowed_fallback(other_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::check))
        .with_state(shared)
}

async fn absent(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
        .hint("/api/v1/openapi.json lists everything")
}

async fn other_method(method: Method, uri: Uri) -> Problem {
    let error = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, error)
        .hint("/api/v1/openapi.json lists everything")
}

async fn openapi() -> Response {
    typed("application/json", OPENAPI)
}

async fn health() -> Response {
    typed("text/plain; charset=utf-8", "ok\n")
}

async fn state(State(shared): State<Arc<Shared>>) -> Response {
    json(&shared.app.state())
}

async fn statistics(State(shared): State<Arc<Shared>>) -> Response {
    json(&shared.app.statistics())
}

/// Answers with the controls as they are then.
async fn controls(State(shared): State<Arc<Shared>>, body: Body) -> Result<Response, Problem> {
    let change: Change = read(&shared, body).await?;
    shared.command(Command::Set(change)).await?;
    Ok(json(&shared.app.state().controls))
}

async fn command(State(shared): State<Arc<Shared>>, body: Body) -> Result<Response, Problem> {
    let command: Command = read(&shared, body).await?;
    shared.command(command).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A body as JSON, within the limits of size and time.
async fn read<T: DeserializeOwned>(shared: &Shared, body: Body) -> Result<T, Problem> {
    let limits = shared.limits;
    let Ok(bytes) = timeout(limits.patience, to_bytes(body, limits.text_bytes)).await else {
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"));
    };
    let bytes = bytes.map_err(|_| {
        let error = format!("the body has more than {} bytes or broke off", limits.text_bytes);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        shared.count(Count::Malformed);
        Problem::new(StatusCode::BAD_REQUEST, format!("the body: {error}"))
            .hint("/api/v1/openapi.json says what is understood")
    })
}

#[cfg(test)]
mod tests {
    use laterna_control::{Controls, Fit, ModelChoice};
    use serde_json::{Value, json};

    use super::*;

    fn description() -> Value {
        serde_json::from_str(OPENAPI).unwrap()
    }

    fn keys(value: &Value) -> Vec<String> {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let description = description();
        let paths = description["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, methods)| {
            keys(methods).into_iter().map(move |method| format!("{method} {path}"))
        });
        let mut described: Vec<_> = described.collect();
        let mut served: Vec<_> = routes()
            .iter()
            .map(|(method, path, _)| format!("{} {path}", method.as_str().to_lowercase()))
            .collect();
        described.sort();
        served.sort();
        assert_eq!(described, served);
    }

    #[test]
    fn the_description_has_every_control_with_its_range() {
        let schemas = &description()["components"]["schemas"];
        let controls = serde_json::to_value(Controls::default()).unwrap();
        let described = &schemas["Controls"]["properties"];
        assert_eq!(keys(described), keys(&controls));
        let numbers = controls.as_object().unwrap().iter().filter(|(_, value)| value.is_number());
        for (name, _) in numbers.filter(|(name, _)| *name != "seed") {
            for (bound, step) in [("minimum", -0.01), ("maximum", 0.01)] {
                let bound = described[name][bound].as_f64().unwrap_or_else(|| panic!("{name}"));
                let set = |value: f64| {
                    let change: Change = serde_json::from_value(json!({ name: value })).unwrap();
                    change.applied(&Controls::default())
                };
                assert!(set(bound).is_ok(), "{name} {bound}");
                assert!(set(bound + step).is_err(), "{name} {bound}");
            }
        }
    }

    #[test]
    fn the_description_has_every_command() {
        let all = [
            Command::Set(Change::default()),
            Command::NextPrompt,
            Command::PreviousPrompt,
            Command::ChoosePrompt(0),
            Command::Source(String::new()),
            Command::Model(ModelChoice { name: String::new(), loras: vec![] }),
            Command::Look,
            Command::Reset,
            Command::Snapshot,
            Command::Record(true),
            Command::Quit,
        ];
        let mut named: Vec<_> = all
            .iter()
            .map(|command| match serde_json::to_value(command).unwrap() {
                Value::String(name) => name,
                object => keys(&object).remove(0),
            })
            .collect();
        // A new command does not compile until it is looked at here.
        all.iter().for_each(|command| match command {
            Command::Set(_) | Command::NextPrompt | Command::PreviousPrompt => {}
            Command::ChoosePrompt(_) | Command::Source(_) | Command::Model(_) => {}
            Command::Look | Command::Reset | Command::Snapshot => {}
            Command::Record(_) | Command::Quit => {}
        });
        let description = description();
        let choices = description["components"]["schemas"]["Command"]["oneOf"].as_array().unwrap();
        let mut described: Vec<_> = choices
            .iter()
            .flat_map(|choice| match choice["enum"].as_array() {
                Some(names) => names.iter().map(|name| name.as_str().unwrap().into()).collect(),
                None => keys(&choice["properties"]),
            })
            .collect();
        named.sort();
        described.sort();
        assert_eq!(described, named);
        let fits =
            description["components"]["schemas"]["Controls"]["properties"]["fit"]["enum"].clone();
        assert_eq!(fits, json!([Fit::Crop, Fit::Letterbox]));
    }
}
