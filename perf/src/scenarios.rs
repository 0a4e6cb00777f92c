//! The scenarios whose figures the project keeps.

use anyhow::bail;

/// A named way to call `millrace bench`.
#[derive(Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, also of its result.
    pub name: &'static str,
    /// What it passes to `bench`.
    pub arguments: &'static [&'static str],
}

/// All of them, the shortest first.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "n1", arguments: &["--validators", "1", "--seconds", "15"] },
    Scenario { name: "n4", arguments: &["--validators", "4", "--seconds", "15"] },
    Scenario { name: "n8", arguments: &["--validators", "8", "--seconds", "15"] },
    Scenario { name: "n16", arguments: &["--validators", "16", "--seconds", "15"] },
    Scenario { name: "n4-long", arguments: &["--validators", "4", "--seconds", "120"] },
];

/// The scenarios of these names, in the order given; `all` is all of them.
pub fn choose(names: &[String]) -> anyhow::Result<Vec<&'static Scenario>> {
    if names == ["all"] {
        return Ok(SCENARIOS.iter().collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        match SCENARIOS.iter().find(|s| s.name == name) {
            Some(scenario) => chosen.push(scenario),
            None => bail!("there is no scenario {name:?}; without arguments, all are listed"),
        }
    }
    Ok(chosen)
}
