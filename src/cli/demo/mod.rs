//! `spillway demo`: the whole story on this machine, with two small hubs inside the process, ending with a ledger.
//!
//! The gateway is the real one, on a queue that lives for the length of the demo; the client speaks to its real door.

mod generator;
mod items;
mod ledger;
mod screen;
mod sink;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep_until};

use self::generator::Sent;
use self::ledger::{Evidence, Ledger};
use self::screen::{Figures, Screen};
use self::sink::Sink;
use crate::app::App;
use crate::batch::Signal;
use crate::cli::{exit, out};
use crate::config::{Config, Source};
use crate::deliver::snapshot::Event;
use crate::queue::ledger::Ledger as Books;
use crate::target;

const CONFIG: &str = include_str!("../../../config/demo.yaml");
/// After the client has stopped, how long the backlog may take to drain before the demo calls it stuck.
const DRAIN: Duration = Duration::from_secs(60);
/// Time between two looks at the figures.
const LOOK: Duration = Duration::from_millis(100);

/// `spillway demo`
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// How long the client sends. The hub is away from a fifth to half of that time.
    #[arg(long, default_value_t = 45, value_parser = clap::value_parser!(u64).range(10..=600))]
    seconds: u64,
    /// When the story is told, let the client go on and keep the page, until Ctrl-C. The ledger comes then.
    #[arg(long)]
    stay: bool,
    /// Print the ledger as one JSON object, the last line of standard output.
    #[arg(long)]
    json: bool,
}

/// Runs the demo; the answer is yes when not a single acknowledged item is missing.
pub async fn demo(args: &DemoArgs) -> exit::Code {
    let directory = std::env::temp_dir().join(format!("spillway-demo-{}", std::process::id()));
    let ended = play(args, &directory).await;
    // The queue was made for this run alone; a rest of it would only be found in a full temporary folder.
    let _ = std::fs::remove_dir_all(&directory);
    match ended {
        Ok(ledger) => {
            if args.json {
                out::json(&ledger);
            } else {
                out::lines(ledger.lines());
            }
            if ledger.is_clean() { exit::Code::Fine } else { exit::Code::No }
        }
        Err(error) => out::fail(&format!("the demo could not start: {error}"), exit::Code::Bug),
    }
}

async fn play(args: &DemoArgs, directory: &Path) -> Result<Ledger, Box<dyn std::error::Error>> {
    let mut hub = Sink::start().await?;
    let fallback = Sink::start().await?;
    let app = App::start(configuration(directory, &hub, &fallback, args.seconds)?).await?;

    let seconds = |share: f64| Duration::from_secs_f64(args.seconds as f64 * share);
    let (began, length) = (Instant::now(), seconds(1.0));
    let sent = Arc::new(Sent::default());
    let (stop, stopped) = watch::channel(false);
    let door = format!("http://{}", app.addresses().http.ok_or("the demo opens an HTTP door")?);
    let client = generator::start(target::build(&client_of(&door)?, "")?, Arc::clone(&sent), stopped);

    let mut story = Story {
        screen: Screen::new(generator::items_in(length)),
        app: &app,
        sent: &sent,
        sinks: [Arc::clone(hub.seen()), Arc::clone(fallback.seen())],
        told: None,
        open: false,
    };
    story.screen.say(&format!("watch it in a browser: http://{}/", app.addresses().admin));
    story.screen.say("a client sends to the gateway, the gateway to the hub");
    story.until(began + seconds(0.2)).await;
    story.screen.say("the hub is taken away: its port is closed, its connections are cut");
    hub.take_away().await;
    story.until(began + seconds(0.5)).await;
    story.screen.say("the hub is back");
    hub.bring_back().await?;
    story.until(began + length).await;
    if args.stay {
        story.screen.say("the story is told; the client goes on and the page stays until Ctrl-C");
        story.until_interrupted().await;
    }
    stop.send_replace(true);
    client.await?;
    story.screen.say("the client has stopped; what the hub has not got yet drains");
    story.until_drained(Instant::now() + DRAIN).await;
    story.screen.end();

    let books = story.books();
    let ledger = account(&sent, &hub, &fallback, &books);
    app.stop(false).await;
    Ok(ledger)
}

