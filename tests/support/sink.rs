//! A server that records raw requests and answers as it is told: OTLP over gRPC and HTTP on one port, on the loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use spillway::batch::Signal;
use spillway::otlp::inflate::Deflater;
use spillway::otlp::status::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authority: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    /// The whole body, of gRPC requests with the prefix.
    pub(crate) body: Bytes,
    /// Which connection it came over, from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// A header as text; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Whether gRPC is spoken.
    pub(crate) fn is_grpc(&self) -> bool {
        self.header("content-type").starts_with("application/grpc")
    }

    /// Flag and message of a gRPC request, whose length must be as its prefix says.
    pub(crate) fn message(&self) -> (u8, &[u8]) {
        let len = u32::from_be_bytes(self.body[1..5].try_into().unwrap()) as usize;
        assert_eq!(self.body.len(), 5 + len, "one message, whole");
        (self.body[0], &self.body[5..])
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// OK with that `Export*ServiceResponse`, in the protocol of the request.
    Ok(Vec<u8>),
    /// The same, compressed with gzip.
    Packed(Vec<u8>),
    /// A gRPC status in trailers, after no message.
    Grpc(Status),
    /// A gRPC status in the head of the answer ("Trailers-Only").
    GrpcHead(Status),
    /// A plain HTTP answer.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The head of a plain HTTP answer whose body never comes.
    HttpUnended(u16),
    /// 200, a message, and an end without trailers.
    NoTrailers,
    /// The connection is cut without an answer.
    Cut,
    /// 200 and a part of the body, and then the connection is cut.
    CutMidway,
    /// Nothing, ever.
    Hang,
    /// The same, later.
    Later(Duration, Box<Reply>),
}

impl Reply {
    /// Full success.
    pub(crate) const fn accept() -> Reply {
        Reply::Ok(Vec::new())
    }

    /// A bare HTTP status.
    pub(crate) const fn http(status: u16) -> Reply {
        Reply::Http(status, Vec::new(), Vec::new())
    }

    /// A gRPC status without details.
    pub(crate) fn grpc(code: u8, message: &str) -> Reply {
        Reply::Grpc(Status::new(code, message))
    }

    /// As an OTLP server without a health service: success for exports, the usual refusal for anything else.
    pub(crate) fn usual(seen: &Seen) -> Reply {
        let known = seen.path.ends_with("Service/Export")
            || Signal::ALL.iter().any(|signal| seen.path.contains(signal.as_str()));
        match (known, seen.is_grpc()) {
            (true, _) => Reply::accept(),
            (false, true) => Reply::GrpcHead(Status::new(12, "unknown service")),
            (false, false) => Reply::http(404),
        }
    }
}

type Script = Box<dyn Fn(&Seen) -> Reply + Send>;

struct State {
    seen: Mutex<Vec<Seen>>,
    script: Mutex<Script>,
    connections: AtomicUsize,
}

/// The server. It ends, with its connections, when it is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    secure: bool,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

impl Sink {
    /// Listens in plain text, and answers with success.
    pub(crate) async fn start() -> Sink {
        Sink::serve(None).await
    }

