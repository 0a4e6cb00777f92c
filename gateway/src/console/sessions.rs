//! Browsers that have signed in. A browser shows its token once and gets a random id in a cookie. Neither side keeps
//! the token itself.
//!
//! ```text
//! token ── found in the file ─▶ id (256 bits) ─▶ cookie: HttpOnly, SameSite=Strict, with TLS also Secure
//!                                └─ SHA-256 ─▶ Sessions: hash of the token, end
//! ```
//!
//! Each request looks the token up again, so a token that is revoked ends its sessions within a second. What changes
//! something must also carry [`Session::csrf`], which pages of other origins cannot read.
//!
//! Invariant: at most [`SESSIONS_MAX`] sessions, of one token at most [`OF_TOKEN_MAX`], each for at most
//! [`SESSION_SECONDS`]; they end with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::http::header::{HeaderMap, HeaderName};
use kernels::sha2::sha256_parts;

use super::language::cookie;

/// The header in which requests with a cookie show that their page is ours.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");
/// Sessions at a time. When there is no room, the one that would end first is ended.
const SESSIONS_MAX: usize = 1_024;
/// Of them those of one token, so that nobody who has one ends the sessions of all others.
const OF_TOKEN_MAX: usize = 64;
/// The longest session.
pub const SESSION_SECONDS: u64 = 12 * 3_600;
/// The longest id that is looked at.
const ID_BYTES_MAX: usize = 64;

/// A session, as a request shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    key: [u8; 32],
    csrf: [u8; 32],
}

impl Session {
    fn of(id: &str) -> Self {
        let hash = |what: &[u8]| sha256_parts(&[b"millrace/console/", what, b"/", id.as_bytes()]);
        Self { key: hash(b"session"), csrf: hash(b"csrf") }
    }

    /// What forms and requests of its pages carry.
    pub fn csrf(&self) -> String {
        hex::encode(self.csrf)
    }

    /// Whether a request carries it.
    pub fn has_shown_csrf(&self, headers: &HeaderMap) -> bool {
        headers.get(&CSRF_HEADER).is_some_and(|shown| shown.as_bytes() == self.csrf().as_bytes())
    }
}

#[derive(Debug, Clone, Copy)]
struct Open {
    token: [u8; 32],
    until: u64,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<[u8; 32], Open>>);

impl Sessions {
    /// Begins a session for the token with this hash, which ends at `until`. Returns the id for the cookie; it is kept
    /// nowhere else.
    ///
    /// # Errors
    /// The operating system gives no randomness.
    pub fn begin(&self, token: [u8; 32], until: u64) -> Result<String, getrandom::Error> {
        let id = chance()?;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_token = all.values().filter(|open| open.token == token).count() >= OF_TOKEN_MAX;
        if of_token || all.len() >= SESSIONS_MAX {
            let may_end = all.iter().filter(|(_, open)| !of_token || open.token == token);
            let first = may_end.min_by_key(|(_, open)| open.until).map(|(key, _)| *key);
            let _ended = first.and_then(|first| all.remove(&first));
        }
        all.insert(Session::of(&id).key, Open { token, until });
        Ok(id)
    }

    /// The session of a request, and the hash of its token.
    pub fn find(&self, headers: &HeaderMap, name: &str, now: u64) -> Option<(Session, [u8; 32])> {
        let id = cookie(headers, name).filter(|id| id.len() <= ID_BYTES_MAX)?;
        let session = Session::of(id);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = *all.get(&session.key)?;
        if now >= open.until {
            all.remove(&session.key);
            return None;
        }
        Some((session, open.token))
    }

    /// Ends one.
    pub fn end(&self, session: &Session) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&session.key);
    }
}

/// 256 random bits, in hexadecimal.
///
/// # Errors
/// The operating system gives none.
pub fn chance() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// The name of a cookie. Browsers send cookies to every port of a host, so the port is in the name; over TLS its
/// beginning makes browsers refuse it from anybody but this host.
pub fn cookie_name(what: &str, authority: &str, secure: bool) -> String {
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    let (prefix, default) = if secure { ("__Host-", "443") } else { ("", "80") };
    format!("{prefix}millrace-{what}-{}", port.unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, id: &str) -> HeaderMap {
        let cookies = format!("a=b; {name}={id}; c");
        [(axum::http::header::COOKIE, cookies.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_session_is_found_by_its_cookie_until_it_ends() {
        let sessions = Sessions::default();
        let id = sessions.begin([7; 32], 100).unwrap();
        let (session, token) = sessions.find(&shown("s", &id), "s", 99).unwrap();
        assert_eq!(token, [7; 32]);
        assert_eq!(sessions.find(&shown("other", &id), "s", 99), None);
        assert_eq!(sessions.find(&shown("s", &hex::encode([0; 32])), "s", 99), None);
        let mut headers = HeaderMap::new();
        assert!(!session.has_shown_csrf(&headers));
        headers.insert(CSRF_HEADER, id.parse().unwrap());
        assert!(!session.has_shown_csrf(&headers), "the id itself shows nothing");
        headers.insert(CSRF_HEADER, session.csrf().parse().unwrap());
        assert!(session.has_shown_csrf(&headers));
        assert_eq!(sessions.find(&shown("s", &id), "s", 100), None, "its time is over");
        let id = sessions.begin([8; 32], 100).unwrap();
        let (session, _) = sessions.find(&shown("s", &id), "s", 0).unwrap();
        sessions.end(&session);
        assert_eq!(sessions.find(&shown("s", &id), "s", 0), None);
    }

    #[test]
    fn there_are_only_so_many() {
        let sessions = Sessions::default();
        let token = |at: usize| sha256_parts(&[&at.to_le_bytes()]);
        let first = sessions.begin(token(0), 1).unwrap();
        (1..=SESSIONS_MAX).for_each(|at| drop(sessions.begin(token(at), 1 + at as u64).unwrap()));
        assert_eq!(sessions.0.lock().unwrap().len(), SESSIONS_MAX);
        assert_eq!(sessions.find(&shown("s", &first), "s", 0), None);
    }

    #[test]
    fn one_token_does_not_take_the_places_of_others() {
        let sessions = Sessions::default();
        let other = sessions.begin([1; 32], 1).unwrap();
        let first = sessions.begin([0; 32], 2).unwrap();
        (0..OF_TOKEN_MAX as u64).for_each(|at| drop(sessions.begin([0; 32], 3 + at).unwrap()));
        assert_eq!(sessions.0.lock().unwrap().len(), 1 + OF_TOKEN_MAX);
        assert_eq!(sessions.find(&shown("s", &first), "s", 0), None);
        assert!(sessions.find(&shown("s", &other), "s", 0).is_some());
    }

    #[test]
    fn gateways_on_other_ports_have_other_cookies() {
        assert_eq!(cookie_name("session", "127.0.0.1:7480", false), "millrace-session-7480");
        assert_eq!(cookie_name("session", "[::1]", false), "millrace-session-80");
        assert_eq!(cookie_name("session", "pay.example", true), "__Host-millrace-session-443");
        assert_eq!(cookie_name("session", "pay.example:x;y", true), "__Host-millrace-session-443");
    }
}