/// The gateway's configuration: the file that users can read, with this run's places filled in.
fn configuration(
    directory: &Path,
    hub: &Sink,
    fallback: &Sink,
    seconds: u64,
) -> Result<Config, Box<dyn std::error::Error>> {
    // The hub is away for three tenths of the time: the queue fills in the first of them, then the fallback takes over.
    let patience = format!("{}ms", (seconds * 100).min(6_000));
    let environment = |name: &str| match name {
        "DEMO_DIRECTORY" => Some(directory.display().to_string()),
        "DEMO_HUB" => Some(hub.url()),
        "DEMO_FALLBACK" => Some(fallback.url()),
        "DEMO_PATIENCE" => Some(patience.clone()),
        _ => None,
    };
    let source = Source::Text { name: "config/demo.yaml".to_owned(), text: CONFIG.to_owned() };
    Ok(Config::load(&source, &[], &environment)?.config)
}

/// The client is an OTLP exporter like the gateway's own, so it is one.
fn client_of(door: &str) -> Result<crate::config::TargetConfig, Box<dyn std::error::Error>> {
    let text = format!("targets: {{door: {{protocol: otlp_http, endpoint: \"{door}\"}}}}\nchain: {{primary: door}}\n");
    let source = Source::Text { name: "the demo's client".to_owned(), text };
    Ok(Config::load(&source, &[], &|_| None)?.config.targets.remove(0))
}

/// What is told while the demo runs.
struct Story<'a> {
    screen: Screen,
    app: &'a App,
    sent: &'a Sent,
    sinks: [Arc<sink::Seen>; 2],
    /// The last event of the gateway's timeline that was told.
    told: Option<Event>,
    /// Whether what was told last of breakers is that one opened.
    open: bool,
}

impl Story<'_> {
    async fn until(&mut self, deadline: Instant) {
        let mut look = interval(LOOK);
        while Instant::now() < deadline {
            look.tick().await;
            self.tell();
        }
        sleep_until(deadline).await;
    }

    async fn until_interrupted(&mut self) {
        let interrupted = tokio::signal::ctrl_c();
        let mut interrupted = std::pin::pin!(interrupted);
        let mut look = interval(LOOK);
        loop {
            tokio::select! {
                _ = &mut interrupted => return,
                _ = look.tick() => self.tell(),
            }
        }
    }

    async fn until_drained(&mut self, deadline: Instant) {
        let mut look = interval(LOOK);
        while Instant::now() < deadline && self.books().iter().any(|books| books.queued > 0) {
            look.tick().await;
            self.tell();
        }
    }

    fn tell(&mut self) {
        let timeline = self.app.deliver().snapshot().timeline;
        // The timeline is bounded: the last event told marks the place, not a count.
        let told = self.told.as_ref().and_then(|last| timeline.iter().rposition(|event| event == last));
        for event in timeline.iter().skip(told.map_or(0, |place| place + 1)) {
            // A dead hub is tried each second, and each time in vain.
            let open = event.what.contains(": breaker open for ");
            let in_vain = event.what.contains(": breaker half-open") || (open && self.open);
            self.open = open || (self.open && in_vain);
            if !in_vain {
                self.screen.say(&event.what);
            }
        }
        self.told = timeline.last().cloned();
        let books = self.books();
        let sum = |part: fn(&Books) -> u64| books.iter().map(part).sum::<u64>();
        let [primary, fallback] = &self.sinks;
        self.screen.show(&Figures {
            acknowledged: self.sent.acknowledged_count(),
            queued: sum(|books| books.queued),
            owed: sum(|books| books.owed),
            primary: primary.distinct(),
            fallback: fallback.distinct(),
        });
    }

    fn books(&self) -> [Books; 3] {
        self.app.queue().snapshot().signals.map(|depth| depth.books)
    }
}

fn account(sent: &Sent, hub: &Sink, fallback: &Sink, books: &[Books; 3]) -> Ledger {
    let evidence = Evidence {
        acknowledged: sent.acknowledged(),
        primary: hub.seen().copies(),
        fallback: fallback.seen().copies(),
    };
    Ledger {
        sent: sent.sent.get(),
        acknowledged: evidence.acknowledged.len() as u64,
        refused: sent.refused.get(),
        delivered_primary: evidence.primary.len() as u64,
        delivered_fallback: evidence.fallback.len() as u64,
        replayed_to_primary: hub.seen().replayed(),
        lost: evidence.lost(),
        missing_at_primary: evidence.missing_at_primary(),
        duplicates: evidence.duplicates(),
        books_imbalance: Signal::ALL
            .iter()
            .map(|signal| i64::try_from(books[signal.index()].imbalance()).unwrap_or(i64::MAX))
            .sum(),
        queued: books.iter().map(|books| books.queued).sum(),
    }
}
