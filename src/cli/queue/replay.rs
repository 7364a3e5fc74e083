//! `spillway queue replay`: brings files of OTLP JSON lines into the queue.
//!
//! How far a file came is kept in the queue, in one set of changes with its batches: whatever ends first, this tool, the
//! gateway or the machine, the same command goes on behind the last line that was taken.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::batch::{Batch, Encoding};
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::human;
use crate::cli::tools::lines::signal_of;
use crate::cli::tools::progress::{Progress, Unit};
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::{Bundle, Content, Import, Imported};
use crate::otlp::inflate::Deflater;
use crate::otlp::json::from_json;
use crate::otlp::malformed::Place;
use crate::otlp::skim::skim;
use crate::queue::tools::Mark;

/// Batches that are brought in with one sync, at most,
const GROUP: usize = 256;
/// and bytes of their lines, unless one is larger.
const GROUP_BYTES: usize = 4 << 20;
/// Longest line, in bytes: the largest request of the doors, as JSON.
const LONGEST: u64 = 512 << 20;

/// Bring files of OTLP JSON lines into the queue
///
/// Takes what `queue export` and `dead export` write, what a `file` target writes, and what a collector's file exporter writes
/// (format json, not compressed). Batches enter as if they were received now and are counted as imported.
///
/// A file is known by its content. What was interrupted goes on where it was when the same command is given again, beside a
/// gateway or offline, and nothing is brought in twice; a file that was brought in wholly is not brought in again without --again.
/// So let nobody write to a file that is replayed. Standard input (`-`) is not remembered.
///
/// While the queue is full it waits.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway queue replay backlog.jsonl
  spillway queue replay /var/backup/telemetry*.jsonl
  zcat old.jsonl.gz | spillway queue replay -
  spillway queue replay --skip-bad --json torn.jsonl | jq .bad")]
pub(super) struct ReplayArgs {
    /// The files, brought in one after the other.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Brings in what was brought in before.
    #[arg(long)]
    again: bool,
    /// Leaves out lines that are no OTLP JSON, instead of ending before the first of them (exit code 65).
    #[arg(long)]
    skip_bad: bool,
}

/// What came of a file.
#[derive(Debug, Default, Serialize)]
struct Report {
    file: String,
    /// Lines that were taken earlier.
    taken_before: u64,
    batches: u64,
    items: u64,
    /// Lines that were left out, each with a sentence.
    bad: Vec<String>,
}

pub(super) async fn replay(args: &ReplayArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let mut code = Code::Fine;
    for path in &args.files {
        let report = file(args, path, way).await?;
        if !report.bad.is_empty() {
            code = Code::No;
        }
        if json { out::json(&report) } else { say(&report) }
    }
    Ok(code)
}

fn say(report: &Report) {
    let Report { file, taken_before, batches, items, bad } = report;
    if *batches == 0 && *taken_before > 0 {
        out::note(&format!("{file} was brought in before; --again brings it in once more"));
        return;
    }
    let amount = format!("{} ({})", human::batches(*batches), human::items(*items));
    let before = match taken_before {
        0 => String::new(),
        lines => format!(", going on behind line {lines}"),
    };
    out::lines([format!("{file}: {amount} brought in{before}")]);
    if !bad.is_empty() {
        out::note(&format!("{file}: {} left out", human::count(bad.len() as u64)));
    }
}

