//! The nearest known name to one that is not known.

/// Names longer than this are nobody's slip of the fingers.
const LENGTH_MAX: usize = 64;

/// The known name with the fewest letters changed, if at most a third of the letters differ.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LENGTH_MAX {
        return None;
    }
    let name = name.to_lowercase();
    let all = known.into_iter().map(|of| (distance(&name, &of.to_lowercase()), of));
    let (distance, nearest) = all.min_by_key(|(distance, _)| *distance)?;
    (distance <= nearest.len().max(3) / 3).then_some(nearest)
}

/// Letters to insert, remove or change (Levenshtein, in two rows).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in (1..).zip(one.chars()) {
        let mut diagonal = std::mem::replace(&mut row[0], at);
        for (column, with) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *with);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_nonsense_is_not() {
        let known = ["account", "accounts_of", "block", "status"];
        assert_eq!(nearest("acount", known), Some("account"));
        assert_eq!(nearest("Status", known), Some("status"));
        assert_eq!(nearest("getBlockByNumber", known), None);
        assert_eq!(nearest(&"a".repeat(1 << 20), known), None);
        assert_eq!((distance("saturday", "sunday"), distance("", "abc"), distance("ab", "ab")), (3, 3, 0));
    }
}
