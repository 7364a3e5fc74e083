//! System calls of the gateway that kill it or fail, by strace.
//!
//! A life without faults is watched first: what it calls on the queue's files, in which thread and as which of that thread's
//! calls. From those the points are drawn, each kind of call as often as the others, by a seed that is printed:
//! `SPILLWAY_FAULTS_SEED=7` draws the same again, `SPILLWAY_FAULTS_POINTS=load:fdatasync:31,start:rename:2` takes just those.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;
use std::{env, fmt, fs};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::support::client::Load;
use crate::support::gateway::{Gateway, Home};
use crate::support::hub::Hub;
use crate::support::wait::{seconds, until};
use crate::{PADDING, SMALL, skip, to};

/// The calls by which files change. `openat` counts where it may create.
const CALLS: &str = "write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,ftruncate,fallocate,openat,\
                                rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link";

/// When in a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Until it listens: the store is recovered.
    Start,
    /// From then on.
    Load,
}

/// A call in a phase of a life: the nth of its kind in some thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) phase: Phase,
    pub(crate) call: String,
    pub(crate) nth: u32,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = if self.phase == Phase::Start { "start" } else { "load" };
        write!(f, "{phase}:{}:{}", self.call, self.nth)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Point, String> {
        match *text.split(':').collect::<Vec<_>>() {
            [phase @ ("start" | "load"), call, nth] => Ok(Point {
                phase: if phase == "start" { Phase::Start } else { Phase::Load },
                call: call.to_owned(),
                nth: nth.parse().map_err(|_| format!("{text}: no number"))?,
            }),
            _ => Err(format!("{text}: not as start:rename:2")),
        }
    }
}

/// Whether strace can do this here; otherwise it is said aloud.
pub(crate) fn is_possible() -> bool {
    let injecting = ["-f", "-o", "/dev/null", "-e", "trace=close", "-e", "inject=close:error=EIO:when=999", "true"];
    let possible = Command::new("strace").args(injecting).output().is_ok_and(|output| output.status.success());
    if !possible {
        skip::aloud("faults of system calls: strace is missing, or may not trace here");
    }
    possible
}

/// A gateway under load whose system calls were watched, and what they are to be failed by.
pub(crate) struct Scene {
    pub(crate) random: StdRng,
    pub(crate) hub: Hub,
    pub(crate) config: String,
    pub(crate) home: Home,
    /// What it called.
    pub(crate) points: Points,
    /// It goes on.
    pub(crate) load: Load,
}

impl Scene {
    /// Watches a life of that length; nothing where that is not possible here.
    pub(crate) async fn watched(under_load: Duration) -> Option<Scene> {
        if !is_possible() {
            return None;
        }
        let random = seeded();
        let hub = Hub::start().await;
        hub.forget();
        let config = to(&hub.url());
        let mut home = Home::new();
        home.queue = SMALL.to_owned();
        let (points, load) = watch(&mut home, &config, under_load).await;
        Some(Scene { random, hub, config, home, points, load })
    }
}

/// The random numbers of a suite.
pub(crate) fn seeded() -> StdRng {
    let seed = env::var("SPILLWAY_FAULTS_SEED").map_or(2026, |seed| seed.parse().unwrap());
    eprintln!("SPILLWAY_FAULTS_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Files that may be made in a life; a path filter takes no patterns.
const NEW_FILES: u64 = 100;

/// strace's arguments: these calls on the queue's files go to the file `trace`, and `fault`, in its words, is done to them.
///
/// Not with `--seccomp-bpf`: strace 6.1 then counts wrongly which call is the nth.
fn arguments(home: &Home, trace: &Path, calls: &str, fault: Option<&str>) -> Vec<String> {
    let _ = fs::remove_file(trace);
    let mut arguments = vec!["-f".to_owned(), "-y".to_owned(), "-o".to_owned(), trace.display().to_string()];
    arguments.extend(["-e".to_owned(), format!("trace={calls}")]);
    arguments.extend(fault.into_iter().flat_map(|fault| ["-e".to_owned(), format!("inject={calls}:{fault}")]));
    arguments.extend(files(home).into_iter().flat_map(|file| ["-P".to_owned(), file.display().to_string()]));
    arguments
}

/// The files of the queue, directories included: those that are there, and those that will be.
fn files(home: &Home) -> Vec<PathBuf> {
    let queue = home.path().join("queue");
    let store = queue.join("store");
    let entries = [&queue, &store].into_iter().flat_map(|path| fs::read_dir(path).into_iter().flatten());
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    let stem = |path: &PathBuf| path.file_stem()?.to_str()?.trim_start_matches("MANIFEST-").parse().ok();
    let newest: u64 = files.iter().filter_map(stem).max().unwrap_or(0);
    for number in newest + 1..newest + NEW_FILES {
        files.extend(["log", "sst", "blob", "dbtmp"].map(|kind| store.join(format!("{number:06}.{kind}"))));
        files.extend(["", ".dbtmp"].map(|end| store.join(format!("OPTIONS-{number:06}{end}"))));
        files.push(store.join(format!("MANIFEST-{number:06}")));
    }
    files.extend(["spillway.new", "spillway.watermark", "spillway.watermark.new"].map(|name| queue.join(name)));
    files.extend([queue, store]);
    files
}

/// The next gateway of `home` is traced from its start; returns where its calls are written.
pub(crate) fn trace_start(home: &mut Home, calls: &str, fault: Option<&str>) -> PathBuf {
    let trace = home.path().join("trace.txt");
    // Detached, so that the child is the gateway, not its tracer.
    home.wrapper = vec!["strace".to_owned(), "-D".to_owned()];
    let arguments = arguments(home, &trace, calls, fault);
    home.wrapper.extend(arguments);
    trace
}

/// A tracer that was attached to a gateway. It lets go when dropped.
pub(crate) struct Tracer {
    strace: Child,
    /// Kept, or strace would end when it says something.
    _words: BufReader<ChildStderr>,
    /// Where the calls are written.
    pub(crate) trace: PathBuf,
}

impl Tracer {
    /// Attaches to a gateway that runs: its calls are counted from now on.
    pub(crate) fn attach(home: &Home, gateway: &Gateway, calls: &str, fault: Option<&str>) -> Tracer {
        let trace = home.path().join("trace.txt");
        let mut command = Command::new("strace");
        command.args(arguments(home, &trace, calls, fault)).args(["-p", &gateway.pid().to_string()]);
        let mut strace = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut words = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        words.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "strace: {line}");
        Tracer { strace, _words: words, trace }
    }

    /// What was traced so far.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.trace).unwrap_or_default()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.strace.kill(); // which lets go of what it traces
        let _ = self.strace.wait();
    }
}