async fn file(args: &ReplayArgs, path: &Path, way: &Way) -> Result<Report, Failure> {
    let name = path.display().to_string();
    let unreadable = |error: io::Error| Failure::new(Code::Data, format!("{name} cannot be read: {error}"));
    let (input, token, length): (Box<dyn Read>, _, _) = match path.to_str() {
        Some("-") => (Box::new(io::stdin()), None, 0),
        _ => {
            let not_there = |error| Failure { code: Code::Usage, ..unreadable(error) };
            let mut file = File::open(path).map_err(not_there)?;
            let (token, length) = known_as(&mut file).map_err(unreadable)?;
            (Box::new(file.take(length)), Some(token), length)
        }
    };
    let mut before = None;
    if let Some(token) = token {
        before = way.get::<Imported>(format_args!("/queue/imported?token={token}")).await?.line;
        if args.again && before.is_some() {
            let mark = Some(Mark { token, after: before.take(), line: 0, done: true });
            bring(way, &Import { batches: Vec::new(), mark }, None).await?;
        }
    }
    let mut report = Report { file: name.clone(), taken_before: before.unwrap_or(0), ..Report::default() };
    let progress = Progress::new("replay", Unit::Bytes, length);
    let mut lines = BufReader::with_capacity(1 << 20, input);
    let (mut line, mut number, mut read) = (Vec::new(), 0, 0);
    let mut reader = Reader::default();
    let (mut batches, mut bytes, mut items) = (Vec::new(), 0, 0);
    let mut bad = None;
    loop {
        line.clear();
        let more = (&mut lines).take(LONGEST).read_until(b'\n', &mut line).map_err(unreadable)?;
        let over = more == 0 || bad.is_some();
        if over || batches.len() == GROUP || bytes + more > GROUP_BYTES {
            let taken: Vec<Bundle> = std::mem::take(&mut batches);
            let amount = taken.len() as u64;
            if amount > 0 {
                let mark = token.map(|token| Mark { token, after: before.replace(number), line: number, done: false });
                bring(way, &Import { batches: taken, mark }, Some(&progress)).await?;
            }
            (report.batches, report.items) = (report.batches + amount, report.items + items);
            (bytes, items) = (0, 0);
            progress.at(read);
        }
        if over {
            break;
        }
        number += 1;
        read += more as u64;
        if number <= report.taken_before || line.trim_ascii().is_empty() {
            continue;
        }
        match reader.bundle(&line) {
            Ok(Some(bundle)) => {
                bytes += more;
                items += u64::from(bundle.content.items);
                batches.push(bundle);
            }
            Ok(None) => {}
            Err(what) => {
                let sentence = format!("{name}:{number}: {what}");
                match args.skip_bad {
                    true => {
                        out::warn(&sentence);
                        report.bad.push(sentence);
                    }
                    false => {
                        number -= 1; // it is not taken
                        bad = Some(sentence);
                    }
                }
            }
        }
    }
    drop(progress);
    match bad {
        None => Ok(report),
        Some(sentence) => {
            let taken = human::batches(report.batches);
            let sentence = format!(
                "{sentence}. {taken} before it were brought in; mend the line, or leave it out with --skip-bad"
            );
            Err(Failure::new(Code::Data, sentence))
        }
    }
}

/// By which name the queue knows a file, of its length and what is in it; and that length. What grows later is not read.
fn known_as(file: &mut File) -> io::Result<(u64, u64)> {
    let (mut chunk, mut crc, mut length) = (vec![0; 1 << 20], 0, 0);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        crc = crc32c::crc32c_append(crc, &chunk[..read]);
        length += read as u64;
    }
    file.rewind()?;
    Ok((u64::from(crc) << 32 | length & u64::from(u32::MAX), length))
}

/// Hands in batches, waiting while a running gateway has no room for them.
async fn bring(way: &Way, import: &Import, progress: Option<&Progress>) -> Result<(), Failure> {
    loop {
        let failure = match way.post::<()>("/commands/queue/import", import).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match failure.retry_after {
            Some(delay) if !way.is_offline() => {
                progress.inspect(|progress| progress.say("the queue is full: waiting".to_owned()));
                tokio::time::sleep(delay).await;
                progress.inspect(|progress| progress.say(String::new()));
            }
            Some(_) => {
                let sentence = "the queue is full, and nothing makes room while no gateway runs: start one, then give the same \
                                command again, which goes on from here";
                return Err(Failure::new(Code::No, sentence));
            }
            None => {
                let sentence = format!("{}; the same command goes on behind what was taken", failure.sentence);
                return Err(Failure { sentence, ..failure });
            }
        }
    }
}

/// Turns lines into batches, in a buffer that is used again.
#[derive(Default)]
struct Reader(Deflater);

impl Reader {
    /// The batch of a line; `None` when there are no items in it.
    fn bundle(&mut self, line: &[u8]) -> Result<Option<Bundle>, String> {
        let signal = signal_of(line).ok_or(
            "it is no export request: expected an object that begins with resourceSpans, resourceMetrics or resourceLogs",
        )?;
        let plain = from_json(signal, line).map_err(|malformed| match malformed.place {
            Place::Text { column, .. } => format!("column {column}: {} {}", malformed.path, malformed.what),
            Place::Byte(_) => malformed.to_string(),
        })?;
        let items = skim(signal, &plain).map_err(|malformed| malformed.to_string())?.items;
        if items == 0 {
            return Ok(None);
        }
        let batch = Batch {
            signal,
            encoding: Encoding::Gzip,
            items,
            inflated_len: u32::try_from(plain.len()).map_err(|_| "it is too large".to_owned())?,
            received_at_ms: 0,
            headers: [].into(),
            body: self.0.gzip(&plain).into(),
        };
        Ok(Some(Bundle { signal, content: Content::of(&batch) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line that is no export request is named with its column and field.
    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let said = |line: &str| Reader::default().bundle(line.as_bytes()).unwrap_err();
        assert!(said(r#"{"traceEvents":[]}"#).contains("resourceSpans"));
        let wrong = said(r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"soon"}]}]}]}"#);
        assert!(wrong.starts_with("column 6") && wrong.contains("logRecords[0].timeUnixNano"), "{wrong}");
        assert!(said(r#"{"resourceLogs":[{"scopeLogs""#).contains("column 29"), "torn");
        assert!(Reader::default().bundle(br#"{"resourceLogs":[]}"#).unwrap().is_none());
    }
}
