//! What there is, for machines: OpenAPI 3.1, made from the table. And a page of it for people.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::arguments::{Parameter, Place};
use crate::failure::KINDS;
use crate::operations::{Field, OPERATIONS, Operation, Verb};
use crate::rest::{JSON, OCTETS};
use crate::streams::STREAMS;

/// Server-sent events, in a header.
const EVENTS: &str = "text/event-stream";
/// The version of what stands under `/v1`.
const VERSION: &str = "1.0.0";

/// The description.
pub fn description() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let verb = if operation.verb == Verb::Get { "get" } else { "post" };
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[verb] = described(operation);
    }
    for (path, parameters, about) in STREAMS {
        paths.insert(path.to_owned(), json!({ "get": described_stream(path, parameters, about) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace gateway",
            "version": VERSION,
            "description": "The ledger over HTTP. Numbers beyond 2^53 are strings of digits. The same operations are \
                methods of JSON-RPC 2.0 at /rpc. Members of an answer may be added; none is removed or changed under /v1.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Error": error_schema() },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let mut described = json!({
        "operationId": operation.name,
        "summary": operation.about,
        "description": format!("Needs the scope `{}`.", operation.scope),
        "parameters": operation.parameters.iter().filter(|of| of.place != Place::Body).map(parameter).collect::<Value>(),
        "responses": responses(operation),
    });
    let in_body: Vec<&Parameter> = operation.parameters.iter().filter(|of| of.place == Place::Body).collect();
    if !in_body.is_empty() {
        let properties: Map<String, Value> =
            in_body.iter().map(|of| (of.name.to_owned(), documented(of.form.schema(), of.about))).collect();
        let required: Vec<&str> = in_body.iter().filter(|of| of.required).map(|of| of.name).collect();
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        described["requestBody"] = json!({ "required": true, "content": { JSON: { "schema": schema } } });
        described["requestBody"]["content"][OCTETS] =
            json!({ "schema": { "type": "string", "format": "binary" } });
    }
    described
}

/// What is said of a stream: as server-sent events, and of its WebSocket in words, for which OpenAPI has no form.
fn described_stream(path: &str, parameters: &[Parameter], about: &str) -> Value {
    let name = path.rsplit('/').next().unwrap_or(path);
    let error = || error_response("What went wrong, before anything was streamed.");
    json!({
        "operationId": format!("{name}_stream"),
        "summary": about,
        "description": "Needs the scope `read`. Each event is sent at least once, in order. Its `id` is the cursor: go on \
            with `from`, or `Last-Event-ID`. With `Upgrade: websocket` (HTTP/1.1) the same events come over a WebSocket, \
            each as a text message `{\"id\", \"event\", \"data\"}`. A client that cannot set `Authorization` offers the \
            protocols `millrace.v1` and `bearer.TOKEN`. Close codes: 1000 the stream is complete, 1008 you sent a message \
            or answered no ping, 1011 a defect of the gateway, 1013 try again later, and 4000 plus the HTTP status for \
            others.",
        "parameters": parameters.iter().map(parameter).collect::<Value>(),
        "responses": {
            "101": { "description": "A WebSocket." },
            "200": {
                "description": "Events: `id`, `event` and `data`, which is JSON.",
                "content": { EVENTS: { "schema": { "type": "string" } } },
            },
            "4XX": error(),
            "503": error(),
        },
    })
}

fn error_response(about: &str) -> Value {
    json!({
        "description": about,
        "content": { JSON: { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

fn parameter(of: &Parameter) -> Value {
    json!({
        "name": of.name,
        "in": if of.place == Place::Path { "path" } else { "query" },
        "required": of.required,
        "description": of.about,
        "schema": of.form.schema(),
    })
}

fn documented(mut schema: Value, about: &str) -> Value {
    schema["description"] = about.into();
    schema
}

fn responses(operation: &Operation) -> Value {
    let properties: Map<String, Value> = operation.answer.iter().map(property).collect();
    let required: Vec<&str> = operation.answer.iter().filter(|of| of.always).map(|of| of.name).collect();
    let schema = json!({ "type": "object", "properties": properties, "required": required });
    let answer = json!({ "description": "The answer.", "content": { JSON: { "schema": schema } } });
    let error = error_response("What went wrong; docs/ERRORS.md has every code.");
    let mut responses = json!({ "200": answer, "4XX": error, "503": error });
    if operation.verb == Verb::Get {
        responses["304"] = json!({ "description": "The caller has it already." });
    }
    if operation.answer.iter().any(|of| of.name == "status" && operation.verb == Verb::Post) {
        responses["202"] = responses["200"].clone();
        responses["202"]["description"] = "It is not decided yet: ask for the id later.".into();
    }
    if operation.name == "history" {
        responses["200"]["content"]["text/csv"] = json!({ "schema": { "type": "string" } });
    }
    responses
}

fn property(of: &Field) -> (String, Value) {
    let schema = match of.form {
        "integer" => json!({ "type": ["integer", "string"] }),
        form => json!({ "type": form }),
    };
    (of.name.to_owned(), documented(schema, of.about))
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "name", "message"],
            "properties": {
                "code": { "type": "integer", "description": "Of docs/ERRORS.md." },
                "name": { "type": "string" },
                "message": { "type": "string", "description": "What is wrong and what to do, in English." },
                "retry_after_seconds": { "type": "integer" },
                "data": { "type": "object" },
            },
        } },
    })
}

/// The page, without any script and without anything from elsewhere.
pub fn page() -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Millrace gateway</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"/docs/style.css\">\
         <h1>Millrace gateway</h1><p>Each operation is a method of JSON-RPC 2.0 at <code>/rpc</code> and a path of REST. \
         <a href=\"/openapi.json\">openapi.json</a> says the same for machines. Numbers beyond 2<sup>53</sup> are strings \
         of digits.</p><ul>",
    );
    let mut write = |text: std::fmt::Arguments<'_>| page.write_fmt(text).expect("text grows");
    for of in OPERATIONS {
        write(format_args!("<li><a href=\"#{0}\">{0}</a>", of.name));
    }
    write(format_args!("</ul>"));
    for of in OPERATIONS {
        let verb = if of.verb == Verb::Get { "GET" } else { "POST" };
        let (name, path, about, scope) = (of.name, escaped(of.path), escaped(of.about), of.scope);
        write(format_args!(
            "<h2 id=\"{name}\">{name}</h2><p><code>{verb} {path}</code> (scope {scope})<p>{about}"
        ));
        let rows = of.parameters.iter().map(|of| (of.name, of.required, of.about));
        write(format_args!("{}", rows_of("Takes", rows)));
        let rows = of.answer.iter().map(|of| (of.name, of.always, of.about));
        write(format_args!("{}", rows_of("Answers", rows)));
    }
    for (path, parameters, about) in STREAMS {
        write(format_args!("<h2><code>GET {path}</code></h2><p>A stream (scope read): {}", escaped(about)));
        let rows = parameters.iter().map(|of| (of.name, of.required, of.about));
        write(format_args!("{}", rows_of("Takes", rows)));
    }
    write(format_args!("<h2>Errors of the gateway</h2><table><tr><th>code<th>name<th>status"));
    for kind in KINDS {
        write(format_args!("<tr><td>{}<td>{}<td>{}", kind.code, kind.name, kind.status));
    }
    write(format_args!(
        "</table><p>What a node says of a transaction has the codes 0 to 255 of docs/ERRORS.md.</html>"
    ));
    page
}

