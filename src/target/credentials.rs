//! The `Authorization` header, from a file that is read again when it changes.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::error::BuildError;
use crate::config::TargetAuth;
use crate::files::Watched;

/// Credentials shown to a target.
pub(super) struct Credentials(Option<Watched<HeaderValue>>);

impl Credentials {
    /// Reads the file that `auth` names, if it names one.
    pub(super) fn new(target: &str, auth: &TargetAuth) -> Result<Credentials, BuildError> {
        let (key, file, scheme) = match (&auth.bearer_token_file, &auth.basic_file) {
            (None, None) => return Ok(Credentials(None)),
            (Some(_), Some(_)) => {
                let reason = "a request has one Authorization header: name bearer_token_file or basic_file, not both";
                return Err(BuildError::value(target, "auth", reason));
            }
            (Some(file), None) => ("auth.bearer_token_file", file, Scheme::Bearer),
            (None, Some(file)) => ("auth.basic_file", file, Scheme::Basic),
        };
        let (name, path) = (target.to_owned(), file.clone());
        let watched = Watched::new(vec![file.clone()], move || scheme.read(&name, key, &path))?;
        Ok(Credentials(Some(watched)))
    }

    /// The header's value as the file has it now.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.0.as_ref().map(|watched| HeaderValue::clone(&watched.get().0))
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    Bearer,
    Basic,
}

impl Scheme {
    fn read(self, target: &str, key: &str, file: &Path) -> Result<HeaderValue, BuildError> {
        let wrong = |reason: &str| BuildError::file(target, key, file, reason);
        let text = fs::read_to_string(file).map_err(|error| BuildError::file(target, key, file, error))?;
        let text = text.trim();
        if text.is_empty() {
            return Err(wrong("the file is empty"));
        }
        let value = match self {
            Scheme::Bearer => format!("Bearer {text}"),
            Scheme::Basic if text.contains(':') => format!("Basic {}", STANDARD.encode(text)),
            Scheme::Basic => return Err(wrong("expected user:password")),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| wrong("expected one line of ASCII"))?;
        value.set_sensitive(true); // kept out of HPACK's table and of every Debug text
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(bearer: Option<&str>, basic: Option<&str>) -> Result<Option<HeaderValue>, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: Option<&str>| {
            let path = dir.path().join(name);
            text.map(|text| fs::write(&path, text).map(|()| path).unwrap())
        };
        let auth = TargetAuth { bearer_token_file: file("token", bearer), basic_file: file("basic", basic) };
        Credentials::new("hub", &auth).map(|c| c.header()).map_err(|error| error.to_string())
    }

    /// Scenario: files as people and kubelets write them, with a line feed at the end or without.
    /// Guarantee: the header is what the scheme wants, and never shows itself.
    #[test]
    fn a_file_becomes_a_header() {
        assert_eq!(credentials(None, None), Ok(None));
        assert_eq!(credentials(Some("abc.def\n"), None).unwrap().unwrap(), "Bearer abc.def");
        let basic = credentials(None, Some("user:pass word")).unwrap().unwrap();
        assert_eq!(basic, "Basic dXNlcjpwYXNzIHdvcmQ=");
        assert!(basic.is_sensitive() && !format!("{basic:?}").contains("dXNl"));
    }

    /// Scenario: an empty file, a missing colon, two lines, both schemes at once, a file that is not there.
    /// Guarantee: each is refused at start, naming the key and the file.
    #[test]
    fn a_useless_file_is_a_mistake() {
        for (bearer, basic, key) in [
            (Some(" \n"), None, "targets.hub.auth.bearer_token_file: /"),
            (Some("two\nlines"), None, "targets.hub.auth.bearer_token_file: /"),
            (None, Some("nobody"), "targets.hub.auth.basic_file: /"),
            (Some("a"), Some("b:c"), "targets.hub.auth: "),
        ] {
            let error = credentials(bearer, basic).unwrap_err();
            assert!(error.starts_with(key), "{error}");
        }
        let auth = TargetAuth { bearer_token_file: Some("/nowhere/token".into()), basic_file: None };
        let error = Credentials::new("hub", &auth).err().unwrap().to_string();
        assert!(error.contains("/nowhere/token: No such file"), "{error}");
    }
}
