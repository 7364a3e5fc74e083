//! YAML as a small tree in which each key and value knows its place.
//!
//! The parser's events are turned into the tree here and nowhere else. What people mean is kept, what they cannot mean is
//! refused: keys written twice, several documents, keys that are no text, tags. Aliases and merge keys (`<<`) are expanded
//! within a bound. It knows no key of the configuration.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::mistake::{Mistake, Place};
use super::tree::{Entry, Node, Scalar, Value};

/// Deeper nesting is refused: no key of ours lies below the seventh level, and every walk of the tree recurses.
const MAX_DEPTH: usize = 32;
/// More nodes, aliases expanded, are refused: a few lines of aliases can stand for billions.
const MAX_NODES: usize = 20_000;

/// Parses `text`. `place` says where a line and a column, both counted from 1, lie for the reader of a message.
///
/// `Ok(None)` is a text without any document. After a mistake in the syntax the rest of the text cannot be read, so that one
/// ends the parse; keys written twice and the like are pushed to `mistakes` and the parse goes on.
pub(super) fn parse(
    text: &str,
    place: &dyn Fn(usize, usize) -> Place,
    mistakes: &mut Vec<Mistake>,
) -> Result<Option<Node>, Mistake> {
    let mut parser = Parser::new_from_str(text);
    let anchors = HashMap::new();
    let mut builder = Builder { text, events: &mut parser, place, anchors, nodes: 0, mistakes };
    builder.stream()
}

type Events<'p, 't> = &'p mut Parser<'t, StrInput<'t>>;

struct Builder<'p, 't> {
    text: &'t str,
    events: Events<'p, 't>,
    place: &'p dyn Fn(usize, usize) -> Place,
    /// Finished nodes with an anchor, and how many nodes each holds.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    mistakes: &'p mut Vec<Mistake>,
}

