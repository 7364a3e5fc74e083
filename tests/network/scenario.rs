//! One scenario: clients send, a hub or the way to it goes wrong for a while and is well again; then everything is counted.
//! Many run at once, and every one that fails is told. In a release each table is played three times, the second and third time with
//! loads and times that are drawn: `SPILLWAY_FAULTS_SEED`, which is printed, draws them again.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use spillway::batch::Signal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::hub::{Answer, Asked, Refusal};
use crate::live::release;
use crate::load::Load;
use crate::oracle::{self, Expected};
use crate::proxy::Fault;
use crate::rig::{Over, Place, Plan, Rig};
use crate::support::wait::seconds;

/// Scenarios that run at once: they wait most of the time.
const AT_ONCE: usize = 16;

/// Within which anything has to have happened that has to happen at all; the machine may be busy.
const PATIENCE: Duration = seconds(25);

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// On the way.
    Way(Fault),
    /// The hub refuses everything.
    Refuses(Refusal),
    /// The hub refuses some batches for good, and takes the others.
    RefusesSome(Refusal),
    /// The hub takes what it gets, and answers strangely.
    Answers(Answer),
    /// The hub takes no gzip, and says so in that way.
    NoGzip(Refusal),
    /// The name does not resolve, ever.
    NoName,
}

/// What that means for delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing is known to be delivered there.
    Stops,
    /// Delivery goes on, somehow.
    Hinders,
}

/// Where it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Primary,
    Fallback,
    Both,
}

/// One line of a table: a scenario for each place and transport.
pub(crate) type Row = (Trouble, Effect, &'static [At], &'static [Over]);

/// One of them. All three signals are under way in each.
#[derive(Clone, Copy)]
struct Scenario {
    trouble: Trouble,
    effect: Effect,
    at: At,
    over: Over,
    draw: Draw,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?} over {:?}, {:?}", self.trouble, self.at, self.over, self.draw)
    }
}

/// What differs from one round to the next.
#[derive(Debug, Clone, Copy)]
struct Draw {
    per_request: u64,
    /// Time between two requests of one client.
    pause: Duration,
    /// Time that each answer of a hub takes.
    answers_after: Duration,
    /// How long the trouble lasts at least, and how often it comes.
    lasts: Duration,
    times: u32,
    replay_to_primary: bool,
}

impl Draw {
    /// That of the first round. Every other scenario has a fallback whose OK is final.
    const fn usual(over: Over) -> Draw {
        Draw {
            per_request: 10,
            pause: Duration::from_millis(150),
            answers_after: Duration::from_millis(20),
            lasts: Duration::from_millis(1500),
            times: 1,
            replay_to_primary: !matches!(over, Over::Http | Over::HttpTls),
        }
    }

    fn random(rng: &mut SmallRng) -> Draw {
        let mut millis = |range| Duration::from_millis(rng.random_range(range));
        let (pause, answers_after, lasts) = (millis(30..300), millis(0..80), millis(500..4000));
        // Round numbers, by which the oracle tells requests that were joined from such as were altered.
        let per_request = [1, 2, 5, 10, 20, 50][rng.random_range(0..6)];
        let times = rng.random_range(1..4);
        Draw { per_request, pause, answers_after, lasts, times, replay_to_primary: rng.random() }
    }
}

/// Plays every scenario of a table, or those whose name contains `SPILLWAY_SCENARIO`, and fails if one of them does.
pub(crate) async fn play(table: &'static [Row]) {
    let only = std::env::var("SPILLWAY_SCENARIO").unwrap_or_default();
    oracle::gateway_panics();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut playing = JoinSet::new();
    for scenario in all(table) {
        let name = scenario.to_string();
        if !name.contains(&only) {
            continue;
        }
        let permits = Arc::clone(&permits);
        playing.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let played = tokio::spawn(scenario.play()).await;
            played.err().map(|error| failure(&name, error))
        });
    }
    let failed: Vec<String> = playing.join_all().await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

/// The scenarios of a table, round by round.
fn all(table: &[Row]) -> Vec<Scenario> {
    let rounds = if release() { 3 } else { 1 };
    let seed = std::env::var("SPILLWAY_FAULTS_SEED").map_or(2026, |seed| seed.parse().unwrap());
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut scenarios = Vec::new();
    for round in 0..rounds {
        for (trouble, effect, places, transports) in table.iter().copied() {
            for at in places.iter().copied() {
                for over in transports.iter().copied() {
                    let draw = if round == 0 { Draw::usual(over) } else { Draw::random(&mut rng) };
                    scenarios.push(Scenario { trouble, effect, at, over, draw });
                }
            }
        }
    }
    println!("{} scenarios, SPILLWAY_FAULTS_SEED={seed}", scenarios.len());
    scenarios
}

fn failure(name: &str, error: tokio::task::JoinError) -> String {
    let payload = error.into_panic();
    let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
    format!("{name}:\n{}", text.unwrap_or("no words"))
}

