//! The page of the admin port: its files, built in, so that it works where nothing else can be reached.
//!
//! Plain HTML, CSS and JavaScript modules; what stands here is what a browser gets. The page holds nothing of a gateway: it asks
//! `/events` for that, with the token if one is needed. `docs/page.md` describes it.

/// One file as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Its name below `/page/`.
    pub name: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its content.
    pub text: &'static str,
}

/// What is sent with each file. The policy lets the page load and ask nothing but the gateway that it came from, and run nothing
/// that did not come as a file; nobody may frame it, and its buttons with it.
pub const HEADERS: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The document.
pub const INDEX: File =
    File { name: "index.html", media: "text/html; charset=utf-8", text: include_str!("index.html") };

macro_rules! files {
    ($media:literal: $($name:literal),+) => {
        [$(File { name: $name, media: $media, text: include_str!($name) }),+]
    };
}

const SCRIPTS: [File; 13] = files!("text/javascript; charset=utf-8":
    "books.js", "chart.js", "commands.js", "dom.js", "feed.js", "format.js", "headline.js", "journal.js", "main.js", "path.js",
    "queue.js", "theme.js", "words.js");
const STYLES: [File; 3] = files!("text/css; charset=utf-8": "chart.css", "parts.css", "style.css");
const ICON: File = File { name: "icon.svg", media: "image/svg+xml", text: include_str!("icon.svg") };

/// The file of that name below `/page/`.
pub fn file(name: &str) -> Option<&'static File> {
    SCRIPTS.iter().chain(&STYLES).chain([&ICON]).find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every name that the page's files mention is asked for.
    /// Guarantee: each is there, none is fetched from elsewhere, and nothing is in the document that the policy forbids.
    #[test]
    fn the_page_names_only_files_that_are_there() {
        let mut names = 0;
        for file in SCRIPTS.iter().chain(&STYLES).chain([&INDEX]) {
            let elsewhere = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("://"), "{} names another place", file.name);
            for mark in ["./", "/page/"] {
                for (at, _) in file.text.match_indices(mark) {
                    let rest = &file.text[at + mark.len()..];
                    let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
                    assert!(super::file(&name).is_some(), "{} names {name}", file.name);
                    names += 1;
                }
            }
        }
        assert!(names > 10, "{names}");
        for forbidden in ["<style", "style=", "onclick", "<script>", "javascript:"] {
            assert!(!INDEX.text.contains(forbidden), "{forbidden}");
        }
        for script in &SCRIPTS {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "document.write",
                "localStorage.setItem('token",
            ] {
                assert!(!script.text.contains(forbidden), "{}: {forbidden}", script.name);
            }
        }
    }

    /// Scenario: the lines of the page's files are counted.
    /// Guarantee: none has more than 600.
    #[test]
    fn the_files_stay_small() {
        for file in SCRIPTS.iter().chain(&STYLES).chain([&INDEX]) {
            assert!(file.text.lines().count() <= 600, "{}", file.name);
        }
    }
}
