//! An HTTP/1.1 client that sends what it is told to, byte by byte if need be.

use std::net::SocketAddr;
use std::time::Duration;

use spillway::otlp::media::Media;
use spillway::otlp::status::Status;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// One connection.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

/// What HTTP is spoken over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// A header's value; empty without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The `google.rpc.Status` in the body, in the encoding that the answer names.
    pub(crate) fn error(&self) -> Status {
        let media = Media::from_content_type(self.header("content-type")).expect("a content type of OTLP");
        Status::decode(media, &self.body).expect("a google.rpc.Status")
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client::over(stream)
    }

    /// A client on a connection that stands.
    pub(crate) fn over(stream: impl Stream + 'static) -> Client {
        Client { stream: BufReader::new(Box::new(stream)) }
    }

    /// Sends a whole POST and reads the answer.
    pub(crate) async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let length = body.len().to_string();
        self.head("POST", path, &[headers, &[("content-length", &length)]].concat()).await;
        self.send(body).await;
        self.answer().await
    }

    /// Sends the head of a request.
    pub(crate) async fn head(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: doors\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes()).await;
    }

    /// Sends bytes as they are; false when the connection ended before all were taken.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(Duration::from_secs(60), self.stream.get_mut().write_all(bytes)).await;
        sent.expect("nobody reads").is_ok()
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        timeout(Duration::from_secs(60), self.read()).await.expect("no answer").expect("the connection ended")
    }

    /// Whether the server ends the connection without another word.
    pub(crate) async fn ended(&mut self) -> bool {
        let mut rest = Vec::new();
        let read = timeout(Duration::from_secs(60), self.stream.read_to_end(&mut rest)).await;
        matches!(read.expect("the connection stays open"), Ok(0) | Err(_))
    }

    async fn read(&mut self) -> std::io::Result<Answer> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" if lines.is_empty() => {}
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let split = |line: &String| line.split_once(": ").map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()));
        let headers: Vec<_> = lines[1..].iter().filter_map(split).collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").parse().unwrap_or(0);
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).await?;
        Ok(answer)
    }
}
