//! The tree between YAML and the typed sections: nodes, and how they are found by path.

use super::mistake::Place;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Where; [`Place::Nowhere`] for a map that only exists because an override or a variable set a key inside it.
    pub at: Place,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar keeps its text as written; readers type it when they know what they want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scalar {
    pub text: String,
    /// Not quoted, so that `5` is a number and `true` a bool.
    pub plain: bool,
    /// Came from `${file:…}`: never shown in a message.
    pub hidden: bool,
}

/// A key of a map and its value, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub key: String,
    pub at: Place,
    pub value: Node,
}

impl Node {
    /// A text, as if quoted.
    pub(super) fn quoted(at: Place, text: impl Into<String>) -> Node {
        Node { at, value: Value::Scalar(Scalar { text: text.into(), plain: false, hidden: false }) }
    }

    /// A number, bool, or word that needs no quotes.
    pub(super) fn plain(at: Place, text: impl Into<String>) -> Node {
        Node { at, value: Value::Scalar(Scalar { text: text.into(), plain: true, hidden: false }) }
    }

    /// A map without keys.
    pub(super) fn map(at: Place) -> Node {
        Node { at, value: Value::Map(Vec::new()) }
    }

    /// Nothing: an empty value, `~` or `null`. Keys written with nothing have their defaults.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => scalar.plain && ["", "~", "null", "Null", "NULL"].contains(&scalar.text.as_str()),
            Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The text of a scalar.
    #[cfg(test)]
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// The value below `path`; items of a list are found by their number, from 0.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let next = match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == *first).map(|entry| &entry.value),
            Value::List(items) => first.parse::<usize>().ok().and_then(|number| items.get(number)),
            Value::Scalar(_) => None,
        };
        next?.find(rest)
    }

    /// Whether something other than nothing is written below `path`.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        self.find(path).is_some_and(|node| !node.is_null())
    }

    /// The entry whose value lies below `path`.
    #[cfg(test)]
    pub(super) fn entry(&self, path: &[&str]) -> Option<&Entry> {
        let (last, above) = path.split_last()?;
        self.find(above)?.entries().iter().find(|entry| entry.key == *last)
    }

    /// Where a message about `path` should point: at the value, or at what is nearest above it.
    pub(super) fn place(&self, path: &[&str]) -> Place {
        let nearest = (0..=path.len()).rev().find_map(|len| match self.find(&path[..len]) {
            Some(node) if node.at != Place::Nowhere && len > 0 => Some(node.at.clone()),
            _ => None,
        });
        nearest.unwrap_or(Place::Nowhere)
    }

    /// Puts `value` below `path`, with maps on the way where there are none. `at` is the place of new keys. When the way is
    /// blocked by a scalar or a list, the path up to it comes back.
    pub(super) fn put(&mut self, path: &[&str], at: &Place, value: Node) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return Ok(());
        };
        if self.is_null() {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else { return Err(String::new()) };
        let position = match entries.iter().position(|entry| entry.key == *first) {
            Some(position) => position,
            None => {
                entries.push(Entry { key: (*first).to_owned(), at: at.clone(), value: Node::map(Place::Nowhere) });
                entries.len() - 1
            }
        };
        entries[position].value.put(rest, at, value).map_err(|blocked| match blocked.as_str() {
            "" => (*first).to_owned(),
            below => format!("{first}.{below}"),
        })
    }
}