impl Scenario {
    async fn play(self) {
        let Scenario { trouble, effect, at, over, draw } = self;
        let mut plan = Plan::new(over);
        (plan.per_request, plan.pause, plan.replay_to_primary) =
            (draw.per_request, draw.answers_after, draw.replay_to_primary);
        let nameless = matches!(trouble, Trouble::NoName);
        let url = if over == Over::Http { "http://hub.invalid:4318" } else { "http://hub.invalid:4317" };
        plan.endpoints = [at != At::Fallback, at != At::Primary].map(|hit| (hit && nameless).then_some(url));
        let rig = plan.raise().await;
        let doors = rig.app.addresses();
        let mut load = Load::start(doors.grpc.unwrap(), doors.http.unwrap(), plan.per_request, draw.pause);
        if !nameless || at == At::Fallback {
            flows(&rig, &load, |rig| &rig.primary, "to the primary").await;
        }

        let began = Instant::now();
        self.trouble(&rig, true);
        match (effect, at) {
            (Effect::Stops, At::Primary) => flows(&rig, &load, |rig| &rig.fallback, "to the fallback").await,
            (Effect::Stops, At::Both) => accepts(&rig, &load).await,
            (Effect::Stops, At::Fallback) => {
                flows(&rig, &load, |rig| &rig.primary, "on to the primary").await;
                let moved: u64 = Signal::ALL.iter().map(|signal| rig.failovers(*signal)).sum();
                assert_eq!(moved, 0, "traffic left a primary that was well\n{}", rig.story());
            }
            (Effect::Hinders, _) => {}
        }
        sleep(draw.lasts.saturating_sub(began.elapsed())).await;
        for _ in 1..draw.times {
            for begins in [false, true] {
                self.trouble(&rig, begins);
                sleep(draw.lasts / 2).await;
            }
        }

        self.trouble(&rig, false);
        let heals = !nameless || at == At::Fallback;
        if heals {
            flows(&rig, &load, |rig| &rig.primary, "to the primary again").await;
        }
        load.stop().await;
        let refuses = matches!(trouble, Trouble::Refuses(_) | Trouble::RefusesSome(_));
        let expected = Expected {
            in_order: !refuses,
            // A hub that takes other batches in between condemns those that it refuses again.
            dead_letters: matches!(trouble, Trouble::RefusesSome(_)) || refuses && draw.times > 1,
            settled: heals || (at == At::Primary && !plan.replay_to_primary),
            at_primary: heals && plan.replay_to_primary,
            times: draw.times,
        };
        if expected.settled {
            rig.until("I6: the backlog empties", PATIENCE, |rig| rig.in_line() == 0).await;
        }
        oracle::check(rig, &load, expected).await;
    }

    fn trouble(self, rig: &Rig, begins: bool) {
        let primary = (self.at != At::Fallback).then_some(&rig.primary);
        let fallback = (self.at != At::Primary).then_some(&rig.fallback);
        for place in [primary, fallback].into_iter().flatten() {
            match self.trouble {
                Trouble::Way(fault) => place.proxy.set(if begins { fault } else { Fault::None }),
                Trouble::NoName => {}
                trouble => place.hub.answer(move |asked| if begins { trouble.answer(asked) } else { Answer::Take }),
            }
        }
    }
}

impl Trouble {
    /// What a hub in trouble answers. Probes see it as well.
    fn answer(self, asked: Asked<'_>) -> Answer {
        match self {
            Trouble::Refuses(refusal) => Answer::Refuse(refusal),
            // Which ones: any property that a batch keeps.
            Trouble::RefusesSome(refusal) if !asked.empty && asked.bytes.is_multiple_of(7) => Answer::Refuse(refusal),
            Trouble::NoGzip(refusal) if asked.compressed => Answer::Refuse(refusal),
            Trouble::Answers(answer) => answer,
            _ => Answer::Take,
        }
    }
}

/// Until, for each signal, something that was accepted from now on has come to a place.
async fn flows(rig: &Rig, load: &Load, place: impl Fn(&Rig) -> &Place, whereto: &str) {
    let now = Instant::now();
    let fresh = |rig: &Rig, signal| {
        let acked = load.acked(signal);
        let mut since = acked.iter().filter(|(_, at)| *at > now);
        since.any(|(first, _)| place(rig).hub.came(signal, *first).is_some())
    };
    let all = |rig: &Rig| Signal::ALL.iter().all(|signal| fresh(rig, *signal));
    rig.until(&format!("fresh data of all signals flows {whereto}"), PATIENCE, all).await;
}

/// Until each signal has been accepted since now, by each client.
async fn accepts(rig: &Rig, load: &Load) {
    let now = Instant::now();
    let since = |signal: &Signal| load.acked(*signal).iter().filter(|(_, at)| *at > now).count() > 3;
    rig.until("requests are accepted", PATIENCE, |_| Signal::ALL.iter().all(&since)).await;
}
