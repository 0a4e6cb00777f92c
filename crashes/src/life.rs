//! What is recorded: lives of one validator, each a process of its own, with a client that it serves.
//!
//! A network of one validator needs no other process. What it promises its client and what stands in its two logs must
//! agree after any crash, since its own vote is the whole quorum.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use client::Client;
use engine::store::{Backend, Log, LogKind, Options, Owner};
use engine::types::{
    AccountId, ChainId, Height, Membership, Packet, PacketRun, Transaction, TransactionId, Transfer, Verdict,
};
use node::config::{Config, StorageBackend};
use node::network::{ChainDraft, InitOptions, Network, init};

use crate::chance::Chance;
use crate::epochs;
use crate::reel;
use crate::tape::{self, Act};

/// Accounts of the chain; each pays in turn.
const ACCOUNTS: u64 = 16;
/// What a start, or an answer, may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a checkpoint may take.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(3);
/// Small, so that a short life fills some of them.
const JOURNAL_SEGMENT_BYTES: u64 = 64 << 10;
/// Room for the longest record of consensus.
const VOTE_SEGMENT_BYTES: u64 = 128 << 10;

/// What a round records.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where its chance begins.
    pub seed: u64,
    /// Checkpoints are written, and the journal is pruned at them.
    pub prunes: bool,
    /// In each life another epoch begins. Where checkpoints are written, too, they have the evidence of the epochs.
    pub changes_epochs: bool,
    /// The log of votes is made by the first start as it is shipped, with large segments.
    pub as_shipped: bool,
}

impl Plan {
    /// The plan of a round.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let (prunes, changes_epochs) = (matches!(seed % 8, 1 | 4), matches!(seed % 8, 3 | 4));
        Self { seed, prunes, changes_epochs, as_shipped: seed % 16 == 2 }
    }

    fn config(self, network: &Network, data: &Path) -> anyhow::Result<Config> {
        let mut config = Config::load(&network.members[0].config_file())?;
        // The calls of io_uring do not come by the C library. Both backends write the same bytes in the same order.
        config.storage = StorageBackend::Portable;
        config.segment_bytes = JOURNAL_SEGMENT_BYTES;
        config.data = data.to_owned();
        if self.prunes {
            config.checkpoint_every_bytes = 512;
            config.retention.heights = Some(4);
            config.retention.heights_min = 2;
        }
        Ok(config)
    }
}

/// One life, as its process is told.
#[derive(Clone, Debug)]
pub struct Life {
    /// The round that it belongs to.
    pub plan: Plan,
    /// The directory of the network.
    pub network: PathBuf,
    /// The data directory.
    pub data: PathBuf,
    /// The number of its first transaction, and how many it submits.
    pub first: u64,
    /// See above.
    pub count: u64,
    /// Whether it ends when asked to; else it is killed.
    pub is_orderly: bool,
    /// Where the recording is left.
    pub tape: PathBuf,
}

/// A network of one validator in a directory.
pub struct Subject {
    /// The network.
    pub network: Network,
    /// How it is configured.
    pub plan: Plan,
    /// The transfers that there may be, with their numbers.
    ids: BTreeMap<TransactionId, u64>,
}

impl Subject {
    /// Makes the network; nothing has run yet.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn new(directory: &Path, plan: Plan, transactions: u64) -> anyhow::Result<Self> {
        let mut chains = ChainDraft::alike(1, ACCOUNTS, 1_000_000);
        let mut membership = Membership::Fixed;
        if plan.changes_epochs {
            chains.insert(0, epochs::deciding());
            membership = Membership::Decided;
        }
        let work = vec![("batch_packets_max".into(), "8".into()), ("block_interval_ms".into(), "1".into())];
        let options = InitOptions {
            validators: 1,
            chains,
            membership,
            work,
            storage: "portable".into(),
            log_level: "off".into(),
            ..InitOptions::default()
        };
        let network = init(directory, &options)?;
        let id = |number| Ok((packet(&network, number)?.id(network.genesis.network()), number));
        let ids = (0..transactions).map(id).collect::<anyhow::Result<_>>()?;
        let subject = Self { network, plan, ids };
        if !plan.as_shipped {
            subject.make_vote_log()?;
        }
        Ok(subject)
    }

    /// The number of a transaction; `None` if it was never submitted.
    #[must_use]
    pub fn number_of(&self, transaction: PacketRun<'_>) -> Option<u64> {
        let id = transaction.id(self.network.genesis.network());
        self.ids.get(&id).copied().or_else(|| epochs::number_of(transaction))
    }

    /// Where its files are recorded.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.network.members[0].data()
    }

    /// How a validator of it is configured that has its files elsewhere.
    ///
    /// # Errors
    /// Its configuration cannot be read.
    pub fn config(&self, data: &Path) -> anyhow::Result<Config> {
        self.plan.config(&self.network, data)
    }

    /// An empty log of votes with small segments, which cost little to read after each crash.
    fn make_vote_log(&self) -> anyhow::Result<()> {
        let genesis = &self.network.genesis;
        let validator = genesis.validators()[0].public_key;
        let owner = Owner { network: genesis.network().0, validator, log: LogKind::Votes };
        let backend = Backend::Portable;
        let options = Options { segment_bytes: VOTE_SEGMENT_BYTES, backend, ..Options::new(owner) };
        drop(Log::open(&self.data().join("consensus"), options)?);
        Ok(())
    }
}

