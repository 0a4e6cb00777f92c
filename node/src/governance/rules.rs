//! The rules of a network: which ones it has, what its members run, and proposing the next ones.

use anyhow::Result;
use engine::types::{Decision, MemberChange, RULES_FIRST, RulesVersion};
use serde_json::json;

use super::members::reach;
use super::{GovernanceError, propose};
use crate::cli::{ChainRulesArgs, print_json, rows};
use crate::query::network_of;
use crate::query::rules::in_words;
use crate::transfer::validator_of;

/// Shows the rules, or proposes the next ones; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn rules(args: &ChainRulesArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    let Some(version) = args.version.map(RulesVersion) else {
        return show(args);
    };
    if version <= RULES_FIRST {
        let why =
            format!("a network begins with rules {RULES_FIRST}, and there is no way back to earlier ones");
        return Err(GovernanceError::Invalid(why).into());
    }
    propose(&args.by, network.as_ref(), &Decision::Members(MemberChange::Rules(version)))
}

/// The rules that the network has, and those that each member says that it runs.
fn show(args: &ChainRulesArgs) -> Result<bool> {
    let how = &args.by.how;
    let network = network_of(how.network.as_deref())?;
    let mut client = validator_of(how, network.as_ref())?;
    let (members, _) = client.members()?.value;
    let said = |member| {
        let mut asked = reach(&client, network.as_ref(), member)?;
        let status = asked.status().map_err(|error| error.to_string())?.value;
        status.rules.ok_or_else(|| "its release does not say which rules it runs".to_owned())
    };
    let all: Vec<_> = members.list.iter().map(|member| (member, said(member))).collect();
    if how.json {
        let one = |(place, (member, said)): (usize, &(&engine::types::Member, Result<_, String>))| json!({ "place": place, "name": member.name, "rules": said.as_ref().ok(), "error": said.as_ref().err() });
        let list: Vec<_> = all.iter().enumerate().map(one).collect();
        print_json(&json!({ "epoch": members.epoch, "rules": members.rules, "members": list }))?;
        return Ok(true);
    }
    println!("epoch {} has rules {}", members.epoch, members.rules);
    let words = |said: &Result<_, String>| match said {
        Ok(said) => in_words(*said),
        Err(why) => why.clone(),
    };
    let places: Vec<_> = (0..all.len()).map(|place| place.to_string()).collect();
    let shown = places.iter().zip(&all);
    let shown: Vec<_> = shown
        .map(|(place, (member, said))| (place.as_str(), format!("{}  {}", member.name, words(said))))
        .collect();
    rows(&shown);
    let next = members.rules.next();
    println!(
        "rules {next} can be decided when every member runs them (this list is what the members say; it is not proved)"
    );
    Ok(true)
}
