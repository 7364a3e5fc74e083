//! `spillway probe`: one GET on the admin port, with nothing but a socket.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::args::ProbeArgs;
use super::exit::Code;
use super::out;
use super::tools::line::authority;

/// Kubelets wait a second by default; whoever sets more waits for us and not the other way round.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes: the probes answer in a line.
const ANSWER: u64 = 64 << 10;

/// Asks, prints the answer, and says yes or no.
pub(super) fn probe(args: &ProbeArgs) -> Code {
    let Some(authority) = authority(&args.admin) else {
        let sentence = format!("--admin {} is no address; expected http://host:port", args.admin);
        return out::fail(&sentence, Code::Usage);
    };
    match get(&authority, args.probe.path()) {
        Ok((status, body)) => {
            out::lines(body.lines());
            if (200..300).contains(&status) { Code::Fine } else { Code::No }
        }
        Err(why) => out::fail(&format!("no answer from {}: {why}", args.admin), Code::No),
    }
}

/// Status and body of a GET.
fn get(authority: &str, path: &str) -> Result<(u16, String), String> {
    let until = Instant::now() + PATIENCE;
    let mut stream = connect(authority, until)?;
    let text = |error: std::io::Error| error.to_string();
    stream.set_write_timeout(Some(PATIENCE)).map_err(text)?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {authority}\r\n\r\n").map_err(text)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() as u64 > ANSWER {
            return Err("the answer does not end".to_owned());
        }
        stream.set_read_timeout(Some(left)).map_err(text)?;
        match stream.read(&mut chunk).map_err(text)? {
            0 => break,
            len => answer.extend_from_slice(&chunk[..len]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("it is not HTTP")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("it is not HTTP")?;
    Ok((status, body.to_owned()))
}

/// The first of the host's addresses that answers.
fn connect(authority: &str, until: Instant) -> Result<TcpStream, String> {
    let addresses = authority.to_socket_addrs().map_err(|error| error.to_string())?;
    let mut why = "the host has no address".to_owned();
    for address in addresses {
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}
