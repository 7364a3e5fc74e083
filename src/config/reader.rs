//! Takes keys by name out of the tree, types them, and notes all that is wrong instead of stopping at the first.
//!
//! A section asks for each of its keys, present or not; what was never asked for is an unknown key. A wrong value is noted and
//! its default taken, so that reading goes on. It knows no key by itself.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::collector;
use super::mistake::{Mistake, Place};
use super::nearest::{list, nearest};
use super::tree::{Entry, Node, Scalar, Value};
use crate::units::{ByteSize, parse_duration};

/// Durations above this are typing errors, and would overflow clocks.
const MAX_DURATION: Duration = Duration::from_secs(3650 * 86_400);

/// What was found while reading; shared by all sections.
#[derive(Debug, Default)]
pub(super) struct Report {
    mistakes: RefCell<Vec<Mistake>>,
    warnings: RefCell<Vec<Mistake>>,
    /// Every key that was asked for, with `*` in place of free names: `targets.*.timeout`.
    known: RefCell<BTreeSet<String>>,
    /// Unknown keys without a neighbour in their own section, and the mistake's position; see [`Report::into_parts`].
    strays: RefCell<Vec<(String, usize)>>,
}

impl Report {
    pub(super) fn mistake(&self, mistake: Mistake) {
        self.mistakes.borrow_mut().push(mistake);
    }

    pub(super) fn warning(&self, warning: Mistake) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_clean(&self) -> bool {
        self.mistakes.borrow().is_empty()
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> BTreeSet<String> {
        self.known.borrow().clone()
    }

    /// Mistakes and warnings in the order of the file. A key that is unknown where it stands, but known elsewhere, is told where.
    pub(super) fn into_parts(self) -> (Vec<Mistake>, Vec<Mistake>) {
        let mut mistakes = self.mistakes.into_inner();
        let known = self.known.into_inner();
        for (key, position) in self.strays.into_inner() {
            let elsewhere: Vec<&String> = known.iter().filter(|path| path.rsplit('.').next() == Some(&key)).collect();
            if let [only] = elsewhere[..] {
                mistakes[position].hint = Some(format!("did you mean `{}`?", only.replace(".*.", ".NAME.")));
            }
        }
        let mut warnings = self.warnings.into_inner();
        for list in [&mut mistakes, &mut warnings] {
            list.sort_by(|a, b| a.place.cmp(&b.place));
            list.dedup();
        }
        (mistakes, warnings)
    }

    /// Reads a map with `read` and notes the keys that it did not ask for. Anything else than a map or nothing is a mistake,
    /// and read as an empty map.
    pub(super) fn section<T>(&self, node: Option<&Node>, path: KeyPath, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let node = node.filter(|node| !node.is_null());
        let mut entries: &[Entry] = &[];
        let mut place = Place::Nowhere;
        if let Some(node) = node {
            place = node.at.clone();
            match &node.value {
                Value::Map(map) => entries = map,
                other => {
                    let mistake = Mistake::new(place.clone(), format!("`{}` is {}", path.real, describe(other)));
                    let mistake = mistake.expected("keys and values, as in `key: value`");
                    self.mistake(match collector::advice_on_value(&path.pattern) {
                        Some(advice) => mistake.hint(advice),
                        None => mistake,
                    });
                }
            }
        }
        let mut section = Section { report: self, path, place, entries, known: Vec::new() };
        let value = read(&mut section);
        section.finish();
        value
    }
}

/// The path of a key as it is, and with `*` for names that the user chose.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyPath {
    pub real: String,
    pub pattern: String,
}

impl KeyPath {
    pub(super) fn key(&self, key: &str) -> KeyPath {
        KeyPath { real: join(&self.real, key), pattern: join(&self.pattern, key) }
    }

    pub(super) fn name(&self, name: &str) -> KeyPath {
        KeyPath { real: join(&self.real, name), pattern: join(&self.pattern, "*") }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// One map of the file while it is read.
pub(super) struct Section<'a> {
    pub report: &'a Report,
    pub path: KeyPath,
    /// Where the map is.
    pub place: Place,
    pub entries: &'a [Entry],
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The value of a key; `None` when it is absent, or written with nothing.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        self.report.known.borrow_mut().insert(self.path.key(key).pattern);
        let entries = self.entries;
        let entry = entries.iter().find(|entry| entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// A section below this one.
    pub(super) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let node = self.get(key);
        self.report.section(node, self.path.key(key), read)
    }

    /// The entries of a map whose keys are names that the user chose.
    pub(super) fn names(&mut self, key: &'static str) -> &'a [Entry] {
        let Some(node) = self.get(key) else { return &[] };
        if let Value::Map(entries) = &node.value {
            return entries;
        }
        self.wrong(key, node, "names with their values, as in `name: …`");
        &[]
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.scalar(key, default.to_owned(), "a text", |scalar| Some(scalar.text.clone()))
    }

    /// A text where nothing and `""` mean that there is none.
    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        Some(self.text(key, "")).filter(|text| !text.is_empty())
    }

    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.scalar(key, None, "the path of a file", |scalar| Some(Some(PathBuf::from(&scalar.text))))
            .filter(|path| !path.as_os_str().is_empty())
    }