impl<'t> Builder<'_, 't> {
    fn stream(&mut self) -> Result<Option<Node>, Mistake> {
        let mut document = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(document),
                Event::DocumentStart(_) if document.is_some() => {
                    let place = self.at(span.start);
                    return Err(Mistake::new(place, "a second document starts here").expected("one document in a file"));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => document = Some(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Mistake> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(*error.marker(), error.info())),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Mistake> {
        let at = self.at(span.start);
        if depth > MAX_DEPTH {
            return Err(Mistake::new(at, "the nesting is too deep").expected(format!("at most {MAX_DEPTH} levels")));
        }
        let before = self.nodes;
        self.count(1, &at)?;
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                let forced = self.tag(tag.as_deref(), &at);
                let plain = style == ScalarStyle::Plain && !forced;
                (Value::Scalar(Scalar { text: text.into_owned(), plain, hidden: false }), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), &at);
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), &at);
                (Value::Map(self.map(depth)?), anchor)
            }
            _ => return Err(self.syntax(span.start, "a value is missing")),
        };
        let node = Node { at, value };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Mistake> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(items);
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Mistake> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let Value::Scalar(Scalar { text, plain, .. }) = key.value else {
                self.mistakes.push(Mistake::new(key.at, "a key is a list or a map").expected("a word"));
                continue;
            };
            if plain && text == "<<" {
                merged.push(value);
            } else if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                let first = match first.at {
                    Place::File { line, .. } => format!(", first on line {line}"),
                    _ => String::new(),
                };
                self.mistakes.push(
                    Mistake::new(key.at, format!("`{text}` is written twice{first}"))
                        .expected("each key once in its map"),
                );
            } else {
                entries.push(Entry { key: text, at: key.at, value });
            }
        }
        for value in merged {
            self.merge(&mut entries, value);
        }
        Ok(entries)
    }

    /// `<<: *defaults` or `<<: [*first, *second]`: keys that are there already stand.
    fn merge(&mut self, entries: &mut Vec<Entry>, from: Node) {
        match from.value {
            Value::Map(more) => {
                for entry in more {
                    if !entries.iter().any(|own| own.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
            Value::List(maps) => maps.into_iter().for_each(|map| self.merge(entries, map)),
            Value::Scalar(_) => {
                let mistake = Mistake::new(from.at, "`<<` merges a value that is no map");
                self.mistakes.push(mistake.expected("an alias of a map, as in `<<: *defaults`"));
            }
        }
    }

    fn alias(&mut self, anchor: usize, at: Place) -> Result<Node, Mistake> {
        match self.anchors.get(&anchor) {
            Some((node, nodes)) => {
                let (node, nodes) = (node.clone(), *nodes);
                self.count(nodes, &at)?;
                Ok(node)
            }
            None => Err(Mistake::new(at, "an alias stands inside the value that it names")),
        }
    }

    fn count(&mut self, nodes: usize, at: &Place) -> Result<(), Mistake> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Mistake::new(
                at.clone(),
                format!("more than {MAX_NODES} values, aliases counted as often as used"),
            ));
        }
        Ok(())
    }

    /// Whether the tag makes a text of the scalar. `!!str` does; any other tag means nothing here and is a mistake.
    fn tag(&mut self, tag: Option<&Tag>, at: &Place) -> bool {
        let Some(tag) = tag else { return false };
        let text = tag.is_yaml_core_schema() && tag.suffix == "str";
        let harmless = tag.is_yaml_core_schema() && ["map", "seq"].contains(&tag.suffix.as_str());
        if !text && !harmless {
            self.mistakes.push(Mistake::new(at.clone(), format!("the tag `{tag}` means nothing here")));
        }
        text
    }

    fn syntax(&self, mark: Marker, info: &str) -> Mistake {
        let mistake = Mistake::new(self.at(mark), format!("this is no YAML: {info}"));
        let line = self.text.lines().nth(mark.line().saturating_sub(1)).unwrap_or_default();
        if line.contains("${") && line.contains(['{', '[']) {
            return mistake.hint("inside { } and [ ] a value with ${…} needs quotes, as in `{a: \"${env:NAME}\"}`");
        }
        if line.starts_with('\t') {
            return mistake.hint("YAML is indented with spaces, not tabs");
        }
        mistake
    }

    fn at(&self, mark: Marker) -> Place {
        (self.place)(mark.line(), mark.col() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Result<Option<Node>, Mistake>, Vec<String>) {
        let mut mistakes = Vec::new();
        let tree = parse(text, &|line, column| Place::File { line, column }, &mut mistakes);
        (tree, mistakes.iter().map(|mistake| mistake.line("f")).collect())
    }

    fn tree(text: &str) -> Node {
        let (tree, mistakes) = read(text);
        assert_eq!(mistakes, Vec::<String>::new());
        tree.unwrap().unwrap()
    }

    fn refusal(text: &str) -> String {
        read(text).0.unwrap_err().line("f")
    }

    /// Every key and value knows its line and column, in block and in flow form.
    #[test]
    fn places_are_counted_from_one() {
        let tree = tree("a: 1\nb: {c: [x, y]}\n");
        assert_eq!(tree.find(&["b"]).unwrap().at, Place::File { line: 2, column: 4 });
        assert_eq!(tree.find(&["b", "c", "1"]).unwrap().at, Place::File { line: 2, column: 12 });
        assert_eq!(tree.entry(&["b", "c"]).unwrap().at, Place::File { line: 2, column: 5 });
    }

    /// A key written twice is reported with both places, and the rest is still read.
    #[test]
    fn duplicates_are_reported_and_reading_goes_on() {
        let (tree, mistakes) = read("t:\n  hub: 1\n  hub: 2\nz: 3\nz: 4\n");
        assert_eq!(
            mistakes,
            [
                "f:3:3: `hub` is written twice, first on line 2; expected each key once in its map",
                "f:5:1: `z` is written twice, first on line 4; expected each key once in its map",
            ]
        );
        assert!(tree.unwrap().unwrap().find(&["z"]).is_some());
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded() {
        let tree = tree("a: &d {x: 1, y: 2}\nb: {<<: *d, x: 3}\nc: *d\n");
        let texts = |path: &[&str]| tree.find(path).unwrap().text().unwrap().to_owned();
        assert_eq!((texts(&["b", "x"]), texts(&["b", "y"]), texts(&["c", "x"])), ("3".into(), "2".into(), "1".into()));
    }

    /// What cannot be meant is refused with its place, and nothing of it takes long or much memory.
    #[test]
    fn what_cannot_be_meant_is_refused() {
        let bomb = (1..12).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
            let below = vec![format!("*a{}", level - 1); 10].join(",");
            format!("{text}a{level}: &a{level} [{below}]\n")
        });
        assert!(refusal(&bomb).contains("more than 20000 values"));
        assert!(refusal(&"[".repeat(5_000)).contains("f:1:"));
        assert!(refusal(&"- ".repeat(5_000)).contains("too deep"));
        assert_eq!(
            refusal("a: 1\n---\nb: 2\n"),
            "f:2:1: a second document starts here; expected one document in a file"
        );
        assert_eq!(refusal("a: &a [*a]\n"), "f:1:8: an alias stands inside the value that it names");
        assert!(refusal("a: {b: ${env:X}}\n").contains("needs quotes"));
        assert_eq!(read("a: !secret x\n").1, ["f:1:4: the tag `!secret` means nothing here"]);
        assert_eq!(read("[a]: x\n").1, ["f:1:1: a key is a list or a map; expected a word"]);
    }

    #[test]
    fn an_empty_text_is_no_document() {
        assert_eq!(read("# nothing\n").0, Ok(None));
    }
}
