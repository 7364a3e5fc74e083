//! OTLP/HTTP with protobuf bodies, through reqwest, which no other file names.
//!
//! The library is told to do nothing by itself: no redirects (a collector that moved is a mistake to be seen, and a POST
//! that becomes a GET loses data), no retries (delivery has the one retry layer), no inflating.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use hyper_util::client::legacy;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Client, Method, Request, Response, Url};
use tokio::time::{Instant, timeout_at};

use super::dial::{DialError, Dialer};
use super::error::BuildError;
use super::headers::USER_AGENT;
use super::network::{Call, Wire, timed_out};
use super::pool::{Picked, Pool};
use super::route::{self, Endpoint};
use super::tls::{self, Naming, Tls};
use super::untouched;
use super::words::{self, RESPONSE_LIMIT, header};
use crate::batch::{Encoding, Signal};
use crate::config::{NetworkConfig, TargetConfig};
use crate::otlp::answer::{Answer, Break};
use crate::otlp::inflate::Inflater;
use crate::otlp::media::Media;
use crate::otlp::response;

/// HTTP/2 where the target offers it, HTTP/1.1 otherwise.
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// How long an idle HTTP/1.1 connection is kept: below the 60 s after which common load balancers drop one.
const IDLE: Duration = Duration::from_secs(50);

/// OTLP/HTTP towards one target.
pub(super) struct Http {
    urls: [Url; 3],
    /// Those through the proxy, where there is one, and those that go straight.
    clients: [Pool<Client>; 2],
    tls: Option<Arc<Tls>>,
    proxy: Option<reqwest::Proxy>,
    /// By signal: whether its endpoint is this machine, which no proxy is asked for.
    direct: [bool; 3],
    /// One for each host: what probes dial, and the names that are watched.
    dialers: Vec<Dialer>,
    dialer_of: [usize; 3],
}

impl Http {
    /// Reads the TLS files; connects at the first request.
    pub(super) fn new(config: &TargetConfig, network: &NetworkConfig) -> Result<Http, BuildError> {
        let name = &config.name;
        let endpoints = Signal::ALL.map(|signal| Endpoint::parse(name, "endpoint", network.endpoint(signal)));
        let [traces, metrics, logs] = endpoints;
        let endpoints = [traces?, metrics?, logs?];
        let url = |signal: Signal| {
            Url::parse(network.endpoint(signal)).map_err(|error| BuildError::value(name, "endpoint", error.to_string()))
        };
        let urls = [url(Signal::Traces)?, url(Signal::Metrics)?, url(Signal::Logs)?];
        let tls = match endpoints.iter().any(|endpoint| endpoint.secure) {
            true => Some(Arc::new(tls::build(name, &network.tls, Naming::ByUrl, ALPN)?)),
            false => None,
        };
        let direct = Signal::ALL.map(|signal| endpoints[signal.index()].is_loopback());
        let proxy = match network.proxy_url.as_ref().filter(|_| direct != [true; 3]) {
            Some(url) => Some(
                reqwest::Proxy::all(url)
                    .map_err(|error| BuildError::value(name, "proxy_url", words::chain(&error.without_url())))?,
            ),
            None => None,
        };
        let environment = Matcher::from_env();
        let (mut dialers, mut dialer_of, mut seen) = (Vec::new(), [0; 3], Vec::new());
        for (signal, endpoint) in Signal::ALL.into_iter().zip(endpoints) {
            let way = (endpoint.secure, endpoint.authority());
            if let Some(known) = seen.iter().position(|known| *known == way) {
                dialer_of[signal.index()] = known;
                continue;
            }
            let through = route::proxy(name, network.proxy_url.as_deref(), &endpoint, false, &environment)?;
            let secured = match tls.as_ref().filter(|_| endpoint.secure) {
                Some(tls) => Some((Arc::clone(tls), tls::server_name(name, &network.tls, &endpoint.host)?)),
                None => None,
            };
            let tunnel = endpoint.secure;
            dialer_of[signal.index()] = dialers.len();
            dialers.push(Dialer::new(endpoint, through, tunnel, secured, network.timeout));
            seen.push(way);
        }
        let clients = [Pool::new(network.connections), Pool::new(network.connections)];
        let http = Http { urls, clients, tls, proxy, direct, dialers, dialer_of };
        // A client that cannot be built is a mistake to be told now, not at the first batch.
        http.client(false).map_err(|error| BuildError::value(name, "tls", words::chain(&error)))?;
        Ok(http)
    }

