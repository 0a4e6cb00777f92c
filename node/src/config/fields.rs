//! Reads one TOML file field by field, so that whatever is wrong can be named by file, section and field.
//!
//! ```text
//! Section::open(file) ── required("index") ── optional("level") ── section("log") ── finish()
//!                                                                   leftovers are an error ┘
//! ```
//!
//! A field is taken out of its table when it is read; `finish` refuses what is left, so a misspelt field is
//! never silently ignored.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use engine::types::{AccountId, Asset, Registrar};
use gateway::nearest::nearest;
use net::Address;

use super::{ConfigError, ListenOn};

/// A value that can be read from one TOML field.
pub(crate) trait Field: Sized {
    /// The value, or `None` where the TOML value is of the wrong type or out of range.
    fn from_toml(value: &toml::Value) -> Option<Self>;
}

impl Field for bool {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Field for String {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }
}

impl Field for u64 {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        u64::try_from(value.as_integer()?).ok()
    }
}

impl Field for u32 {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        u32::try_from(value.as_integer()?).ok()
    }
}

impl Field for u8 {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        u8::try_from(value.as_integer()?).ok()
    }
}

impl Field for u16 {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        u16::try_from(value.as_integer()?).ok()
    }
}

impl Field for usize {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        usize::try_from(value.as_integer()?).ok()
    }
}

impl Field for Address {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

/// An IP address and port, or a list of them.
impl Field for ListenOn {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        let one = |value: &toml::Value| value.as_str()?.parse().ok();
        let addresses: Vec<SocketAddr> = match value {
            toml::Value::Array(list) => list.iter().map(one).collect::<Option<_>>()?,
            value => vec![one(value)?],
        };
        Self::new(addresses)
    }
}

impl Field for PathBuf {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        String::from_toml(value).map(PathBuf::from)
    }
}

impl Field for Asset {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
}

/// An account's number, or the word `anyone`.
impl Field for Registrar {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        match value.as_str() {
            Some("anyone") => Some(Self::Anyone),
            Some(_) => None,
            None => u64::from_toml(value).map(|account| Self::Account(AccountId(account))),
        }
    }
}

impl Field for [u8; 32] {
    fn from_toml(value: &toml::Value) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(value.as_str()?, &mut bytes).ok()?;
        Some(bytes)
    }
}

/// One table of one file, from which fields are taken.
#[derive(Debug)]
pub(crate) struct Section {
    file: PathBuf,
    /// Where in the file: empty at the top, else `validator.` or `peer[2].`.
    prefix: String,
    table: toml::Table,
    asked: Vec<String>,
}

impl Section {
    /// Reads and parses `file`.
    pub(crate) fn open(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
        let table = text
            .parse::<toml::Table>()
            .map_err(|error| ConfigError::Syntax { file: file.to_owned(), message: error.to_string() })?;
        Ok(Self { file: file.to_owned(), prefix: String::new(), table, asked: Vec::new() })
    }

