//! `millrace support`: one text for a bug report, with everything that is usually asked for and without any secret.
//!
//! ```text
//! versions, machine, network ─┐
//! each validator: configuration without what could be secret, status, counters, the end of its log, its files ─┴─▶ text
//! every secret of the directory ─▶ is any in the text? then nothing is written
//! ```

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use client::Query;
use serde_json::{Value, json};

use crate::cli::{SupportArgs, versions, write_new};
use crate::machine;
use crate::network::{Member, Network};

/// Lines of each log.
const LOG_LINES: usize = 200;
/// Bytes of a log that are read for them.
const LOG_BYTES_MAX: u64 = 256 << 10;
/// Files of each validator that are listed.
const FILES_MAX: usize = 1_000;
/// A file that is longer holds no key.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Characters of a word of a key file from which on it may be a secret.
const SECRET_WORD_MIN: usize = 16;
/// What stands for a value that is left out.
const LEFT_OUT: &str = "(left out)";

const HEAD: &str = "\
# What `millrace support` has gathered for a bug report

Look at it before you send it. It has names, addresses, chains and lines of logs. It has no key, no token and no address
to which alarms are posted: each secret of the directory was looked for in this text.
";

/// A secret would have been in the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the text would contain a secret of {}, so nothing was written. Look for it in the log and the configuration, remove \
     it there, and replace the secret",
    .0.display()
)]
pub struct HoldsSecret(pub PathBuf);

/// Gathers, and writes the text.
///
/// # Errors
/// The network cannot be read, the file cannot be written, or a secret would be in it.
pub fn support(args: &SupportArgs) -> Result<bool> {
    let network = Network::load(&args.network)?;
    let text = gathered(&network);
    let audited: Vec<PathBuf> =
        network.members.iter().filter_map(|member| audit_log(&member.config_file())).collect();
    check(&network.directory, &text, &audited)?;
    write_new(&args.output, text.as_bytes())?;
    println!("{}: {} bytes; look at it before you send it", args.output.display(), text.len());
    Ok(true)
}

/// Everything, of all validators that can be read or asked.
fn gathered(network: &Network) -> String {
    let mut text = HEAD.to_owned();
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default().trim().to_owned();
    let memory = machine::memory().map(|memory| json!({ "available": memory.available, "of": memory.of }));
    let threads = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    section(&mut text, "versions", versions());
    let machine =
        json!({ "kernel": read("/proc/sys/kernel/osrelease"), "threads": threads, "memory": memory });
    section(&mut text, "this machine", &pretty(&machine));
    let genesis = &network.genesis;
    let chains = genesis.chains().iter().map(|chain| json!({ "chain": chain.id, "kind": chain.kind.name() }));
    let said = json!({
        "name": genesis.name(),
        "network_id": genesis.network(),
        "validators": network.members.len(),
        "chains": chains.collect::<Value>(),
    });
    section(&mut text, "network", &pretty(&said));
    for member in &network.members {
        let of = |what: &str| format!("validator {} ({}): {what}", member.index, member.name.escape_debug());
        section(&mut text, &of("configuration"), &configuration(&member.config_file()));
        let (status, counters) = asked(network, member);
        section(&mut text, &of("status"), &status);
        section(&mut text, &of("counters"), &counters);
        section(&mut text, &of("end of the log"), &end_of_log(&member.log_file()));
        section(&mut text, &of("files"), &files(&member.directory));
    }
    text
}

fn section(text: &mut String, title: &str, said: &str) {
    let _ = write!(text, "\n## {title}\n\n{}\n", said.trim_end());
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("keys are text")
}

/// The status and the counters of a validator, or why it does not answer.
fn asked(network: &Network, member: &Member) -> (String, String) {
    let told = |query| -> Result<String, client::ClientError> {
        let answer = member.connect(&network.genesis)?.ask::<Value>(query)?;
        Ok(pretty(&answer.value))
    };
    let told = |query| told(query).unwrap_or_else(|error| format!("it cannot be asked: {error}"));
    (told(Query::Status), told(Query::Counters))
}

