//! OTLP/gRPC through a tonic channel used as a plain HTTP/2 service: framed and read by hand.
//!
//! A generated client would decode and compress anew what is stored ready to go. tonic gives the connection: HTTP/2,
//! reconnecting, sharing among requests. It knows nothing of retries, and neither does this: sent again is only what was
//! certainly not looked at.

mod frame;
mod reply;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Uri, Version};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint as ChannelConfig};
use tower::{Service, ServiceExt};

use self::frame::Framed;
use self::reply::Reply;
use super::dial::{DialError, Dialer};
use super::error::BuildError;
use super::headers::{USER_AGENT, ascii};
use super::network::{Call, Wire, timed_out};
use super::pool::{Picked, Pool};
use super::route::{self, Endpoint};
use super::tls::{self, Naming, Tls};
use super::{untouched, words};
use crate::batch::{Encoding, Signal};
use crate::config::{NetworkConfig, TargetConfig};
use crate::otlp::answer::{Answer, Break};

/// gRPC is spoken over HTTP/2 alone.
const ALPN: &[&[u8]] = &[b"h2"];

/// Receive windows in bytes. Answers are small; the windows only bound what a target may push at us.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// OTLP/gRPC towards one target.
pub(super) struct Grpc {
    lines: Vec<Line>,
    /// Which line a signal uses: signals with one endpoint share its connections.
    line_of: [usize; 3],
}

/// The connections to one endpoint.
struct Line {
    dialer: Arc<Dialer>,
    tls: Option<Arc<Tls>>,
    channel: ChannelConfig,
    pool: Pool<Channel>,
}

impl Grpc {
    /// Reads the TLS files; connects at the first request.
    pub(super) fn new(config: &TargetConfig, network: &NetworkConfig) -> Result<Grpc, BuildError> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        let mut line_of = [0; 3];
        for signal in Signal::ALL {
            let endpoint = Endpoint::parse(&config.name, "endpoint", network.endpoint(signal))?;
            let known =
                endpoints.iter().position(|e| e.secure == endpoint.secure && e.authority() == endpoint.authority());
            line_of[signal.index()] = known.unwrap_or_else(|| {
                endpoints.push(endpoint);
                endpoints.len() - 1
            });
        }
        let tls = match endpoints.iter().any(|endpoint| endpoint.secure) {
            true => Some(Arc::new(tls::build(&config.name, &network.tls, Naming::ByCaller, ALPN)?)),
            false => None,
        };
        let environment = Matcher::from_env();
        let lines = endpoints.into_iter().map(|endpoint| {
            let proxy = route::proxy(&config.name, network.proxy_url.as_deref(), &endpoint, true, &environment)?;
            let tls = tls.clone().filter(|_| endpoint.secure);
            let secured = match &tls {
                Some(tls) => Some((Arc::clone(tls), tls::server_name(&config.name, &network.tls, &endpoint.host)?)),
                None => None,
            };
            let channel = channel_config(config, network, &endpoint)?;
            let dialer = Arc::new(Dialer::new(endpoint, proxy, true, secured, network.timeout));
            Ok(Line { dialer, tls, channel, pool: Pool::new(network.connections) })
        });
        Ok(Grpc { lines: lines.collect::<Result<_, BuildError>>()?, line_of })
    }

    fn line(&self, signal: Signal) -> &Line {
        &self.lines[self.line_of[signal.index()]]
    }
}

fn channel_config(
    config: &TargetConfig,
    network: &NetworkConfig,
    endpoint: &Endpoint,
) -> Result<ChannelConfig, BuildError> {
    let mut channel = ChannelConfig::from(endpoint.uri.clone())
        .user_agent(USER_AGENT)
        .expect("name and version are a header value")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    // As in gRPC's own libraries the name that TLS expects is the `:authority` too, so that gateways route by it.
    if let Some(name) = network.tls.server_name_override.as_ref().filter(|_| endpoint.secure) {
        let origin: Uri = format!("https://{name}")
            .parse()
            .map_err(|_| BuildError::value(&config.name, "tls.server_name_override", "not a host name"))?;
        channel = channel.origin(origin);
    }
    Ok(channel)
}

impl Line {
    /// As of the pool.
    fn pick(&self, given_up: Option<&Picked<Channel>>) -> Picked<Channel> {
        let generation = self.tls.as_ref().map_or(0, |tls| tls.get().1);
        let make = || {
            let dialer = Arc::clone(&self.dialer);
            let connect = tower::service_fn(move |_: Uri| {
                let dialer = Arc::clone(&dialer);
                async move { dialer.dial().await.map(TokioIo::new) }
            });
            Ok::<_, std::convert::Infallible>(Channel::new(connect, self.channel.clone()))
        };
        match self.pool.pick(given_up, generation, make) {
            Ok(picked) => picked,
            Err(never) => match never {},
        }
    }

