//! A long list, fetched page by page.

use std::collections::VecDeque;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::way::Way;
use crate::batch::Key;
use crate::queue::tools::Page;

/// What several questions find, one after the other.
pub(in crate::cli) struct Pages<T> {
    /// Paths, each with a query.
    questions: VecDeque<String>,
    from: Option<Key>,
    found: PhantomData<T>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(in crate::cli) fn of(questions: impl IntoIterator<Item = String>) -> Pages<T> {
        Pages { questions: questions.into_iter().collect(), from: None, found: PhantomData }
    }

    /// The next page, which may be empty; `None` at the end.
    pub(in crate::cli) async fn next(&mut self, way: &Way) -> Result<Option<Vec<T>>, Failure> {
        let Some(question) = self.questions.front() else {
            return Ok(None);
        };
        let page: Page<T> = match self.from {
            Some(from) => way.get(format_args!("{question}&from={from}")).await?,
            None => way.get(question).await?,
        };
        self.from = page.next;
        if self.from.is_none() {
            self.questions.pop_front();
        }
        Ok(Some(page.found))
    }
}
