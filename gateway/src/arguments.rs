//! What an operation is told: parameters that the table declares, read from JSON, from a path or from a query.
//!
//! Invariant: [`Arguments`] that exist have every required parameter, no unknown one, and each within its bounds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use client::Cursor;
use engine::limits::{ENVELOPE_PACKETS_MAX, PACKET_BYTES};
use serde_json::{Map, Value, json};

use crate::failure::{self, Failure};
use crate::numbers::whole;

/// Where a parameter stands over REST. Over JSON-RPC all are members of `params`, or stand there in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// Behind the question mark.
    Query,
    /// In the JSON of the body.
    Body,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A whole number up to a bound: a number, or a string of digits.
    Whole(u64),
    /// 32 bytes: 64 hexadecimal digits.
    Bytes32,
    /// The packets of a signed transaction, in hexadecimal or base64.
    Transaction,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// A place in a feed, as an answer gave it: `height.place`.
    Cursor,
    /// Up to 12 bytes of a reference: text, or 24 hexadecimal digits.
    Reference,
}

/// A parameter of an operation.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it stands over REST.
    pub place: Place,
    /// What it may be.
    pub form: Form,
    /// Whether it must be there.
    pub required: bool,
    /// What it means, for a person.
    pub about: &'static str,
}

/// A parameter that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Whole(u64),
    Bytes32([u8; 32]),
    Bytes(Vec<u8>),
    Word(&'static str),
    Cursor(Cursor),
    Reference([u8; 12]),
}

/// What an operation is told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments(BTreeMap<&'static str, Argument>);

/// The longest transaction, in bytes.
const TRANSACTION_BYTES_MAX: usize = ENVELOPE_PACKETS_MAX * PACKET_BYTES;

impl Form {
    fn read(self, value: &Value) -> Option<Argument> {
        match self {
            Self::Whole(most) => whole(value).filter(|number| *number <= most).map(Argument::Whole),
            Self::Bytes32 => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(value.as_str()?, &mut bytes).ok()?;
                Some(Argument::Bytes32(bytes))
            }
            Self::Transaction => transaction_bytes(value.as_str()?).map(Argument::Bytes),
            Self::Word(words) => {
                let said = value.as_str()?;
                words.iter().find(|word| **word == said).map(|word| Argument::Word(word))
            }
            Self::Cursor => value.as_str()?.parse().ok().map(Argument::Cursor),
            Self::Reference => reference(value.as_str()?).map(Argument::Reference),
        }
    }

    /// In a sentence: "write …".
    fn help(self) -> String {
        match self {
            Self::Whole(most) => format!("a whole number from 0 to {most}, or its digits in a string"),
            Self::Bytes32 => "64 hexadecimal digits".to_owned(),
            Self::Transaction => format!(
                "the packets of one signed transaction, each of {PACKET_BYTES} bytes, in hexadecimal or base64"
            ),
            Self::Word(words) => words.join(" or "),
            Self::Cursor => {
                "a height and a place with a dot between them, as an answer gave it: 17.3".to_owned()
            }
            Self::Reference => "up to 12 bytes of text, or 24 hexadecimal digits".to_owned(),
        }
    }

    /// As JSON Schema has it.
    pub fn schema(self) -> Value {
        match self {
            Self::Whole(most) => {
                let mut schema =
                    json!({ "type": ["integer", "string"], "minimum": 0, "pattern": "^[0-9]{1,20}$" });
                // One that a double cannot hold would be read as another one.
                if most <= crate::numbers::EXACT_MAX {
                    schema["maximum"] = most.into();
                }
                schema
            }
            Self::Bytes32 => json!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" }),
            Self::Transaction => {
                json!({ "type": "string", "minLength": 172, "maxLength": 2 * TRANSACTION_BYTES_MAX })
            }
            Self::Word(words) => json!({ "type": "string", "enum": words }),
            Self::Cursor => json!({ "type": "string", "pattern": "^[0-9]{1,20}\\.[0-9]{1,10}$" }),
            Self::Reference => json!({ "type": "string", "maxLength": 24 }),
        }
    }
}

fn transaction_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    if text.len() > 2 * TRANSACTION_BYTES_MAX {
        return None;
    }
    // 128 bytes have 256 hexadecimal digits, and 172 characters in base64: no text is both.
    let bytes = hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok())?;
    is_whole(&bytes).then_some(bytes)
}

fn is_whole(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= TRANSACTION_BYTES_MAX && bytes.len().is_multiple_of(PACKET_BYTES)
}

fn reference(text: &str) -> Option<[u8; 12]> {
    let mut bytes = [0; 12];
    if text.len() == 24 && hex::decode_to_slice(text, &mut bytes).is_ok() {
        return Some(bytes);
    }
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(bytes)
}

