//! One connection through the proxy, from accept to its end, under faults that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Fault, Way, handshake, storm};
use crate::tls::Papers;

/// Bytes that are in the proxy at a time, a direction.
const BUFFER: usize = 16 << 10;

/// The pieces in which a narrow line passes bytes: so many a second.
const PIECES: usize = 20;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why one direction ended.
enum End {
    /// The sender finished.
    Finished,
    /// The connection is to be reset.
    Reset,
}

/// Leads one connection to the hub. It is closed with a reset, unless both ends finished before.
pub(super) async fn run(
    stream: TcpStream,
    hub: SocketAddr,
    papers: Option<Papers>,
    mut fault: watch::Receiver<Fault>,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    stream.set_zero_linger().ok()?;
    let born_under = *fault.borrow_and_update();
    if born_under == Fault::Reset {
        return None;
    }
    let tls = papers.is_some() && !born_under.swallows();
    let stream: Box<dyn Stream> = match papers.filter(|_| tls) {
        Some(papers) => tokio::select! {
            secured = handshake::shake(stream, &papers, born_under) => Box::new(secured?),
            _ = fault.changed() => return None,
        },
        None => Box::new(stream),
    };
    if matches!(born_under, Fault::GoAway | Fault::ResetStreams) {
        tokio::select! {
            () = storm::run(stream, born_under) => {}
            _ = fault.changed() => {}
        }
        return None;
    }
    let server = TcpStream::connect(hub).await.ok()?;
    server.set_nodelay(true).ok()?;
    server.set_zero_linger().ok()?;
    let (from_client, to_client) = tokio::io::split(stream);
    let (from_server, to_server) = tokio::io::split(server);
    let there = pump(from_client, to_server, Way::ToHub, fault.clone());
    let back = pump(from_server, to_client, Way::ToGateway, fault);
    tokio::pin!(there, back);
    tokio::select! {
        end = &mut there => if matches!(end, End::Finished) { back.await; },
        end = &mut back => if matches!(end, End::Finished) { there.await; },
    }
    Some(())
}

/// Passes bytes one way until the sender ends or a fault does it.
async fn pump<R: AsyncRead, W: AsyncWrite>(
    mut from: ReadHalf<R>,
    mut to: WriteHalf<W>,
    way: Way,
    mut fault: watch::Receiver<Fault>,
) -> End {
    let mut buffer = vec![0; BUFFER];
    let mut now = *fault.borrow_and_update();
    let (mut passed, mut ended) = (0, false);
    loop {
        if now == Fault::SlowClose && way == Way::ToGateway && !ended {
            ended = true;
            let _ = to.shutdown().await;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = fault.changed() => {
                let before = std::mem::replace(&mut now, *fault.borrow_and_update());
                if changed.is_err() || now.cuts() && now != Fault::None || before.swallows() || ended {
                    return End::Reset;
                }
                passed = 0;
                continue;
            }
        };
        let Ok(len) = read else { return End::Reset };
        if len == 0 {
            if ended {
                return End::Finished;
            }
            return if to.shutdown().await.is_ok() { End::Finished } else { End::Reset };
        }
        let mut bytes = &buffer[..len];
        match now {
            Fault::BlackHole | Fault::Unanswered => continue,
            Fault::HalfOpen(dead) if dead == way => continue,
            Fault::SlowClose => continue,
            Fault::Latency(late) => sleep(late).await,
            Fault::Bandwidth(rate) => {
                let piece = (rate / PIECES).max(1);
                while bytes.len() > piece {
                    sleep(Duration::from_secs(1) / PIECES as u32).await;
                    if to.write_all(&bytes[..piece]).await.is_err() {
                        return End::Reset;
                    }
                    bytes = &bytes[piece..];
                }
                sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64)).await;
            }
            Fault::CutAfter(cut, limit) if cut == way => {
                let left = limit.saturating_sub(passed);
                passed += bytes.len();
                if bytes.len() >= left {
                    let _ = to.write_all(&bytes[..left]).await;
                    let _ = to.flush().await;
                    return End::Reset;
                }
            }
            _ => {}
        }
        if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
            return End::Reset;
        }
    }
}
