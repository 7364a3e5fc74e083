//! `telemetry.log`: a level, or levels per part as `info,deliver=debug`.

/// What is expected, for messages.
pub(super) const EXPECTED: &str =
    "a level (off, error, warn, info, debug, trace), or levels per part such as info,deliver=debug";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const PARTS: [&str; 9] = ["app", "cli", "config", "deliver", "files", "observe", "queue", "receive", "target"];

/// The directives as `tracing-subscriber` wants them: names of our parts get the crate's name before them, other names (those
/// of libraries) stay. `None` when the text is no list of levels.
pub fn directives(text: &str) -> Option<String> {
    let mut directives = Vec::new();
    for directive in text.split(',').map(str::trim) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, directive),
        };
        let level = level.to_ascii_lowercase();
        if !LEVELS.contains(&level.as_str()) {
            return None;
        }
        match target {
            None => directives.push(level),
            Some(part) if PARTS.contains(&part) => directives.push(format!("spillway::{part}={level}")),
            Some(name) if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c)) => {
                directives.push(format!("{name}={level}"));
            }
            Some(_) => return None,
        }
    }
    Some(directives.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_without_the_crate() {
        assert_eq!(directives("info").as_deref(), Some("info"));
        assert_eq!(directives("warn, deliver=debug,h2=INFO").as_deref(), Some("warn,spillway::deliver=debug,h2=info"));
        assert_eq!(directives("files=debug").as_deref(), Some("spillway::files=debug"));
        for text in ["", "loud", "info,", "deliver=", "=info", "a b=info"] {
            assert_eq!(directives(text), None, "{text}");
        }
    }
}