fn rows_of(title: &str, rows: impl Iterator<Item = (&'static str, bool, &'static str)>) -> String {
    let mut table = String::new();
    for (name, always, about) in rows {
        let always = if always { "always" } else { "" };
        let _ = write!(table, "<tr><td><code>{name}</code><td>{always}<td>{}", escaped(about));
    }
    match table.is_empty() {
        true => String::new(),
        false => format!("<table><tr><th>{title}<th><th>{table}</table>"),
    }
}

/// Text that is no HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// How the page looks.
pub const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    :root{color-scheme:light dark}table{border-collapse:collapse}td,th{padding:.2rem .6rem;text-align:left;\
    vertical-align:top;border-bottom:1px solid #8886}code{font-family:ui-monospace,monospace}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_and_on_the_page() {
        let (description, page) = (description(), page());
        for of in OPERATIONS {
            let verb = if of.verb == Verb::Get { "get" } else { "post" };
            let described = &description["paths"][of.path][verb];
            assert_eq!(described["operationId"], of.name);
            assert_eq!(
                described["parameters"].as_array().map(Vec::len).unwrap_or(0) > 0,
                of.verb == Verb::Get
            );
            assert!(page.contains(&format!("<h2 id=\"{}\">", of.name)));
        }
        for (path, parameters, _) in STREAMS {
            let described = &description["paths"][path]["get"];
            assert_eq!(described["parameters"].as_array().map(Vec::len), Some(parameters.len()));
            assert!(page.contains(path));
        }
        assert_eq!(description["openapi"], "3.1.0");
        assert!(
            !page.contains("<script") && !page.contains("://"),
            "nothing runs and nothing comes from elsewhere"
        );
    }
}
