//! The rules of a network in words.

use engine::wire::answers::RulesAnswer;

/// The rules of the network, and what a validator lacks of those that are proposed.
pub(crate) fn in_words(RulesAnswer { present, first, last, proposed }: RulesAnswer) -> String {
    let proposed = match proposed {
        Some(proposed) if proposed > last => {
            format!("; rules {proposed} are proposed: INSTALL A RELEASE THAT RUNS THEM")
        }
        Some(proposed) => format!("; rules {proposed} are proposed"),
        None => String::new(),
    };
    format!("{present}; this release runs {first} to {last}{proposed}")
}

#[cfg(test)]
mod tests {
    use engine::types::RulesVersion;

    use super::*;

    #[test]
    fn who_lacks_proposed_rules_is_told_to_install_a_release_that_runs_them() {
        let [one, two] = [1, 2].map(RulesVersion);
        let mut of = RulesAnswer { present: one, first: one, last: one, proposed: None };
        assert_eq!(in_words(of), "1; this release runs 1 to 1");
        of.proposed = Some(two);
        assert_eq!(
            in_words(of),
            "1; this release runs 1 to 1; rules 2 are proposed: INSTALL A RELEASE THAT RUNS THEM"
        );
        of.last = two;
        assert_eq!(in_words(of), "1; this release runs 1 to 2; rules 2 are proposed");
    }
}
