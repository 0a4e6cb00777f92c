//! REST under `/v1`: each operation at its path.
//!
//! An answer has an `ETag`, the digest of its bytes, and `If-None-Match` is heeded. An error is `{"error": …}` with the
//! status of its kind.

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::{Response, StatusCode};
use kernels::sha2::sha256;
use serde_json::{Map, Value, json};

use crate::arguments::{Arguments, Place, of_query};
use crate::failure::{self, Failure};
use crate::operations::{OPERATIONS, Operation, Reply, Verb};

/// JSON, in a header.
pub const JSON: &str = "application/json";
/// Bytes, in a header.
pub const OCTETS: &str = "application/octet-stream";
/// A table, in a header.
const CSV: &str = "text/csv";

/// What an operation is told over REST: by its path, by its query, and by its body.
///
/// # Errors
/// A [`Failure`] that names what is wrong.
pub fn arguments(
    operation: &Operation,
    path: Map<String, Value>,
    query: Option<&str>,
    content: Option<(&str, &Bytes)>,
) -> Result<Arguments, Failure> {
    let mut given = of_query(query)?;
    let in_place = |name: &String, place: Place| {
        operation.parameters.iter().any(|of| of.name == name && of.place == place)
    };
    if let Some(name) = given.keys().find(|name| in_place(name, Place::Path)) {
        return Err(Failure::invalid(format!("the parameter {name} belongs into the path")));
    }
    given.extend(path);
    match content {
        None => Arguments::read(operation.parameters, &given),
        Some((JSON, body)) => {
            let body: Value = serde_json::from_slice(body).map_err(|error| {
                Failure::new(failure::PARSE, format!("the body is not JSON that is read here: {error}"))
            })?;
            let Value::Object(body) = body else {
                return Err(Failure::invalid("the body must be an object"));
            };
            given.extend(body);
            Arguments::read(operation.parameters, &given)
        }
        Some((_, body)) => {
            // The bytes themselves are the transaction; everything else stands in the query.
            let others: Vec<_> =
                operation.parameters.iter().filter(|of| of.name != "transaction").copied().collect();
            Arguments::read(&others, &given)?.with_transaction(body)
        }
    }
}

/// The type of a body, if it is one that is read here.
///
/// # Errors
/// [`failure::MEDIA_TYPE`].
pub fn media_type(headers: &HeaderMap, known: &[&'static str]) -> Result<&'static str, Failure> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let said = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    known.iter().find(|of| **of == said).copied().ok_or_else(|| {
        let shown: String = said.chars().take(64).collect();
        let message = format!("the content type is {shown:?}: send {}", known.join(" or "));
        Failure::new(failure::MEDIA_TYPE, message)
    })
}

/// A reply as it goes over the wire.
pub fn respond(operation: &Operation, request: &HeaderMap, reply: &Reply) -> Response<Body> {
    let wants = request.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if operation.name == "history" && wants.split(',').any(|of| of.trim().starts_with(CSV)) {
        return tagged(request, StatusCode::OK, "text/csv; charset=utf-8", table(&reply.value).into());
    }
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let bytes = serde_json::to_vec(&reply.value).expect("an answer has string keys");
    tagged(request, status, JSON, bytes)
}

/// A body with its `ETag`; nothing where the caller has it already.
pub fn tagged(request: &HeaderMap, status: StatusCode, content: &str, body: Vec<u8>) -> Response<Body> {
    let tag = format!("\"{}\"", hex::encode(&sha256(&body)[..16]));
    let known = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|of| of == "*" || of.strip_prefix("W/").unwrap_or(of) == tag);
    let tag = HeaderValue::from_str(&tag).expect("digits in quotes");
    let mut response = match is_known && status == StatusCode::OK {
        true => with_status(StatusCode::NOT_MODIFIED, Body::empty()),
        false => with_status(status, Body::from(body)),
    };
    let content = HeaderValue::from_str(content).expect("a constant");
    response.headers_mut().extend([
        (CONTENT_TYPE, content),
        (ETAG, tag),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ]);
    response
}

fn with_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// A failure as it goes over the wire.
pub fn failed(failure: &Failure) -> Response<Body> {
    let status = StatusCode::from_u16(failure.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = serde_json::to_vec(&json!({ "error": failure.to_json() })).expect("text and numbers");
    let mut response = with_status(status, Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = failure.retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if failure.kind == failure::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// There is nothing at a path.
pub fn nowhere(path: &str) -> Response<Body> {
    let known = OPERATIONS.iter().map(|operation| operation.path);
    let others = ["/rpc", "/openapi.json", "/docs", "/health", "/ready", "/metrics", "/v1/streams/blocks"];
    failed(&Failure::unknown(failure::NOT_FOUND, "path", path, known.chain(others)))
}

/// A path that takes another method.
pub fn wrong_method(path: &str) -> Response<Body> {
    let mut response = failed(&Failure::new(failure::WRONG_METHOD, "this path takes another method of HTTP"));
    let is_posted = matches!(path, "/rpc" | "/sign-out")
        || OPERATIONS.iter().any(|of| of.verb == Verb::Post && of.path == path);
    let allow = if is_posted { "POST" } else { "GET, HEAD" };
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// The columns of a history.
const COLUMNS: [&str; 5] = ["at", "event", "outcome", "id", "said"];

/// A page of a history as a table of RFC 4180.
fn table(page: &Value) -> String {
    let mut table = COLUMNS.join(",") + "\r\n";
    for event in page["events"].as_array().into_iter().flatten() {
        let event_name = event.get("event").or_else(|| event.get("effect"));
        let outcome = event.get("outcome").or_else(|| event.get("reason"));
        let cells =
            [event.get("at"), event_name, outcome, event.get("id"), event.get("said").or(Some(event))];
        let cells: Vec<String> = cells.into_iter().map(cell).collect();
        table.push_str(&cells.join(","));
        table.push_str("\r\n");
    }
    table
}

/// A cell. What a spreadsheet would take for a formula is made text.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_no_formula_and_no_broken_line() {
        let page = json!({ "events": [
            { "at": "1.0", "event": "executed", "outcome": "applied", "id": "ab", "said": { "memo": "a\"b" } },
            { "at": "2.0", "event": "=cmd()", "reason": "x\r\ny" },
        ] });
        let table = table(&page);
        let (head, rest) = table.split_once("\r\n").unwrap();
        assert_eq!(head, "at,event,outcome,id,said");
        assert!(
            rest.starts_with(
                "\"1.0\",\"executed\",\"applied\",\"ab\",\"{\"\"memo\"\":\"\"a\\\"\"b\"\"}\"\r\n"
            )
        );
        assert!(rest.contains("\"'=cmd()\",\"x\r\ny\",,"), "{rest}");
    }

    #[test]
    fn who_has_the_bytes_gets_none() {
        let mut headers = HeaderMap::new();
        let first = tagged(&headers, StatusCode::OK, JSON, b"{}".to_vec());
        let tag = first.headers()[ETAG].clone();
        headers.insert(IF_NONE_MATCH, tag.clone());
        assert_eq!(tagged(&headers, StatusCode::OK, JSON, b"{}".to_vec()).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(tagged(&headers, StatusCode::OK, JSON, b"[]".to_vec()).status(), StatusCode::OK);
        let list = format!("\"other\", W/{}", tag.to_str().unwrap());
        headers.insert(IF_NONE_MATCH, list.parse().unwrap());
        assert_eq!(tagged(&headers, StatusCode::OK, JSON, b"{}".to_vec()).status(), StatusCode::NOT_MODIFIED);
    }
}
