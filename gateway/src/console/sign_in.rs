//! Signing in and out: a token for a cookie.
//!
//! A page of another origin can send a form here, but it can neither set the cookie of the form nor read its number. So
//! it cannot sign a browser in with a token of its own. Wrong tokens are counted, and a caller with many has to wait.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use axum::http::{Response, StatusCode};
use kernels::sha2::{sha256, sha256_parts};
use maud::{Markup, html};
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::language::{COOKIE_NAME, Language, cookie};
use super::page::{Page, heading};
use super::sessions::{SESSION_SECONDS, chance, cookie_name};
use super::texts as t;
use super::{View, written};
use crate::clock;
use crate::failure::{self, Failure};
use crate::gateway::Gateway;
use crate::tokens::{Bearer, PREFIX};

/// Bytes of a form.
pub const FORM_BYTES_MAX: usize = 4 << 10;
/// How long a form can be sent.
const FORM_SECONDS: u64 = 3_600;
/// The longest path to go back to after signing in.
const BACK_BYTES_MAX: usize = 1_024;

/// Where to go on after something was done: a path of this console, and nothing else.
pub fn back_to(path: Option<&str>) -> &str {
    let is_ours = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= BACK_BYTES_MAX
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    path.filter(is_ours).unwrap_or("/")
}

fn text<'a>(form: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    form.get(name).and_then(Value::as_str)
}

