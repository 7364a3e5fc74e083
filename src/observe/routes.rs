//! What the admin port answers to which path.

use axum::Router;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::access::{Access, Peer, Verdict};
use super::commands;
use super::events::Events;
use super::history;
use super::metrics::TEXT_FORMAT;
use super::observer::Observer;
use super::probes;
use super::status::Status;
use crate::page;

const TEXT: &str = "text/plain; charset=utf-8";

/// All paths. Metrics, probes and the page, which holds nothing of this gateway, are for everybody; the rest goes through
/// [`Access`].
pub(super) fn router(observer: Observer, access: Access, events: Events) -> Router {
    let commands = commands::router()
        .route_layer(middleware::from_fn_with_state(access.clone(), guard_commands))
        .with_state(observer.desk());
    let guarded = Router::new()
        .route("/status", get(status))
        .route("/events", get(async move || events.listen()))
        .route_layer(middleware::from_fn_with_state(access, guard));
    Router::new()
        .route("/", get(entrance))
        .route("/page/{file}", get(file))
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .merge(guarded)
        .fallback(not_found)
        .with_state(observer)
        .merge(commands)
}

async fn guard(
    State(access): State<Access>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    match access.to_look(peer, request.headers()).await {
        Verdict::Granted => next.run(request).await,
        Verdict::TokenMissing => {
            let text = "From another machine this needs the admin token: Authorization: Bearer TOKEN.\n";
            let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            (challenge, answer(StatusCode::UNAUTHORIZED, TEXT, text.to_owned())).into_response()
        }
        Verdict::LocalOnly => {
            let text = "This is shown to the machine itself, or with a token, and no admin.token_file is configured.\n\
                        Open to all: / /metrics /livez /readyz /startupz\n";
            answer(StatusCode::FORBIDDEN, TEXT, text.to_owned())
        }
    }
}

async fn guard_commands(
    State(access): State<Access>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (status, error) = match access.to_command(peer, request.headers()).await {
        Verdict::Granted => return next.run(request).await,
        Verdict::TokenMissing => {
            (StatusCode::UNAUTHORIZED, "commands need the admin token: Authorization: Bearer TOKEN")
        }
        Verdict::LocalOnly => (
            StatusCode::FORBIDDEN,
            "commands come over the socket admin.sock in the queue's directory, or with a token, and no admin.token_file is \
             configured",
        ),
    };
    commands::refuse(status, error)
}

/// The page for browsers, and what there is for everything else.
async fn entrance(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") { shown(&page::INDEX) } else { pointer() }
}

async fn file(Path(name): Path<String>) -> Response {
    match page::file(&name) {
        Some(file) => shown(file),
        None => not_found().await,
    }
}

fn shown(file: &page::File) -> Response {
    let mut response = answer(StatusCode::OK, file.media, file.text.to_owned());
    for (name, value) in page::HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn pointer() -> Response {
    let text = format!(
        "spillway {}\n\n\
         /          the page, in a browser\n\
         /status    everything, as JSON; ?recount=true recounts the queue first, ?history=true adds the last 15 minutes\n\
         /events    the same as it changes, as server-sent events\n\
         /metrics   for Prometheus\n\
         /readyz    fails while recovering, draining, poisoned or stopping\n\
         /livez     fails when the runtime has not turned for a minute\n\
         /startupz  passes once the queue is recovered\n",
        env!("CARGO_PKG_VERSION")
    );
    answer(StatusCode::OK, TEXT, text)
}

/// What may be asked of `/status`.
#[derive(Debug, Deserialize)]
struct Ask {
    /// Recount the queue before answering.
    #[serde(default)]
    recount: bool,
    /// Add the last 15 minutes.
    #[serde(default)]
    history: bool,
}

/// The answer to it.
#[derive(Debug, Serialize)]
struct Answered {
    #[serde(flatten)]
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<history::Told>,
}

async fn status(State(observer): State<Observer>, Query(ask): Query<Ask>) -> Response {
    if ask.recount {
        // What came of it is in the status.
        let _ = observer.recount().await;
    }
    let look = move || {
        let status = observer.status();
        let history = ask.history.then(|| observer.history());
        serde_json::to_string_pretty(&Answered { status, history })
    };
    let written = off_the_loop(look).await;
    match written {
        Some(Ok(json)) => answer(StatusCode::OK, "application/json", json + "\n"),
        Some(Err(error)) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        None => broken(),
    }
}

async fn metrics(State(observer): State<Observer>) -> Response {
    match off_the_loop(move || observer.scrape()).await {
        Some(Ok(text)) => answer(StatusCode::OK, TEXT_FORMAT, text),
        Some(Err(error)) => answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        None => broken(),
    }
}

async fn livez(State(observer): State<Observer>) -> Response {
    say(probes::livez(observer.silence()))
}

async fn startupz(State(observer): State<Observer>) -> Response {
    say(probes::startupz(observer.phase()))
}

async fn readyz(State(observer): State<Observer>) -> Response {
    let phase = observer.phase();
    match off_the_loop(move || observer.store_state()).await {
        Some(store) => say(probes::readyz(phase, store)),
        None => broken(),
    }
}

async fn not_found() -> Response {
    let text = "There is nothing here. / /metrics /livez /readyz /startupz /status\n";
    answer(StatusCode::NOT_FOUND, TEXT, text.to_owned())
}

/// Runs what may wait for a lock or a disk on a thread of its own. `None` when it panicked.
async fn off_the_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

fn say((status, text): probes::Answer) -> Response {
    answer(status, TEXT, text)
}

fn broken() -> Response {
    answer(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "A snapshot failed; the log says how.\n".to_owned())
}

fn answer(status: StatusCode, media: &'static str, body: String) -> Response {
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let headers = [
        fixed(header::CONTENT_TYPE, media),
        fixed(header::CACHE_CONTROL, "no-store"),
        fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}
