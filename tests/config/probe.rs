//! Scenario: `spillway probe` against a port that says yes, one that says no, and one where nobody is.
//! Guarantee: exit code 0, 1 and 1, and the answer on standard output.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::{err, out, spillway};

fn answering(status: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        // A socket that is closed with something unread resets, and takes the answer with it.
        let head: Vec<String> =
            BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 6\r\nconnection: close\r\n\r\nstate\n").unwrap();
        head[0].clone()
    });
    (address, asked)
}

#[test]
fn the_exit_code_is_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    for (status, probe, code) in [("200 OK", "readyz", 0), ("503 Service Unavailable", "startupz", 1)] {
        let (address, asked) = answering(status);
        let url = format!("http://{address}");
        let output = spillway(folder.path(), &["probe", probe, "--admin", &url]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", err(&output));
        assert_eq!(out(&output), "state\n");
        assert!(asked.join().unwrap().starts_with(&format!("GET /{probe} HTTP/1.")));
    }
}

#[test]
fn nobody_there_is_a_no() {
    let folder = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = spillway(folder.path(), &["probe", "livez"]).env("SPILLWAY_ADMIN", &gone).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(&gone), "{}", err(&output));
}
