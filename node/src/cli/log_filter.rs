//! What of the log is written: `log.level` of the configuration, and less of the libraries unless it names them.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// Beginnings of targets, and the most that they write where the configuration does not name them.
///
/// Consensus makes a span for each message at `info`, which costs a sixth of its threads' time; and quinn warns of each
/// datagram that breaks a rule, by which a stranger could fill our disk.
const QUIET: [(&str, LevelFilter); 2] =
    [("commonware", LevelFilter::WARN), ("quinn_proto", LevelFilter::ERROR)];

/// The filter for a configured level, or for directives.
///
/// # Errors
/// They cannot be read.
pub(super) fn log_filter(directives: &str) -> Result<EnvFilter, ParseError> {
    let configured = EnvFilter::try_new(directives)?;
    // The level of everything that has no directive of its own.
    let base = directives.split(',').filter_map(|directive| directive.trim().parse().ok()).next_back();
    let base = base.unwrap_or(LevelFilter::OFF);
    let named = |target: &str| directives.split(',').any(|directive| target_of(directive) == target);
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
    use std::sync::{Arc, Mutex};

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
        assert!(!lines.contains(&"an illegal datagram".to_owned()), "{lines:?}");
        let (lines, span) = written("info,commonware=info,quinn_proto=warn");
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert!(span);
    }

    #[test]
    fn a_configuration_that_wants_less_gets_less() {
        assert_eq!(written("off").0, Vec::<String>::new());
        assert_eq!(written("error").0, ["our error", "an error of quinn"]);
        assert_eq!(written("node=info").0, ["ours", "our error"]);
    }

    #[test]
    fn directives_that_cannot_be_read_are_refused() {
        assert!(log_filter("node=loud").is_err());
    }
}