    pub(super) fn bool(&mut self, key: &'static str, default: bool) -> bool {
        let Some(node) = self.get(key) else { return default };
        let word = match &node.value {
            Value::Scalar(scalar) => scalar.text.to_lowercase(),
            Value::List(_) | Value::Map(_) => String::new(),
        };
        match (word.as_str(), is_plain(node)) {
            ("true", true) => true,
            ("false", true) => false,
            _ => {
                let mistake = self.wrong_value(key, node, "true or false");
                self.report.mistake(match word.as_str() {
                    "yes" | "on" | "1" | "true" => mistake.hint(format!("did you mean `{key}: true`?")),
                    "no" | "off" | "0" | "false" => mistake.hint(format!("did you mean `{key}: false`?")),
                    _ => mistake,
                });
                default
            }
        }
    }

    /// A whole number.
    pub(super) fn count(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let expected = match (*range.start(), *range.end()) {
            (low, u64::MAX) => format!("a whole number of at least {low}"),
            (low, high) => format!("a whole number from {low} to {high}"),
        };
        self.scalar(key, default, &expected, |scalar| {
            let number = scalar.plain.then(|| scalar.text.parse().ok()).flatten()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A number that need not be whole.
    pub(super) fn number(&mut self, key: &'static str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.scalar(key, default, &expected, |scalar| {
            let number = scalar.plain.then(|| scalar.text.parse().ok()).flatten()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A share, as `80%` or `0.8`.
    pub(super) fn share(&mut self, key: &'static str, default: f64, allowed: Share) -> f64 {
        self.scalar(key, default, allowed.expected(), |scalar| {
            parse_share(&scalar.text).filter(|share| allowed.holds(*share))
        })
    }

    /// A duration, `0` included.
    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.scalar(key, default, "a duration such as 500ms, 10s or 1m30s, or 0", |scalar| duration(&scalar.text))
    }

    /// A duration above zero.
    pub(super) fn interval(&mut self, key: &'static str, default: Duration) -> Duration {
        self.scalar(key, default, "a duration above 0, such as 500ms, 10s or 1m30s", |scalar| {
            duration(&scalar.text).filter(|duration| !duration.is_zero())
        })
    }

    /// A number of bytes.
    pub(super) fn size(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let expected = match (*range.start(), *range.end()) {
            (0, u64::MAX) => "a size such as 64MiB or 20GiB".to_owned(),
            (low, u64::MAX) => format!("a size of at least {}, such as 64MiB or 20GiB", ByteSize(low)),
            (low, high) => format!("a size from {} to {}, such as 64MiB", ByteSize(low), ByteSize(high)),
        };
        self.scalar(key, default, &expected, |scalar| {
            ByteSize::parse(&scalar.text).map(ByteSize::bytes).filter(|bytes| range.contains(bytes))
        })
    }

    /// One of several words.
    pub(super) fn choice<T: Clone>(&mut self, key: &'static str, default: T, choices: &[(&str, T)]) -> T {
        let Some(node) = self.get(key) else { return default };
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let text = match &node.value {
            Value::Scalar(scalar) => scalar.text.as_str(),
            Value::List(_) | Value::Map(_) => "",
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return value.clone();
        }
        let mistake = self.wrong_value(key, node, &list(&words, "or"));
        let near = collector::word(&self.path.key(key).pattern, text).or_else(|| nearest(text, words.iter().copied()));
        self.report.mistake(match near {
            Some(word) => mistake.hint(format!("did you mean `{word}`?")),
            None => mistake,
        });
        default
    }

    /// A list of words, each with its place; nothing is an empty list.
    pub(super) fn words(&mut self, key: &'static str) -> Option<Vec<(Place, String)>> {
        let node = self.get(key)?;
        let Value::List(items) = &node.value else {
            self.wrong(key, node, "a list, as in `[one, two]`");
            return None;
        };
        let mut words = Vec::new();
        for item in items {
            match &item.value {
                Value::Scalar(scalar) if !item.is_null() => words.push((item.at.clone(), scalar.text.clone())),
                _ => self.wrong(key, item, "a list of words, as in `[one, two]`"),
            }
        }
        Some(words)
    }

    /// A scalar that `parse` takes; whatever it does not take is noted with what was expected, and the default holds.
    pub(super) fn scalar<T>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&Scalar) -> Option<T>,
    ) -> T {
        let Some(node) = self.get(key) else { return default };
        let value = match &node.value {
            Value::Scalar(scalar) => parse(scalar),
            Value::List(_) | Value::Map(_) => None,
        };
        match value {
            Some(value) => value,
            None => {
                self.wrong(key, node, expected);
                default
            }
        }
    }

    /// What `read` makes of a key when it is written; `None` when it is not.
    pub(super) fn given<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        // Asked for in any case, so that the key is known.
        let value = read(self);
        self.has(key).then_some(value)
    }

