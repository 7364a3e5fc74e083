//! HTTP to a driver on this machine: one request, one answer of JSON.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The slowest thing that is asked for is a browser that starts.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the driver says to a command (<https://www.w3.org/TR/webdriver2/#endpoints>): its `value`, or its error.
pub(crate) fn ask(port: u16, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let text = |error: std::io::Error| format!("{method} {path}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    let body = if method == "POST" { body.to_string() } else { String::new() };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .map_err(text)?;
    // The driver keeps its connections open: an answer is as long as it says.
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).map_err(text)?;
        match line.trim().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap();
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body).map_err(text)?;
    let mut answer: Value = serde_json::from_slice(&body).map_err(|error| format!("{error} from {method} {path}"))?;
    match answer["value"].take() {
        Value::Object(error) if error.contains_key("error") => {
            Err(format!("{method} {path}: {}", Value::Object(error)))
        }
        value => Ok(value),
    }
}
