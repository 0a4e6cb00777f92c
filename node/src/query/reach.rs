//! Whom we talk to: a validator that is named, or the first member that answers.
//!
//! ```text
//! network.toml ── numbers and names of those that were made or prepared here ──┐
//!                                                                              ├─▶ an address and a fingerprint ─▶ client
//! any validator ── who validates now, with the addresses that were decided ────┘
//! ```
//!
//! What a validator tells of the members must follow from the genesis; that it keeps later ones to itself cannot be
//! seen. Who answers at an address must show the certificate that goes with it.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use client::{Client, ClientError, Role};
use engine::types::{Digest, Height, Membership, ValidatorIndex};
use net::{Address, Fingerprint};

use crate::cli::{Named, WhomArgs, WhomError};
use crate::network::{Member, Network, ToldError, told_epochs};

/// Where only one answers that is not a member, how often and after which time all are asked again.
const AGAIN_TIMES: usize = 3;
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long the first validator is waited for before the others are asked as well.
const FIRST_ALONE: Duration = Duration::from_millis(300);

/// How a validator is named that network.toml does not list.
const ELSEWHERE: &str = ". Name a validator that was prepared on another machine with --endpoint and --fingerprint, or, \
                         once it is a member, with `--validator NAME`";

/// A validator that nobody has heard of.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no validator {named}: network.toml lists {listed}{}{}",
    beside(members), if *is_local { "" } else { ELSEWHERE }
)]
pub struct NoValidator {
    /// What was named.
    pub named: Named,
    /// Those that there are, in words.
    pub listed: String,
    /// The members now, in words, where somebody was asked.
    pub members: String,
    /// Whether only validators whose directories are here were meant, as `network up` does.
    pub is_local: bool,
}

impl NoValidator {
    /// Nobody in the network of a directory has this number.
    pub(crate) fn index(index: u16, network: &Network) -> Self {
        let (named, listed) = (Named::Index(index), listed(network));
        Self { named, listed, members: String::new(), is_local: false }
    }

    /// The same, where only validators whose directories are here can be meant.
    pub(crate) fn local(index: u16, network: &Network) -> Self {
        Self { is_local: true, ..Self::index(index, network) }
    }
}

fn beside(members: &str) -> String {
    if members.is_empty() { String::new() } else { format!(", and the members now are {members}") }
}

fn listed(network: &Network) -> String {
    let all: Vec<_> = network.members.iter().map(|of| format!("{} (\"{}\")", of.index, of.name)).collect();
    all.join(", ")
}

/// A validator that takes no transactions.
#[derive(Debug, thiserror::Error)]
#[error("the validator takes no transactions ({standing}). Send to a member: {members}")]
pub struct NotMember {
    standing: client::Standing,
    /// Those that do, with their addresses, in words, or where they are listed.
    members: String,
}

/// A member of the present epoch.
#[derive(Debug, Clone)]
pub(crate) struct PresentMember {
    pub(crate) place: ValidatorIndex,
    pub(crate) name: String,
    /// Where clients reach it, if anybody says.
    pub(crate) clients: Option<Address>,
    pub(crate) fingerprint: Fingerprint,
}

impl PresentMember {
    fn of(member: &Member) -> Self {
        let Member { index, name, clients, fingerprint, .. } = member.clone();
        Self { place: index, name, clients: Some(clients), fingerprint }
    }

    /// Connects to its client port.
    pub(crate) fn connect(&self, network: &Digest) -> Result<Client, String> {
        let address = self.clients.as_ref().ok_or("its address for clients is not known: use --endpoint")?;
        Client::connect(address, self.fingerprint, *network).map_err(|error| error.to_string())
    }

    fn in_words(&self) -> Option<String> {
        Some(format!("\"{}\" at {}", self.name.escape_debug(), self.clients.as_ref()?))
    }
}

