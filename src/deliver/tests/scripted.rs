//! A target that answers as a test tells it to, and remembers what it was sent.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::batch::{Batch, Signal};
use crate::otlp::answer::{Answer, Break};
use crate::target::{Health, Sending, Shipment, Target};

/// What a scripted target does with a batch.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    Say(Answer),
    Hang,
}

/// By the batch.
type Script = Box<dyn Fn(&Batch) -> Reply + Send>;

/// A batch as it came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) at: Instant,
    pub(super) signal: Signal,
    pub(super) number: u64,
    pub(super) replay: bool,
    pub(super) accepted: bool,
    /// Length of the body, uncompressed.
    pub(super) len: usize,
    /// How many others were merged into it.
    pub(super) along: usize,
}

pub(in crate::deliver) struct Scripted {
    name: String,
    script: Mutex<Script>,
    health: Mutex<Health>,
    empty: Mutex<Answer>,
    latency: Mutex<Duration>,
    arrivals: Mutex<Vec<Arrival>>,
    /// What it took.
    batches: Mutex<Vec<Batch>>,
    /// Uncompressed bodies larger than this are answered with 413.
    takes: AtomicUsize,
    inside: AtomicUsize,
    most: AtomicUsize,
    pub(super) probes: AtomicUsize,
    pub(super) empties: AtomicUsize,
}

impl Scripted {
    /// Takes everything after a millisecond.
    pub(in crate::deliver) fn new(name: &str) -> Scripted {
        Scripted {
            name: name.to_owned(),
            script: Mutex::new(Box::new(|_| Reply::Say(Answer::accepted()))),
            health: Mutex::new(Health::Up),
            empty: Mutex::new(Answer::accepted()),
            latency: Mutex::new(Duration::from_millis(1)),
            arrivals: Mutex::default(),
            batches: Mutex::default(),
            takes: AtomicUsize::new(usize::MAX),
            inside: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            probes: AtomicUsize::new(0),
            empties: AtomicUsize::new(0),
        }
    }

    /// Answers by the batch's number from now on.
    pub(super) fn answers(&self, script: impl Fn(u64) -> Reply + Send + 'static) {
        self.answers_by_size(move |number, _| script(number));
    }

    /// Answers by what is in the batch from now on.
    pub(super) fn answers_by_batch(&self, script: impl Fn(&Batch) -> Reply + Send + 'static) {
        *lock(&self.script) = Box::new(script);
    }

    /// Answers by the batch's number and its size from now on.
    pub(super) fn answers_by_size(&self, script: impl Fn(u64, usize) -> Reply + Send + 'static) {
        self.answers_by_batch(move |batch| script(number(batch), batch.inflated_len as usize));
    }

    /// Takes everything, and is up.
    pub(super) fn works(&self) {
        self.answers(|_| Reply::Say(Answer::accepted()));
        *lock(&self.health) = Health::Up;
    }

    /// Refuses connections, to probes too.
    pub(super) fn dies(&self) {
        self.answers(|_| Reply::Say(Answer::Broken { at: Break::Connect, message: "refused".to_owned() }));
        *lock(&self.health) = Health::Down("refused".to_owned());
    }

    /// Answers this to every batch, while its probes find it up.
    pub(super) fn says_http(&self, status: u16) {
        self.answers(move |_| Reply::Say(http(status)));
    }

    pub(super) fn set_health(&self, health: Health) {
        *lock(&self.health) = health;
    }

    pub(super) fn set_latency(&self, latency: Duration) {
        *lock(&self.latency) = latency;
    }

    /// Batches that came in, in order.
    pub(super) fn arrivals(&self, signal: Signal) -> Vec<Arrival> {
        lock(&self.arrivals).iter().filter(|arrival| arrival.signal == signal).copied().collect()
    }

    /// Batches of that signal that were taken, in order.
    pub(super) fn batches(&self, signal: Signal) -> Vec<Batch> {
        lock(&self.batches).iter().filter(|batch| batch.signal == signal).cloned().collect()
    }

    /// Refuses uncompressed bodies of more bytes from now on.
    pub(super) fn takes_at_most(&self, bytes: usize) {
        self.takes.store(bytes, SeqCst);
    }

    /// Numbers of the batches that were taken, in order.
    pub(super) fn taken(&self, signal: Signal) -> Vec<u64> {
        self.arrivals(signal).iter().filter(|arrival| arrival.accepted).map(|arrival| arrival.number).collect()
    }

    /// Bytes of what was taken, all signals together.
    pub(super) fn taken_bytes(&self) -> usize {
        lock(&self.arrivals).iter().filter(|arrival| arrival.accepted).map(|arrival| arrival.len).sum()
    }

    /// The same of a time.
    pub(super) fn taken_between(&self, from: Instant, to: Instant) -> usize {
        let arrivals = lock(&self.arrivals);
        let within = arrivals.iter().filter(|arrival| arrival.accepted && arrival.at >= from && arrival.at < to);
        within.map(|arrival| arrival.len).sum()
    }

    /// Requests that it has not answered yet, and the most there ever were.
    pub(super) fn inside(&self) -> usize {
        self.inside.load(SeqCst)
    }

    pub(super) fn most_inside(&self) -> usize {
        self.most.load(SeqCst)
    }

    pub(super) fn forget_arrivals(&self) {
        lock(&self.arrivals).clear();
        self.most.store(0, SeqCst);
    }
}

pub(super) fn http(status: u16) -> Answer {
    Answer::Http { status, message: "scripted".to_owned(), delay: None }
}

fn number(batch: &Batch) -> u64 {
    u64::from_be_bytes(batch.body[..8].try_into().unwrap())
}

struct Inside<'a>(&'a Scripted);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, SeqCst);
    }
}

impl Target for Scripted {
    fn name(&self) -> &str {
        &self.name
    }

    fn send<'a>(&'a self, shipment: &'a Shipment) -> Sending<'a, Answer> {
        Box::pin(async move {
            let now_inside = self.inside.fetch_add(1, SeqCst) + 1;
            let _inside = Inside(self);
            self.most.fetch_max(now_inside, SeqCst);
            let number = number(&shipment.batch);
            let len = shipment.batch.inflated_len as usize;
            let reply = match len > self.takes.load(SeqCst) {
                true => Reply::Say(http(413)),
                false => lock(&self.script)(&shipment.batch),
            };
            let accepted = matches!(&reply, Reply::Say(Answer::Accepted { .. }));
            let (signal, replay, along) = (shipment.batch.signal, shipment.replay, shipment.along.len());
            lock(&self.arrivals).push(Arrival { at: Instant::now(), signal, number, replay, accepted, len, along });
            if accepted {
                lock(&self.batches).push(shipment.batch.clone());
            }
            let latency = *lock(&self.latency);
            sleep(latency).await;
            match reply {
                Reply::Say(answer) => answer,
                Reply::Hang => {
                    sleep(Duration::from_secs(10)).await;
                    Answer::Broken { at: Break::Timeout, message: "no answer within 10s".to_owned() }
                }
            }
        })
    }

    fn probe(&self) -> Sending<'_, Health> {
        self.probes.fetch_add(1, SeqCst);
        let health = lock(&self.health).clone();
        Box::pin(async move { health })
    }

    fn send_empty(&self, _signal: Signal) -> Sending<'_, Answer> {
        self.empties.fetch_add(1, SeqCst);
        let answer = lock(&self.empty).clone();
        Box::pin(async move { answer })
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
