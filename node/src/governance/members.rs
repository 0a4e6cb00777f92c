//! What administrators decide about who validates.
//!
//! ```text
//! request.toml ─▶ admit ─▶ proposal ─▶ approve ─▶ with the last one: consents of those who are to be members ─▶ next epoch
//! ```

use anyhow::Result;
use client::Client;
use engine::types::{
    ChainId, Consent, Consents, Decision, Digest, MEMBERS_KEY, Member, MemberChange, MemberFlaw, Members,
    MembersRecord, ValidatorIndex,
};
use net::{Address, Fingerprint};
use serde_json::json;

use super::proposals::{self, Found, deciding_by};
use super::{GovernanceError, asked_first, propose};
use crate::cli::{AdmitArgs, Leaver, MembersListArgs, RemoveArgs, SigningArgs, print_json, rows};
use crate::network::{self, Network};
use crate::query::decisions::{decision, member_fields};
use crate::query::{Asked, connect, network_of};

/// Why a member that answers gives no consent.
const NOT_READY: &str = "it is more than 16 blocks behind, is in another epoch, has another key, does not run these \
                         rules, or does not vote yet after a loss";

/// Proposes another validator, or one in the place of another; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn admit(args: &AdmitArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    let member = network::request(&args.request)?;
    let change = match &args.in_place_of {
        None => MemberChange::Add(member),
        Some(leaver) => MemberChange::Replace(key_of(&args.by.how, network.as_ref(), leaver)?, member),
    };
    propose(&args.by, network.as_ref(), &Decision::Members(change))
}

/// Proposes that a validator goes; `false` if that is not committed.
///
/// # Errors
/// [`GovernanceError`], or as for a transfer.
pub fn remove(args: &RemoveArgs) -> Result<bool> {
    let network = network_of(args.by.how.network.as_deref())?;
    let (key, below_four) = (key_of(&args.by.how, network.as_ref(), &args.who)?, args.below_four);
    propose(&args.by, network.as_ref(), &Decision::Members(MemberChange::Remove { key, below_four }))
}

/// The key of the member that is named, by the members now.
fn key_of(how: &SigningArgs, network: Option<&Network>, leaver: &Leaver) -> Result<[u8; 32]> {
    if let Leaver::Key(key) = leaver {
        return Ok(key.0);
    }
    let Some(mut client) = asked_first(how, network)? else {
        return Err(GovernanceError::OfflineMember(leaver.clone()).into());
    };
    let members = client.members()?.value.0.list;
    let is_meant = |(place, member): &(usize, &Member)| match leaver {
        Leaver::Place(wanted) => *place == usize::from(*wanted),
        Leaver::Name(name) => member.name == *name,
        Leaver::Key(key) => member.public_key == key.0,
    };
    let found: Vec<_> = members.iter().enumerate().filter(is_meant).collect();
    match (&found[..], leaver) {
        ([(_, member)], _) => Ok(member.public_key),
        ([_, ..], Leaver::Name(name)) => Err(GovernanceError::Ambiguous(name.clone()).into()),
        _ => {
            let named =
                |(place, member): (usize, &Member)| format!("{place} \"{}\"", member.name.escape_debug());
            let all: Vec<_> = members.iter().enumerate().map(named).collect();
            let members = format!("the members now are {}", all.join(", "));
            Err(GovernanceError::NoMember { named: leaver.clone(), members }.into())
        }
    }
}

/// The members that are decided and whose epoch has not begun, as the validator's table has them.
pub(super) fn coming(client: &mut Client, chain: ChainId) -> Result<Option<MembersRecord>> {
    let row = client.row(chain, &MEMBERS_KEY)?.value;
    let Some(row) = row.proof.says(&Digest(MEMBERS_KEY)).flatten() else { return Ok(None) };
    let record = MembersRecord::decode(row).ok_or(GovernanceError::Unreadable("the members"))?;
    let present = client.members()?.value.0.epoch;
    Ok((record.epoch > present).then_some(record))
}

