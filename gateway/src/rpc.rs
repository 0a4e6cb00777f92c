//! JSON-RPC 2.0 at `/rpc`: one call, or a batch of up to [`CALLS_MAX`].
//!
//! Calls of a batch run at the same time, and their answers stand in the order of the calls. A call without an id is a
//! notification: it is done, and nothing is answered.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::failure::{self, Failure};
use crate::gateway::{Gateway, Visitor};
use crate::meters::Door;
use crate::operations::{OPERATIONS, named};

/// Calls of one batch.
pub const CALLS_MAX: usize = 100;

const MEMBERS: [&str; 4] = ["jsonrpc", "method", "params", "id"];

/// What a body is answered with; nothing where all of it was notifications.
pub async fn answer(gateway: &Arc<Gateway>, visitor: Visitor, body: &[u8]) -> Option<Value> {
    let calls = match serde_json::from_slice(body) {
        Err(error) => {
            let message = format!("the body is not JSON that is read here: {error}");
            return Some(response(Value::Null, Err(Failure::new(failure::PARSE, message))));
        }
        Ok(Value::Array(calls)) => calls,
        Ok(call) => return one(gateway, visitor, call).await,
    };
    if calls.is_empty() || calls.len() > CALLS_MAX {
        let message = format!("the batch has {} calls: send 1 to {CALLS_MAX}", calls.len());
        return Some(response(Value::Null, Err(Failure::new(failure::INVALID_REQUEST, message))));
    }
    let answers = join_all(calls.into_iter().map(|call| one(gateway, visitor, call))).await;
    let answers: Vec<Value> = answers.into_iter().flatten().collect();
    (!answers.is_empty()).then_some(Value::Array(answers))
}

/// The answer to one call; none to a notification.
async fn one(gateway: &Arc<Gateway>, visitor: Visitor, call: Value) -> Option<Value> {
    let Value::Object(call) = call else {
        let failure =
            Failure::new(failure::INVALID_REQUEST, "a call is an object with jsonrpc, method, params and id");
        return Some(response(Value::Null, Err(failure)));
    };
    let id = match call.get("id") {
        None => None,
        Some(id @ (Value::Null | Value::Number(_) | Value::String(_))) => Some(id.clone()),
        Some(_) => {
            let failure = Failure::new(failure::INVALID_REQUEST, "the id of a call is text or a number");
            return Some(response(Value::Null, Err(failure)));
        }
    };
    let answered = called(gateway, visitor, &call).await;
    // What is no call at all is answered, also where it has no id.
    match (id, &answered) {
        (None, Err(failure)) if failure.kind == failure::INVALID_REQUEST => {
            Some(response(Value::Null, answered))
        }
        (id, _) => Some(response(id?, answered)),
    }
}

async fn called(
    gateway: &Arc<Gateway>,
    visitor: Visitor,
    call: &Map<String, Value>,
) -> Result<Value, Failure> {
    if let Some(unknown) = call.keys().find(|member| !MEMBERS.contains(&member.as_str())) {
        return Err(Failure::unknown(failure::INVALID_REQUEST, "member of a call", unknown, MEMBERS));
    }
    if call.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(Failure::new(failure::INVALID_REQUEST, "the member jsonrpc must be \"2.0\""));
    }
    let Some(method) = call.get("method").and_then(Value::as_str) else {
        return Err(Failure::new(failure::INVALID_REQUEST, "the member method must name a method"));
    };
    let known = || OPERATIONS.iter().map(|operation| operation.name);
    let operation = named(method)
        .ok_or_else(|| Failure::unknown(failure::METHOD_NOT_FOUND, "method", method, known()))?;
    let arguments = Arguments::of_params(operation.parameters, call.get("params"));
    gateway.call(operation, (Door::Rpc, visitor), arguments).await.map(|reply| reply.value)
}

fn response(id: Value, answered: Result<Value, Failure>) -> Value {
    match answered {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(failure) => json!({ "jsonrpc": "2.0", "id": id, "error": failure.to_json() }),
    }
}
