//! Scenario: the process ends while clients hold connections open, one of them with half a request, and a snapshot hangs.
//! Guarantee: the admin port and the watch end within their bound, and the port is free again.

use std::sync::{Mutex, mpsc};

use spillway::observe::Sources;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::example;
use crate::support::{DEADLINE, Gateway};

#[tokio::test]
async fn nothing_outlives_the_stop() {
    let gateway = Gateway::recovering().await;
    let (release, hung) = mpsc::channel::<()>();
    let hung = Mutex::new(hung);
    gateway.observer.recovered(Sources {
        queue: Box::new(move || {
            let _ = hung.lock().unwrap().recv();
            example::queue()
        }),
        ..gateway.sources()
    });
    let observer = gateway.observer.clone();
    let stopped = gateway.stop.subscribe();
    let watch = tokio::spawn(async move { observer.watch(stopped).await });
    let _idle = TcpStream::connect(gateway.address).await.unwrap();
    let mut half = TcpStream::connect(gateway.address).await.unwrap();
    half.write_all(b"GET /metr").await.unwrap();
    let mut waiting = TcpStream::connect(gateway.address).await.unwrap();
    waiting.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(gateway.get("/livez").await.status, 200, "the connections before it were taken");

    gateway.stop.send_replace(true);
    tokio::time::timeout(DEADLINE, watch).await.unwrap().unwrap();
    tokio::time::timeout(DEADLINE, gateway.serving.ended()).await.unwrap();
    TcpListener::bind(gateway.address).await.unwrap();
    drop(release);
}
