//! Connections that send whatever bytes they are told to.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long anything may take before a test is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every HTTP/2 client says first: the preface and empty SETTINGS.
pub(crate) const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// An HTTP/2 frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Posts a body over HTTP/1.1 and returns the status of the answer.
pub(crate) async fn post(address: SocketAddr, headers: &str, body: &[u8]) -> u16 {
    let mut stream = connect(address).await;
    let length = body.len();
    let head =
        format!("POST /v1/logs HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body).await;
    status(&mut stream).await
}

/// The status of the answer on this connection.
pub(crate) async fn status(stream: &mut TcpStream) -> u16 {
    let mut start = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut start)).await.expect("no answer").unwrap();
    std::str::from_utf8(&start[9..]).unwrap().parse().unwrap()
}

/// Sends these bytes again and again until the other end has had enough; how many it took.
pub(crate) async fn flood(mut stream: TcpStream, bytes: &[u8], at_most: usize) -> usize {
    let mut sent = 0;
    let mut scrap = [0; 4096];
    while sent < at_most {
        // What comes back is read, so that nobody waits for us.
        while matches!(stream.try_read(&mut scrap), Ok(1..)) {}
        match timeout(PATIENCE, stream.write(bytes)).await.expect("nobody reads, and nobody ends it") {
            Ok(taken) => sent += taken,
            Err(_) => return sent,
        }
    }
    sent
}