/// The members now. The validator that tells them is not believed: each epoch must follow from the one before, from the
/// genesis on, for others are compared with it among these. Where clients reach each is what was decided, or what
/// `network.toml` says.
pub(crate) fn present_members(
    network: &Network,
    client: &mut Client,
) -> Result<Vec<PresentMember>, ToldError> {
    if network.genesis.membership() == Membership::Fixed {
        return Ok(network.members.iter().map(PresentMember::of).collect());
    }
    let members = told_epochs(&network.genesis, client)?.members().clone();
    let present = |(place, member): (u16, engine::types::Member)| PresentMember {
        place: ValidatorIndex(place),
        clients: network.client_address_of(&member),
        fingerprint: Fingerprint(member.certificate_fingerprint),
        name: member.name,
    };
    Ok((0..).zip(members.list).map(present).collect())
}

/// Connects to the validator that the options name.
///
/// # Errors
/// The options do not go together, nobody is there, or nobody says who is to be there.
pub(crate) fn reach(whom: &WhomArgs, network: Option<&Network>) -> Result<Client> {
    whom.check()?;
    match (network, &whom.endpoint, whom.fingerprint, whom.network_id) {
        (Some(network), None, ..) => connect_member(network, whom.validator.as_ref()),
        (Some(network), Some(endpoint), pinned, _) => {
            let pinned = pinned.map_or_else(|| who_is_at(endpoint, network), Ok)?;
            connect_to(endpoint, pinned, *network.genesis.network())
        }
        (None, Some(endpoint), Some(fingerprint), Some(id)) => connect_to(endpoint, fingerprint, id),
        (None, ..) => Err(WhomError::Missing.into()),
    }
}

/// What the validator at an address is known by, as the network has it.
fn who_is_at(address: &Address, network: &Network) -> Result<Fingerprint> {
    if let Some(member) = network.members.iter().find(|member| member.clients == *address) {
        return Ok(member.fingerprint);
    }
    let members =
        connect_member(network, None).and_then(|mut client| Ok(present_members(network, &mut client)?));
    let found = members.iter().flatten().find(|member| member.clients.as_ref() == Some(address));
    Ok(found.map(|member| member.fingerprint).ok_or_else(|| WhomError::Unpinned(address.clone()))?)
}

/// A validator by its address.
fn connect_to(endpoint: &Address, fingerprint: Fingerprint, network: Digest) -> Result<Client> {
    Client::connect(endpoint, fingerprint, network).with_context(|| format!("the validator at {endpoint}"))
}

/// The validator that is named, or the first member that answers and keeps up: mostly one alone is asked. Where none
/// does, one that `network.toml` does not list, or the first that answers at all.
fn connect_member(network: &Network, named: Option<&Named>) -> Result<Client> {
    let is_meant = |member: &&Member| match named {
        None => true,
        Some(Named::Index(index)) => member.index.0 == *index,
        Some(Named::Name(name)) => member.name == *name,
    };
    let members: Vec<Member> = network.members.iter().filter(is_meant).cloned().collect();
    let (first, refusals) = first_of(network, members.clone());
    match (first, named) {
        (Some(client), Some(_)) => Ok(client),
        (Some(client), None) if is_good(&client) => Ok(client),
        (Some(mut client), None) => {
            // All members start again when an epoch begins.
            for _ in 0..AGAIN_TIMES {
                if client.welcome().standing.is_member() {
                    break;
                }
                std::thread::sleep(AGAIN_AFTER);
                client = first_of(network, members.clone()).0.filter(is_good).unwrap_or(client);
            }
            if is_good(&client) {
                return Ok(client);
            }
            let unlisted =
                present_members(network, &mut client).unwrap_or_default().into_iter().filter(|member| {
                    network.members.iter().all(|listed| listed.fingerprint != member.fingerprint)
                });
            let mut others = unlisted.filter_map(|member| member.connect(network.genesis.network()).ok());
            Ok(others.find(is_good).unwrap_or(client))
        }
        (None, Some(Named::Index(index))) if refusals.is_empty() => {
            Err(NoValidator::index(*index, network).into())
        }
        (None, Some(Named::Name(name))) if refusals.is_empty() => connect_unlisted(network, name),
        (None, _) => bail!(
            "no validator of this network answers; is it up, and are these its ports?\n  {}",
            refusals.join("\n  ")
        ),
    }
}

