//! The section `[gateway]`: HTTP in the validator's own process. Without it there is none.

use gateway::{Doors, STREAMS_OF_CALLER, Scope, Scopes, TlsFiles, Webhook};

use super::fields::{Field, Section};
use super::{ConfigError, ListenOn};

/// Words, none of them empty.
impl Field for Vec<String> {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_array()?.iter().map(String::from_toml).collect()
    }
}

/// Words of scopes.
impl Field for Scopes {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_array()?.iter().map(|scope| scope.as_str()?.parse::<Scope>().ok()).collect()
    }
}

/// Addresses that can be posted to.
impl Field for Vec<Webhook> {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_array()?.iter().map(|hook| hook.as_str()?.parse().ok()).collect()
    }
}

/// As many as there may be in all.
const STREAMS_OF_CALLER_MAX: usize = 8_192;

const HOSTS: &str = "a list of names under which the gateway is called, such as [\"node-3.example\"]";

/// Reads the section, if it is there.
///
/// # Errors
/// A [`ConfigError`] that names the field; also where the doors would be open by mistake.
pub(super) fn read(top: &mut Section) -> Result<Option<Doors>, ConfigError> {
    let Some(mut section) = top.optional_section("gateway")? else { return Ok(None) };
    let listen: ListenOn = section.required(
        "listen",
        "an IP address and TCP port to listen on, such as \"127.0.0.1:7401\", or a list of them",
    )?;
    let none = Scopes::default();
    let anonymous = section.optional(
        "anonymous",
        none,
        "what callers without a token may do, a list of read, submit and metrics; [] for nothing",
    )?;
    let tokens =
        section.optional_path("tokens", "the path of a file of tokens, as `millrace token` writes it")?;
    let certificate = section.optional_path("certificate", "the path of a TLS certificate in PEM")?;
    let private_key = section.optional_path("private_key", "the path of the private key of it, in PEM")?;
    let hosts = section.optional("hosts", Vec::new(), HOSTS)?;
    let origins = section.optional(
        "origins",
        Vec::new(),
        "a list of origins whose pages may call the gateway, such as [\"https://shop.example\"]",
    )?;
    let webhooks = section.optional(
        "webhooks",
        Vec::new(),
        "a list of addresses to which alarms are posted, such as [\"https://relay.example/alarms\"]",
    )?;
    let streams_of_caller = section.bounded(
        "streams_per_caller",
        STREAMS_OF_CALLER,
        1..=STREAMS_OF_CALLER_MAX,
        "how many streams a token, or an address without one, may have open, 1 to 8192",
    )?;
    let tls = match (certificate, private_key) {
        (None, None) => None,
        (Some(certificate), private_key) => {
            // What is not said is the file beside it.
            let private_key = private_key.unwrap_or_else(|| certificate.with_extension("key"));
            Some(TlsFiles { certificate, private_key })
        }
        (None, Some(private_key)) => {
            let help = "the path of a TLS certificate beside its key";
            return Err(section.invalid("private_key", &private_key.display(), help));
        }
    };
    let listen = listen.addresses().to_vec();
    let doors = Doors { listen, anonymous, tokens, tls, hosts, origins, webhooks, streams_of_caller };
    if let Err(error) = doors.check() {
        return Err(ConfigError::Content { file: section.file().to_owned(), problem: error.to_string() });
    }
    section.finish()?;
    Ok(Some(doors))
}
