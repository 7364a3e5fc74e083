//! A hub that keeps an account of each item and its first moment, and answers as it is told: well, with a status, or strangely.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Inflater;
use spillway::otlp::status::Status;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::support::items;

/// A request, before the hub has decided about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) signal: Signal,
    /// Its items.
    pub(crate) ids: &'a [u64],
    /// Its body as it came.
    pub(crate) bytes: usize,
    pub(crate) compressed: bool,
    /// Whether it holds nothing: a probe.
    pub(crate) empty: bool,
}

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Answer {
    /// Taken.
    Take,
    /// Refused with that status, over HTTP and over gRPC.
    Refuse(Refusal),
    /// Not taken, and not answered.
    Hang,
    /// Taken; the answer's head comes, and then a byte now and then.
    Loris,
    /// Taken; the answer is 200 and a page of somebody else.
    Lie,
    /// Taken; the answer breaks off in the middle.
    CutShort,
}

/// A refusal in both protocols.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) http: u16,
    pub(crate) grpc: u8,
    pub(crate) message: &'static str,
    /// Retry-After, in whole seconds, and RetryInfo.
    pub(crate) delay: Option<Duration>,
}

impl Refusal {
    /// Without a delay.
    pub(crate) const fn new(http: u16, grpc: u8, message: &'static str) -> Refusal {
        Refusal { http, grpc, message, delay: None }
    }
}

/// What is known of an item.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copies {
    pub(crate) count: u32,
    pub(crate) first: Instant,
}

/// A request of which the hub has heard to the end, probes aside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) at: Instant,
    pub(crate) bytes: usize,
    pub(crate) taken: bool,
    pub(crate) replay: bool,
    pub(crate) compressed: bool,
}

type Script = Arc<dyn Fn(Asked<'_>) -> Answer + Send + Sync>;

/// What the hub has seen, and how it answers.
pub(crate) struct Account {
    script: Script,
    /// Time that each answer takes.
    pub(crate) pause: Duration,
    pub(crate) copies: [BTreeMap<u64, Copies>; 3],
    /// Items in the order of their first arrival.
    pub(crate) order: [Vec<u64>; 3],
    pub(crate) offers: Vec<Offer>,
    /// Bodies that are not what was sent, in words.
    pub(crate) altered: Vec<String>,
    per_request: u64,
}

/// See the module. It ends when it is dropped.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    account: Arc<Mutex<Account>>,
    serving: JoinHandle<()>,
}

impl Hub {
    /// Takes everything, after `pause`. Clients send `per_request` items at a time.
    pub(crate) async fn start(per_request: u64, pause: Duration) -> Hub {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Hub::on(listener, per_request, pause)
    }

    /// The same where somebody listens already.
    pub(crate) fn on(listener: TcpListener, per_request: u64, pause: Duration) -> Hub {
        let address = listener.local_addr().unwrap();
        let account = Account {
            script: Arc::new(|_| Answer::Take),
            pause,
            copies: Default::default(),
            order: Default::default(),
            offers: Vec::new(),
            altered: Vec::new(),
            per_request,
        };
        let account = Arc::new(Mutex::new(account));
        let serving = tokio::spawn(serve(listener, Arc::clone(&account)));
        Hub { address, account, serving }
    }