/// A configuration without the values that are secret, or that name secrets.
fn configuration(file: &Path) -> String {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return format!("it cannot be read: {error}"),
    };
    // What cannot be read as fields cannot be searched for secrets, and an error would quote it.
    let Ok(mut table) = text.parse::<toml::Table>() else {
        return "left out, because it is not valid TOML".to_owned();
    };
    table.iter_mut().for_each(|(name, value)| redact(name, value));
    toml::to_string(&table).unwrap_or_else(|error| format!("it cannot be written: {error}"))
}

fn redact(name: &str, value: &mut toml::Value) {
    let is_public = name == "public_key";
    let is_secret =
        ["key", "secret", "token", "pass", "webhook", "seed"].iter().any(|word| name.contains(word));
    match value {
        _ if is_secret && !is_public => *value = LEFT_OUT.into(),
        toml::Value::Table(table) => table.iter_mut().for_each(|(name, value)| redact(name, value)),
        toml::Value::Array(list) => list.iter_mut().for_each(|value| redact(name, value)),
        _ => {}
    }
}

fn end_of_log(file: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut log = File::open(file)?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        log.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
        }
        Err(error) => format!("there is none that can be read: {error}"),
    }
}

/// The files below a directory: size, rights and path, and never what is in them.
fn files(directory: &Path) -> String {
    let mut found = Vec::new();
    walk(directory, &mut |path, metadata| {
        let shown = path.strip_prefix(directory).unwrap_or(path).display().to_string();
        found.push((shown, metadata.len(), metadata.mode() & 0o7777));
    });
    found.sort();
    let more = found.len().saturating_sub(FILES_MAX);
    let mut text = String::new();
    for (path, bytes, mode) in found.iter().take(FILES_MAX) {
        let _ = writeln!(text, "{bytes:>14} {mode:04o} {}", path.escape_debug());
    }
    if more > 0 {
        let _ = writeln!(text, "and {more} more");
    }
    text
}

fn walk(directory: &Path, each: &mut impl FnMut(&Path, &fs::Metadata)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        // Links are not followed.
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => walk(&entry.path(), each),
            Ok(metadata) if metadata.is_file() => each(&entry.path(), &metadata),
            _ => {}
        }
    }
}

/// The audit log that a configuration names, where it really is.
fn audit_log(config: &Path) -> Option<PathBuf> {
    let table = fs::read_to_string(config).ok()?.parse::<toml::Table>().ok()?;
    let audit = Path::new(table.get("gateway")?.get("admin")?.get("audit")?.as_str()?);
    really(&config.parent()?.join(audit))
}

/// A file under the name that its directory really has.
fn really(file: &Path) -> Option<PathBuf> {
    Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?))
}

/// Whether a file is one of these audit logs, or lies beside it under its name and more: what was rotated, and the
/// reads.
fn is_audit(file: &Path, audited: &[PathBuf]) -> bool {
    let Some(file) = really(file) else { return false };
    audited.iter().any(|log| {
        let rest = file.as_os_str().as_bytes().strip_prefix(log.as_os_str().as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
    })
}

/// Makes sure that a text has nothing of any file below a directory that only its owner may read. What administrators
/// did is nobody else's business and no secret: the words of their audit logs are in the log of the validator, too.
///
/// # Errors
/// [`HoldsSecret`].
fn check(directory: &Path, text: &str, audited: &[PathBuf]) -> Result<(), HoldsSecret> {
    let mut holder = None;
    walk(directory, &mut |path, metadata| {
        let is_secret = metadata.mode() & 0o077 == 0 && metadata.len() <= SECRET_BYTES_MAX;
        if holder.is_none()
            && is_secret
            && holds(text, &fs::read(path).unwrap_or_default())
            && !is_audit(path, audited)
        {
            holder = Some(path.to_owned());
        }
    });
    holder.map_or(Ok(()), |path| Err(HoldsSecret(path)))
}

/// Whether a text has a word of a key file, or its bytes in hexadecimal.
fn holds(text: &str, secret: &[u8]) -> bool {
    let said = String::from_utf8_lossy(secret);
    let words = said.split(|letter: char| !letter.is_ascii_alphanumeric() && !"+/=_".contains(letter));
    let mut words = words.filter(|word| word.len() >= SECRET_WORD_MIN && !is_known(word));
    words.any(|word| text.contains(word))
        || (secret.len() >= SECRET_WORD_MIN && text.contains(&hex::encode(secret)))
}

/// Words of key files that are no secret: digits alone are times and numbers.
fn is_known(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests;