    /// One request and its whole answer.
    async fn exchange(&self, head: Parts, body: impl Fn() -> Body, timeout: Duration) -> Result<Reply, Answer> {
        let deadline = Instant::now() + timeout;
        let whole = async {
            let (mut picked, mut again) = (self.pick(None), untouched::MOST);
            let done = loop {
                let request = Request::from_parts(head.clone(), body());
                let begun = async { picked.handle.ready().await?.call(request).await };
                match timeout_at(deadline, begun).await {
                    Ok(Ok(response)) => {
                        break reply::read(response, deadline).await.unwrap_or_else(|_| Err(timed_out(timeout)));
                    }
                    Ok(Err(error)) if again > 0 && untouched::is_untouched(&error) => {
                        again -= 1;
                        picked = self.pick(Some(&picked));
                    }
                    Ok(Err(error)) => break Err(broken(&error, timeout)),
                    Err(_) => break Err(timed_out(timeout)),
                }
            };
            // A connection that swallowed a request may swallow the next: better a new one than a wait for TCP to notice.
            if let Err(Answer::Broken { at: Break::Timeout | Break::Reset, .. }) = &done {
                self.pool.renew(&picked);
            }
            done
        };
        tokio::select! {
            biased;
            done = whole => done,
            never = self.watch_name() => match never {},
        }
    }

    /// Runs beside an exchange, so that following a name needs no task of its own and delays nobody.
    async fn watch_name(&self) -> std::convert::Infallible {
        if self.dialer.names().moved().await {
            let (host, _) = self.dialer.names().name();
            tracing::info!(host, "moved to other addresses: connections are renewed");
            self.pool.renew_all();
        }
        std::future::pending().await
    }

    /// Calls a method with a message as it is.
    async fn call(&self, path: &'static str, call: Call) -> Result<Reply, Answer> {
        let Call { encoding, body, headers, timeout, .. } = call;
        let mut head = head(Method::POST, Uri::from_static(path), headers);
        let headers = &mut head.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(GRPC_TIMEOUT, grpc_timeout(timeout));
        if encoding != Encoding::Identity {
            headers.insert(GRPC_ENCODING, HeaderValue::from_static(encoding.as_str()));
        }
        let body = || Body::new(Framed::new(encoding != Encoding::Identity, body.clone()));
        self.exchange(head, body, timeout).await
    }
}

fn head(method: Method, uri: Uri, headers: HeaderMap) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    (head.method, head.uri, head.version, head.headers) = (method, uri, Version::HTTP_2, headers);
    head
}

impl Wire for Grpc {
    async fn export(&self, call: Call) -> Answer {
        let signal = call.signal;
        match self.line(signal).call(signal.grpc_path(), call).await {
            Ok(reply) => reply.into_answer(signal),
            Err(answer) => answer,
        }
    }

    async fn connect(&self) -> Result<(), DialError> {
        let mut last = None;
        for line in &self.lines {
            match line.dialer.dial().await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(()), Err)
    }

    async fn get(&self, path: &str, headers: HeaderMap, timeout: Duration) -> Answer {
        let uri = match PathAndQuery::try_from(path) {
            Ok(path) => Uri::from(path),
            Err(error) => return Answer::Broken { at: Break::Connect, message: format!("{path:?}: {error}") },
        };
        let head = head(Method::GET, uri, headers);
        match self.lines[0].exchange(head, Body::empty, timeout).await {
            Ok(reply) => reply.into_plain_answer(),
            Err(answer) => answer,
        }
    }

    async fn serving(&self, headers: HeaderMap, timeout: Duration) -> Option<bool> {
        let (signal, encoding, body) = (Signal::Traces, Encoding::Identity, Bytes::new());
        let call = Call { signal, encoding, body, headers, timeout };
        let message = self.lines[0].call("/grpc.health.v1.Health/Check", call).await.ok()?.into_message().ok()?;
        let check: HealthCheck = prost::Message::decode(message).ok()?;
        match check.status {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        }
    }
}

/// `grpc.health.v1.HealthCheckResponse`: 1 is SERVING, 2 NOT_SERVING.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthCheck {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// At most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn grpc_timeout(timeout: Duration) -> HeaderValue {
    match timeout.as_millis() {
        millis @ ..100_000_000 => ascii(format_args!("{millis}m")),
        _ => ascii(format_args!("{}S", timeout.as_secs().min(99_999_999))),
    }
}

/// An exchange that the channel gave up: the dialer's own words, else the connection ended.
fn broken(error: &tonic::transport::Error, timeout: Duration) -> Answer {
    if let Some(error) = words::cause::<DialError>(error) {
        return error.answer();
    }
    // The channel reads grpc-timeout too, and its clock may run out a moment before ours.
    if words::cause::<tonic::TimeoutExpired>(error).is_some() {
        return timed_out(timeout);
    }
    Answer::Broken { at: Break::Reset, message: words::chain(error) }
}

/// The answer that a response is.
#[cfg(test)]
pub(super) async fn answer_of(signal: Signal, response: http::Response<Body>) -> Answer {
    match reply::read(response, Instant::now() + Duration::from_secs(1)).await {
        Ok(Ok(reply)) => reply.into_answer(signal),
        Ok(Err(answer)) => answer,
        Err(_) => timed_out(Duration::from_secs(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_fits_into_its_header() {
        for (timeout, text) in [
            (Duration::from_millis(1500), "1500m"),
            (Duration::from_secs(10), "10000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999S"),
        ] {
            assert_eq!(grpc_timeout(timeout), text);
        }
    }
}
