//! What a null sink answers.

use std::sync::Arc;

use client::Welcome;
use engine::types::{Digest, Epoch, FIRST_KEY_VERSION, Height, PacketSlab, ValidatorIndex, Verdict};
use engine::wire::answers::{ErrorAnswer, ScrubAnswer, SignaturesAnswer, StatusAnswer};
use engine::wire::{AsOf, Query, Role, Standing};
use net::{Client, Permit};
use serde::Serialize;

use super::network_of_sink;
use crate::network::ACCOUNT_BALANCE;
use crate::validator::counters::Counters;
use crate::validator::sessions::{Clients, Question, Serves, verdicts};

/// How a sink calls itself, as its name, its network's and its storage.
pub(super) const NAME: &str = "null sink";

/// It stands at its genesis, and is behind nothing.
const AS_OF: AsOf = AsOf { height: Height(0), behind: Some(0) };
const STANDING: Standing = Standing { epoch: Epoch(0), role: Role::Member };

/// One port of a sink.
pub(super) struct SinkServer {
    of: Digest,
    network: Digest,
    me: ValidatorIndex,
    clients: Clients,
}

impl SinkServer {
    pub(super) fn new(of: Digest, me: ValidatorIndex, counters: Arc<Counters>) -> Self {
        Self { of, network: network_of_sink(&of), me, clients: Clients::new(counters) }
    }

    fn status(&self) -> StatusAnswer {
        StatusAnswer {
            network: self.network,
            network_name: NAME.to_owned(),
            validator: self.me,
            name: NAME.to_owned(),
            standing: STANDING,
            committed: AS_OF.height,
            finalized: AS_OF.height,
            state_root: Digest([0; 32]),
            stream_lost: false,
            votes_forgotten: false,
            kept_from: Height(1),
            journal_bytes: 0,
            peers: Vec::new(),
            pending: 0,
            storage: format!("{NAME}: nothing is written"),
            storage_fallback: None,
            certificate_until: None,
            fetching: None,
            missing: None,
            scrub: ScrubAnswer::default(),
            rules: None,
            alarms: Vec::new(),
            signatures: SignaturesAnswer { by: format!("{NAME}: nothing is checked"), ..Default::default() },
            uptime_seconds: 0,
        }
    }
}

/// All that the generator reads of an account's answer. There is no proof in it, because there is nothing to prove.
#[derive(Serialize)]
struct AccountOfSink {
    proof: Unused,
}

/// An account that has done nothing yet.
#[derive(Serialize)]
struct Unused {
    key_version: u32,
    balance: u64,
    window_base: u64,
    window_used: u64,
}

impl Serves for SinkServer {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn network(&self) -> &Digest {
        &self.network
    }

    fn foreign(&self, network: &Digest) -> String {
        let (of, network) = match *network == self.of {
            true => (network, "it".to_owned()),
            false => (&self.of, network.to_string()),
        };
        format!(
            "this is a null sink beside network {of} and no validator of {network}: it commits nothing, and only measures \
             what a load generator can do (`millrace bench --ceiling`, `millrace load --ceiling`)"
        )
    }

    fn welcome(&self, version: u32) -> Welcome {
        Welcome { validator: self.me, as_of: AS_OF, standing: STANDING, version }
    }

    fn submit(&self, client: &Client, tag: u64, packets: PacketSlab, tell: bool, _permit: Permit) {
        let notices = verdicts(tag, &packets, Verdict::Committed);
        if tell {
            let tags: Vec<u64> = notices.iter().map(|notice| notice.tag).collect();
            self.clients.accepted(client.id(), &tags);
        }
        self.clients.notify(client.id(), notices);
    }

    fn ask(&self, question: Question, query: Query) {
        match query {
            Query::Status => question.answer(AS_OF, &self.status()),
            Query::Account { .. } => {
                let (key_version, balance) = (FIRST_KEY_VERSION, ACCOUNT_BALANCE);
                let proof = Unused { key_version, balance, window_base: 0, window_used: 0 };
                question.answer(AS_OF, &AccountOfSink { proof });
            }
            _ => question.answer(AS_OF, &ErrorAnswer::not_found("a null sink keeps nothing")),
        }
    }

    fn gone(&self, _client: u64) {}
}