    /// The file that it stands in.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The full name of a field of this section.
    pub(crate) fn name(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    /// A field that must be there; `help` completes the sentence "write …".
    pub(crate) fn required<T: Field>(&mut self, field: &str, help: &'static str) -> Result<T, ConfigError> {
        self.take(field, help)?.ok_or_else(|| self.missing(field, help))
    }

    fn missing(&self, field: &str, help: &'static str) -> ConfigError {
        let unread = self.table.keys().map(String::as_str);
        ConfigError::Missing {
            file: self.file.clone(),
            field: self.name(field),
            help,
            misspelt: nearest(field, unread).map(str::to_owned),
        }
    }

    /// A field with a default.
    pub(crate) fn optional<T: Field>(
        &mut self,
        field: &str,
        default: T,
        help: &'static str,
    ) -> Result<T, ConfigError> {
        Ok(self.take(field, help)?.unwrap_or(default))
    }

    /// A field that may be absent.
    pub(crate) fn maybe<T: Field>(
        &mut self,
        field: &str,
        help: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.take(field, help)
    }

    /// A whole number within bounds, with a default.
    pub(crate) fn bounded<T: Field + PartialOrd + Display + Copy>(
        &mut self,
        field: &str,
        default: T,
        bounds: std::ops::RangeInclusive<T>,
        help: &'static str,
    ) -> Result<T, ConfigError> {
        let value = self.optional(field, default, help)?;
        if bounds.contains(&value) { Ok(value) } else { Err(self.invalid(field, &value, help)) }
    }

    /// A whole number within bounds that may be absent.
    pub(crate) fn optional_bounded<T: Field + PartialOrd + Display + Copy>(
        &mut self,
        field: &str,
        bounds: std::ops::RangeInclusive<T>,
        help: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        match self.take::<T>(field, help)? {
            Some(value) if !bounds.contains(&value) => Err(self.invalid(field, &value, help)),
            value => Ok(value),
        }
    }

    /// A path, relative to the file that names it.
    pub(crate) fn path(&mut self, field: &str, help: &'static str) -> Result<PathBuf, ConfigError> {
        self.optional_path(field, help)?.ok_or_else(|| self.missing(field, help))
    }

    /// The same, if it is there.
    pub(crate) fn optional_path(
        &mut self,
        field: &str,
        help: &'static str,
    ) -> Result<Option<PathBuf>, ConfigError> {
        let path: Option<PathBuf> = self.take(field, help)?;
        Ok(path.map(|path| self.file.parent().unwrap_or(Path::new(".")).join(path)))
    }

    /// One of a few words, with a default.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        field: &str,
        words: &[(&str, T)],
        default: T,
        help: &'static str,
    ) -> Result<T, ConfigError> {
        match self.take::<String>(field, help)? {
            None => Ok(default),
            Some(found) => words
                .iter()
                .find(|(word, _)| *word == found)
                .map(|(_, meaning)| *meaning)
                .ok_or_else(|| self.invalid(field, &format!("\"{found}\""), help)),
        }
    }

    /// A table inside this one; one that is absent reads as an empty one, so its required fields are missing
    /// by their full names.
    pub(crate) fn section(&mut self, field: &str) -> Result<Self, ConfigError> {
        self.asked.push(field.to_owned());
        let table = match self.table.remove(field) {
            None => toml::Table::new(),
            Some(toml::Value::Table(table)) => table,
            Some(other) => return Err(self.invalid(field, &other, "a section, as in [section]")),
        };
        let prefix = format!("{}{field}.", self.prefix);
        Ok(Self { file: self.file.clone(), prefix, table, asked: Vec::new() })
    }

    /// A table inside this one, if it is there.
    pub(crate) fn optional_section(&mut self, field: &str) -> Result<Option<Self>, ConfigError> {
        let is_there = self.table.contains_key(field);
        self.section(field).map(|section| is_there.then_some(section))
    }

    /// The tables of an array, written `[[field]]`; absent reads as none.
    pub(crate) fn sections(&mut self, field: &str) -> Result<Vec<Self>, ConfigError> {
        self.asked.push(field.to_owned());
        let help = "a list of sections, as in [[section]]";
        let list = match self.table.remove(field) {
            None => Vec::new(),
            Some(toml::Value::Array(list)) => list,
            Some(other) => return Err(self.invalid(field, &other, help)),
        };
        list.into_iter()
            .enumerate()
            .map(|(at, value)| match value {
                toml::Value::Table(table) => Ok(Self {
                    file: self.file.clone(),
                    prefix: format!("{}{field}[{at}].", self.prefix),
                    table,
                    asked: Vec::new(),
                }),
                other => Err(self.invalid(field, &other, help)),
            })
            .collect()
    }

    /// Refuses whatever nobody asked for.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        match self.table.keys().next() {
            None => Ok(()),
            Some(left) => Err(ConfigError::Unknown {
                field: self.name(left),
                nearest: nearest(left, self.asked.iter().map(String::as_str)).map(str::to_owned),
                known: self.asked.clone(),
                file: self.file.clone(),
            }),
        }
    }

    /// The error for a value that cannot be meant.
    pub(crate) fn invalid(&self, field: &str, found: &dyn Display, help: &'static str) -> ConfigError {
        ConfigError::Invalid {
            file: self.file.clone(),
            field: self.name(field),
            found: found.to_string(),
            help,
        }
    }

    fn take<T: Field>(&mut self, field: &str, help: &'static str) -> Result<Option<T>, ConfigError> {
        self.asked.push(field.to_owned());
        match self.table.remove(field) {
            None => Ok(None),
            Some(value) => T::from_toml(&value).map(Some).ok_or_else(|| self.invalid(field, &value, help)),
        }
    }
}
