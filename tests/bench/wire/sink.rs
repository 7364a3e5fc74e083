//! The hub of the benchmark: an OTLP/gRPC server that counts the items it gets and answers OK.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use spillway::batch::{Encoding, Signal};
use spillway::otlp::inflate::Inflater;
use spillway::otlp::skim::skim;
use tokio::net::TcpListener;

use crate::payload::Payload;

pub(crate) struct Sink {
    address: SocketAddr,
    items: Arc<AtomicU64>,
}

impl Sink {
    /// `expected` is the request as it was sent: one that comes unchanged need not be read to be counted. Each is answered after
    /// `latency`.
    pub(crate) async fn start(expected: Payload, address: SocketAddr, latency: Duration) -> std::io::Result<Sink> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let items = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&items);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (counted, expected) = (Arc::clone(&counted), expected.clone());
                let service =
                    service_fn(move |request| export(request, Arc::clone(&counted), expected.clone(), latency));
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.initial_stream_window_size(4 << 20).initial_connection_window_size(16 << 20);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Sink { address, items })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until so many items have come; fewer or more in that time is an error.
    pub(crate) async fn until(&self, items: u64, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while self.items.load(Relaxed) < items && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        match self.items.load(Relaxed) {
            count if count == items => Ok(()),
            count => Err(format!("{count} items arrived, {items} were sent")),
        }
    }
}

async fn export(
    request: Request<Incoming>,
    counted: Arc<AtomicU64>,
    expected: Payload,
    latency: Duration,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let path = request.uri().path().to_owned();
    let named = request.headers().get("grpc-encoding").and_then(|encoding| encoding.to_str().ok()).unwrap_or_default();
    let encoding = [Encoding::Gzip, Encoding::Zstd].into_iter().find(|encoding| encoding.as_str() == named);
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.grpc_path() == path) {
        counted.fetch_add(count(signal, encoding, &body, &expected), Relaxed);
    }
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Ok(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

fn count(signal: Signal, named: Option<Encoding>, framed: &[u8], expected: &Payload) -> u64 {
    let Some((prefix, message)) = framed.split_at_checked(5) else { return 0 };
    if message == expected.body {
        return expected.items;
    }
    let encoding = named.filter(|_| prefix[0] == 1).unwrap_or(Encoding::Identity);
    let mut inflater = Inflater::new();
    let Ok(inflated) = inflater.inflate(encoding, message, 64 << 20) else { return 0 };
    skim(signal, inflated.bytes).map_or(0, |skim| u64::from(skim.items))
}
