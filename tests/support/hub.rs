//! A hub on the loopback: OTLP over gRPC and HTTP on one port, with an account of what it got outside the gateway.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Inflater;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::items;

/// How the hub answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// OK.
    #[default]
    Accept,
    /// That HTTP status over HTTP, that gRPC status over gRPC.
    Refuse(u16, u8),
}

/// A hub that can be away.
pub(crate) struct Hub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    mood: Mood,
    copies: HashMap<Signal, BTreeMap<u64, u32>>,
    plain: Vec<(Signal, Vec<u8>)>,
    forgets: bool,
    /// Distinct items in the order of their first arrival.
    order: Vec<(Signal, u64, bool)>,
    refused: u64,
    /// What a request has to show as `authorization`.
    token: Option<String>,
    /// Most bytes of a request once inflated.
    takes: Option<usize>,
    /// Requests with this item get no answer.
    hangs_on: Option<(Signal, u64)>,
    hung: u64,
    /// Requests with this item are refused, with 400 or INVALID_ARGUMENT.
    detests: Option<(Signal, u64)>,
}

impl Hub {
    /// Listens on a free port.
    pub(crate) async fn start() -> Hub {
        Hub::at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Listens at that address.
    pub(crate) async fn at(address: SocketAddr) -> Hub {
        let state = Arc::<Mutex<State>>::default();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Some(tokio::spawn(serve(listener, Arc::clone(&state))));
        Hub { address, state, serving }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets in only who shows that bearer token, from now on; others are answered 401 and UNAUTHENTICATED.
    pub(crate) fn asks_for(&self, token: &str) {
        self.state.lock().unwrap().token = Some(format!("Bearer {token}"));
    }

    /// Base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers in that way from now on.
    pub(crate) fn answer(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// Keeps no requests from now on: [`plain`](Hub::plain) tells of none.
    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().forgets = true;
    }

    /// Refuses requests of more bytes from now on, as a collector does: 400 over HTTP, RESOURCE_EXHAUSTED over gRPC.
    pub(crate) fn takes_at_most(&self, bytes: usize) {
        self.state.lock().unwrap().takes = Some(bytes);
    }

    /// Never answers a request that has this item.
    pub(crate) fn hangs_on(&self, signal: Signal, id: u64) {
        self.state.lock().unwrap().hangs_on = Some((signal, id));
    }

    /// Refuses nothing for what is in it, from now on.
    pub(crate) fn forgives(&self) {
        self.state.lock().unwrap().detests = None;
    }

    /// Refuses requests that have this item from now on.
    pub(crate) fn detests(&self, signal: Signal, id: u64) {
        self.state.lock().unwrap().detests = Some((signal, id));
    }

    /// Requests that got no answer.
    pub(crate) fn hung(&self) -> u64 {
        self.state.lock().unwrap().hung
    }

    /// Closes the port and cuts the connections.
    pub(crate) async fn take_away(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Listens again at the same address, unless it never went away.
    pub(crate) async fn bring_back(&mut self) {
        if self.serving.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.state))));
    }

    /// Copies of each item of that signal.
    pub(crate) fn copies(&self, signal: Signal) -> BTreeMap<u64, u32> {
        self.state.lock().unwrap().copies.get(&signal).cloned().unwrap_or_default()
    }

    /// Distinct items, all signals together.
    pub(crate) fn distinct(&self) -> u64 {
        self.state.lock().unwrap().copies.values().map(|copies| copies.len() as u64).sum()
    }

    /// Copies beyond the first, all signals together.
    pub(crate) fn duplicates(&self) -> u64 {
        self.state.lock().unwrap().copies.values().flat_map(BTreeMap::values).map(|copies| u64::from(copies - 1)).sum()
    }

    /// Requests that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.state.lock().unwrap().refused
    }

    /// Accepted requests as they were after inflation.
    pub(crate) fn plain(&self) -> Vec<(Signal, Vec<u8>)> {
        self.state.lock().unwrap().plain.clone()
    }

    /// Items in the order of their first arrival, and whether they came as a replay.
    pub(crate) fn order(&self) -> Vec<(Signal, u64, bool)> {
        self.state.lock().unwrap().order.clone()
    }

    /// The items of `acknowledged` that this hub does not have.
    pub(crate) fn missing(&self, acknowledged: &HashMap<Signal, BTreeSet<u64>>) -> Vec<(Signal, u64)> {
        let state = self.state.lock().unwrap();
        let has = |signal: &Signal, id: &u64| state.copies.get(signal).is_some_and(|copies| copies.contains_key(id));
        let all = acknowledged.iter().flat_map(|(signal, ids)| ids.iter().map(move |id| (*signal, *id)));
        all.filter(|(signal, id)| !has(signal, id)).collect()
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| export(request, Arc::clone(&state)));
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Answered = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

