//! What the scrubber says in the log: each place once in a while, and no more than a few in a round, for a disk that
//! dies has thousands.

use std::collections::BTreeMap;
use std::time::Duration;

/// How often one place that is and stays rotten is told.
const SAY_EVERY: Duration = Duration::from_secs(3_600);
/// Lines of one round.
const LINES_MAX: usize = 32;

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of each place, and when.
    places: BTreeMap<String, (String, Duration)>,
    lines: usize,
    left_out: usize,
}

impl Told {
    /// A round begins; how many lines the last one has left out.
    pub(super) fn begin(&mut self, now: Duration) -> usize {
        // What is not said any more was repaired or released.
        self.places.retain(|_, (_, at)| now < *at + SAY_EVERY);
        self.lines = 0;
        std::mem::take(&mut self.left_out)
    }

    /// Tells of a place, if it is not told already.
    pub(super) fn tell(&mut self, place: &str, what: &str, now: Duration) {
        if self.admit(place, what, now) {
            tracing::error!("{place}: {what}");
        }
    }

    fn admit(&mut self, place: &str, what: &str, now: Duration) -> bool {
        let is_told = self.places.get(place).is_some_and(|(said, at)| said == what && now < *at + SAY_EVERY);
        if is_told {
            return false;
        }
        if self.lines == LINES_MAX {
            self.left_out += 1;
            return false;
        }
        self.lines += 1;
        self.places.insert(place.to_owned(), (what.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_once_an_hour_or_when_its_reason_changes_and_a_round_has_few_lines() {
        let (mut told, hour) = (Told::default(), SAY_EVERY);
        assert!(told.admit("a", "nobody is there", Duration::ZERO));
        assert!(!told.admit("a", "nobody is there", Duration::from_secs(9)));
        assert!(told.admit("a", "they do not agree", Duration::from_secs(9)));
        assert_eq!(told.begin(Duration::from_secs(9)), 0);
        assert!(!told.admit("a", "they do not agree", Duration::from_secs(9)));
        assert!(told.admit("a", "they do not agree", Duration::from_secs(9) + hour));
        let said = (0..100).filter(|place| told.admit(&place.to_string(), "", hour)).count();
        assert_eq!(said, LINES_MAX - 1);
        assert_eq!(told.begin(hour), 100 - said);
        assert!(told.admit("99", "", hour), "in the next round");
        assert_eq!(told.begin(3 * hour), 0);
        assert!(told.places.is_empty());
    }
}