    /// Notes that the value of a key is not what was expected.
    pub(super) fn wrong(&self, key: &str, node: &Node, expected: &str) {
        self.report.mistake(self.wrong_value(key, node, expected));
    }

    fn wrong_value(&self, key: &str, node: &Node, expected: &str) -> Mistake {
        let path = self.path.key(key);
        let mistake = Mistake::new(node.at.clone(), format!("`{}` is {}", path.real, describe(&node.value)));
        let mistake = mistake.expected(expected);
        match collector::advice_on_value(&path.pattern).or_else(|| unit_hint(&node.value)) {
            Some(hint) => mistake.hint(hint),
            None => mistake,
        }
    }

    /// The place of a key's value, or of the section when it is absent.
    pub(super) fn place_of(&self, key: &str) -> Place {
        match self.entries.iter().find(|entry| entry.key == key) {
            Some(entry) => entry.value.at.clone(),
            None => self.place.clone(),
        }
    }

    /// Whether a key is written with something.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && !entry.value.is_null())
    }

    fn finish(self) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let owner = if self.path.real.is_empty() { "the file".to_owned() } else { format!("`{}`", self.path.real) };
            let mistake = Mistake::new(entry.at.clone(), format!("`{}` is not a key of {owner}", entry.key));
            if let Some(advice) = collector::advice_on_key(&self.path.pattern, &entry.key) {
                self.report.mistake(mistake.hint(advice));
                collector::exporters(&self.path.pattern, entry, self.report);
                continue;
            }
            let near = nearest(&entry.key, self.known.iter().copied());
            let mistake = mistake.expected(list(&self.known, "or"));
            match near {
                Some(near) => self.report.mistake(mistake.hint(format!("did you mean `{near}`?"))),
                None => {
                    let position = self.report.mistakes.borrow().len();
                    self.report.strays.borrow_mut().push((entry.key.clone(), position));
                    self.report.mistake(mistake);
                }
            }
        }
    }
}

/// Which shares a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// [0, 1]
    Any,
    /// (0, 1]
    Positive,
    /// (0, 1)
    Inner,
}

impl Share {
    fn holds(self, share: f64) -> bool {
        match self {
            Share::Any => (0.0..=1.0).contains(&share),
            Share::Positive => share > 0.0 && share <= 1.0,
            Share::Inner => share > 0.0 && share < 1.0,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Share::Any => "a share from 0% to 100%, such as 80%",
            Share::Positive => "a share above 0% and up to 100%, such as 80%",
            Share::Inner => "a share above 0% and below 100%, such as 80%",
        }
    }
}

/// `80%` or `0.8`.
pub(super) fn parse_share(text: &str) -> Option<f64> {
    let text = text.trim();
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    number.is_finite().then_some(number)
}

fn duration(text: &str) -> Option<Duration> {
    let duration = parse_duration(text).filter(|duration| *duration <= MAX_DURATION)?;
    // What is finer than a millisecond could not be shown, and no timer here keeps it.
    (duration.subsec_micros() % 1000 == 0).then_some(duration)
}

fn is_plain(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.plain)
}

/// A value in a message: what kind it is, or its text, shortened, and hidden when it came from a file.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Map(_) => "a map".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Scalar(scalar) if scalar.hidden => "*** (from a file)".to_owned(),
        Value::Scalar(scalar) if scalar.plain && scalar.text.is_empty() => "empty".to_owned(),
        Value::Scalar(scalar) => {
            let start: String = scalar.text.chars().take(60).collect();
            let text = if start.len() < scalar.text.len() { format!("{start}…") } else { start };
            if scalar.plain { text.escape_debug().to_string() } else { format!("{text:?}") }
        }
    }
}

/// `64MB` and `64Mi` are sizes elsewhere; `10` is a number of seconds to many.
fn unit_hint(value: &Value) -> Option<String> {
    let Value::Scalar(scalar) = value else { return None };
    if scalar.hidden {
        return None;
    }
    let digits = scalar.text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if digits.is_empty() || digits.parse::<u64>().is_err() {
        return None;
    }
    let suffix = scalar.text[digits.len()..].to_ascii_lowercase();
    let unit = match suffix.as_str() {
        "k" | "kb" | "ki" | "kib" => "KiB",
        "m" | "mb" | "mi" | "mib" => "MiB",
        "g" | "gb" | "gi" | "gib" => "GiB",
        "t" | "tb" | "ti" | "tib" => "TiB",
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hour" | "hours" => "h",
        "day" | "days" => "d",
        _ => return None,
    };
    (scalar.text[digits.len()..] != *unit).then(|| format!("did you mean `{digits}{unit}`?"))
}
