//! The section `[gateway]`: HTTP in the validator's own process. Without it there is none.

use std::path::{Path, PathBuf};

use gateway::{
    AdminDoors, ClientFiles, Doors, DoorsError, STREAMS_OF_CALLER, Scope, Scopes, TlsFiles, Webhook,
};

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

const LISTEN: &str = "an IP address and TCP port to listen on, such as \"127.0.0.1:7401\", or a list of them";

const HOSTS: &str = "a list of names under which the gateway is called, such as [\"node-3.example\"]";

/// Reads the section, if it is there.
///
/// # Errors
/// A [`ConfigError`] that names the field; also where the doors would be open by mistake.
pub(super) fn read(top: &mut Section) -> Result<Option<(Doors, Option<AdminDoors>)>, ConfigError> {
    let Some(mut section) = top.optional_section("gateway")? else { return Ok(None) };
    let listen: ListenOn = section.required("listen", LISTEN)?;
    let none = Scopes::default();
    let anonymous = section.optional(
        "anonymous",
        none,
        "what callers without a token may do, a list of read, submit and metrics; [] for nothing",
    )?;
    let tokens =
        section.optional_path("tokens", "the path of a file of tokens, as `millrace token` writes it")?;
    let (tls, clients) = certificates(&mut section)?;
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
    let listen = listen.addresses().to_vec();
    let doors =
        Doors { listen, anonymous, tokens, tls, clients, hosts, origins, webhooks, streams_of_caller };
    fits(&section, doors.check())?;
    let admin = admin(&mut section, doors.tokens.as_ref())?;
    section.finish()?;
    Ok(Some((doors, admin)))
}

fn fits(section: &Section, checked: Result<(), DoorsError>) -> Result<(), ConfigError> {
    let file = || section.file().to_owned();
    checked.map_err(|error| ConfigError::Content { file: file(), problem: error.to_string() })
}

/// Reads the section `[gateway.admin]`, if it is there.
fn admin(gateway: &mut Section, tokens: Option<&PathBuf>) -> Result<Option<AdminDoors>, ConfigError> {
    let Some(mut section) = gateway.optional_section("admin")? else { return Ok(None) };
    let listen: ListenOn = section.required("listen", LISTEN)?;
    let audit = section.path("audit", "the path of the audit log, to which every change is appended")?;
    let (tls, clients) = certificates(&mut section)?;
    let hosts = section.optional("hosts", Vec::new(), HOSTS)?;
    let Some(tokens) = tokens.cloned() else {
        let problem = "administration needs a file of tokens: name it as `tokens` in the section [gateway], and make a \
                       token with the scope admin (`millrace token new`)";
        return Err(ConfigError::Content { file: section.file().to_owned(), problem: problem.to_owned() });
    };
    let doors = AdminDoors { listen: listen.addresses().to_vec(), tokens, tls, clients, hosts, audit };
    fits(&section, doors.check())?;
    section.finish()?;
    Ok(Some(doors))
}

/// Two files that go together. The second one may be left out: then it is where `default` says, beside the first one.
fn beside(
    section: &Section,
    (second_field, help): (&str, &'static str),
    first: Option<PathBuf>,
    second: Option<PathBuf>,
    default: impl FnOnce(&Path) -> PathBuf,
) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    match (first, second) {
        (None, None) => Ok(None),
        (Some(first), second) => {
            let second = second.unwrap_or_else(|| default(&first));
            Ok(Some((first, second)))
        }
        (None, Some(second)) => Err(section.invalid(second_field, &second.display(), help)),
    }
}

/// The certificate of a listener, and who vouches for those of its callers.
fn certificates(section: &mut Section) -> Result<(Option<TlsFiles>, Option<ClientFiles>), ConfigError> {
    let certificate = section.optional_path("certificate", "the path of a TLS certificate in PEM")?;
    let private_key = section.optional_path("private_key", "the path of the private key of it, in PEM")?;
    let authority = section.optional_path(
        "client_authority",
        "the path of the certificates of the authorities that vouch for client certificates, in PEM",
    )?;
    let clients =
        section.optional_path("clients", "the path of the file with what each client certificate may do")?;
    // What is not said is the file beside the other one.
    let tls = beside(
        section,
        ("private_key", "the path of a TLS certificate beside its key"),
        certificate,
        private_key,
        |of| of.with_extension("key"),
    )?;
    let clients =
        beside(section, ("clients", "the path of it beside client_authority"), authority, clients, |of| {
            of.with_file_name("clients.toml")
        })?;
    let tls = tls.map(|(certificate, private_key)| TlsFiles { certificate, private_key });
    let clients = clients.map(|(authority, clients)| ClientFiles { authority, clients });
    Ok((tls, clients))
}
