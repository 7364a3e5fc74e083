//! A server that speaks HTTP/2 and serves nobody.

use h2::Reason;

use super::Fault;
use super::connection::Stream;

/// Until the connection ends; one that was told to go away never does, so that it is that which is heard and no reset.
pub(super) async fn run(stream: Box<dyn Stream>, fault: Fault) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        match fault {
            Fault::GoAway => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            _ => respond.send_reset(Reason::REFUSED_STREAM),
        }
    }
    if fault == Fault::GoAway {
        std::future::pending::<()>().await;
    }
}