    /// Base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers in that way from now on.
    pub(crate) fn answer(&self, script: impl Fn(Asked<'_>) -> Answer + Send + Sync + 'static) {
        self.account().script = Arc::new(script);
    }

    /// What it has seen.
    pub(crate) fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    /// Distinct items of that signal.
    pub(crate) fn distinct(&self, signal: Signal) -> usize {
        self.account().copies[signal.index()].len()
    }

    /// When the item came first.
    pub(crate) fn came(&self, signal: Signal, id: u64) -> Option<Instant> {
        self.account().copies[signal.index()].get(&id).map(|copies| copies.first)
    }

    /// Copies beyond the first.
    pub(crate) fn duplicates(&self) -> u64 {
        let account = self.account();
        account.copies.iter().flat_map(BTreeMap::values).map(|copies| u64::from(copies.count - 1)).sum()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, account: Arc<Mutex<Account>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let account = Arc::clone(&account);
        let _ = stream.set_nodelay(true);
        connections.spawn(async move {
            let service = service_fn(move |request| export(request, Arc::clone(&account)));
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

type Answered = Result<Response<BoxBody<Bytes, io::Error>>, io::Error>;

async fn export(request: Request<Incoming>, account: Arc<Mutex<Account>>) -> Answered {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path();
    let grpc = head.headers.get("content-type").is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let named = |signal: &Signal| path == if grpc { signal.grpc_path() } else { signal.http_path() };
    let Some(signal) = Signal::ALL.into_iter().find(named) else {
        return Ok(refuse(grpc, Refusal::new(404, 12, "unknown service")));
    };
    let (compressed, body) = match grpc {
        true => (body[0] == 1, body.slice(5..)),
        false => (head.headers.contains_key("content-encoding"), body),
    };
    let replay = head.headers.contains_key("spillway-replay");
    let (answer, pause) = account.lock().unwrap().decide(signal, &body, compressed, replay);
    if !pause.is_zero() {
        sleep(pause).await;
    }
    Ok(match answer {
        Answer::Take => take(grpc),
        Answer::Refuse(refusal) => refuse(grpc, refusal),
        Answer::Hang => std::future::pending().await,
        Answer::Loris => respond(200, grpc, StreamBody::new(futures_util::stream::unfold((), drip))),
        Answer::CutShort => {
            let frames = [Ok(Frame::data(Bytes::from_static(&[0, 0]))), Err(io::Error::other("cut"))];
            respond(200, grpc, StreamBody::new(futures_util::stream::iter(frames)))
        }
        Answer::Lie => {
            let page = [Ok(Frame::data(Bytes::from_static(b"<html><h1>It works!</h1></html>")))];
            let mut response = respond(200, false, StreamBody::new(futures_util::stream::iter(page)));
            response.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
            response
        }
    })
}

impl Account {
    fn decide(&mut self, signal: Signal, body: &Bytes, compressed: bool, replay: bool) -> (Answer, Duration) {
        let encoding = if compressed { Encoding::Gzip } else { Encoding::Identity };
        let mut inflater = Inflater::new();
        let inflated = inflater.inflate(encoding, body, 64 << 20).map(|plain| plain.bytes);
        let plain = inflated.unwrap_or_else(|error| {
            self.altered.push(format!("{signal}: {error}"));
            &[]
        });
        let ids = items::ids(signal, plain);
        let answer = (self.script)(Asked { signal, ids: &ids, bytes: body.len(), compressed, empty: body.is_empty() });
        if body.is_empty() {
            return (answer, Duration::ZERO);
        }
        let at = Instant::now();
        let taken = !matches!(answer, Answer::Refuse(_) | Answer::Hang);
        self.offers.push(Offer { at, bytes: body.len(), taken, replay, compressed });
        if taken {
            if !is_as_sent(signal, &ids, plain, self.per_request) {
                self.altered.push(format!("{signal}: {ids:?}"));
            }
            self.take(signal, &ids, at);
        }
        (answer, self.pause)
    }

    fn take(&mut self, signal: Signal, ids: &[u64], at: Instant) {
        for id in ids {
            let copies = self.copies[signal.index()].entry(*id).or_insert(Copies { count: 0, first: at });
            copies.count += 1;
            if copies.count == 1 {
                self.order[signal.index()].push(*id);
            }
        }
    }
}

/// Whether a body is what clients sent, padding aside: whole requests, several of them in a row, or a part of one.
fn is_as_sent(signal: Signal, ids: &[u64], plain: &[u8], per_request: u64) -> bool {
    let mut expected = Vec::with_capacity(plain.len());
    for run in ids.chunk_by(|one, next| *next == one + 1 && next % per_request != 0) {
        expected.extend_from_slice(&items::request(signal, run[0]..run[run.len() - 1] + 1));
    }
    expected == items::without_padding(plain)
}

async fn drip(_: ()) -> Option<(Result<Frame<Bytes>, io::Error>, ())> {
    sleep(Duration::from_millis(100)).await;
    Some((Ok(Frame::data(Bytes::from_static(&[0]))), ()))
}

fn take(grpc: bool) -> Response<BoxBody<Bytes, io::Error>> {
    let frames = match grpc {
        true => vec![Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers(&Status::default())))],
        false => Vec::new(),
    };
    respond(200, grpc, StreamBody::new(futures_util::stream::iter(frames)))
}

fn refuse(grpc: bool, refusal: Refusal) -> Response<BoxBody<Bytes, io::Error>> {
    let Refusal { http, grpc: code, message, delay } = refusal;
    if grpc {
        let status = Status { delay, ..Status::new(code, message) };
        let mut response = respond(200, true, StreamBody::new(futures_util::stream::iter([])));
        response.headers_mut().extend(trailers(&status));
        return response;
    }
    let body = [Ok(Frame::data(Bytes::from_static(message.as_bytes())))];
    let mut response = respond(http, false, StreamBody::new(futures_util::stream::iter(body)));
    if let Some(delay) = delay {
        response.headers_mut().insert("retry-after", HeaderValue::from(delay.as_secs_f64().ceil() as u64));
    }
    response
}

fn respond<S>(status: u16, grpc: bool, body: StreamBody<S>) -> Response<BoxBody<Bytes, io::Error>>
where
    S: futures_util::Stream<Item = Result<Frame<Bytes>, io::Error>> + Send + Sync + 'static,
{
    let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
    let mut response = Response::new(BodyExt::boxed(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(status.code)));
    if !status.message.is_empty() {
        trailers.insert("grpc-message", status.message_header().try_into().unwrap());
    }
    if status.delay.is_some() {
        trailers.insert("grpc-status-details-bin", status.details_header().try_into().unwrap());
    }
    trailers
}
