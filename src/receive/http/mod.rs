//! OTLP/HTTP: protobuf and JSON on one port, told apart by their content type.
//!
//! Source: OTLP specification, "OTLP/HTTP". axum routes; the body is left alone until the request is admitted, so no
//! extractor touches it.

mod reply;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, Uri};
use http_body::Body as _;

use super::accept::{Call, Gate, Source, accept};
use super::admission::Room;
use super::body::{Chunks, Limits, within};
use super::budget::Budget;
use super::refusal::Refusal;
use super::stats::Transport;
use crate::batch::{Encoding, Signal};
use crate::otlp::media::Media;

/// The routes of the HTTP door. Each request has its connection's [`Budget`] among its extensions.
pub(super) fn router(gate: Arc<Gate>) -> Router {
    let route = |router: Router<Arc<Gate>>, signal: Signal| {
        let export = move |State(gate): State<Arc<Gate>>, Extension(connection): Extension<Arc<Budget>>, request| async move {
            export(&gate, signal, connection, request).await
        };
        router.route(signal.http_path(), post(export))
    };
    Signal::ALL
        .into_iter()
        .fold(Router::new(), route)
        .method_not_allowed_fallback(|method: Method, headers: HeaderMap| async move {
            reply::wrong_method(&method, media_or_json(&headers))
        })
        .fallback(|uri: Uri, headers: HeaderMap| async move { reply::wrong_path(uri.path(), media_or_json(&headers)) })
        .with_state(gate)
}

async fn export(gate: &Gate, signal: Signal, connection: Arc<Budget>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let media = media_or_json(&head.headers);
    let call = Call {
        transport: Transport::Http,
        signal,
        form: form(&head.headers),
        deadline: None,
        headers: head.headers,
        connection,
        source: Plain(body),
    };
    match accept(gate, call).await {
        Ok(()) => reply::success(media),
        Err(refusal) => reply::refused(&refusal, media),
    }
}

/// What the headers say of the body.
fn form(headers: &HeaderMap) -> Result<(Media, Encoding), Refusal> {
    let media = media(headers)
        .ok_or_else(|| Refusal::Media { name: headers.get(CONTENT_TYPE).map(Refusal::quote).unwrap_or_default() })?;
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok((media, Encoding::Identity)) };
    // Encodings applied one after the other, in one header or several, are none that is taken.
    let single = headers.get_all(CONTENT_ENCODING).iter().count() == 1;
    let known = value.to_str().ok().and_then(Encoding::from_wire).filter(|_| single);
    known.map(|encoding| (media, encoding)).ok_or_else(|| Refusal::Encoding { name: Refusal::quote(value) })
}

fn media(headers: &HeaderMap) -> Option<Media> {
    Media::from_content_type(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}

/// The encoding of an answer: the request's, and JSON, which people can read, where the request has none.
fn media_or_json(headers: &HeaderMap) -> Media {
    media(headers).unwrap_or(Media::Json)
}

/// A body without frames of its own.
struct Plain(Body);

impl Source for Plain {
    async fn read(self, encoding: Encoding, limits: Limits, room: &mut Room<'_>) -> Result<(Bytes, Encoding), Refusal> {
        // The length that the client announced; a body in chunks has none.
        let expected = self.0.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let body = within(limits.time, Chunks::new(self.0).whole(expected, limits.size, room)).await?;
        Ok((body, encoding))
    }
}
