//! The log of a validator: what of it is written, and where. `log.level` of the configuration, and less of the
//! libraries unless it names them. It can be set anew while the validator runs.
//!
//! Who cannot write its log goes on: the disk of the log may be full while that of the journal is not.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::{Config, ConfigError};

/// Beginnings of targets, and the most that they write where the configuration does not name them.
///
/// Consensus makes a span for each message at `info`, which costs a sixth of its threads' time; its voter warns in each
/// view of a validator that contradicts itself, which we say ourselves, now and then; and quinn warns of each datagram
/// that breaks a rule, by which a stranger could fill our disk.
const QUIET: [(&str, LevelFilter); 3] = [
    ("commonware", LevelFilter::WARN),
    ("commonware_consensus::simplex::actors::voter::actor", LevelFilter::ERROR),
    ("quinn_proto", LevelFilter::ERROR),
];

/// The log of this process. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    set: Arc<dyn Fn(EnvFilter) + Send + Sync>,
    /// What is written now, as it was configured.
    level: Arc<Mutex<String>>,
}

impl Log {
    /// Begins to write it, to stderr, as a configuration says.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`]: its level cannot be read.
    pub fn start(config: &Config) -> Result<Self, ConfigError> {
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter_of(config)?)
            .with_writer(io::stderr)
            .with_ansi(false)
            .log_internal_errors(false)
            .with_filter_reloading();
        let handle = builder.reload_handle();
        builder.init();
        // It fails only where the subscriber is gone.
        let set = Arc::new(move |filter| drop(handle.reload(filter)));
        Ok(Self { set, level: Arc::new(Mutex::new(config.log_level.clone())) })
    }

    /// From now on this is written, as these directives say.
    ///
    /// # Errors
    /// They cannot be read; for a person. Then nothing is changed.
    pub fn set(&self, directives: &str) -> Result<(), String> {
        let filter = log_filter(directives)?;
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        (self.set)(filter);
        directives.clone_into(&mut level);
        Ok(())
    }

    /// What is written now.
    #[must_use]
    pub fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a configuration wants to be written.
///
/// # Errors
/// [`ConfigError::Invalid`]: its level cannot be read.
pub fn filter_of(config: &Config) -> Result<EnvFilter, ConfigError> {
    log_filter(&config.log_level).map_err(|error| ConfigError::Invalid {
        file: config.file.clone(),
        field: "log.level".into(),
        found: format!("\"{}\" ({error})", config.log_level),
        help: "error, warn, info, debug or trace, or directives",
    })
}

/// The filter for a configured level, or for directives.
///
/// # Errors
/// They cannot be read.
fn log_filter(directives: &str) -> Result<EnvFilter, String> {
    // A word that is no level would count as the name of a target: everything of that target would be written, and
    // nothing else.
    let is_word = |directive: &&str| !directive.is_empty() && !directive.contains(['=', '[']);
    let mut words = directives.split(',').map(str::trim).filter(is_word);
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!("`{word}` is no level; to set the level of one target write info,{word}=debug"));
    }
    let configured = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
    // The level of everything that has no directive of its own.
    let base = directives.split(',').filter_map(|directive| directive.trim().parse().ok()).next_back();
    let base = base.unwrap_or(LevelFilter::OFF);
    // Also by the beginning of its name.
    let names = |directive: &str, target: &str| {
        let named = target_of(directive);
        !named.is_empty() && target.starts_with(named)
    };
    let named = |target: &str| directives.split(',').any(|directive| names(directive, target));
    let quiet = QUIET.iter().filter(|(target, _)| !named(target));
    Ok(quiet.fold(configured, |filter, (target, most)| {
        let directive = format!("{target}={}", base.min(*most));
        filter.add_directive(directive.parse().expect("a target and a level are a directive"))
    }))
}

/// The target of a directive like `target[span]=level`.
fn target_of(directive: &str) -> &str {
    directive.split(['[', '=']).next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of lines of each kind, and whether a span of consensus exists.
    fn written(directives: &str) -> (Vec<String>, bool) {
        let log = Written::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(log_filter(directives).unwrap())
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .with_level(false)
            .without_time()
            .finish();
        let span = tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "node::validator", "ours");
            tracing::error!(target: "node::validator", "our error");
            tracing::info!(target: "commonware_consensus::simplex", "a message");
            tracing::warn!(target: "commonware_runtime::tokio", "a warning");
            tracing::warn!(target: "commonware_consensus::simplex::actors::voter::actor", "an equivocator");
            tracing::warn!(target: "quinn_proto::connection", "an illegal datagram");
            tracing::error!(target: "quinn_proto::connection", "an error of quinn");
            let span = tracing::info_span!(target: "commonware_consensus::simplex", "a span");
            !span.is_disabled()
        });
        let bytes = log.0.lock().unwrap().clone();
        (String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect(), span)
    }

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        let usual = ["ours", "our error", "a warning", "an error of quinn"];
        assert_eq!(written("info"), (usual.map(String::from).to_vec(), false));
        assert_eq!(written("debug"), (usual.map(String::from).to_vec(), false));
        let (lines, span) = written("info,commonware_consensus=info");
        assert!(lines.contains(&"a message".to_owned()) && span, "{lines:?}");
        assert!(lines.contains(&"an equivocator".to_owned()), "{lines:?}");
        assert!(!lines.contains(&"an illegal datagram".to_owned()), "{lines:?}");
        let (lines, span) = written("info,commonware=info,quinn_proto=warn");
        assert_eq!(lines.len(), 7, "{lines:?}");
        assert!(span);
    }

    #[test]
    fn a_configuration_that_wants_less_gets_less() {
        assert_eq!(written("off").0, Vec::<String>::new());
        assert_eq!(written("error").0, ["our error", "an error of quinn"]);
        assert_eq!(written("node=info").0, ["ours", "our error"]);
    }

    #[test]
    fn a_level_is_set_whole_or_not_at_all() {
        let sets = Arc::new(Mutex::new(0));
        let counted = sets.clone();
        let log = Log {
            set: Arc::new(move |_| *counted.lock().unwrap() += 1),
            level: Arc::new(Mutex::new("info".to_owned())),
        };
        log.set("info,quinn=debug").unwrap();
        assert!(log.clone().set("lout").unwrap_err().contains("no level"));
        assert_eq!((log.level().as_str(), *sets.lock().unwrap()), ("info,quinn=debug", 1));
    }

    #[test]
    fn directives_that_cannot_be_read_are_refused() {
        assert!(log_filter("node=loud").is_err());
        for (wrong, word) in [("inof", "inof"), ("info,quinn", "quinn"), ("node=debug, warm", "warm")] {
            assert!(log_filter(wrong).unwrap_err().starts_with(&format!("`{word}` is no level")), "{wrong}");
        }
        assert!(
            ["WARN", "info,quinn=debug", "warn,node[span]=trace"].iter().all(|good| log_filter(good).is_ok())
        );
    }
}
