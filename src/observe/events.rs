//! `GET /events`: the status as it changes, as server-sent events, for the page.
//!
//! A frame is written once a second for all who listen, and not at all while nobody does. Whoever is slow gets the newest frame
//! when he is ready for it, and those in between never: there is one frame, not a line of them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::observer::Observer;

/// Who listens at once: some people, and some of their forgotten tabs.
const LISTENERS: usize = 16;
/// Time from frame to frame.
const EVERY: Duration = Duration::from_secs(1);
/// How long one may listen, below the life of a connection: a page comes again, one that is gone unnoticed gives its seat back.
const LIFE: Duration = Duration::from_secs(280);
/// When one who found no seat may try again, in seconds.
const AGAIN: u64 = 5;

/// What is told to all who listen. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Events {
    observer: Observer,
    seats: Arc<Semaphore>,
    taken: Arc<Notify>,
    news: watch::Sender<Frame>,
    stop: watch::Receiver<bool>,
}

/// What is told at one moment, as it goes over the wire.
#[derive(Debug, Clone, Default)]
struct Frame {
    status: Bytes,
    history: Bytes,
}

impl Events {
    /// Events of what `observer` sees, until `stop` turns true.
    pub(super) fn new(observer: Observer, stop: watch::Receiver<bool>) -> Events {
        let seats = Arc::new(Semaphore::new(LISTENERS));
        Events { observer, seats, taken: Arc::default(), news: watch::Sender::default(), stop }
    }

    /// Writes frames while somebody listens, until the stop.
    pub(super) async fn run(&self) {
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.write_again_and_again() => {}
        }
    }

    async fn write_again_and_again(&self) {
        loop {
            while self.news.receiver_count() == 0 {
                self.taken.notified().await;
            }
            let observer = self.observer.clone();
            // A snapshot may wait for a lock or a disk. One that panicked is told in the log; the next may do better.
            if let Ok(frame) = tokio::task::spawn_blocking(move || Frame::of(&observer)).await {
                self.news.send_replace(frame);
            }
            sleep(EVERY).await;
        }
    }

    /// Lets one listen, if there is a seat.
    pub(super) fn listen(&self) -> Response {
        let Ok(seat) = self.seats.clone().try_acquire_owned() else {
            let later = [(header::RETRY_AFTER, HeaderValue::from(AGAIN))];
            let text = format!("{LISTENERS} are listening already; try again later.\n");
            return (StatusCode::SERVICE_UNAVAILABLE, later, text).into_response();
        };
        let listener = Listener {
            news: self.news.subscribe(),
            stop: self.stop.clone(),
            until: Instant::now() + LIFE,
            told: Bytes::new(),
            greeted: false,
            _seat: seat,
        };
        self.taken.notify_one();
        let frames = stream::unfold(listener, async |mut listener| {
            let frame = listener.next().await?;
            Some((Ok::<_, Infallible>(frame), listener))
        });
        let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
        let headers = [
            fixed(header::CONTENT_TYPE, "text/event-stream"),
            fixed(header::CACHE_CONTROL, "no-store"),
            fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, Body::from_stream(frames)).into_response()
    }
}

/// One who listens.
struct Listener {
    news: watch::Receiver<Frame>,
    stop: watch::Receiver<bool>,
    until: Instant,
    /// The history that was told last: it is told again once it has a new point.
    told: Bytes,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

impl Listener {
    /// What is next over the wire; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            // So that the head of the answer goes out at once, whatever the first snapshot waits for.
            return Some(Bytes::from_static(b": spillway\n\n"));
        }
        tokio::select! {
            changed = self.news.changed() => changed.ok()?,
            _ = self.stop.wait_for(|stop| *stop) => return None,
            () = sleep_until(self.until) => return None,
        }
        let Frame { status, history } = self.news.borrow_and_update().clone();
        if history == self.told {
            return Some(status);
        }
        self.told = history.clone();
        Some([history, status].concat().into())
    }
}

impl Frame {
    fn of(observer: &Observer) -> Frame {
        let status = event("status", &observer.status());
        Frame { status, history: event("history", &observer.history()) }
    }
}

