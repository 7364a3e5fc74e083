//! The generator: the same ready request again and again over one HTTP/2 connection, so many in flight.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::payload::Payload;

pub(crate) struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    authority: String,
}

impl Client {
    pub(crate) async fn connect(door: SocketAddr) -> Result<Client, String> {
        let stream = TcpStream::connect(door).await.map_err(|error| format!("{door}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Client { sender, authority: door.to_string() })
    }

    /// Sends `requests` times and waits for each OK; anything else is an error.
    pub(crate) async fn send(&self, payload: &Payload, requests: usize, in_flight: usize) -> Result<(), String> {
        let mut flying = FuturesUnordered::new();
        for _ in 0..requests {
            if flying.len() == in_flight {
                taken(flying.next().await.expect("some are in flight")?)?;
            }
            flying.push(self.offer(payload));
        }
        while let Some(answer) = flying.next().await {
            taken(answer?)?;
        }
        Ok(())
    }

    /// Whether the connection stands.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends once. Whether it was taken; if not, it is to come back.
    pub(crate) async fn offer(&self, payload: &Payload) -> Result<bool, String> {
        let request = Request::post(format!("http://{}{}", self.authority, payload.signal.grpc_path()))
            .header("content-type", "application/grpc")
            .header("grpc-encoding", payload.encoding.as_str())
            .header("te", "trailers")
            .body(Full::new(payload.framed.clone()))
            .expect("a valid request");
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        let trailers = body.trailers().cloned().unwrap_or(head.headers);
        match trailers.get("grpc-status").map(|status| status.as_bytes()) {
            Some(b"0") => Ok(true),
            Some(b"14") => Ok(false),
            other => Err(format!("the contestant answered {other:?} {:?}", trailers.get("grpc-message"))),
        }
    }
}

fn taken(taken: bool) -> Result<(), String> {
    if taken { Ok(()) } else { Err("the contestant was busy".to_owned()) }
}
