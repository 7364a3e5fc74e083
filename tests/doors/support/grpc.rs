//! A gRPC client that sends what it is told to, well formed or not.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{SendRequest, handshake};
use http::{HeaderMap, Method, Request};
use spillway::batch::{Encoding, Signal};
use spillway::otlp::status::{Status, unescape_message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One HTTP/2 connection.
pub(crate) struct Client {
    send: SendRequest<Bytes>,
    /// Ends with the connection.
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Those of the end; of an answer without a body its headers.
    pub(crate) trailers: HeaderMap,
}

impl Answer {
    /// `grpc-status`.
    pub(crate) fn status(&self) -> u8 {
        self.trailers["grpc-status"].to_str().unwrap().parse().unwrap()
    }

    /// `grpc-message`, decoded.
    pub(crate) fn message(&self) -> String {
        unescape_message(self.trailers["grpc-message"].to_str().unwrap())
    }

    /// `grpc-status-details-bin`, decoded.
    pub(crate) fn details(&self) -> Option<Status> {
        let details = self.trailers.get("grpc-status-details-bin")?;
        Some(Status::from_details_header(details.to_str().unwrap()).unwrap())
    }

    /// OK, with an empty message.
    pub(crate) fn is_full_success(&self) -> bool {
        self.http == 200 && self.status() == 0 && self.body == [0; 5][..]
    }
}

/// A message in its frame.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(stream).await
    }

    /// A client on a connection that stands.
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Client {
        let (send, connection) = handshake(stream).await.unwrap();
        Client { send, connection: tokio::spawn(connection) }
    }

    /// Exports `body`, as a well-behaved client does.
    pub(crate) async fn export(&self, signal: Signal, encoding: Encoding, body: &[u8]) -> Answer {
        let flag = u8::from(encoding != Encoding::Identity);
        let headers = [("grpc-encoding", encoding.as_str())];
        self.call(signal.grpc_path(), &headers, &[&framed(flag, body)]).await.unwrap()
    }

    /// Calls a method with these chunks of a body, a DATA frame each if they are not too long.
    pub(crate) async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        chunks: &[&[u8]],
    ) -> Result<Answer, h2::Error> {
        let mut request = Request::builder().method(Method::POST).uri(format!("http://doors{path}"));
        if !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/grpc").header("te", "trailers");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await?;
        let (response, mut stream) = send.send_request(request.body(()).unwrap(), false)?;
        for (at, chunk) in chunks.iter().enumerate() {
            // An answer may come before everything is sent, and then ends the sending.
            if stream.send_data(Bytes::copy_from_slice(chunk), at + 1 == chunks.len()).is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if chunks.is_empty() {
            stream.send_data(Bytes::new(), true)?;
        }
        let answer = tokio::time::timeout(Duration::from_secs(60), response).await.expect("no answer")?;
        let (head, mut body) = answer.into_parts();
        let mut message = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            message.extend_from_slice(&chunk);
        }
        let trailers = body.trailers().await?.unwrap_or_else(|| head.headers.clone());
        Ok(Answer { http: head.status.as_u16(), headers: head.headers, body: message.freeze(), trailers })
    }

    /// Begins an export and sends a part of its body; the caller ends it, or drops it.
    pub(crate) async fn begin(
        &self,
        signal: Signal,
        part: &[u8],
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        self.begin_with(signal, &[], part).await
    }

    /// As [`begin`](Client::begin), with these headers.
    pub(crate) async fn begin_with(
        &self,
        signal: Signal,
        headers: &[(&str, &str)],
        part: &[u8],
    ) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let request = Request::builder().method(Method::POST).uri(format!("http://doors{}", signal.grpc_path()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.header("content-type", "application/grpc").body(()).unwrap();
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, mut stream) = send.send_request(request, false).unwrap();
        stream.send_data(Bytes::copy_from_slice(part), false).unwrap();
        (response, stream)
    }
}
