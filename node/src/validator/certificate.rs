//! Says in the log, in time, that the certificate of this validator ends.
//!
//! Others connect to a validator by its key, also where its certificate has ended. So nothing stops, and it is a
//! warning.

use net::Identity;

use crate::query::print::time;

/// Seconds of a day.
pub const DAY: u64 = 24 * 3_600;
/// It is warned about so many days before the end.
pub const WARNED_DAYS: u64 = 30;
/// A look is taken at every so many calls of [`CertificateReport::look`], which come five times a second: twice a day.
const CALLS_EACH: u32 = 5 * 12 * 3_600;

/// Looks at the certificate of this validator, now and then.
#[derive(Debug, Default)]
pub(super) struct CertificateReport {
    calls: u32,
}

impl CertificateReport {
    /// Takes its look, if it is time for one. `now` is in seconds since the Unix epoch.
    pub(super) fn look(&mut self, identity: &Identity, now: impl FnOnce() -> u64) {
        let is_due = self.calls.is_multiple_of(CALLS_EACH);
        self.calls = self.calls.wrapping_add(1);
        let words = identity.valid_until().filter(|_| is_due).and_then(|until| warning(until, now()));
        if let Some(words) = words {
            tracing::warn!(
                "the TLS certificate of this validator {words}: others connect nevertheless, because they know its key. Make \
                 another one for the same key, and have it read by SIGHUP (docs/guides/operators.md, Certificates)"
            );
        }
    }
}

/// Until when a certificate is valid, in words, with a warning where there is one.
pub fn validity(until: Option<u64>, now: u64) -> String {
    let Some(until) = until else { return "its end cannot be read".to_owned() };
    let end = format!("valid until {}", time(until * 1_000));
    match warning(until, now) {
        Some(words) => format!("{end}: it {words}; renew it"),
        None => end,
    }
}

/// What there is to say about a certificate that is valid until then; nothing if it is long enough.
fn warning(until: u64, now: u64) -> Option<String> {
    match until.checked_sub(now) {
        None => Some(format!("has ended {} days ago", (now - until) / DAY)),
        Some(left) if left <= WARNED_DAYS * DAY => Some(format!("ends in {} days", left / DAY)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_warned_about_from_thirty_days_before_the_end() {
        let until = 1_000 * DAY;
        assert_eq!(warning(until, until - 31 * DAY), None);
        assert_eq!(warning(until, until - 30 * DAY).as_deref(), Some("ends in 30 days"));
        assert_eq!(warning(until, until).as_deref(), Some("ends in 0 days"));
        assert_eq!(warning(until, until + 3 * DAY).as_deref(), Some("has ended 3 days ago"));
        let words = validity(Some(86_400), 0);
        assert_eq!(words, "valid until 1970-01-02T00:00:00Z: it ends in 1 days; renew it");
        assert_eq!(validity(Some(4_000_000_000), 0), "valid until 2096-10-02T07:06:40Z");
    }
}
