//! What a person asks and commands, as a small JSON API: `GET /queue/…` looks, `POST /commands/…` changes.
//!
//! One implementation, two ways in: the admin port and socket of a running gateway serve this router, and a tool that opened
//! the queue itself calls it in process. Every request is bounded; whoever wants much asks again and again with the key
//! that the last answer named. An error is `{"error": "a sentence"}`. `docs/tools.md` describes the paths.

mod dead;
mod delivery;
mod intake;
mod queue;
pub mod wire;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deliver::Deliver;
use crate::queue::{Queue, QueueError};

/// Longest request, in bytes: an import of one largest batch in base64.
const LONGEST: usize = 128 << 20;

/// What commands are about: the queue, once it is open, and delivery, once it runs.
#[derive(Clone, Default)]
pub struct Desk(Arc<Works>);

#[derive(Default)]
struct Works {
    queue: OnceLock<Queue>,
    delivery: OnceLock<Arc<Deliver>>,
}

impl Desk {
    /// A desk for a queue that is open.
    pub fn of(queue: Queue) -> Desk {
        let desk = Desk::default();
        desk.open(queue);
        desk
    }

    /// The queue is open. Only the first call counts.
    pub fn open(&self, queue: Queue) {
        let _ = self.0.queue.set(queue);
    }

    /// Delivery runs. Only the first call counts.
    pub fn deliver(&self, delivery: Arc<Deliver>) {
        let _ = self.0.delivery.set(delivery);
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// All paths.
pub fn router() -> Router<Desk> {
    Router::new()
        .route("/queue/stats", get(queue::stats))
        .route("/queue/batches", get(queue::batches))
        .route("/queue/records", get(queue::records))
        .route("/queue/verify", get(queue::verify))
        .route("/queue/dead", get(dead::letters))
        .route("/queue/imported", get(queue::imported))
        .route("/commands/queue/purge", post(queue::purge))
        .route("/commands/queue/import", post(queue::import))
        .route("/commands/queue/sync", post(queue::sync))
        .route("/commands/dead/replay", post(dead::replay))
        .route("/commands/dead/purge", post(dead::purge))
        .route("/commands/delivery", post(delivery::command))
        .route("/commands/intake", post(intake::intake))
        .layer(DefaultBodyLimit::max(LONGEST))
}

/// The answer to a request that is not let in.
pub(super) fn refuse(status: StatusCode, error: &str) -> Response {
    Refusal::new(status, error).into_response()
}

/// Why a request is not carried out.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    error: String,
    /// When the same may be carried out; sent as `Retry-After`.
    retry_after: Option<Duration>,
}

impl Refusal {
    fn new(status: StatusCode, error: impl std::fmt::Display) -> Refusal {
        Refusal { status, error: error.to_string(), retry_after: None }
    }

    fn wrong(what: impl std::fmt::Display) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, what)
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Refusal {
        match &error {
            QueueError::Store(cause) => {
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format_args!("{error}: {cause}"))
            }
            QueueError::Overtaken => Refusal::new(StatusCode::CONFLICT, error),
            QueueError::Full { retry_after } => {
                let retry_after = Some(*retry_after);
                Refusal { retry_after, ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error) }
            }
            _ => Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal { status, error, retry_after } = self;
        let mut response = (status, json(&wire::Refused { error })).into_response();
        if let Some(delay) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, delay.as_secs().max(1).into());
        }
        response
    }
}

type Answer<T> = Result<Json<T>, Refusal>;

/// A body of JSON, in either direction.
struct Json<T>(T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json(&self.0)
    }
}

fn json(value: &impl Serialize) -> Response {
    let text = serde_json::to_vec(value).expect("plain data can be written as JSON");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, text).into_response()
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Json<T>, Refusal> {
        let body = Bytes::from_request(request, state).await.map_err(Refusal::wrong)?;
        serde_json::from_slice(&body).map(Json).map_err(Refusal::wrong)
    }
}

/// The query of a path.
struct Ask<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Ask<T>, Refusal> {
        Query::from_request_parts(parts, state).await.map(|Query(ask)| Ask(ask)).map_err(Refusal::wrong)
    }
}

/// The queue, once it is open.
struct Open(Queue);

impl FromRequestParts<Desk> for Open {
    type Rejection = Refusal;

    async fn from_request_parts(_: &mut Parts, desk: &Desk) -> Result<Open, Refusal> {
        let recovering = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the queue is being recovered");
        desk.0.queue.get().cloned().map(Open).ok_or_else(recovering)
    }
}

/// Delivery, once it runs; never offline.
struct Running(Arc<Deliver>);

impl FromRequestParts<Desk> for Running {
    type Rejection = Refusal;

    async fn from_request_parts(_: &mut Parts, desk: &Desk) -> Result<Running, Refusal> {
        let idle = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "delivery does not run yet");
        desk.0.delivery.get().cloned().map(Running).ok_or_else(idle)
    }
}