    fn client(&self, direct: bool) -> reqwest::Result<Client> {
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE)
            .connect_timeout(self.dialers[0].timeout());
        if let Some(tls) = &self.tls {
            builder = builder.tls_backend_preconfigured(rustls::ClientConfig::clone(&tls.get().0));
        } else {
            builder = builder.tls_backend_preconfigured(tls::without_roots());
        }
        if direct {
            builder = builder.no_proxy();
        } else if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder.build()
    }

    fn clients(&self, signal: Signal) -> &Pool<Client> {
        &self.clients[usize::from(self.direct[signal.index()])]
    }

    /// As of the pool.
    fn pick(&self, signal: Signal, given_up: Option<&Picked<Client>>) -> Result<Picked<Client>, Answer> {
        let generation = self.tls.as_ref().map_or(0, |tls| tls.get().1);
        let make = || self.client(self.direct[signal.index()]);
        self.clients(signal).pick(given_up, generation, make).map_err(broken)
    }

    /// One request and its whole answer.
    async fn exchange(&self, signal: Signal, mut request: Request, timeout: Duration) -> Result<Reply, Answer> {
        let deadline = Instant::now() + timeout;
        let whole = async {
            let (mut picked, mut again) = (self.pick(signal, None)?, untouched::MOST);
            loop {
                let next = request.try_clone();
                match (timeout_at(deadline, picked.handle.execute(request)).await, next) {
                    (Ok(Ok(response)), _) => return Ok(Reply::read(response, deadline).await),
                    (Ok(Err(error)), Some(next)) if again > 0 && untouched::is_untouched(&error) => {
                        again -= 1;
                        picked = self.pick(signal, Some(&picked))?;
                        request = next;
                    }
                    (Ok(Err(error)), _) => return Err(broken(error)),
                    (Err(_), _) => {
                        self.clients(signal).renew(&picked);
                        return Err(timed_out(timeout));
                    }
                }
            }
        };
        tokio::select! {
            biased;
            done = whole => done,
            never = self.watch_name(signal) => match never {},
        }
    }

    /// Runs beside an exchange, so that following a name needs no task of its own and delays nobody.
    async fn watch_name(&self, signal: Signal) -> std::convert::Infallible {
        let names = self.dialers[self.dialer_of[signal.index()]].names();
        if names.moved().await {
            tracing::info!(host = names.name().0, "moved to other addresses: connections are renewed");
            self.clients(signal).renew_all();
        }
        std::future::pending().await
    }
}

impl Wire for Http {
    async fn export(&self, call: Call) -> Answer {
        let Call { signal, encoding, body, headers, timeout } = call;
        let mut request = Request::new(Method::POST, self.urls[signal.index()].clone());
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(Media::Protobuf.content_type()));
        if encoding != Encoding::Identity {
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
        }
        *request.body_mut() = Some(body.into());
        match self.exchange(signal, request, timeout).await {
            Ok(reply) => reply.into_answer(signal),
            Err(answer) => answer,
        }
    }

    async fn connect(&self) -> Result<(), DialError> {
        let mut last = None;
        for dialer in &self.dialers {
            match dialer.dial().await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(()), Err)
    }

    async fn get(&self, path: &str, headers: HeaderMap, timeout: Duration) -> Answer {
        let signal = Signal::Traces;
        let url = match self.urls[signal.index()].join(path) {
            Ok(url) => url,
            Err(error) => return Answer::Broken { at: Break::Connect, message: format!("{path:?}: {error}") },
        };
        let mut request = Request::new(Method::GET, url);
        *request.headers_mut() = headers;
        match self.exchange(signal, request, timeout).await {
            Ok(reply) => reply.into_answer(signal),
            Err(answer) => answer,
        }
    }

    async fn serving(&self, _: HeaderMap, _: Duration) -> Option<bool> {
        None
    }
}

/// A whole answer.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    /// Reads at most [`RESPONSE_LIMIT`] bytes of the body. The status is the verdict: a body that breaks off, or does not
    /// come, takes nothing of it back.
    async fn read(mut response: Response, deadline: Instant) -> Reply {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        let all = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = RESPONSE_LIMIT - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() >= room {
                    break;
                }
            }
        };
        let _ = timeout_at(deadline, all).await;
        Reply { status, headers, body: body.freeze() }
    }

    fn into_answer(self, signal: Signal) -> Answer {
        let body = self.inflated();
        let media = header(&self.headers, CONTENT_TYPE.as_str()).and_then(Media::from_content_type);
        match self.status {
            200..=299 => response::read_success(signal, media.unwrap_or(Media::Protobuf), &body),
            status => {
                let (mut message, delay) = words::http_error(&self.headers, &body);
                if let Some(place) = header(&self.headers, LOCATION.as_str()).filter(|_| (300..400).contains(&status)) {
                    let place = place.split(['?', '#']).next().unwrap_or_default(); // behind that may be a secret
                    message = format!("redirects to {place}, which is not followed: set that as the endpoint");
                }
                Answer::Http { status, message, delay }
            }
        }
    }

    fn inflated(&self) -> Bytes {
        let named = header(&self.headers, CONTENT_ENCODING.as_str());
        match named.and_then(Encoding::from_wire) {
            Some(encoding) if encoding != Encoding::Identity => {
                let mut inflater = Inflater::new();
                let inflated = inflater.inflate(encoding, &self.body, RESPONSE_LIMIT);
                inflated.map_or_else(|_| Bytes::new(), |inflated| Bytes::copy_from_slice(inflated.bytes))
            }
            _ => self.body.clone(),
        }
    }
}

/// An exchange that the library gave up.
fn broken(error: reqwest::Error) -> Answer {
    let at = if error.is_dns() {
        Break::Resolve
    } else if error.is_connect() && is_tls(&error) {
        Break::Tls
    } else if error.is_connect() {
        Break::Connect
    } else if error.is_timeout() {
        Break::Timeout
    } else {
        Break::Reset
    };
    // The URL is the operator's own, but its query may hold a secret. That the client could not send says nothing: why it could not does.
    let error = error.without_url();
    let telling = words::causes(&error).find(|cause| !cause.is::<reqwest::Error>() && !cause.is::<legacy::Error>());
    Answer::Broken { at, message: words::chain(telling.unwrap_or(&error)) }
}

/// Whether the TLS handshake failed. A server that hangs up in its middle leaves no TLS error, but an early end.
fn is_tls(error: &reqwest::Error) -> bool {
    words::causes(error).any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        cause.is::<rustls::Error>() || io.is_some_and(|io| io.kind() == io::ErrorKind::UnexpectedEof)
    })
}

/// The answer that a response is.
#[cfg(test)]
pub(super) async fn answer_of(signal: Signal, response: http::Response<reqwest::Body>) -> Answer {
    Reply::read(response.into(), Instant::now() + Duration::from_secs(1)).await.into_answer(signal)
}
