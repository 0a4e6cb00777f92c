//! The nearest known name to one that is not known.

use strsim::osa_distance;

/// Names longer than this are nobody's slip of the fingers.
const LENGTH_MAX: usize = 64;

/// The known name with the fewest letters changed or two neighbours swapped, if that is at most a third of its letters.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let all = known.into_iter().map(|of| (osa_distance(&name, &of.to_lowercase()), of));
    let (distance, nearest) = all.min_by_key(|(distance, _)| *distance)?;
    (distance <= nearest.len().max(3) / 3).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_nonsense_is_not() {
        let known = ["account", "accounts_of", "block", "status"];
        assert_eq!(nearest("acount", known), Some("account"));
        assert_eq!(nearest("Status", known), Some("status"));
        assert_eq!(nearest("blokc", known), Some("block"));
        assert_eq!(nearest("getBlockByNumber", known), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), known), None);
    }
}
