//! A connection over a pipe, frame by frame, while the clock jumps whenever everybody waits.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;

/// What every HTTP/2 client says first: the preface and empty SETTINGS.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A client that has said hello, and what serves it.
async fn connected(keepalive: Option<Duration>) -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
    let (mut client, door) = duplex(1 << 20);
    let (stop, stopped) = watch::channel(false);
    let manners = Manners { max_age: None, keepalive, head_timeout: Duration::from_secs(30) };
    let serving = tokio::spawn(async move {
        let service = hyper::service::service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
        });
        talk(manners, door, service, stopped).await;
    });
    client.write_all(GREETING).await.unwrap();
    (client, serving, stop)
}

/// The next frame of this kind that is no acknowledgement: its payload. `None` at the end of the connection.
async fn next(client: &mut DuplexStream, wanted: u8) -> Option<Vec<u8>> {
    tokio::time::timeout(Duration::from_secs(3600), read(client, wanted)).await.expect("nothing comes, nor an end")
}

async fn read(client: &mut DuplexStream, wanted: u8) -> Option<Vec<u8>> {
    loop {
        let mut head = [0; 9];
        client.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        client.read_exact(&mut payload).await.ok()?;
        if head[3] == wanted && head[4] & ACK == 0 {
            return Some(payload);
        }
    }
}

/// What a client is told at the start (RFC 9113, 6.5.2).
/// Guarantees limits on streams, windows, frames and headers, which a client without them takes to be endless.
#[tokio::test(start_paused = true)]
async fn limits_are_told_at_the_start() {
    let (mut client, _serving, _stop) = connected(None).await;
    let told = next(&mut client, SETTINGS).await.unwrap();
    let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
    let mut told: Vec<_> = told.chunks(6).map(|entry| (number(&entry[..2]), number(&entry[2..]))).collect();
    told.retain(|(what, _)| (3..=6).contains(what));
    told.sort_unstable();
    assert_eq!(told, [(3, 128), (4, 128 << 10), (5, 32 << 10), (6, 16 << 10)]);
}

/// Pings every 30 s, to a client that answers four of them and then no more.
/// Guarantees that the connection stays open as long as they are answered, and ends 20 s after the first that is not.
#[tokio::test(start_paused = true)]
async fn a_client_that_answers_no_ping_is_given_up() {
    let (mut client, serving, _stop) = connected(Some(Duration::from_secs(30))).await;
    let since = Instant::now();
    for answered in 1..=4 {
        let ping = next(&mut client, PING).await.expect("it stays open");
        assert_eq!(since.elapsed().as_secs(), 30 * answered);
        client.write_all(&[&[0, 0, 8, PING, ACK, 0, 0, 0, 0][..], &ping].concat()).await.unwrap();
    }
    assert!(next(&mut client, PING).await.is_some());
    assert!(next(&mut client, PING).await.is_none(), "another ping");
    assert_eq!(since.elapsed().as_secs(), 5 * 30 + 20);
    serving.await.unwrap();
}
