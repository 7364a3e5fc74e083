//! `${NAME}`, `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `$$` in values.
//!
//! It works on scalars after the parse, so that no value can bring structure of its own, and what was put in is not looked at
//! again. A scalar that is nothing but one `${…}` counts as plain, even in quotes, so that a variable can hold a number.

use std::io::Read;

use super::mistake::Mistake;
use super::tree::{Node, Scalar, Value};

/// Larger files are refused: a value of the configuration is a token or a certificate's name, not a file system.
const MAX_FILE: u64 = 1 << 20;
/// Defaults inside defaults.
const MAX_DEPTH: usize = 8;

/// Looks up an environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces in every scalar of the tree; what cannot be replaced is pushed to `mistakes` and stays.
pub(super) fn substitute(node: &mut Node, env: Env<'_>, mistakes: &mut Vec<Mistake>) {
    match &mut node.value {
        Value::Map(entries) => entries.iter_mut().for_each(|entry| substitute(&mut entry.value, env, mistakes)),
        Value::List(items) => items.iter_mut().for_each(|item| substitute(item, env, mistakes)),
        Value::Scalar(scalar) if scalar.text.contains('$') => match expand(&scalar.text, env, 0) {
            Ok(expanded) => {
                let plain = scalar.plain || expanded.whole;
                *scalar = Scalar { text: expanded.text, plain, hidden: expanded.hidden };
            }
            Err(problem) => {
                mistakes.push(Mistake { place: node.at.clone(), ..problem });
                // Nothing, so that the reader takes the default and does not complain a second time.
                *scalar = Scalar { text: String::new(), plain: true, hidden: false };
            }
        },
        Value::Scalar(_) => {}
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Expanded {
    text: String,
    /// The scalar was one `${…}` and nothing else.
    whole: bool,
    /// A part came from a file.
    hidden: bool,
}

fn expand(text: &str, env: Env<'_>, depth: usize) -> Result<Expanded, Mistake> {
    let mut out = Expanded { text: String::new(), whole: false, hidden: false };
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.text.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = closing(inside).ok_or_else(|| {
                complaint(format!("`{}` has no closing brace", shorten(text)))
                    .hint("a dollar of its own is written `$$`")
            })?;
            let (value, hidden) = lookup(&inside[..end], env, depth)?;
            out.text.push_str(&value);
            out.hidden |= hidden;
            out.whole = dollar == 0 && rest.len() == text.len() && inside.len() == end + 1;
            rest = &inside[end + 1..];
        } else {
            out.text.push('$');
            rest = after;
        }
    }
    out.text.push_str(rest);
    Ok(out)
}

/// Where the brace that was opened just before `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    let bytes = text.as_bytes();
    for (position, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if position > 0 && bytes[position - 1] == b'$' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(position);
        }
    }
    None
}

/// The value of what stands between the braces, and whether it came from a file.
fn lookup(inside: &str, env: Env<'_>, depth: usize) -> Result<(String, bool), Mistake> {
    if let Some(path) = inside.strip_prefix("file:") {
        return read(path).map(|text| (text, true));
    }
    let name = inside.strip_prefix("env:").unwrap_or(inside);
    let (name, default) = match name.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (name, None),
    };
    if !is_name(name) {
        return Err(complaint(format!("`${{{}}}` names no source", shorten(inside)))
            .expected("${NAME}, ${env:NAME}, ${env:NAME:-default} or ${file:PATH}")
            .hint("a dollar of its own is written `$$`"));
    }
    match (env(name), default) {
        (Some(value), None) => Ok((value, false)),
        // As in a shell, `:-` also replaces an empty variable.
        (Some(value), Some(_)) if !value.is_empty() => Ok((value, false)),
        (_, Some(default)) if depth < MAX_DEPTH => expand(default, env, depth + 1).map(|out| (out.text, out.hidden)),
        (_, Some(_)) => Err(complaint(format!("`${{{}}}` nests too many defaults", shorten(inside)))),
        (None, None) => Err(complaint(format!("the environment variable {name} is not set"))
            .expected(format!("a value, or a default as in ${{env:{name}:-…}}"))),
    }
}

fn read(path: &str) -> Result<String, Mistake> {
    let unreadable = |why: String| complaint(format!("the file {path} of ${{file:{path}}} cannot be read: {why}"));
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(unreadable(format!("it is larger than {MAX_FILE} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))?;
    // Editors and `echo` end files with a newline that nobody means.
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn shorten(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

fn complaint(what: String) -> Mistake {
    Mistake::new(super::mistake::Place::Nowhere, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "ONE" => Some("1".to_owned()),
            "SNEAKY" => Some("{a: ${ONE}} $$".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text(text: &str) -> String {
        expand(text, &env, 0).unwrap().text
    }

    #[test]
    fn every_form_is_replaced() {
        for (from, to) in [
            ("${ONE}", "1"),
            ("a${env:ONE}b${ONE}", "a1b1"),
            ("${env:NONE:-two}", "two"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${env:NONE:-${env:ALSO_NONE:-${ONE}}}", "1"),
            ("$$ $${ONE} $x 5$", "$ ${ONE} $x 5$"),
            ("${env:URL:-http://h:4317}", "http://h:4317"),
        ] {
            assert_eq!(text(from), to, "{from}");
        }
    }

    /// A value that came in is not looked at again: neither its braces nor its dollars mean anything.
    #[test]
    fn values_bring_no_structure() {
        assert_eq!(text("${SNEAKY}"), "{a: ${ONE}} $$");
    }

    #[test]
    fn a_whole_substitution_is_typed_anew_and_a_part_is_not() {
        for (from, whole) in [("${ONE}", true), ("x${ONE}", false), ("${ONE}${ONE}", false), ("${ONE} ", false)] {
            assert_eq!(expand(from, &env, 0).unwrap().whole, whole, "{from}");
        }
    }

    #[test]
    fn a_file_is_read_and_hidden() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\n").unwrap();
        let out = expand(&format!("Bearer ${{file:{}}}", file.path().display()), &env, 0).unwrap();
        assert_eq!((out.text.as_str(), out.hidden), ("Bearer s3cret", true));
    }

    #[test]
    fn what_cannot_be_replaced_says_so() {
        for (from, says) in [
            ("${NONE}", "the environment variable NONE is not set"),
            ("${ONE", "has no closing brace"),
            ("${yaml:x}", "names no source"),
            ("${}", "names no source"),
            ("${file:/nowhere/at/all}", "cannot be read"),
        ] {
            let mistake = expand(from, &env, 0).unwrap_err();
            assert!(mistake.what.contains(says), "{from}: {}", mistake.what);
        }
    }
}
