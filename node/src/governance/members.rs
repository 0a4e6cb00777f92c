//! What administrators decide about who validates.
//!
//! ```text
//! request.toml ─▶ admit ─▶ proposal ─▶ approve ─▶ with the last one: consents of those who are to be members ─▶ next epoch
//! ```

use anyhow::Result;
use client::Client;
use engine::types::{Consent, Consents, Decision, Member, MemberChange, MemberFlaw, Members, ValidatorIndex};
use net::{Address, Fingerprint};
use serde_json::json;

use super::{GovernanceError, propose};
use crate::cli::{AdmitArgs, MembersListArgs, RemoveArgs, print_json, rows};
use crate::network::{self, Network};
use crate::query::decisions::member_fields;
use crate::query::{connect, network_of};

/// Why a member that answers gives no consent.
const NOT_READY: &str = "it is more than 16 blocks behind, is in another epoch, has another key, or does not vote yet \
                         after a loss";

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
        let list: Vec<_> = members.list.iter().map(member_fields).collect();
        print_json(&json!({
            "epoch": members.epoch,
            "begins_after": said.begins_after,
            "digest": members.digest(),
            "height": answer.as_of.height,
            "members": list,
        }))?;
        return Ok(true);
    }
    println!("epoch {}, from height {} on", members.epoch, said.begins_after.next());
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
    println!("digest {}", members.digest());
    println!(
        "{} validators, of whom {} make a quorum (one of them says so; nothing is proved)",
        members.list.len(),
        members.quorum()
    );
    Ok(true)
}

/// The members that a change would make of the present ones.
fn after(present: &Members, change: &MemberChange) -> Result<Members> {
    let in_words = |flaw| match flaw {
        MemberFlaw::BelowFour => format!("{flaw}; --below-four says that this is meant"),
        _ => flaw.to_string(),
    };
    Ok(present.after(change).map_err(|flaw| GovernanceError::Invalid(in_words(flaw)))?)
}

/// Says who has the place of a change now: places move when somebody is removed, so the number alone may mean somebody
/// else by now.
fn name_who_leaves(present: &Members, change: &MemberChange) {
    let (MemberChange::Remove { place, .. } | MemberChange::Replace(place, _)) = change else { return };
    if let Some(leaves) = present.get(*place) {
        println!(
            "validator {place} of epoch {} is \"{}\" with key {:.16}…",
            present.epoch,
            leaves.name,
            hex::encode(leaves.public_key)
        );
    }
}

/// Asks every member of the new set for its consent, once it has said who leaves. Says who did not consent; the
/// network decides whether the rest are enough.
pub(super) fn consents(
    client: &mut Client,
    network: Option<&Network>,
    (change, json): (&MemberChange, bool),
) -> Result<Vec<u8>> {
    let (present, _) = client.members()?.value;
    if !json {
        name_who_leaves(&present, change);
    }
    let next = after(&present, change)?;
    let newcomer = present.newcomer(change, &next).map(|place| usize::from(place.0));
    let mut consents = Vec::new();
    let mut missing = Vec::new();
    let mut lacks_newcomer = false;
    for (place, member) in next.list.iter().enumerate() {
        match consent(client, network, &next, member) {
            Ok(consent) => consents.push(consent),
            Err(why) => {
                missing.push(format!("  validator {place} (\"{}\") does not consent: {why}", member.name));
                lacks_newcomer |= newcomer == Some(place);
            }
        }
    }
    missing.iter().for_each(|line| eprintln!("{line}"));
    if consents.len() < next.quorum() || lacks_newcomer {
        eprintln!(
            "warning: {} of the {} new members consent. The last approval needs {}, and any member whose key is new \
             must be among them",
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
    next: &Members,
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
    consent.ok_or_else(|| NOT_READY.to_owned())
}
