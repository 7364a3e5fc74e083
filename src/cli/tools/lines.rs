//! Files of OTLP JSON lines: one export request a line, as a collector's file exporter writes them and its otlpjsonfile
//! receiver reads them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::Failure;
use super::human;
use super::place::Id;
use crate::batch::{Batch, Signal};
use crate::cli::exit::Code;
use crate::cli::out;
use crate::observe::commands::wire::Content;
use crate::otlp::inflate::Inflater;
use crate::otlp::json;

/// Where an export goes
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Output {
    /// The file to write. It appears whole, once everything is in it and synced. Standard output without one.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Writes over a file of that name.
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

/// Lines on their way out. Dropped before the end, it leaves no file behind.
pub(in crate::cli) struct Lines {
    to: BufWriter<Box<dyn Write>>,
    /// A copy of the file's handle, to sync it, what it is called meanwhile, and in the end.
    file: Option<(File, Draft, PathBuf)>,
    tool: ToJson,
    pub(in crate::cli) written: Written,
}

/// What was written.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Written {
    pub(in crate::cli) batches: u64,
    pub(in crate::cli) items: u64,
    /// Bytes of the lines.
    pub(in crate::cli) bytes: u64,
    /// Those whose bytes cannot be read, each with a sentence.
    pub(in crate::cli) damaged: Vec<String>,
}

/// A file that is not whole yet.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // renamed by then, unless something failed
    }
}

impl Lines {
    pub(in crate::cli) fn to(output: &Output) -> Result<Lines, Failure> {
        let (tool, written) = (ToJson::default(), Written::default());
        let Some(path) = output.file.as_ref().filter(|path| path.as_os_str() != "-") else {
            return Ok(Lines { to: BufWriter::new(Box::new(out::pipe())), file: None, tool, written });
        };
        if !output.force && path.try_exists().unwrap_or(false) {
            let sentence = format!("{} exists: name another file, or write over it with --force", path.display());
            return Err(Failure::new(Code::Usage, sentence));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let draft = PathBuf::from(name);
        // What is in there is for this user alone, as it is in the queue.
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
        let opened = opened.and_then(|file| Ok((file.try_clone()?, file)));
        let (copy, file) = opened.map_err(|error| unwritable(path, &error))?;
        let to = BufWriter::with_capacity(1 << 20, Box::new(file) as Box<dyn Write>);
        Ok(Lines { to, file: Some((copy, Draft(draft), path.clone())), tool, written })
    }

    /// Writes a batch, or notes why it cannot be written.
    pub(in crate::cli) fn put(
        &mut self,
        id: Id,
        content: Option<&Content>,
        damage: Option<&str>,
    ) -> Result<(), Failure> {
        let line = match (content.and_then(|content| content.batch(id.0.signal)), damage) {
            (Some(batch), _) => self.tool.line(&batch),
            (None, damage) => Err(damage.unwrap_or("its bytes were not told").to_owned()),
        };
        match line {
            Ok(line) => {
                self.to.write_all(line).map_err(|error| failed(self.file.as_ref(), &error))?;
                self.written.batches += 1;
                self.written.items += content.map_or(0, |content| u64::from(content.items));
                self.written.bytes += line.len() as u64;
            }
            Err(why) => {
                let sentence = format!("{id}: {why}");
                out::warn(&sentence);
                self.written.damaged.push(sentence);
            }
        }
        Ok(())
    }

    /// Makes the file whole: synced, and under its name.
    pub(in crate::cli) fn save(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| failed(self.file.as_ref(), &error);
        self.to.flush().map_err(failed)?;
        if let Some((file, draft, path)) = &self.file {
            let directory = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            let whole = file.sync_all().and_then(|()| fs::rename(&draft.0, path));
            whole.and_then(|()| File::open(directory)?.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the file whole, and says what is in it.
    pub(in crate::cli) fn finish(mut self, json: bool) -> Result<Code, Failure> {
        self.save()?;
        let Written { batches, items, bytes, damaged } = &self.written;
        match &self.file {
            Some(_) if json => out::json(&self.written),
            Some((_, _, path)) => {
                let (batches, items, bytes) = (human::batches(*batches), human::items(*items), human::bytes(*bytes));
                out::lines([format!("{batches} ({items}, {bytes}) written to {}", path.display())]);
            }
            None => {}
        }
        if damaged.is_empty() {
            return Ok(Code::Fine);
        }
        let left = human::batches(damaged.len() as u64);
        Ok(out::fail(&format!("{left} cannot be read and are not in it; all else is"), Code::No))
    }
}

/// Turns stored bodies into lines, in buffers that are used again.
#[derive(Default)]
pub(in crate::cli) struct ToJson {
    inflater: Inflater,
    line: Vec<u8>,
}

impl ToJson {
    /// The line of a batch, with its line feed.
    pub(in crate::cli) fn line(&mut self, batch: &Batch) -> Result<&[u8], String> {
        let plain = self.inflater.inflate(batch.encoding, &batch.body, batch.inflated_len as usize);
        let plain = plain.map_err(|error| error.to_string())?;
        self.line.clear();
        json::write_json_line(batch.signal, plain.bytes, &mut self.line).map_err(|error| error.to_string())?;
        Ok(&self.line)
    }
}

/// The signal of a line, by the first key of its object.
pub(in crate::cli) fn signal_of(line: &[u8]) -> Option<Signal> {
    let rest = line.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let key = &rest[..rest.iter().position(|byte| *byte == b'"')?];
    match key {
        b"resourceSpans" | b"resource_spans" => Some(Signal::Traces),
        b"resourceMetrics" | b"resource_metrics" => Some(Signal::Metrics),
        b"resourceLogs" | b"resource_logs" => Some(Signal::Logs),
        _ => None,
    }
}

fn failed(file: Option<&(File, Draft, PathBuf)>, error: &io::Error) -> Failure {
    match file {
        Some((_, _, path)) => unwritable(path, error),
        None if error.kind() == io::ErrorKind::BrokenPipe => {
            Failure::new(Code::No, "whoever read the output went away")
        }
        None => Failure::new(Code::No, format!("standard output cannot be written: {error}")),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let sentence =
        format!("{} cannot be written: {error}; nothing is left of it, and the queue is as it was", path.display());
    Failure::new(Code::Directory, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_tells_the_signal() {
        for (line, signal) in [
            (r#"{"resourceSpans":[]}"#, Some(Signal::Traces)),
            (r#" { "resourceMetrics" : [] }"#, Some(Signal::Metrics)),
            (r#"{"resourceLogs":[]}"#, Some(Signal::Logs)),
            (r#"{"resourceProfiles":[]}"#, None),
            ("{}", None),
            ("[]", None),
            (r#"{"resourceLogs"#, None),
            ("", None),
        ] {
            assert_eq!(signal_of(line.as_bytes()), signal, "{line}");
        }
    }
}