/// What is under way: members that are decided and whose epoch has not begun, and open proposals.
fn under_way(asked: &mut Asked) -> Result<(Option<MembersRecord>, Vec<Found>)> {
    let chain = match deciding_by(asked) {
        Ok(chain) => chain,
        Err(error) if error.is::<GovernanceError>() => return Ok((None, Vec::new())),
        Err(error) => return Err(error),
    };
    let coming = coming(&mut asked.client, chain)?;
    let (mut open, ..) = proposals::all(&mut asked.client, asked.network.as_ref(), chain)?;
    open.retain(|found| found.is_open() && matches!(found.record.decision, Decision::Members(_)));
    Ok((coming, open))
}

/// Lists who validates.
///
/// # Errors
/// The network cannot be read, or no validator answers.
pub fn list(args: &MembersListArgs) -> Result<bool> {
    let mut asked = connect(&args.whom)?;
    let answer = asked.client.members()?;
    let (members, said) = answer.value;
    let (coming, open) = under_way(&mut asked)?;
    if args.json {
        let list: Vec<_> = members.list.iter().map(member_fields).collect();
        let decided = coming.map(|of| {
            json!({ "epoch": of.epoch, "decided_at": of.decided, "members": of.count, "proposal": of.proposal })
        });
        print_json(&json!({
            "epoch": members.epoch,
            "begins_after": said.begins_after,
            "digest": members.digest(),
            "height": answer.as_of.height,
            "members": list,
            "decided": decided,
            "open": open.iter().map(Found::fields).collect::<Vec<_>>(),
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
    if let Some(MembersRecord { epoch, decided, count, proposal, .. }) = coming {
        println!(
            "decided at height {decided}: epoch {epoch} has {count} validators, and begins within a few blocks (proposal \
             {proposal})"
        );
    }
    for found in open {
        println!("proposed: {}", proposed(&members, &found));
        println!("  proposal {}; {}", found.proposal, found.fate);
    }
    Ok(true)
}

/// What a proposal would change, in words, with the name of the one that would leave.
fn proposed(members: &Members, found: &Found) -> String {
    let words = decision(&found.record.decision);
    let Decision::Members(change) = &found.record.decision else { return words };
    match (change.leaver(), leaver(members, change)) {
        (None, _) => words,
        (Some(_), Some((place, member))) => {
            format!("{words} (now \"{}\" at place {place})", member.name.escape_debug())
        }
        (Some(_), None) => format!("{words} (which is not a member any more)"),
    }
}

/// The member that a change would have leave, and its place.
fn leaver<'a>(members: &'a Members, change: &MemberChange) -> Option<(ValidatorIndex, &'a Member)> {
    let place = members.place_of(change.leaver()?)?;
    Some((place, members.get(place)?))
}

/// The members that a change would make of the present ones.
fn after(present: &Members, change: &MemberChange) -> Result<Members> {
    let in_words = |flaw| match flaw {
        MemberFlaw::BelowFour => format!("{flaw}; --below-four says that this is meant"),
        _ => flaw.to_string(),
    };
    Ok(present.after(change).map_err(|flaw| GovernanceError::Invalid(in_words(flaw)))?)
}

/// Says who would leave: the proposal has only its key.
fn name_who_leaves(present: &Members, change: &MemberChange) {
    if let Some((place, leaves)) = leaver(present, change) {
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
    let needed = next.consents_needed(change);
    if consents.len() < needed || lacks_newcomer {
        eprintln!(
            "warning: {} of the {} new members consent. The last approval needs {needed}, and any member whose key is \
             new must be among them",
            consents.len(),
            next.list.len()
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
    let mut asked = reach(client, network, member)?;
    let consent = asked.consent(next).map_err(|error| error.to_string())?;
    consent.ok_or_else(|| NOT_READY.to_owned())
}

/// A member, where it is said to be, or why it cannot be reached.
pub(super) fn reach(client: &Client, network: Option<&Network>, member: &Member) -> Result<Client, String> {
    let fingerprint = Fingerprint(member.certificate_fingerprint);
    let decided = || member.client_address.parse().ok();
    let address: Option<Address> = network.map_or_else(decided, |network| network.client_address_of(member));
    let address =
        address.ok_or("its address for clients is not known: name the network's directory with --network")?;
    Client::connect(&address, fingerprint, *client.network()).map_err(|error| error.to_string())
}