/// Watches a life under load, and the start of the next one, which recovers what the first left. The load is left to go on.
async fn watch(home: &mut Home, config: &str, under_load: Duration) -> (Points, Load) {
    let mut points = Points::default();
    let gateway = home.start(config);
    let load = Load::padded(gateway.grpc, gateway.http, 5, Duration::from_millis(5), PADDING);
    let tracer = Tracer::attach(home, &gateway, CALLS, None);
    tokio::time::sleep(under_load).await;
    until("the load is on", seconds(60), || load.acknowledged() >= 20).await;
    points.add(Phase::Load, &killed(gateway, &tracer.trace).await);
    let trace = trace_start(home, CALLS, None);
    points.add(Phase::Start, &killed(home.start(config), &trace).await);
    home.wrapper.clear();
    eprintln!("seen: {points}");
    (points, load)
}

/// Kills a gateway that is traced: all that was written of it, to its end, which the tracer may tell later.
async fn killed(gateway: Gateway, trace: &Path) -> String {
    let pid = gateway.pid().to_string();
    gateway.kill();
    let text = || fs::read_to_string(trace).unwrap_or_default();
    let ends = |line: &str| line.starts_with(&pid) && line.ends_with("+++ killed by SIGKILL +++");
    until("its end is written", seconds(60), || text().lines().any(ends)).await;
    text()
}

/// What points are drawn from, by phase and kind of call.
#[derive(Default)]
pub(crate) struct Points(BTreeMap<String, Vec<Point>>);

impl Points {
    /// Adds a phase that was watched.
    pub(crate) fn add(&mut self, phase: Phase, trace: &str) {
        let mut seen = HashMap::<(&str, &str), u32>::new();
        for line in trace.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let Some((call, arguments)) = call.trim_start().split_once('(') else { continue };
            if !CALLS.contains(call) || call.starts_with('<') {
                continue; // the second half of a call that others interrupted, a signal, an end
            }
            let nth = seen.entry((thread, call)).or_default();
            *nth += 1;
            if call != "openat" || arguments.contains("O_CREAT") {
                let point = Point { phase, call: call.to_owned(), nth: *nth };
                self.0.entry(format!("{phase:?} {call}")).or_default().push(point);
            }
        }
    }

    /// That many points, half of them of the start; or those that the environment names.
    pub(crate) fn draw(&self, count: usize, calls: &[&str], random: &mut StdRng) -> Vec<Point> {
        if let Ok(named) = env::var("SPILLWAY_FAULTS_POINTS") {
            return named.split(',').map(|point| point.parse().unwrap()).collect();
        }
        let phases = [Phase::Start, Phase::Load].into_iter().cycle();
        phases.take(count).map(|phase| self.one(phase, calls, random)).collect()
    }

    /// A point of that phase, and of one of these calls if any are named.
    pub(crate) fn one(&self, phase: Phase, calls: &[&str], random: &mut StdRng) -> Point {
        let fits = |point: &Point| point.phase == phase && (calls.is_empty() || calls.contains(&point.call.as_str()));
        let kinds: Vec<_> = self.0.values().filter(|kind| fits(&kind[0])).collect();
        kinds.choose(random).and_then(|kind| kind.choose(random)).expect("such calls were seen").clone()
    }
}

impl fmt::Display for Points {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.0.iter().map(|(kind, points)| format!("{kind} {}", points.len()));
        f.write_str(&kinds.collect::<Vec<_>>().join(", "))
    }
}
