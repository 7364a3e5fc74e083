//! Which dead letters a command is about: those that are named, or those that fit.

use clap::Args;

use crate::cli::exit::Code;
use crate::cli::tools::failure::Failure;
use crate::cli::tools::filter::{Filter, Span, signals};
use crate::cli::tools::pages::Pages;
use crate::cli::tools::place::Id;
use crate::cli::tools::way::Way;
use crate::observe::commands::wire::DeadLetter;
use crate::queue::tools::Page;

/// What dead letters have in common
#[derive(Debug, Default, Args)]
pub(super) struct DeadFilter {
    #[command(flatten)]
    filter: Filter,
    /// Only those of this reason: refused, too_large, suspect, corrupt, endpoint_error, redelivered.
    #[arg(long, value_name = "REASON", help_heading = "Filters")]
    reason: Option<String>,
    /// Only those that this target refused.
    #[arg(long, value_name = "TARGET", help_heading = "Filters")]
    target: Option<String>,
}

/// Names, a filter, or the word for all: nothing is done to all of them by a slip
#[derive(Debug, Args)]
pub(super) struct Select {
    /// Dead letters by their IDs, as `dead ls` shows them.
    #[arg(value_name = "ID")]
    ids: Vec<Id>,
    /// All that the filters leave, or all there are.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    filter: DeadFilter,
}

impl DeadFilter {
    fn is_set(&self) -> bool {
        self.filter.is_set() || self.reason.is_some() || self.target.is_some()
    }

    fn takes(&self, letter: &DeadLetter, span: Span) -> bool {
        let verdict = &letter.verdict;
        span.contains(verdict.last_ms)
            && self.reason.as_ref().is_none_or(|reason| *reason == verdict.reason.as_str())
            && self.target.as_ref().is_none_or(|target| *target == verdict.target)
    }
}

/// Dead letters, fetched page by page.
pub(super) struct Found<'a> {
    filter: &'a DeadFilter,
    span: Span,
    pages: Pages<DeadLetter>,
}

impl<'a> Found<'a> {
    /// Those that fit; with their bytes, if these are wanted.
    pub(super) fn by(filter: &'a DeadFilter, bodies: bool) -> Found<'a> {
        let question = |signal| format!("/queue/dead?signal={signal}&bodies={bodies}");
        let pages = Pages::of(signals(&filter.filter.signal).map(question));
        Found { filter, span: filter.filter.span(), pages }
    }

    pub(super) async fn next(&mut self, way: &Way) -> Result<Option<Vec<DeadLetter>>, Failure> {
        let Some(mut page) = self.pages.next(way).await? else {
            return Ok(None);
        };
        page.retain(|letter| self.filter.takes(letter, self.span));
        Ok(Some(page))
    }
}

impl Select {
    /// Refuses a command that names nothing.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.ids.is_empty() && !self.all && !self.filter.is_set() {
            true => {
                Err(Failure::new(Code::Usage, "which? Name IDs as `spillway dead ls` shows them, a filter, or --all"))
            }
            false => Ok(()),
        }
    }

    /// Hands each of them to `take`, without its bytes. An ID that is not there ends the command.
    pub(super) async fn each(
        &self,
        way: &Way,
        mut take: impl FnMut(DeadLetter) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for id in &self.ids {
            take(one(way, *id, false).await?)?;
        }
        if self.ids.is_empty() {
            let mut found = Found::by(&self.filter, false);
            while let Some(page) = found.next(way).await? {
                page.into_iter().try_for_each(&mut take)?;
            }
        }
        Ok(())
    }
}

/// The dead letter of that ID.
pub(super) async fn one(way: &Way, id: Id, bodies: bool) -> Result<DeadLetter, Failure> {
    let Id(place) = id;
    let question = format_args!("/queue/dead?signal={}&from={}&bodies={bodies}", place.signal, place.key);
    let page: Page<DeadLetter> = way.get(question).await?;
    let found = page.found.into_iter().find(|letter| letter.key == place.key);
    found.ok_or_else(|| Failure::new(Code::No, format!("there is no dead letter {id}: `spillway dead ls` lists them")))
}
