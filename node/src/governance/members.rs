//! What administrators decide about who validates.
//!
//! ```text
//! request.toml ─▶ admit ─▶ proposal ─▶ approve ─▶ with the last one: consents of those who are to be members ─▶ next epoch
//! ```

use anyhow::Result;
use client::Client;
use engine::types::{Consent, Consents, Decision, Member, MemberChange, Members, ValidatorIndex};
use net::{Address, Fingerprint};
use serde_json::json;

use super::{GovernanceError, propose};
use crate::cli::{AdmitArgs, MembersListArgs, RemoveArgs, print_json, rows};
use crate::network::{self, Network};
use crate::query::{connect, network_of};

/// Proposes another validator, or one in the place of another; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn admit(args: &AdmitArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    let member = network::request(&args.request)?;
    let change = match args.in_place_of {
        None => MemberChange::Add(member),
        Some(place) => MemberChange::Replace(ValidatorIndex(place), member),
    };
    propose(&args.by, network.as_ref(), &Decision::Members(change))
}

/// Proposes that a validator goes; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn remove(args: &RemoveArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    let (place, below_four) = (ValidatorIndex(args.place), args.below_four);
    propose(&args.by, network.as_ref(), &Decision::Members(MemberChange::Remove { place, below_four }))
}

/// Lists who validates.
///
/// # Errors
/// The network cannot be read, or no validator answers.
pub fn list(args: &MembersListArgs) -> Result<bool> {
    let mut asked = connect(&args.whom)?;
    let answer = asked.client.members()?;
    let (members, said) = answer.value;
    if args.json {
        let member = |member: &Member| {
            json!({
                "name": member.name,
                "public_key": hex::encode(member.public_key),
                "certificate_fingerprint": hex::encode(member.certificate_fingerprint),
                "peers": member.peer_address,
                "clients": member.client_address,
            })
        };
        let list: Vec<_> = members.list.iter().map(member).collect();
        print_json(&json!({
            "epoch": members.epoch,
            "begins_after": said.begins_after,
            "height": answer.as_of.height,
            "members": list,
        }))?;
        return Ok(true);
    }
    println!("epoch {}, which begins behind height {}", members.epoch, said.begins_after);
    let shown: Vec<(String, String)> = members
        .list
        .iter()
        .enumerate()
        .map(|(place, member)| {
            let address = match member.peer_address.as_str() {
                "" => "where the configurations say",
                address => address,
            };
            (
                place.to_string(),
                format!("{}  {address}  key {:.16}…", member.name, hex::encode(member.public_key)),
            )
        })
        .collect();
    let shown: Vec<_> = shown.iter().map(|(place, text)| (place.as_str(), text.clone())).collect();
    rows(&shown);
    println!(
        "{} validators, of whom {} make a quorum (as one of them says)",
        members.list.len(),
        members.quorum()
    );
    Ok(true)
}

/// The members that there are now and that a change would make, as a validator says.
pub(super) fn after(client: &mut Client, change: &MemberChange) -> Result<(Members, Members)> {
    let (present, _) = client.members()?.value;
    let next = present.after(change).map_err(|flaw| GovernanceError::Invalid(flaw.to_string()))?;
    Ok((present, next))
}

/// Asks all that are to be members for their consent. What is missing is told, and is for the network to judge.
pub(super) fn consents(
    client: &mut Client,
    network: Option<&Network>,
    change: &MemberChange,
) -> Result<Vec<u8>> {
    let (present, next) = after(client, change)?;
    let mut consents = Vec::new();
    let mut missing = Vec::new();
    for (place, member) in next.list.iter().enumerate() {
        match consent(client, network, (&present, &next), member) {
            Ok(consent) => consents.push(consent),
            Err(why) => {
                missing.push(format!("  validator {place} (\"{}\") does not consent: {why}", member.name))
            }
        }
    }
    missing.iter().for_each(|line| eprintln!("{line}"));
    if consents.len() < next.quorum() {
        eprintln!(
            "warning: {} of the {} that would be validators consent, and {} must with the last approval",
            consents.len(),
            next.list.len(),
            next.quorum()
        );
    }
    Ok(Consents::encode(consents))
}

/// The consent of one member, asked of it.
fn consent(
    client: &Client,
    network: Option<&Network>,
    (_, next): (&Members, &Members),
    member: &Member,
) -> Result<Consent, String> {
    let fingerprint = Fingerprint(member.certificate_fingerprint);
    let listed = || {
        let members = network.map_or(&[][..], |network| &network.members);
        members.iter().find(|of| of.fingerprint == fingerprint).map(|of| of.clients.clone())
    };
    let decided: Option<Address> = member.client_address.parse().ok();
    let address = decided.or_else(listed).ok_or("nobody says where clients reach it; name --network")?;
    let mut asked =
        Client::connect(&address, fingerprint, *client.network()).map_err(|error| error.to_string())?;
    let consent = asked.consent(next).map_err(|error| error.to_string())?;
    consent.ok_or_else(|| "it does not keep up with the network, or is in another epoch".to_owned())
}