impl Arguments {
    /// Reads the members of an object.
    ///
    /// # Errors
    /// [`failure::INVALID_PARAMS`], which names the parameter: it is unknown, missing, or cannot be what it says.
    pub fn read(parameters: &[Parameter], given: &Map<String, Value>) -> Result<Self, Failure> {
        let known = || parameters.iter().map(|of| of.name);
        if let Some(name) = given.keys().find(|name| known().all(|of| of != **name)) {
            return Err(Failure::unknown(failure::INVALID_PARAMS, "parameter", name, known()));
        }
        let mut read = BTreeMap::new();
        for parameter in parameters {
            let Parameter { name, form, required, .. } = *parameter;
            match given.get(name) {
                None if required => {
                    let help = form.help();
                    return Err(Failure::invalid(format!("the parameter {name} is missing: write {help}")));
                }
                None | Some(Value::Null) if !required => {}
                value => {
                    let value = value.unwrap_or(&Value::Null);
                    let argument = form.read(value).ok_or_else(|| unfit(name, form, value))?;
                    read.insert(name, argument);
                }
            }
        }
        Ok(Self(read))
    }

    /// Reads the `params` of a call: an object, or a list in the order of the parameters.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of_params(parameters: &[Parameter], params: Option<&Value>) -> Result<Self, Failure> {
        match params {
            None => Self::read(parameters, &Map::new()),
            Some(Value::Object(given)) => Self::read(parameters, given),
            Some(Value::Array(list)) if list.len() > parameters.len() => {
                let (given, most) = (list.len(), parameters.len());
                Err(Failure::invalid(format!("{given} parameters were given, and there are {most} at most")))
            }
            Some(Value::Array(list)) => {
                let names = parameters.iter().map(|of| of.name.to_owned());
                Self::read(parameters, &names.zip(list.iter().cloned()).collect())
            }
            Some(_) => Err(Failure::invalid("params must be an object, or a list")),
        }
    }

    /// Takes the bytes of a transaction as they came.
    ///
    /// # Errors
    /// They cannot be packets.
    pub fn with_transaction(mut self, bytes: &[u8]) -> Result<Self, Failure> {
        if !is_whole(bytes) {
            let help = Form::Transaction.help();
            return Err(Failure::invalid(format!("the body has {} bytes: send {help}", bytes.len())));
        }
        self.0.insert("transaction", Argument::Bytes(bytes.to_vec()));
        Ok(self)
    }

    /// A whole number, if it was given.
    pub fn whole(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Argument::Whole(number) => Some(*number),
            _ => None,
        }
    }

    /// 32 bytes, if they were given.
    pub fn bytes32(&self, name: &str) -> Option<[u8; 32]> {
        match self.0.get(name)? {
            Argument::Bytes32(bytes) => Some(*bytes),
            _ => None,
        }
    }

    /// The bytes of a transaction, if they were given.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        match self.0.get(name)? {
            Argument::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A word, if it was given.
    pub fn word(&self, name: &str) -> Option<&'static str> {
        match self.0.get(name)? {
            Argument::Word(word) => Some(word),
            _ => None,
        }
    }

    /// A cursor, if it was given.
    pub fn cursor(&self, name: &str) -> Option<Cursor> {
        match self.0.get(name)? {
            Argument::Cursor(cursor) => Some(*cursor),
            _ => None,
        }
    }

    /// A reference, if it was given.
    pub fn reference(&self, name: &str) -> Option<[u8; 12]> {
        match self.0.get(name)? {
            Argument::Reference(reference) => Some(*reference),
            _ => None,
        }
    }
}

fn unfit(name: &str, form: Form, value: &Value) -> Failure {
    let mut shown: String = value.to_string().chars().take(80).collect();
    if value.to_string().len() > shown.len() {
        let _ = write!(shown, "…");
    }
    Failure::invalid(format!("the parameter {name} is {shown}: write {}", form.help()))
}

/// The fields behind the question mark of a path, decoded.
///
/// # Errors
/// [`failure::INVALID_PARAMS`]: one stands there twice, or is no text.
pub fn of_query(query: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let mut fields = Map::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if fields.insert(name.clone(), Value::String(value)).is_some() {
            return Err(Failure::invalid(format!("the parameter {name:?} stands there twice")));
        }
    }
    Ok(fields)
}

/// A part of an address as text.
///
/// # Errors
/// [`failure::INVALID_PARAMS`].
pub fn decoded(text: &str) -> Result<String, Failure> {
    let spaced = text.replace('+', " ");
    let text = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    text.map(std::borrow::Cow::into_owned)
        .map_err(|_| Failure::invalid("the address has bytes that are no UTF-8"))
}

#[cfg(test)]
mod tests;