/// A member that `network.toml` does not list, by its name.
fn connect_unlisted(network: &Network, name: &str) -> Result<Client> {
    let members = present_members(network, &mut connect_member(network, None)?)?;
    let Some(member) = members.iter().find(|member| member.name == name) else {
        let names: Vec<_> = members.iter().map(|of| format!("\"{}\"", of.name.escape_debug())).collect();
        let (named, members) = (Named::Name(name.to_owned()), names.join(", "));
        return Err(NoValidator { named, listed: listed(network), members, is_local: false }.into());
    };
    let refused = |why: String| anyhow::anyhow!("{} cannot be asked: {why}", member.name.escape_debug());
    member.connect(network.genesis.network()).map_err(refused)
}

fn is_good(client: &Client) -> bool {
    client.welcome().as_of.keeps_up() && client.welcome().standing.is_member()
}

/// The first of these that answers and is a member that keeps up, else the first that answers; and what the others
/// said.
fn first_of(network: &Network, members: Vec<Member>) -> (Option<Client>, Vec<String>) {
    let (answers, asked) = mpsc::channel();
    let ask = |member: &Member| {
        let (member, genesis, answers) = (member.clone(), Arc::clone(&network.genesis), answers.clone());
        std::thread::spawn(move || {
            let answer = member.connect(&genesis);
            let refusal = |error| format!("{} ({}): {error}", member.name, member.clients);
            // Nobody waits any more where another one was quicker.
            let _late = answers.send(answer.map_err(refusal));
        })
    };
    let (mut refusals, mut stale) = (Vec::new(), Vec::new());
    let (first, rest) = members.split_at(members.len().min(1));
    first.iter().for_each(|member| drop(ask(member)));
    let mut others = Some(rest);
    while refusals.len() + stale.len() < members.len() {
        // Without an end it is waited for somebody who answers, for a better answer only shortly.
        let is_short = others.is_some() || !stale.is_empty();
        let patience = if is_short { FIRST_ALONE } else { Duration::MAX };
        match asked.recv_timeout(patience) {
            Ok(Ok(client)) if is_good(&client) => return (Some(client), refusals),
            Ok(Ok(client)) => stale.push(client),
            Ok(Err(refusal)) => refusals.push(refusal),
            Err(_) if others.is_none() => break,
            Err(_) => {}
        }
        others.take().into_iter().flatten().for_each(|member| drop(ask(member)));
    }
    (stale.into_iter().next(), refusals)
}

/// Refuses to send a transaction to a validator that only follows, and says who takes it.
///
/// # Errors
/// [`NotMember`].
pub(crate) fn require_member(client: &mut Client, network: Option<&Network>) -> Result<(), NotMember> {
    let standing = client.welcome().standing;
    if standing.is_member() {
        return Ok(());
    }
    let members = match network {
        Some(network) => present_members(network, client).unwrap_or_default(),
        None => Vec::new(),
    };
    let members: Vec<_> = members.iter().filter_map(PresentMember::in_words).take(4).collect();
    let members = match &members[..] {
        [] => "`millrace chain members` lists them".to_owned(),
        some => some.join(", "),
    };
    Err(NotMember { standing, members })
}

/// Says where the answer comes from, if its validator is not a member any more.
pub(crate) fn note_follower(client: &Client) {
    let standing = client.welcome().standing;
    if let Role::Follower { .. } = standing.role {
        eprintln!("note: the validator that answers is a {standing}");
    }
}

/// The state root of a height by each other member, or why one does not say it.
pub(crate) fn other_roots(
    network: &Network,
    client: &mut Client,
    height: Height,
) -> Result<impl Iterator<Item = (PresentMember, Result<Digest, &'static str>)>, ToldError> {
    // What place it has it says itself: by another one it would be compared with itself.
    let told_by = client.fingerprint();
    let others = present_members(network, client)?
        .into_iter()
        .filter(move |member| Some(member.fingerprint) != told_by);
    let id = *network.genesis.network();
    Ok(others.map(move |member| {
        let Some(address) = &member.clients else {
            return (member, Err("has no known address for clients"));
        };
        let asked = Client::connect(address, member.fingerprint, id).and_then(|mut one| one.block(height));
        let root = asked.map(|found| found.value.answer.state_root).map_err(|error| match error {
            ClientError::NotFound { .. } | ClientError::Unavailable { .. } => "does not have this height yet",
            ClientError::BelowRetention { .. } => "does not keep this height any more",
            _ => "does not answer",
        });
        (member, root)
    }))
}
