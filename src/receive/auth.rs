//! Who may hand in requests: whoever shows a bearer token or a user's password that the door knows.
//!
//! It is asked of each request and not of a connection, so that a token that was withdrawn holds no longer, whatever
//! connections are open. Certificates of clients are the business of [`tls`](super::tls); where both are asked for, both have
//! to be there.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::refusal::Refusal;
use crate::config::DoorAuth;
use crate::files::{FileError, Known, Watched};

/// What the doors know of their clients. Nothing is asked where there are no files.
pub(super) struct Auth {
    bearer: Option<Watched<Known>>,
    basic: Option<Watched<Known>>,
}

/// Which ways of showing who one is are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schemes {
    bearer: bool,
    basic: bool,
}

impl Auth {
    /// Reads the files that `config` names.
    ///
    /// # Errors
    /// The key, and what is wrong with its file.
    pub(super) fn new(config: &DoorAuth) -> Result<Auth, (&'static str, FileError)> {
        let DoorAuth { bearer_token_file, basic_file } = config;
        let bearer = bearer_token_file.clone().map(|file| {
            let read = Watched::new(vec![file.clone()], move || Known::tokens(&file));
            read.map_err(|error| ("auth.bearer_token_file", error))
        });
        let basic = basic_file.clone().map(|file| {
            let read = Watched::new(vec![file.clone()], move || Known::users(&file));
            read.map_err(|error| ("auth.basic_file", error))
        });
        Ok(Auth { bearer: bearer.transpose()?, basic: basic.transpose()? })
    }

    /// Lets a request with these headers in, or not. No file is touched.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`], the same whether credentials are missing, of another scheme, or wrong.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let schemes = Schemes { bearer: self.bearer.is_some(), basic: self.basic.is_some() };
        let open = !(schemes.bearer || schemes.basic);
        match open || headers.get(AUTHORIZATION).is_some_and(|shown| self.knows(shown)) {
            true => Ok(()),
            false => Err(Refusal::Unauthenticated(schemes)),
        }
    }

    /// The files, each under the name that its state is told by.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &Watched<Known>)> {
        let bearer = self.bearer.iter().map(|watched| ("bearer_tokens", watched));
        bearer.chain(self.basic.iter().map(|watched| ("basic_users", watched)))
    }

    fn knows(&self, shown: &HeaderValue) -> bool {
        let shown = shown.as_bytes();
        let Some(space) = memchr::memchr(b' ', shown) else { return false };
        let (scheme, credentials) = (&shown[..space], shown[space..].trim_ascii());
        let holds = |known: &Option<Watched<Known>>, shown: &[u8]| {
            known.as_ref().is_some_and(|known| known.current().holds(shown))
        };
        if scheme.eq_ignore_ascii_case(b"Bearer") {
            holds(&self.bearer, credentials)
        } else if scheme.eq_ignore_ascii_case(b"Basic") {
            let pair = STANDARD.decode(credentials).or_else(|_| STANDARD_NO_PAD.decode(credentials));
            pair.is_ok_and(|pair| holds(&self.basic, &pair))
        } else {
            false
        }
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Schemes {
    /// The values of `WWW-Authenticate` (RFC 9110, 11.6.1; RFC 6750; RFC 7617).
    pub(super) fn challenges(self) -> impl Iterator<Item = HeaderValue> {
        let bearer = self.bearer.then_some("Bearer realm=\"spillway\"");
        let basic = self.basic.then_some("Basic realm=\"spillway\", charset=\"UTF-8\"");
        bearer.into_iter().chain(basic).map(HeaderValue::from_static)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(folder: &tempfile::TempDir, tokens: Option<&str>, users: Option<&str>) -> Auth {
        let file = |name: &str, text: Option<&str>| {
            let path = folder.path().join(name);
            text.map(|text| std::fs::write(&path, text).map(|()| path).unwrap())
        };
        let config = DoorAuth { bearer_token_file: file("tokens", tokens), basic_file: file("users", users) };
        Auth::new(&config).unwrap()
    }

    fn admits(auth: &Auth, shown: &str) -> bool {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(shown).unwrap())]);
        auth.admit(&headers).is_ok()
    }

    /// Scenario: headers as clients write them, right, wrong, and of a scheme whose file is not configured.
    /// Guarantee: only what a file holds opens, by its own scheme; without files everybody comes in.
    #[test]
    fn only_what_a_file_holds_opens() {
        let folder = tempfile::tempdir().unwrap();
        let both = auth(&folder, Some("old\nnew\n"), Some("me:pass word"));
        for shown in ["Bearer old", "bearer new", "BEARER   old ", "Basic bWU6cGFzcyB3b3Jk", "basic bWU6cGFzcyB3b3Jk"] {
            assert!(admits(&both, shown), "{shown}");
        }
        for shown in
            ["", "Bearer", "Bearer ", "Bearer older", "Bearer ol", "old", "Basic old", "Basic bWU6", "Digest old"]
        {
            assert!(!admits(&both, shown), "{shown}");
        }
        assert!(both.admit(&HeaderMap::new()).is_err());
        // A password is no token, and a token no password.
        assert!(!admits(&both, "Bearer me:pass"));
        let basic = auth(&folder, None, Some("me:old"));
        assert!(!admits(&basic, "Bearer old") && !admits(&basic, "Bearer me:old") && admits(&basic, "Basic bWU6b2xk"));
        assert!(auth(&folder, None, None).admit(&HeaderMap::new()).is_ok());
    }
}
