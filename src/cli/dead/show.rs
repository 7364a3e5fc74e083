//! `spillway dead show`: one dead letter, its story and its data.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::select::one;
use crate::cli::exit::Code;
use crate::cli::out;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::lines::ToJson;
use crate::cli::tools::place::Id;
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::DeadLetter;

/// Show a dead letter: the verdict, and the data as OTLP JSON
///
/// Prints one JSON object, over several lines unless --json is given.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  spillway dead show logs/17
  spillway dead show logs/17 | jq -r .message                       what the target said
  spillway dead show logs/17 | jq '.data.resourceLogs[0].resource'  whose data it is")]
pub(super) struct ShowArgs {
    /// Its ID, as `dead ls` shows it.
    #[arg(value_name = "ID")]
    id: Id,
}

/// What is printed.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    letter: DeadLetter,
    headers: Vec<(Box<str>, Box<str>)>,
    /// The export request as OTLP JSON; null when its bytes cannot be read.
    data: Option<Value>,
}

pub(super) async fn show(args: &ShowArgs, json: bool, way: &Way) -> Result<Code, Failure> {
    let mut letter = one(way, args.id, true).await?;
    let content = letter.content.take();
    let batch = content.and_then(|content| content.batch(letter.signal));
    let (mut data, mut headers) = (None, Vec::new());
    if let Some(batch) = batch {
        match ToJson::default().line(&batch) {
            Ok(line) => data = serde_json::from_slice(line).ok(),
            Err(why) => letter.damage = Some(why),
        }
        headers = batch.headers.to_vec();
    }
    let shown = Shown { letter, headers, data };
    match serde_json::to_string_pretty(&shown) {
        Ok(text) if !json => out::text(&(text + "\n")),
        _ => out::json(&shown),
    }
    Ok(Code::Fine)
}
