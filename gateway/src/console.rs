//! The console at `/`: pages for people, made in the gateway from the same operations that programs call.
//!
//! ```text
//! browser ─▶ guard ─▶ page ─┬─ operations (as JSON-RPC and REST have them) ─▶ desk ─▶ node
//!    ▲                      └─ pulse: the node's moment, asked once a second for all visitors
//!    └── one stream of events ── "there is a new moment" ─▶ script.js loads the page again and puts in what is new
//! ```
//!
//! Invariants:
//! - a page needs the same scope as the operations that it shows, and keeps no state of a visitor but the session;
//! - nothing is loaded from another host, a page has no inline script or style ([`POLICY`]), and text that others wrote
//!   is shown by [`shown::foreign`] or [`shown::plain`] only;
//! - every text of ours is in [`texts`], in every language;
//! - the script has at most 20 KiB, and every page shows all its content without it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderValue, REFERRER_POLICY, RETRY_AFTER,
    VARY,
};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::arguments::{Arguments, Parameter, of_query};
use crate::failure::{self, Failure};
use crate::gateway::{Gateway, Visitor};
use crate::guard::authority;
use crate::host::Boxed;
use crate::meters::Door;
use crate::offenders::{Offenders, TOKENS};
use crate::operations::named;
use crate::rest::{OCTETS, media_type, nowhere, tagged};
use crate::serve::{Doors, fixed, visitor};
use crate::tokens::Scope;

mod accounts;
mod alarms;
mod blocks;
mod chains;
mod charts;
mod events;
mod governance;
mod kept;
mod language;
mod matrix;
mod network;
mod node;
mod page;
mod pulse;
mod said;
mod search;
mod sessions;
mod shown;
mod sign_in;
mod texts;
mod trail;
mod transactions;

use language::Language;
use page::Page;
use pulse::{Moment, Pulse};
use texts::Text;

pub use matrix::run as ask_others;
pub use pulse::run;
pub use sessions::{CSRF_HEADER, Session, chance, cookie_name};

/// What browsers may load for a page, and from where.
pub const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; \
                          form-action 'self'; frame-ancestors 'none'; object-src 'none'";
/// The style sheet, the script, and the picture of the tab.
const STYLE: &str = include_str!("console/style.css");
const SCRIPT: &str = include_str!("console/script.js");
const ICON: &str = include_str!("console/icon.svg");
/// What checks proofs in a page: the crate `proof`, built by `just wasm`.
const CHECKER: &[u8] = include_bytes!("console/proof.wasm");
/// Paths whose forms carry their own number: the guard asks them for no header.
pub const FORMS: [&str; 2] = ["/sign-in", "/sign-out"];
/// The type of a form, in a header.
const FORM: &str = "application/x-www-form-urlencoded";

/// What the console keeps for all visitors.
pub struct Console {
    /// The node's moments.
    pub pulse: Pulse,
    /// Browsers that have signed in.
    pub sessions: sessions::Sessions,
    tries: Offenders,
    streams: Arc<Semaphore>,
    searches: Semaphore,
    blocks: blocks::Recent,
    kept: kept::Kept,
    matrix: matrix::Matrix,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            pulse: Pulse::default(),
            sessions: sessions::Sessions::default(),
            tries: Offenders::new(TOKENS),
            streams: Arc::new(Semaphore::new(events::STREAMS_MAX)),
            searches: Semaphore::new(search::SEARCHES_MAX),
            blocks: blocks::Recent::default(),
            kept: kept::Kept::default(),
            matrix: matrix::Matrix::default(),
        }
    }
}

/// A request for a page.
pub struct View {
    language: Language,
    visitor: Visitor,
    /// Under which name the gateway is called.
    authority: String,
    /// Whether over TLS.
    secure: bool,
    /// The path and what stands behind its question mark.
    path: String,
    given: Map<String, Value>,
    moment: Option<Arc<Moment>>,
}

impl View {
    fn new(gateway: &Gateway, request: &Request, path: &RawPathParams) -> Result<Self, Failure> {
        let uri = request.uri();
        let mut given = of_query(uri.query())?;
        given.extend(path.iter().map(|(name, value)| (name.to_owned(), Value::from(value))));
        Ok(Self { given, ..Self::bare(gateway, request) })
    }