/// The transfer of a number, signed.
fn packet(network: &Network, number: u64) -> anyhow::Result<Packet> {
    let (chain, debit) = (ChainId(1), AccountId(number % ACCOUNTS));
    let transfer = Transfer {
        chain,
        key_version: 1,
        reference: [0; 12],
        debit,
        credit_chain: None,
        credit: AccountId((number + 1) % ACCOUNTS),
        amount: 5,
        nonce: number / ACCOUNTS,
        expiry: Height(1_000_000),
    };
    let key = network.client_seed()?.signing_key(chain, debit);
    Ok(transfer.sign(network.genesis.network(), |message| key.sign(message)))
}

/// Submits transactions that are numbered from `first` on, and waits until each is committed.
fn commit(client: &mut Client, packets: &[Packet], first: u64) -> anyhow::Result<()> {
    let tags = client.submit(packets)?;
    let mut waiting = PacketRun::all(packets).count();
    while waiting > 0 {
        for notice in client.notices(PATIENCE)? {
            ensure!(notice.verdict == Verdict::Committed, "a transaction is {:?}", notice.verdict);
            tape::told(first + notice.tag - tags.start);
            waiting -= 1;
        }
    }
    Ok(())
}

impl Life {
    /// Lives it in a process of its own, and returns what was recorded.
    ///
    /// # Errors
    /// The process fails, or says that something was not committed.
    pub fn live(&self) -> anyhow::Result<Vec<Act>> {
        let number = |number: u64| number.to_string();
        let Plan { seed, .. } = self.plan;
        let ended = Command::new(std::env::current_exe()?)
            .arg("--live")
            .args([&self.network, &self.data, &self.tape])
            .args([seed, self.first, self.count, u64::from(self.is_orderly)].map(number))
            .status()?;
        ensure!(ended.success(), "the recorded validator ended with {ended}");
        let bytes = fs::read(&self.tape)?;
        reel::decode(&bytes).context("the recording cannot be read")
    }

    /// The life that [`Self::live`] has put into words.
    ///
    /// # Errors
    /// They are not its words.
    pub fn told(words: &[String]) -> anyhow::Result<Self> {
        let [network, data, tape, seed, first, count, is_orderly] = words else {
            bail!("a life has seven words");
        };
        let number = |word: &String| word.parse::<u64>().context("a number");
        Ok(Self {
            plan: Plan::of(number(seed)?),
            network: network.into(),
            data: data.into(),
            first: number(first)?,
            count: number(count)?,
            is_orderly: number(is_orderly)? == 1,
            tape: tape.into(),
        })
    }

    /// This process is the validator: it runs and is recorded, until its client has been told everything.
    ///
    /// # Errors
    /// The validator cannot start, or ends too early.
    pub fn be_lived(self) -> anyhow::Result<()> {
        node::signals::block()?;
        let network = Arc::new(Network::load(&self.network)?);
        let config = self.plan.config(&network, &self.data)?;
        let log = node::log::Log::start(&config)?;
        let life = Arc::new(self);
        tape::begin(&life.data);
        let client = {
            let (life, network) = (life.clone(), network.clone());
            thread::spawn(move || {
                if let Err(error) = life.pay(&network) {
                    eprintln!("the client of the recorded validator: {error:#}");
                    std::process::exit(1);
                }
            })
        };
        node::validator::run(config, &log)?;
        let acts = tape::end();
        client.join().map_err(|_| anyhow::anyhow!("the client has panicked"))?;
        fs::write(&life.tape, reel::encode(&acts))?;
        Ok(())
    }

    /// Submits, waits for each notice, and ends this process.
    fn pay(&self, network: &Network) -> anyhow::Result<()> {
        let mut chance = Chance::new(self.plan.seed ^ (self.first << 20));
        let mut client = None;
        for _ in 0..PATIENCE.as_millis() / 20 {
            client = network.members[0].connect(&network.genesis).ok();
            if client.is_some() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let mut client = client.context("the validator does not answer")?;
        let (mut next, half) = (self.first, self.first + self.count / 2);
        let mut another_epoch = self.plan.changes_epochs;
        while next < self.first + self.count {
            if another_epoch && next >= half {
                let commit = |client: &mut Client, decision: &Transaction, number| {
                    commit(client, decision.run().packets(), number)
                };
                client = epochs::next(network, self.first / self.count, client, commit)?;
                another_epoch = false;
            }
            let until = (next + 1 + chance.below(3)).min(self.first + self.count);
            let packets =
                (next..until).map(|number| packet(network, number)).collect::<anyhow::Result<Vec<_>>>()?;
            commit(&mut client, &packets, next)?;
            next = until;
            if self.plan.prunes && chance.below(3) == 0 {
                self.wait_for_checkpoint();
            }
            // Long enough for the logs to rest, now and then, and for checkpoints to be written.
            thread::sleep(Duration::from_millis([0, 0, 0, 3, 70][chance.below(5) as usize]));
        }
        if self.is_orderly {
            // SAFETY: it asks this process to stop.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
            return Ok(());
        }
        let acts = tape::freeze();
        // The tape is not below the data directory, and this thread holds the lock of the recording.
        tape::leave(&self.tape, &reel::encode(&acts));
    }

    /// Waits until another checkpoint is written than those that are there now. One may be left out.
    fn wait_for_checkpoint(&self) {
        let names = || -> BTreeSet<OsString> {
            let entries = fs::read_dir(self.data.join("checkpoints")).into_iter().flatten().flatten();
            entries
                .map(|entry| entry.file_name())
                .filter(|name| Path::new(name).extension().is_some_and(|end| end == "checkpoint"))
                .collect()
        };
        let before = names();
        for _ in 0..CHECKPOINT_PATIENCE.as_millis() / 10 {
            if !names().is_subset(&before) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
