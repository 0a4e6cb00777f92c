//! What all pages have in common: head, navigation, notes, and the parts of which they are made.

use axum::http::StatusCode;
use maud::{DOCTYPE, Markup, html};

use super::View;
use super::language::Language;
use super::shown;
use super::texts::{self as t, Text};

/// A page without what is around it.
pub struct Page {
    /// Its title.
    pub title: String,
    /// Which part of the navigation it belongs to: its path.
    pub section: &'static str,
    /// Whether it is loaded again whenever there is a new moment.
    pub live: bool,
    /// The HTTP status.
    pub status: StatusCode,
    /// What it says.
    pub body: Markup,
}

impl Page {
    /// A page that stays as it is.
    pub fn fixed(section: &'static str, title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), section, live: false, status: StatusCode::OK, body }
    }

    /// A page that follows the node.
    pub fn live(section: &'static str, title: impl Into<String>, body: Markup) -> Self {
        Self { live: true, ..Self::fixed(section, title, body) }
    }
}

/// The navigation: paths and names.
const SECTIONS: [(&str, Text); 8] = [
    ("/", t::NETWORK),
    ("/chains", t::CHAINS),
    ("/blocks", t::BLOCKS),
    ("/transactions", t::TRANSACTIONS),
    ("/accounts", t::ACCOUNTS),
    ("/governance", t::GOVERNANCE),
    ("/node", t::NODE),
    ("/alarms", t::ALARMS),
];

/// The whole document.
pub fn document(view: &View, page: &Page) -> Markup {
    let moment = view.moment.as_deref();
    let name = moment.map(|moment| shown::plain(&moment.sample.status.network_name));
    let alarms = moment.map_or(0, |moment| moment.sample.status.alarms.len());
    html! {
        (DOCTYPE)
        html lang=(view.language.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (page.title) " · " (name.as_deref().unwrap_or("Millrace")) }
                link rel="icon" href="/console/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/console/style.css";
                script src="/console/script.js" defer {}
            }
            body {
                a.skip href="#main" { (view.t(t::SKIP)) }
                header.top {
                    div.bar {
                        a.brand href="/" { span.logo aria-hidden="true" {} "Millrace" }
                        @if let Some(name) = &name { span.network { bdi { (name) } } }
                        form.search role="search" action="/search" method="get" {
                            label.hidden for="q" { (view.t(t::SEARCH_LABEL)) }
                            input #q name="q" type="search" maxlength="200" autocomplete="off" spellcheck="false"
                                placeholder=(view.t(t::SEARCH_HINT));
                            button type="submit" { (view.t(t::SEARCH)) }
                        }
                        (languages(view))
                        @if let Some(session) = &view.visitor.session {
                            form action="/sign-out" method="post" {
                                input type="hidden" name="csrf" value=(session.csrf());
                                button.quiet type="submit" { (view.t(t::SIGN_OUT)) }
                            }
                        }
                    }
                    nav aria-label=(view.t(t::PARTS)) {
                        ul {
                            @for (path, text) in &SECTIONS {
                                li {
                                    a href=(path) aria-current=[(*path == page.section).then_some("page")] {
                                        (view.t(*text))
                                        @if *path == "/alarms" && alarms > 0 {
                                            " " span.count { (alarms) }
                                        }
                                    }
                                }
                            }
                            li { a href="/docs" { "API" } }
                        }
                    }
                }
                main #main tabindex="-1" data-live=[page.live.then_some("")] {
                    @if let Some(lost) = moment.and_then(|moment| moment.lost.as_ref()) {
                        p.note.bad { strong { (view.t(t::LOST)) } " " span lang="en" { (shown::plain(&lost.message)) } }
                    }
                    (page.body)
                }
                footer {
                    @if page.live {
                        button.quiet #pause type="button" aria-pressed="false" hidden { (view.t(t::PAUSE)) }
                        p #said role="status" data-alarms=(view.t(t::ALARMS_NOW)) data-lost=(view.t(t::LOST)) {}
                    }
                    @if let Some(moment) = moment { p { (as_of(view, moment)) } }
                }
            }
        }
    }
}

fn as_of(view: &View, moment: &super::pulse::Moment) -> Markup {
    let status = &moment.sample.status;
    html! {
        (view.t(t::AS_SEEN_FROM)) " " strong { (shown::foreign(&status.name)) }
        " · " (view.t(t::HEIGHT)) " " (shown::grouped(status.committed.0))
        " · " (shown::time(moment.sample.now.saturating_mul(1_000)))
    }
}