async fn export(request: Request<Incoming>, state: Arc<Mutex<State>>) -> Answered {
    let path = request.uri().path().to_owned();
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(|body| body.to_bytes()) else {
        return Ok(http_answer(StatusCode::BAD_REQUEST));
    };
    let grpc = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path);
    let http = Signal::ALL.into_iter().find(|signal| signal.http_path() == path);
    let Some(signal) = grpc.or(http) else {
        let known =
            head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        return Ok(if known { grpc_answer(12) } else { http_answer(StatusCode::NOT_FOUND) });
    };
    let token = state.lock().unwrap().token.clone();
    let shown = head.headers.get("authorization").and_then(|shown| shown.to_str().ok());
    if token.is_some_and(|token| shown != Some(&token)) {
        state.lock().unwrap().refused += 1;
        return Ok(if grpc.is_some() { grpc_answer(16) } else { http_answer(StatusCode::UNAUTHORIZED) });
    }
    let mood = state.lock().unwrap().mood;
    if let Mood::Refuse(status, code) = mood {
        state.lock().unwrap().refused += 1;
        return Ok(if grpc.is_some() { grpc_answer(code) } else { http_answer(StatusCode::from_u16(status).unwrap()) });
    }
    let (compressed, body) = if grpc.is_some() {
        (body[0] == 1, &body[5..])
    } else {
        (head.headers.contains_key("content-encoding"), &body[..])
    };
    let encoding = if compressed { Encoding::Gzip } else { Encoding::Identity };
    let plain = Inflater::new().inflate(encoding, body, 64 << 20).unwrap().bytes.to_vec();
    let replay = head.headers.contains_key("spillway-replay");
    let ids = items::ids(signal, &plain);
    let hangs_on = state.lock().unwrap().hangs_on;
    if hangs_on.is_some_and(|(hangs, id)| hangs == signal && ids.contains(&id)) {
        state.lock().unwrap().hung += 1;
        std::future::pending::<()>().await;
    }
    let mut state = state.lock().unwrap();
    if state.detests.is_some_and(|(detests, id)| detests == signal && ids.contains(&id)) {
        state.refused += 1;
        return Ok(if grpc.is_some() { grpc_answer(3) } else { http_answer(StatusCode::BAD_REQUEST) });
    }
    if state.takes.is_some_and(|most| plain.len() > most) {
        state.refused += 1;
        return Ok(if grpc.is_some() { grpc_too_large(plain.len()) } else { http_too_large() });
    }
    for id in ids {
        let copies = state.copies.entry(signal).or_default().entry(id).or_default();
        *copies += 1;
        if *copies == 1 {
            state.order.push((signal, id, replay));
        }
    }
    if !plain.is_empty() && !state.forgets {
        state.plain.push((signal, plain));
    }
    Ok(if grpc.is_some() { grpc_answer(0) } else { http_answer(StatusCode::OK) })
}

/// In the words of a collector's receivers.
fn http_too_large() -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = http_answer(StatusCode::BAD_REQUEST);
    *response.body_mut() = Full::from("http: request body too large").boxed();
    response
}

fn grpc_too_large(len: usize) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = http_answer(StatusCode::OK);
    let message = format!("grpc: received message after decompression larger than max {len}");
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("8"));
    headers.insert("grpc-message", HeaderValue::try_from(message).unwrap());
    response
}

fn http_answer(status: StatusCode) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/x-protobuf"));
    response
}

fn grpc_answer(code: u8) -> Response<BoxBody<Bytes, Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(code)));
    let message = (code == 0).then(|| Ok(Frame::data(Bytes::from_static(&[0; 5]))));
    let frames: Vec<_> = message.into_iter().chain([Ok(Frame::trailers(trailers))]).collect();
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}