fn set(response: &mut Response<Body>, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Goes on at another page.
pub fn see_other(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let path = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, path);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The form's own number, as the form carries it.
fn form_number(id: &str) -> String {
    hex::encode(sha256_parts(&[b"millrace/console/form/", id.as_bytes()]))
}

/// The page on which one signs in.
///
/// # Errors
/// There is nothing to sign in with, or no randomness.
pub fn form(gateway: &Gateway, view: &View, wrong: Option<&Failure>) -> Result<Response<Body>, Failure> {
    if gateway.tokens.is_none() {
        let words = "this gateway has no tokens, so nobody signs in: `millrace token new` makes one, and `--tokens` names \
                     the file";
        return Err(Failure::new(failure::NOT_FOUND, words));
    }
    let id = chance().map_err(no_chance)?;
    let back = view.text("back").map(str::to_owned).unwrap_or_default();
    let mut page = Page::fixed("", view.t(t::SIGN_IN), fields(view, (&form_number(&id), &back), wrong));
    page.status = wrong.map_or(StatusCode::OK, super::status_of);
    let mut response = written(view, &page, None);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let name = cookie_name("form", &view.authority, view.secure);
    set(&mut response, &attributes(&name, &id, FORM_SECONDS, view.secure));
    Ok(response)
}

fn no_chance(error: getrandom::Error) -> Failure {
    Failure::new(failure::INTERNAL, format!("the operating system gives no randomness: {error}"))
}

fn attributes(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn fields(view: &View, (number, back): (&str, &str), wrong: Option<&Failure>) -> Markup {
    html! {
        (heading(view.t(t::SIGN_IN), Some(view.t(t::SIGN_IN_ABOUT))))
        form.card action="/sign-in" method="post" {
            @if let Some(wrong) = wrong {
                p.note.bad #wrong role="alert" { span lang="en" { (super::shown::plain(&wrong.message)) } }
            }
            input type="hidden" name="csrf" value=(number);
            input type="hidden" name="back" value=(back);
            label for="token" { (view.t(t::TOKEN)) }
            input #token name="token" type="password" required autocomplete="off" spellcheck="false"
                autofocus placeholder="mr_…" aria-describedby=[wrong.map(|_| "wrong")];
            button type="submit" { (view.t(t::SIGN_IN)) }
        }
    }
}

/// Signs a browser in.
pub fn sign_in(
    gateway: &Gateway,
    view: &View,
    headers: &HeaderMap,
    form: Result<Map<String, Value>, Failure>,
) -> Result<Response<Body>, Failure> {
    let form_read = form?;
    let name = cookie_name("form", &view.authority, view.secure);
    let is_ours = cookie(headers, &name)
        .is_some_and(|id| text(&form_read, "csrf").is_some_and(|shown| shown == form_number(id)));
    if !is_ours {
        let words = "the form is not of this console, or is older than an hour: open the page again, with cookies allowed";
        return Err(Failure::new(failure::FORBIDDEN, words));
    }
    let back = back_to(text(&form_read, "back")).to_owned();
    let (token, bearer) = match bearer(gateway, view, text(&form_read, "token").unwrap_or_default().trim()) {
        Ok(found) => found,
        Err(wrong) => {
            gateway.meters.failed(wrong.kind);
            return self::form(gateway, view, Some(&wrong));
        }
    };
    let now = clock::unix_seconds();
    let until = bearer.expires.min(now + SESSION_SECONDS);
    let id = gateway.console.sessions.begin(token, until).map_err(no_chance)?;
    let mut response = see_other(&back);
    let session = cookie_name("session", &view.authority, view.secure);
    set(&mut response, &attributes(&session, &id, until.saturating_sub(now), view.secure));
    set(&mut response, &attributes(&name, "", 0, view.secure));
    Ok(response)
}

fn bearer(gateway: &Gateway, view: &View, token: &str) -> Result<([u8; 32], Bearer), Failure> {
    let (tries, caller) = (&gateway.console.tries, view.visitor.caller);
    if let Some(seconds) = tries.holds_off(caller, Instant::now()) {
        let words = format!("too many tokens were wrong: try again in {seconds} seconds");
        return Err(Failure::new(failure::TOO_MANY, words).after(seconds));
    }
    let hash = sha256(token.as_bytes());
    let tokens = gateway.tokens.as_ref().filter(|_| token.starts_with(PREFIX));
    let found =
        tokens.and_then(|tokens| tokens.find_hash(&hash, gateway.started.elapsed(), clock::unix_seconds()));
    found.map(|bearer| (hash, bearer)).ok_or_else(|| {
        tries.note(caller, Instant::now());
        Failure::new(failure::UNAUTHORIZED, "the token is unknown, revoked or expired: get another one")
    })
}

/// Signs a browser out.
///
/// # Errors
/// The form is not of this console.
pub fn sign_out(
    gateway: &Gateway,
    view: &View,
    form: Result<Map<String, Value>, Failure>,
) -> Result<Response<Body>, Failure> {
    if let Some(session) = &view.visitor.session {
        if text(&form?, "csrf") != Some(session.csrf().as_str()) {
            return Err(Failure::new(
                failure::FORBIDDEN,
                "the form is not of this console: open the page again",
            ));
        }
        gateway.console.sessions.end(session);
    }
    let mut response = see_other("/sign-in");
    let name = cookie_name("session", &view.authority, view.secure);
    set(&mut response, &attributes(&name, "", 0, view.secure));
    Ok(response)
}

/// Takes the choice of a language over.
///
/// # Errors
/// There is no such language.
pub fn language(view: &View) -> Result<Response<Body>, Failure> {
    let chosen = view.text("to").and_then(Language::of_code);
    let chosen = chosen.ok_or_else(|| Failure::invalid("the parameter to is no language: write en or zh"))?;
    let mut response = see_other(back_to(view.text("back")));
    let secure = if view.secure { "; Secure" } else { "" };
    let code = chosen.code();
    set(&mut response, &format!("{COOKIE_NAME}={code}; Path=/; Max-Age=31536000; SameSite=Lax{secure}"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_back_to_this_console_only() {
        for ours in ["/", "/blocks?before=7", "/transactions/ab"] {
            assert_eq!(back_to(Some(ours)), ours);
        }
        for other in
            ["//evil.example", "https://evil.example", "/\\evil", "", "blocks", "/a\r\nSet-Cookie: x", "/é"]
        {
            assert_eq!(back_to(Some(other)), "/", "{other:?}");
        }
        assert_eq!(back_to(None), "/");
        assert_eq!(back_to(Some(&format!("/{}", "a".repeat(BACK_BYTES_MAX)))), "/");
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_from_other_sites() {
        let plain = attributes("a", "b", 7, false);
        assert_eq!(plain, "a=b; Path=/; Max-Age=7; HttpOnly; SameSite=Strict");
        assert_eq!(attributes("a", "b", 7, true), format!("{plain}; Secure"));
    }
}