/// One event: JSON has no line feeds of its own.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).expect("plain data can be written as JSON");
    format!("event: {name}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use http_body_util::BodyExt;

    use super::*;
    use crate::observe::sources::{Reload, Sources};
    use crate::observe::{Facts, Registry, example};

    /// Events of a gateway that counts how often it is looked at.
    fn events() -> (Events, watch::Sender<bool>, Arc<AtomicU64>) {
        let observer = Observer::new(Facts::new("spoke"), &Registry::new()).unwrap();
        let looks = Arc::new(AtomicU64::new(0));
        let counted = looks.clone();
        observer.recovered(Sources {
            doors: Box::new(example::doors),
            queue: Box::new(move || {
                counted.fetch_add(1, Relaxed);
                example::queue()
            }),
            deliver: Box::new(example::deliver),
            reload: Box::new(Reload::default),
            recount: Box::new(|| Box::pin(async { Err("not asked".to_owned()) })),
        });
        let (stop, stopped) = watch::channel(false);
        let events = Events::new(observer, stopped);
        let running = events.clone();
        tokio::spawn(async move { running.run().await });
        (events, stop, looks)
    }

    /// The next piece that goes over the wire; `None` at the end.
    async fn next(body: &mut Body) -> Option<String> {
        let frame = body.frame().await?.unwrap().into_data().unwrap();
        Some(String::from_utf8(frame.to_vec()).unwrap())
    }

    /// Scenario: an hour without listeners, then three for a minute, of whom one reads nothing, then none again.
    /// Guarantee: a frame a second is written while somebody listens, one for all, and none otherwise; who was slow gets the newest;
    /// the history is in it when it has changed.
    #[tokio::test(start_paused = true)]
    async fn frames_are_written_once_for_all_and_for_nobody_never() {
        let (events, _stop, looks) = events();
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(looks.load(Relaxed), 0, "nobody listens");

        let mut bodies = [(); 3].map(|()| events.listen().into_body());
        for body in &mut bodies {
            assert_eq!(next(body).await.unwrap(), ": spillway\n\n");
        }
        let [quick, other, slow] = &mut bodies;
        let first = next(quick).await.unwrap();
        assert!(
            first.starts_with("event: history\ndata: {") && first.contains("\n\nevent: status\ndata: {"),
            "{first}"
        );
        assert_eq!(next(other).await.unwrap(), first, "it is the same frame");
        let mut histories = 1;
        for _ in 1..60 {
            histories += u64::from(next(quick).await.unwrap().contains("event: history"));
            next(other).await.unwrap();
        }
        assert!(histories <= 31, "the history is told when it has a new point, not each second: {histories} of 60");
        assert_eq!(looks.load(Relaxed), 60, "three listeners, one look each second");
        next(slow).await.unwrap();
        let (waited, began) = (tokio::time::timeout(Duration::ZERO, next(slow)).await, looks.load(Relaxed));
        assert!(waited.is_err() && began == 60, "those in between were not kept for it");

        drop(bodies);
        sleep(Duration::from_secs(3600)).await;
        assert!(looks.load(Relaxed) <= 61, "nobody listens any more: {}", looks.load(Relaxed));
    }

    /// Scenario: more want to listen than there are seats; one goes; the others stay for as long as they may.
    /// Guarantee: the surplus is turned away with a delay, a seat that is given up can be had, and each comes to an end by itself.
    #[tokio::test(start_paused = true)]
    async fn seats_are_counted_and_given_back() {
        let (events, _stop, _) = events();
        let mut bodies: Vec<_> = (0..LISTENERS).map(|_| events.listen().into_body()).collect();
        let refused = events.listen();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.headers().contains_key(header::RETRY_AFTER));
        bodies.pop();
        let mut body = events.listen().into_body();
        let began = Instant::now();
        while next(&mut body).await.is_some() {}
        assert_eq!(began.elapsed(), LIFE);
    }

    /// Scenario: the process ends while one listens.
    /// Guarantee: the stream ends.
    #[tokio::test(start_paused = true)]
    async fn the_stop_ends_it() {
        let (events, stop, _) = events();
        let mut body = events.listen().into_body();
        next(&mut body).await.unwrap();
        next(&mut body).await.unwrap();
        stop.send_replace(true);
        assert_eq!(next(&mut body).await, None);
    }
}
