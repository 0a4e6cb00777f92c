//! Which validators get the load of a running network: members that answer, those that `network.toml` does not list
//! among them.

use anyhow::{Result, bail};
use client::answers::StatusAnswer;
use client::{Client, ClientError};
use engine::types::{Digest, Members};
use loadgen::{Endpoint, LoadError};
use net::{Address, Fingerprint};

use super::backends;
use crate::cli::Named;
use crate::network::Network;

/// A validator that gets load.
pub(super) struct LoadTarget {
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
}

impl LoadTarget {
    /// Those of a network that was made just now.
    pub(super) fn all(network: &Network) -> Vec<Self> {
        let all = network.members.iter();
        all.map(|of| Self::new(&of.name, &of.clients, of.fingerprint)).collect()
    }

    fn new(name: &str, address: &Address, fingerprint: Fingerprint) -> Self {
        let endpoint = Endpoint { address: address.clone(), fingerprint: fingerprint.0 };
        Self { name: name.to_owned(), endpoint }
    }

    /// How it is, and whom it has for the members.
    fn ask(&self, network: &Digest) -> Result<(StatusAnswer, Members), ClientError> {
        let Endpoint { address, fingerprint } = &self.endpoint;
        let mut client = Client::connect(address, Fingerprint(*fingerprint), *network)?;
        Ok((client.status()?.value, client.members()?.value.0))
    }
}

/// The members of a running network that answer, of those that are `wanted`; and how their journals are written. Says
/// who gets no load, and why.
///
/// # Errors
/// One that is wanted is not there, or none answers.
pub(super) fn answering(network: &Network, wanted: Option<&[Named]>) -> Result<(Vec<LoadTarget>, String)> {
    let id = network.genesis.network();
    let mut asked: Vec<_> = LoadTarget::all(network).into_iter().map(|lane| (lane.ask(id), lane)).collect();
    let answers = asked.iter().filter_map(|(answer, _)| answer.as_ref().ok());
    let Some(members) = answers.map(|(_, members)| members).max_by_key(|of| of.epoch).cloned() else {
        let refusal = |(answer, lane): &(Result<_, ClientError>, LoadTarget)| {
            Some(format!("{}: {}", lane.name, answer.as_ref().err()?))
        };
        let refusals: Vec<_> = asked.iter().filter_map(refusal).collect();
        bail!(
            "no validator of this network answers; is it up, and are these its ports?\n  {}",
            refusals.join("\n  ")
        );
    };
    let listed = asked.len();
    for member in &members.list {
        let is_listed =
            asked.iter().any(|(_, lane)| lane.endpoint.fingerprint == member.certificate_fingerprint);
        if let (false, Ok(address)) = (is_listed, member.client_address.parse()) {
            let lane = LoadTarget::new(&member.name, &address, Fingerprint(member.certificate_fingerprint));
            asked.push((lane.ask(id), lane));
        }
    }
    let is_meant = |named: &Named, (at, lane): (usize, &LoadTarget)| match named {
        Named::Index(index) => at < listed && at == usize::from(*index),
        Named::Name(name) => lane.name == *name,
    };
    let all = || asked.iter().map(|(_, lane)| lane).enumerate();
    if let Some(none) = wanted.unwrap_or_default().iter().find(|named| !all().any(|one| is_meant(named, one)))
    {
        let names: Vec<_> = all().map(|(_, lane)| format!("\"{}\"", lane.name.escape_debug())).collect();
        bail!(LoadError::Plan(format!(
            "--validators: there is no validator {none}; network.toml lists {listed}, counted from 0, and by their names \
             there are {}",
            names.join(", ")
        )));
    }
    let (mut lanes, mut storage) = (Vec::new(), Vec::new());
    for (at, (answer, lane)) in asked.into_iter().enumerate() {
        if wanted.is_some_and(|wanted| !wanted.iter().any(|named| is_meant(named, (at, &lane)))) {
            continue;
        }
        let is_member =
            members.list.iter().any(|member| member.certificate_fingerprint == lane.endpoint.fingerprint);
        match answer {
            Err(error) => eprintln!("no load for \"{}\", which does not answer: {error}", lane.name),
            Ok((status, _)) if !status.standing.is_member() => {
                eprintln!("no load for \"{}\", which takes no transactions ({})", lane.name, status.standing);
            }
            Ok(_) if !is_member => eprintln!(
                "no load for \"{}\", which is not a member of epoch {} any more and does not know it",
                lane.name, members.epoch
            ),
            Ok((status, _)) => {
                storage.push(status.storage);
                lanes.push(lane);
            }
        }
    }
    if lanes.is_empty() {
        let names: Vec<_> = members.list.iter().map(|of| format!("\"{}\"", of.name.escape_debug())).collect();
        bail!(
            "none of these validators takes the load. Name others with --validators: the members of epoch {} are {}",
            members.epoch,
            names.join(", ")
        );
    }
    Ok((lanes, backends(storage.iter().map(String::as_str))))
}