    /// Listens with TLS.
    pub(crate) async fn start_tls(config: rustls::ServerConfig) -> Sink {
        Sink::serve(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Sink {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Box::new(Reply::usual);
        let state = State { seen: Mutex::default(), script: Mutex::new(script), connections: AtomicUsize::new(0) };
        let state = Arc::new(state);
        let secure = tls.is_some();
        let serving = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Sink { address, secure, state, serving }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL, by address.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// Answers in that way from now on.
    pub(crate) fn answer(&self, script: impl Fn(&Seen) -> Reply + Send + 'static) {
        *self.state.script.lock().unwrap() = Box::new(script);
    }

    /// Answers every request alike from now on.
    pub(crate) fn always(&self, reply: Reply) {
        self.answer(move |_| reply.clone());
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The only request that came.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen[0].clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Relaxed)
    }

    /// Waits until that many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.seen().len() < count {
            assert!(Instant::now() < deadline, "only {} of {count} requests came", self.seen().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (state, tls) = (Arc::clone(&state), tls.clone());
        let connection = state.connections.fetch_add(1, Relaxed);
        connections.spawn(async move {
            match tls {
                None => converse(stream, connection, state).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, connection, state).await;
                    }
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection to its end, or until an answer asks for a cut.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, connection: usize, state: Arc<State>) {
    let cut = Arc::new(Notify::new());
    let service = service_fn(|request| exchange(request, connection, Arc::clone(&state), Arc::clone(&cut)));
    let server = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = server.serve_connection(TokioIo::new(stream), service) => {}
        () = cut.notified() => {}
    }
}

type Answered = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

async fn exchange(request: Request<Incoming>, connection: usize, state: Arc<State>, cut: Arc<Notify>) -> Answered {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { std::future::pending().await };
    let authority = head.uri.authority().map(ToString::to_string);
    let host = || head.headers.get("host").map_or_else(String::new, |host| host.to_str().unwrap().to_owned());
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        authority: authority.unwrap_or_else(host),
        version: head.version,
        headers: head.headers,
        body: body.to_bytes(),
        connection,
    };
    let mut reply = (state.script.lock().unwrap())(&seen);
    let grpc = seen.is_grpc();
    state.seen.lock().unwrap().push(seen);
    while let Reply::Later(wait, then) = reply {
        tokio::time::sleep(wait).await;
        reply = *then;
    }
    Ok(write(reply, grpc, cut).await)
}

async fn write(reply: Reply, grpc: bool, cut: Arc<Notify>) -> Response<BoxBody<Bytes, Infallible>> {
    let kind = if grpc { "application/grpc" } else { "application/x-protobuf" };
    match reply {
        Reply::Ok(message) => success(grpc, kind, 0, &message),
        Reply::Packed(message) => {
            let mut response = success(grpc, kind, 1, &Deflater::new().gzip(&message));
            let name = if grpc { "grpc-encoding" } else { "content-encoding" };
            response.headers_mut().insert(name, HeaderValue::from_static("gzip"));
            response
        }
        Reply::Grpc(status) => answer(200, kind, vec![Frame::trailers(trailers(&status))]),
        Reply::GrpcHead(status) => {
            let mut response = answer(200, kind, Vec::new());
            response.headers_mut().extend(trailers(&status));
            response
        }
        Reply::Http(status, headers, body) => {
            let frames = if body.is_empty() { Vec::new() } else { vec![Frame::data(body.into())] };
            let mut response = answer(status, "text/plain", frames);
            for (name, value) in headers {
                response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
            }
            response
        }
        Reply::HttpUnended(status) => {
            let never = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
            let mut response = Response::new(BodyExt::boxed(StreamBody::new(never)));
            *response.status_mut() = status.try_into().unwrap();
            response
        }
        Reply::NoTrailers => answer(200, kind, vec![Frame::data(Bytes::from_static(&[0; 5]))]),
        Reply::Cut => {
            cut.notify_one();
            std::future::pending().await
        }
        Reply::CutMidway => {
            let part = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(&[0, 0])))]);
            let then = futures_util::stream::once(async move {
                // Time for the part to leave; what is cut is the wait for the rest.
                tokio::time::sleep(Duration::from_millis(50)).await;
                cut.notify_one();
                std::future::pending().await
            });
            let mut response = Response::new(BodyExt::boxed(StreamBody::new(part.chain(then))));
            response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
            response
        }
        Reply::Hang | Reply::Later(..) => std::future::pending().await,
    }
}

/// 200 with a message, which gRPC puts into a frame with this flag.
fn success(grpc: bool, kind: &'static str, flag: u8, message: &[u8]) -> Response<BoxBody<Bytes, Infallible>> {
    if !grpc {
        return answer(200, kind, vec![Frame::data(Bytes::copy_from_slice(message))]);
    }
    let framed = [&[flag], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
    answer(200, kind, vec![Frame::data(framed.into()), Frame::trailers(trailers(&Status::default()))])
}

fn answer(status: u16, kind: &'static str, frames: Vec<Frame<Bytes>>) -> Response<BoxBody<Bytes, Infallible>> {
    let frames = frames.into_iter().map(Ok);
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames))));
    *response.status_mut() = status.try_into().unwrap();
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let mut set = |name, value: String| trailers.insert(HeaderName::from_static(name), value.try_into().unwrap());
    set("grpc-status", status.code.to_string());
    if !status.message.is_empty() {
        set("grpc-message", status.message_header());
    }
    if status.delay.is_some() {
        set("grpc-status-details-bin", status.details_header());
    }
    trailers
}