    /// The same without what was given.
    fn bare(gateway: &Gateway, request: &Request) -> Self {
        Self {
            language: Language::of(request.headers()),
            visitor: visitor(request),
            authority: authority(request.headers(), request.uri()),
            secure: gateway.settings.doors.tls.is_some(),
            path: request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            given: Map::new(),
            moment: None,
        }
    }

    /// A text in the language of the visitor.
    fn t(&self, text: Text) -> &'static str {
        text.of(self.language)
    }

    /// A text with values in its places.
    fn fill(&self, text: Text, values: &[&str]) -> String {
        values.iter().fold(self.t(text).to_owned(), |text, value| text.replacen("{}", value, 1))
    }

    /// What stands behind a name in the address.
    fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The path of this page, as a value in an address.
    fn back(&self) -> String {
        utf8_percent_encode(&self.path, NON_ALPHANUMERIC).to_string()
    }

    /// What was given, as parameters. A field of a form that was left empty was not given.
    fn read(&self, parameters: &[Parameter]) -> Result<Arguments, Failure> {
        let given = self.given.iter().filter(|(_, value)| value.as_str() != Some(""));
        Arguments::read(parameters, &given.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The node's moment.
    fn moment(&self) -> Result<&Moment, Failure> {
        self.moment
            .as_deref()
            .ok_or_else(|| Failure::unavailable("the node has not answered yet; ask again later"))
    }

    /// Calls an operation for the visitor.
    async fn ask(&self, gateway: &Gateway, operation: &str, arguments: Value) -> Result<Value, Failure> {
        let operation = named(operation).expect("pages name operations that there are");
        let arguments = Arguments::of_params(operation.parameters, Some(&arguments));
        Ok(gateway.call(operation, (Door::Console, self.visitor), arguments).await?.value)
    }
}

/// What makes a page.
type Make = for<'a> fn(&'a Arc<Gateway>, &'a View) -> Boxed<'a, Result<Page, Failure>>;

/// Whether a page is made for each visitor, or once for all of them.
#[derive(Clone, Copy)]
enum Keep {
    /// Once for each moment of the node. Such a page says nothing of its visitor.
    AMoment,
    /// For each visitor: so many others would be kept that nobody asks for again.
    Never,
}

/// All pages.
const PAGES: [(&str, Keep, Make); 14] = [
    ("/", Keep::AMoment, |gateway, view| Box::pin(network::page(gateway, view))),
    ("/chains", Keep::AMoment, |gateway, view| Box::pin(chains::list(gateway, view))),
    ("/chains/{chain}", Keep::Never, |gateway, view| Box::pin(chains::one(gateway, view))),
    ("/chains/{chain}/accounts/{account}", Keep::Never, |gateway, view| {
        Box::pin(accounts::one(gateway, view))
    }),
    ("/blocks", Keep::AMoment, |gateway, view| Box::pin(blocks::list(gateway, view))),
    ("/blocks/{height}", Keep::Never, |gateway, view| Box::pin(blocks::one(gateway, view))),
    ("/transactions", Keep::AMoment, |gateway, view| Box::pin(transactions::list(gateway, view))),
    ("/transactions/{id}", Keep::Never, |gateway, view| Box::pin(transactions::one(gateway, view))),
    ("/accounts", Keep::Never, |gateway, view| Box::pin(accounts::list(gateway, view))),
    ("/governance", Keep::AMoment, |gateway, view| Box::pin(governance::page(gateway, view))),
    ("/node", Keep::AMoment, |_, view| Box::pin(std::future::ready(node::page(view)))),
    ("/alarms", Keep::AMoment, |gateway, view| Box::pin(std::future::ready(alarms::list(gateway, view)))),
    ("/alarms/{alarm}", Keep::Never, |_, view| Box::pin(std::future::ready(alarms::one(view)))),
    ("/search", Keep::Never, |gateway, view| Box::pin(search::page(gateway, view))),
];

/// The paths of the console.
pub fn routes() -> Router<Doors> {
    let mut router = Router::new()
        .route("/console/style.css", get(|request: Request| fixed(request, "text/css", STYLE.to_owned())))
        .route(
            "/console/script.js",
            get(|request: Request| fixed(request, "text/javascript; charset=utf-8", SCRIPT.to_owned())),
        )
        .route("/console/icon.svg", get(|request: Request| fixed(request, "image/svg+xml", ICON.to_owned())))
        .route("/console/proof.wasm", get(async |request: Request| checker(&request)))
        .route("/console/genesis", get(genesis))
        .route("/console/events", get(stream))
        .route("/language", get(set_language))
        .route("/sign-in", get(sign_in_form).post(sign_in))
        .route("/sign-out", post(sign_out));
    for (path, keep, make) in PAGES {
        let handler = move |doors: State<Doors>, path: RawPathParams, request: Request| {
            made((make, keep), doors, path, request)
        };
        router = router.route(path, get(handler));
    }
    router
}

async fn made(
    make: (Make, Keep),
    State(doors): State<Doors>,
    path: RawPathParams,
    request: Request,
) -> Response<Body> {
    let (gateway, mut view) = (&doors.gateway, View::bare(&doors.gateway, &request));
    let result = match View::new(gateway, &request, &path) {
        Err(failure) => Err(failure),
        Ok(whole) => {
            view = whole;
            let headers = request.headers().clone();
            drop(request);
            page(make, gateway, &mut view).await.map(|page| written(&view, &page, Some(&headers)))
        }
    };
    result.unwrap_or_else(|failure| failed(gateway, &view, &failure))
}

async fn page(
    (make, keep): (Make, Keep),
    gateway: &Arc<Gateway>,
    view: &mut View,
) -> Result<Arc<Page>, Failure> {
    view.visitor.may(Scope::Read)?;
    view.moment = Some(Pulse::fresh(gateway).await?);
    let view = &*view;
    let since = view.moment()?.taken;
    match keep {
        Keep::AMoment => {
            let key = (view.language.tag(), view.path.clone());
            gateway.console.kept.page(key, since, make(gateway, view)).await
        }
        Keep::Never => make(gateway, view).await.map(Arc::new),
    }
}

/// A page as it goes over the wire; with the headers of its request nothing is sent that the browser has already.
fn written(view: &View, page: &Page, headers: Option<&HeaderMap>) -> Response<Body> {
    let html = page::document(view, page).into_string();
    let none = HeaderMap::new();
    let mut response =
        tagged(headers.unwrap_or(&none), page.status, "text/html; charset=utf-8", html.into_bytes());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // With `no-referrer` browsers would send forms without their origin.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(VARY, HeaderValue::from_static("accept-language, cookie"));
    response
}

/// The HTTP status of a failure.
fn status_of(failure: &Failure) -> StatusCode {
    StatusCode::from_u16(failure.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A failure as a page; or the way to sign in, where that can help.
fn failed(gateway: &Gateway, view: &View, failure: &Failure) -> Response<Body> {
    gateway.meters.failed(failure.kind);
    if failure.kind == failure::UNAUTHORIZED && gateway.tokens.is_some() {
        return sign_in::see_other(&format!("/sign-in?back={}", view.back()));
    }
    let title = match failure.kind {
        failure::NOT_FOUND => texts::NOT_FOUND,
        failure::BELOW_RETENTION => texts::NOT_KEPT,
        failure::UNAVAILABLE => texts::UNAVAILABLE,
        failure::UNAUTHORIZED | failure::FORBIDDEN => texts::NOT_ALLOWED,
        failure::INVALID_PARAMS => texts::NOT_UNDERSTOOD,
        _ => texts::FAILED,
    };
    let body = html! {
        (page::heading(view.t(title), None))
        p.note.bad { span lang="en" { (shown::plain(&failure.message)) } }
        p { a href="/" { (view.t(texts::NETWORK)) } }
    };
    let page = Page { status: status_of(failure), ..Page::fixed("", view.t(title), body) };
    let mut response = written(view, &page, None);
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// What is at no path: a page for browsers, else what programs are told.
pub async fn lost(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let path = request.uri().path();
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if path.starts_with("/v1") || !accepts.contains("text/html") {
        return nowhere(path);
    }
    let shown: String = path.chars().take(64).collect();
    let failure = Failure::new(failure::NOT_FOUND, format!("there is no page {shown:?}"));
    failed(&doors.gateway, &View::bare(&doors.gateway, &request), &failure)
}

fn checker(request: &Request) -> Response<Body> {
    tagged(request.headers(), StatusCode::OK, "application/wasm", CHECKER.to_vec())
}

/// The header of the genesis, against which proofs are checked.
async fn genesis(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let genesis = doors.gateway.settings.genesis.as_ref();
    let header = visitor(&request).may(Scope::Read).and_then(|()| {
        let words = "this gateway does not have the genesis: start it with --network";
        genesis
            .map(|genesis| genesis.header().to_vec())
            .ok_or_else(|| Failure::new(failure::NOT_FOUND, words))
    });
    match header {
        Ok(header) => tagged(request.headers(), StatusCode::OK, OCTETS, header),
        Err(failure) => doors.fail(&failure),
    }
}

async fn stream(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let visitor = visitor(&request);
    let opened = visitor.may(Scope::Read).and_then(|()| events::open(doors.gateway.clone(), visitor));
    drop(request);
    opened.unwrap_or_else(|failure| doors.fail(&failure))
}

/// Answers what needs no more than the request.
fn answered(
    doors: &Doors,
    (request, path): (&Request, &RawPathParams),
    answer: impl FnOnce(&View) -> Result<Response<Body>, Failure>,
) -> Response<Body> {
    let view = View::new(&doors.gateway, request, path);
    let result = view.and_then(|view| answer(&view));
    result.unwrap_or_else(|failure| failed(&doors.gateway, &View::bare(&doors.gateway, request), &failure))
}

async fn set_language(State(doors): State<Doors>, path: RawPathParams, request: Request) -> Response<Body> {
    answered(&doors, (&request, &path), sign_in::language)
}

async fn sign_in_form(State(doors): State<Doors>, path: RawPathParams, request: Request) -> Response<Body> {
    answered(&doors, (&request, &path), |view| sign_in::form(&doors.gateway, view, None))
}

/// The fields of a form that was sent.
async fn form(doors: &Doors, headers: &HeaderMap, body: Body) -> Result<Map<String, Value>, Failure> {
    media_type(headers, &[FORM])?;
    let bytes = doors.guard.body(headers, body, sign_in::FORM_BYTES_MAX).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::invalid("the form is not valid UTF-8"))?;
    of_query(Some(text))
}

async fn sign_in(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let (gateway, view) = (&doors.gateway, View::bare(&doors.gateway, &request));
    let (parts, body) = request.into_parts();
    let form = form(&doors, &parts.headers, body).await;
    let done = sign_in::sign_in(gateway, &view, &parts.headers, form);
    done.unwrap_or_else(|failure| failed(gateway, &view, &failure))
}

async fn sign_out(State(doors): State<Doors>, request: Request) -> Response<Body> {
    let (gateway, view) = (&doors.gateway, View::bare(&doors.gateway, &request));
    let (parts, body) = request.into_parts();
    let form = form(&doors, &parts.headers, body).await;
    sign_in::sign_out(gateway, &view, form).unwrap_or_else(|failure| failed(gateway, &view, &failure))
}

/// A whole number of an answer: beyond 2^53 it is a string of digits.
fn number(value: &Value) -> u64 {
    crate::numbers::whole(value).unwrap_or(0)
}

/// The words of an answer.
fn words(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A whole number of an answer, for people.
fn amount(value: &Value) -> Markup {
    html! { (crate::numbers::whole(value).map_or_else(|| "–".to_owned(), shown::grouped)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_send_to_run_is_small_and_asks_nobody_else() {
        assert!(SCRIPT.len() <= 20 << 10, "{} bytes", SCRIPT.len());
        for (name, text) in [("script", SCRIPT), ("style", STYLE)] {
            let elsewhere = text.contains("://") || text.contains("@import") || text.contains("eval(");
            assert!(!elsewhere, "the {name} asks another host");
        }
        assert!(!SCRIPT.contains("innerHTML"), "what is put into a page was parsed as a document");
        assert!(CHECKER.starts_with(b"\0asm") && CHECKER.len() <= 300 << 10, "{} bytes", CHECKER.len());
        assert!(POLICY.starts_with("default-src 'self'; script-src 'self' 'wasm-unsafe-eval';"));
    }
}
