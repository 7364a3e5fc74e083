//! A tree as YAML or JSON text.

use serde_json::{Map, Value as Json};

use super::tree::{Node, Scalar, Value};

/// The tree as YAML that reads back as the same tree. Ends with a newline, unless it is empty.
pub(super) fn yaml(node: &Node) -> String {
    let mut out = String::new();
    write(node, 0, &mut out);
    out
}

fn write(node: &Node, depth: usize, out: &mut String) {
    for entry in node.entries() {
        out.push_str(&"  ".repeat(depth));
        out.push_str(&quote(&entry.key));
        out.push(':');
        match &entry.value.value {
            Value::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                write(&entry.value, depth + 1, out);
            }
            _ => {
                out.push(' ');
                out.push_str(&flow(&entry.value));
                out.push('\n');
            }
        }
    }
}

fn flow(node: &Node) -> String {
    match &node.value {
        Value::Scalar(Scalar { text, plain: true, .. }) => text.clone(),
        Value::Scalar(Scalar { text, .. }) => quote(text),
        Value::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let pair = |entry: &super::tree::Entry| format!("{}: {}", quote(&entry.key), flow(&entry.value));
            format!("{{{}}}", entries.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A text as it is where YAML cannot mistake it, and in double quotes else, which YAML and JSON write alike. A dollar is doubled,
/// since it would be replaced when read again.
fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(safe);
    if word && !["null", "true", "false", "Null", "True", "False", "NULL", "TRUE", "FALSE"].contains(&text) {
        return text.to_owned();
    }
    Json::from(text.replace('$', "$$")).to_string()
}

/// The tree as JSON: plain numbers and bools as such, everything else as text.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(_) if node.is_null() => Json::Null,
        Value::Scalar(Scalar { text, plain: true, .. }) => match serde_json::from_str(text) {
            Ok(value @ (Json::Bool(_) | Json::Number(_))) => value,
            _ => Json::from(text.as_str()),
        },
        Value::Scalar(Scalar { text, .. }) => Json::from(text.as_str()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect::<Map<_, _>>())
        }
    }
}