fn languages(view: &View) -> Markup {
    html! {
        ul.languages aria-label=(view.t(t::LANGUAGE)) {
            @for language in Language::ALL {
                li {
                    @if language == view.language {
                        span aria-current="true" lang=(language.tag()) { (language.own_name()) }
                    } @else {
                        a lang=(language.tag()) hreflang=(language.tag()) rel="nofollow"
                            href={ "/language?to=" (language.code()) "&back=" (view.back()) } {
                            (language.own_name())
                        }
                    }
                }
            }
        }
    }
}

/// The heading of a page, and a sentence below it.
pub fn heading(title: &str, about: Option<&str>) -> Markup {
    html! {
        h1 { (title) }
        @if let Some(about) = about { p.about { (about) } }
    }
}

/// The head of a column.
#[derive(Clone, Copy)]
pub struct Head(pub Text, pub bool);

/// A column of words.
pub const fn words(text: Text) -> Head {
    Head(text, false)
}

/// A column of numbers.
pub const fn numbers(text: Text) -> Head {
    Head(text, true)
}

/// A table. The first cell of a row is its head.
pub fn table(
    view: &View,
    caption: &str,
    heads: &[Head],
    rows: impl IntoIterator<Item = Vec<Markup>>,
) -> Markup {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return html! { h2 { (caption) } p.none { (view.t(t::NOTHING)) } };
    }
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for head in heads { th scope="col" .n[head.1] { (view.t(head.0)) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.into_iter().enumerate() {
                                @let is_number = heads.get(at).is_some_and(|head| head.1);
                                @if at == 0 { th scope="row" .n[is_number] { (cell) } }
                                @else { td .n[is_number] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Facts: names and values.
pub fn facts(view: &View, rows: impl IntoIterator<Item = (Text, Markup)>) -> Markup {
    html! { dl.facts { @for (name, value) in rows { div { dt { (view.t(name)) } dd { (value) } } } } }
}

/// A figure that is looked at first.
pub fn tile(view: &View, name: Text, value: &Markup, tone: &str) -> Markup {
    html! { div class={ "tile " (tone) } { dt { (view.t(name)) } dd { (value) } } }
}

/// A chart with what it shows and its present value.
pub fn chart(view: &View, name: Text, value: &str, svg: &Markup) -> Markup {
    html! {
        figure.chart { figcaption { (view.t(name)) " " strong { (value) } } (svg) }
    }
}

/// The proof of something, behind a path: checked in the page, or taken away.
pub fn proof(view: &View, has_genesis: bool, path: &str, links: &Markup) -> Markup {
    html! {
        h2 { (view.t(t::PROOF)) }
        p.about { (view.t(t::PROOF_ABOUT)) }
        @if has_genesis {
            div.check data-keep="" data-proof=(path) data-holds=(view.t(t::CHECK_HOLDS))
                data-fails=(view.t(t::CHECK_FAILS)) hidden {
                p { button type="button" { (view.t(t::CHECK)) } " " span.small { (view.t(t::CHECK_ABOUT)) } }
                output role="status" lang="en" {}
            }
        }
        p { a href=(path) { (view.t(t::PROOF)) " (JSON)" } " · " (links) }
    }
}

/// A state in words, with a colour beside them.
pub fn badge(tone: &str, words: &str) -> Markup {
    html! { span class={ "badge " (tone) } { (words) } }
}

/// A link to a chain.
pub fn chain_link(chain: impl std::fmt::Display) -> Markup {
    html! { a href={ "/chains/" (chain) } { (chain) } }
}

/// A link to an account of a chain.
pub fn account_link(chain: impl std::fmt::Display, account: impl std::fmt::Display) -> Markup {
    html! { a href={ "/chains/" (chain) "/accounts/" (account) } { (account) } }
}

/// A link to a block.
pub fn block_link(height: u64) -> Markup {
    html! { a href={ "/blocks/" (height) } { (shown::grouped(height)) } }
}

/// A link to a transaction.
pub fn transaction_link(id: &str) -> Markup {
    html! { a.mono href={ "/transactions/" (id) } { (shown::ends(id)) } }
}
