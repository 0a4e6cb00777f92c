//! Clients: they submit throughout, also what they should not, and remember everything that they are told.

mod reservations;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::types::{
    AccountId, AccountRecord, Action, ChainGenesis, ChainId, ChainKind, Consents, Content, Data, Digest,
    FIRST_KEY_VERSION, Fingerprint, Frozen, Height, Link, Members, Packet, Payment, Refusal, Registration,
    Safeguards, Transaction, TransactionId, Verdict,
};
use engine::wire::Notice;

use self::reservations::Learnt;
use crate::administrators::{Administration, Governed, Speech};
use crate::chance::Chance;
use crate::environment::{
    ADMINISTRATORS, BALANCE, DECIDING, Environment, FOUNDERS, FREEZER, ISSUANCE_CAP, ISSUER, REGISTRAR,
    Signer,
};

/// How many fingerprints clients register, those that there is no room for included.
const FINGERPRINTS: u64 = 40;

/// Who pays: a chain and an account of it.
pub(crate) type Account = (u32, u64);

/// One transaction, submitted once to one validator.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) node: usize,
    pub(crate) life: u64,
    /// That of its first packet.
    pub(crate) tag: u64,
    pub(crate) id: TransactionId,
    pub(crate) account: Account,
    /// The fingerprints that it is to register.
    pub(crate) registers: Vec<Fingerprint>,
    pub(crate) at: Duration,
    pub(crate) told: Option<Verdict>,
    /// When it was told that it is in a block.
    pub(crate) told_at: Option<Duration>,
}

/// What goes to one validator at once.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) tag: u64,
    pub(crate) packets: Vec<Packet>,
}

/// A chain, as clients know it.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: u32,
    kind: ChainKind,
    /// Accounts of its beginning.
    accounts: u64,
}

/// All clients.
pub(crate) struct Clients {
    /// The chains that they know, ascending, but for the one that decides.
    chains: Vec<Known>,
    pub(crate) administration: Administration,
    /// By tag.
    pub(crate) submissions: Vec<Submission>,
    next_tag: u64,
    /// Transactions that were submitted and may be submitted again.
    transactions: Vec<(Account, Transaction)>,
    nonces: BTreeMap<Account, u64>,
    /// Keys that accounts were asked to have: the next number.
    next_key: u64,
    /// The numbers of those keys.
    made: BTreeMap<[u8; 32], u64>,
    /// Accounts that were opened.
    opened: BTreeSet<Account>,
    /// Accounts with another key than that of the genesis: its number and its version.
    keys: BTreeMap<Account, (u64, u32)>,
    /// What ledgers keep of accounts beside their leaves.
    records: BTreeMap<Account, AccountRecord>,
    /// What is or was set aside.
    reservations: Learnt,
    /// What goes out next: it is about the same as what has just gone out.
    rivals: Vec<(Account, Transaction)>,
    /// How many transactions each validator got from its steady clients.
    turns: BTreeMap<usize, usize>,
    chance: Chance,
}

impl Clients {
    pub(crate) fn new(environment: &Environment, governed: Governed, chance: Chance) -> Self {
        let chains = environment.genesis.chains().iter().filter(|chain| chain.id.0 != DECIDING);
        let known = |chain: &ChainGenesis| Known {
            id: chain.id.0,
            kind: chain.kind,
            accounts: chain.accounts.len() as u64,
        };
        Self {
            chains: chains.map(known).collect(),
            administration: Administration::new(environment, governed),
            submissions: Vec::new(),
            next_tag: 0,
            transactions: Vec::new(),
            nonces: BTreeMap::new(),
            next_key: 0,
            made: BTreeMap::new(),
            opened: BTreeSet::new(),
            keys: BTreeMap::new(),
            records: BTreeMap::new(),
            reservations: Learnt::new(),
            rivals: Vec::new(),
            turns: BTreeMap::new(),
            chance,
        }
    }

    /// What is submitted now. `nodes` are those that run, with their lives.
    pub(crate) fn submit(
        &mut self,
        environment: &Environment,
        nodes: &[(usize, u64)],
        height: u64,
        (now, clock_ms): (Duration, u64),
    ) -> Vec<Frame> {
        if nodes.is_empty() {
            return Vec::new();
        }
        let count = 1 + self.chance.below(5);
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            transactions.push(self.transaction(environment, height, clock_ms));
        }
        let node = self.chance.of(nodes);
        let mut frames = vec![self.frame(environment, node, &transactions, now)];
        if self.chance.permille(60) {
            // The same at two validators.
            let node = self.chance.of(nodes);
            frames.push(self.frame(environment, node, &transactions, now));
        }
        frames
    }

    /// One transaction for one validator, from accounts that no other one gets.
    pub(crate) fn steady(
        &mut self,
        environment: &Environment,
        (node, life): (usize, u64),
        validators: usize,
        now: Duration,
    ) -> Frame {
        let chain = environment.first_money();
        let accounts = chain.accounts.len() / validators;
        let turn = *self.turns.entry(node).and_modify(|turn| *turn += 1).or_insert(0);
        let debit = (node + validators * (turn % accounts)) as u64;
        let account = (chain.id.0, debit);
        let nonce = self.nonces.entry(account).or_default();
        let credit = (debit + 1) % chain.accounts.len() as u64;
        let transaction =
            environment.transfer((chain.id.0, None), (Signer::first(debit), credit), 1, *nonce, u64::MAX);
        *nonce += 1;
        self.frame(environment, (node, life), &[(account, transaction)], now)
    }

    fn frame(
        &mut self,
        environment: &Environment,
        (node, life): (usize, u64),
        transactions: &[(Account, Transaction)],
        now: Duration,
    ) -> Frame {
        let network = environment.network();
        let (first, mut packets) = (self.next_tag, Vec::new());
        for (account, transaction) in transactions {
            let (id, account, tag) = (transaction.id(&network), *account, first + packets.len() as u64);
            packets.extend_from_slice(transaction.run().packets());
            let registers = match transaction.run().content() {
                Ok(Content::Attest(attest)) => {
                    attest.registrations.iter().map(|one| one.fingerprint).collect()
                }
                _ => Vec::new(),
            };
            self.submissions.push(Submission {
                node,
                life,
                tag,
                id,
                account,
                registers,
                at: now,
                told: None,
                told_at: None,
            });
        }
        self.next_tag += packets.len() as u64;
        Frame { node, life, tag: first, packets }
    }

    /// The refusals that were told.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = Refusal> {
        self.submissions.iter().filter_map(|one| match one.told {
            Some(Verdict::Refused(refusal)) => Some(refusal),
            _ => None,
        })
    }

    /// The submission of a tag.
    pub(crate) fn tagged(&self, tag: u64) -> Option<&Submission> {
        let at = self.submissions.binary_search_by_key(&tag, |one| one.tag).ok()?;
        self.submissions.get(at)
    }

    /// The chain that the next transaction is for, and whether administrators say something there.
    fn any_chain(&mut self) -> (Known, bool) {
        let (chance, known) = (&mut self.chance, &self.chains);
        if self.administration.is_there() {
            let deciding = Known { id: DECIDING, kind: ChainKind::Governance, accounts: ADMINISTRATORS };
            if chance.permille(150) {
                return (deciding, chance.permille(850));
            }
            // Some are too early for a chain that is not there yet, most of them when it is to come.
            let first = self.administration.first_created();
            let often = if self.administration.has_created() { 250 } else { 40 };
            if !known.iter().any(|chain| chain.id == first) && chance.permille(often) {
                return (Known { id: first, kind: ChainKind::Transfers, accounts: FOUNDERS }, false);
            }
        }
        (known[chance.below(known.len())], false)
    }

    fn transaction(
        &mut self,
        environment: &Environment,
        height: u64,
        clock_ms: u64,
    ) -> (Account, Transaction) {
        if let Some(rival) = self.rivals.pop() {
            return rival;
        }
        let chance = &mut self.chance;
        if chance.permille(80) && !self.transactions.is_empty() {
            return self.transactions[chance.below(self.transactions.len())].clone();
        }
        let (chain, decides) = self.any_chain();
        if decides && let Some(said) = self.administrator(environment, clock_ms) {
            return said;
        }
        let Known { id, kind, accounts } = chain;
        let chance = &mut self.chance;
        let beyond = if chance.permille(100) { 3 } else { 0 };
        // Where money comes from nowhere else, more of it is issued.
        let empty = id != DECIDING && environment.genesis.chain(ChainId(id)).is_none();
        if chance.permille(if empty { 120 } else { 40 }) {
            return self.command(environment, id, accounts + beyond);
        }
        if chance.permille(25) {
            return self.opening(environment, id);
        }
        if chance.permille(90) {
            return self.change(environment, id, accounts);
        }
        if chance.permille(if kind == ChainKind::Transfers { 220 } else { 15 }) {
            return self.set_aside(environment, chain);
        }
        // At times the transactions of one kind of chain go to another.
        let astray = chance.permille(if kind == ChainKind::Attestations { 60 } else { 15 });
        if (kind == ChainKind::Attestations) != astray {
            return self.fingerprints(environment, id);
        }
        // Accounts that were opened meanwhile pay, too, and are paid.
        let opened: Vec<u64> = self.opened_on(id).collect();
        let chance = &mut self.chance;
        let any = |chance: &mut Chance, most: u64| match opened.is_empty() || !chance.permille(250) {
            true => chance.within(0..most),
            false => chance.of(&opened),
        };
        let debit = any(chance, accounts);
        let credit = any(chance, accounts + beyond);
        let account = (id, debit);
        let by = self.signer(account);
        let chance = &mut self.chance;
        let next = self.nonces.entry(account).or_default();
        let nonce = match chance.below(40) {
            0 => *next + chance.within(30..200),
            1 => next.saturating_sub(chance.within(0..4)),
            _ => {
                *next += 1;
                *next - 1
            }
        };
        // Some cannot be paid, now and perhaps later.
        let amount =
            if chance.permille(150) { chance.within(BALANCE / 2..BALANCE * 2) } else { chance.within(1..20) };
        let expiry = if chance.permille(50) { height + chance.within(0..6) } else { height + 100_000 };
        // Some pay an account of another chain, or of one that does not exist, or not yet.
        let governed = self.administration.is_there();
        let other = match self.chains.len() {
            1 if !governed => None,
            several => {
                let beyond = usize::from(chance.permille(if governed { 300 } else { 30 }));
                let other = 1 + chance.below(several + beyond) as u32;
                let takes_money = self.chains.get(other as usize - 1).is_none_or(|of| of.kind == kind);
                let often = if takes_money { 400 } else { 60 };
                (other != id && chance.permille(often)).then_some(other)
            }
        };
        let transaction = if other.is_none() && chance.permille(120) {
            // At times one that has no room in a batch together with others.
            let most = if chance.permille(100) { 200 } else { 12 };
            let payments: Vec<Payment> = (0..chance.within(1..most))
                .map(|_| Payment { to: AccountId(chance.within(0..accounts + beyond / 3)), amount })
                .collect();
            environment.linked(id, by, &payments, nonce, expiry)
        } else {
            environment.transfer((id, other), (by, credit), amount, nonce, expiry)
        };
        if chance.permille(50) {
            let mut bytes = transaction.bytes().to_vec();
            bytes[127] ^= 0x20;
            let forged = Transaction::from_bytes(&bytes).expect("its signature has no shape");
            return (account, forged);
        }
        self.transactions.push((account, transaction.clone()));
        (account, transaction)
    }

    /// A height is executed, which has perhaps decided who validates.
    pub(crate) fn executed(&mut self, height: Height, members: Option<&Members>) {
        self.administration.executed(height, members);
    }

    /// What an administrator, or somebody who is none, says about chains; `None` if nobody wants anything.
    fn administrator(&mut self, environment: &Environment, clock_ms: u64) -> Option<(Account, Transaction)> {
        let others: Vec<u64> = self.opened_on(DECIDING).collect();
        let (account, speech) = self.administration.next(environment, &mut self.chance, &others, clock_ms)?;
        let account = (DECIDING, account);
        let by = self.signer(account);
        let said = &self.administration;
        let nonce = self.nonces.entry(account).or_default();
        let transaction = match speech {
            Speech::Propose { administrators, until_ms, decision } => {
                let consents = said.consents(environment, &decision);
                environment.propose(by, (administrators, until_ms), (&decision, &consents), *nonce)
            }
            Speech::Approve { administrators, proposal } => {
                let consents = said.proposed(&proposal).map(|decision| said.consents(environment, decision));
                let consents = consents.unwrap_or_else(|| Consents::encode(Vec::new()));
                environment.approve(by, (proposal, &consents), administrators, *nonce)
            }
        };
        *nonce += 1;
        self.transactions.push((account, transaction.clone()));
        Some((account, transaction))
    }

    /// What an authority orders; at times somebody who is none. Most of what is frozen is opened again.
    fn command(&mut self, environment: &Environment, chain: u32, accounts: u64) -> (Account, Transaction) {
        let chance = &mut self.chance;
        let (named, amount) = (AccountId(chance.within(0..accounts)), chance.within(1..ISSUANCE_CAP / 2));
        let (holder, action) = match chance.below(6) {
            0 => (ISSUER, Action::Issue { to: named, amount }),
            1 => (ISSUER, Action::Burn { amount }),
            2 => {
                let frozen = chance.of(&[Frozen::DEBIT, Frozen::CREDIT, Frozen::BOTH]);
                (FREEZER, Action::Freeze { account: named, frozen })
            }
            _ => (FREEZER, Action::Freeze { account: named, frozen: Frozen::NONE }),
        };
        let authority = if chance.permille(100) { ISSUER + FREEZER - holder } else { holder };
        let account = (chain, authority);
        let by = self.signer(account);
        let nonce = self.nonces.entry(account).or_default();
        let transaction = environment.command(chain, by, action, *nonce);
        *nonce += 1;
        self.transactions.push((account, transaction.clone()));
        (account, transaction)
    }

    /// New accounts of a chain; at times somebody opens them who is not the registrar.
    fn opening(&mut self, environment: &Environment, chain: u32) -> (Account, Transaction) {
        let count = self.chance.within(1..4);
        let keys = self.new_keys(count);
        let registrar = if self.chance.permille(100) { FREEZER } else { REGISTRAR };
        let account = (chain, registrar);
        let by = self.signer(account);
        let nonce = self.nonces.entry(account).or_default();
        let transaction = environment.opening(chain, by, keys, *nonce);
        *nonce += 1;
        self.transactions.push((account, transaction.clone()));
        (account, transaction)
    }

    /// What one of a few owners says of a few fingerprints: so they collide, and what one has registered the other
    /// wants to change.
    fn fingerprints(&mut self, environment: &Environment, chain: u32) -> (Account, Transaction) {
        let chance = &mut self.chance;
        let account = (chain, chance.of(&[0, 0, 0, 1, 2]));
        let by = self.signer(account);
        let chance = &mut self.chance;
        let nonce = self.nonces.entry(account).or_default();
        // At times more than there is room for in a few packets.
        let several = chance.of(&[1, 1, 1, 1, 2, 3, 25]);
        let fingerprints: Vec<Fingerprint> = (0..several).map(|_| any_fingerprint(chance)).collect();
        let transaction = if chance.permille(200) {
            environment.revoke((chain, by), &fingerprints, *nonce)
        } else {
            let mut before = any_fingerprint(chance);
            let registrations: Vec<Registration<'_>> = fingerprints
                .into_iter()
                .map(|fingerprint| {
                    // At times what the same transaction has just registered.
                    let earlier = if chance.permille(300) { before } else { any_fingerprint(chance) };
                    before = fingerprint;
                    let links = [
                        Link::None,
                        Link::None,
                        Link::None,
                        Link::RefersTo(earlier),
                        Link::Supersedes(earlier),
                    ];
                    let data =
                        chance.of(&[Data::None, Data::Inline(b"simulated"), Data::Hash(Digest([7; 32]))]);
                    Registration { fingerprint, kind: 1, link: chance.of(&links), data }
                })
                .collect();
            environment.attest((chain, by), &registrations, *nonce)
        };
        *nonce += 1;
        self.transactions.push((account, transaction.clone()));
        (account, transaction)
    }

    /// How an account signs, by what is known of its key; which may be another one meanwhile.
    fn signer(&mut self, account: Account) -> Signer {
        match self.keys.get(&account) {
            Some((key, version)) => Signer { account: account.1, key: Some(*key), version: *version },
            None => Signer::first(account.1),
        }
    }

    fn opened_on(&self, chain: u32) -> impl Iterator<Item = u64> {
        self.opened.range((chain, 0)..(chain + 1, 0)).map(|(_, id)| *id)
    }

    fn new_keys(&mut self, count: u64) -> std::ops::Range<u64> {
        let keys = self.next_key..self.next_key + count;
        self.next_key = keys.end;
        self.made.extend(keys.clone().map(|number| (Environment::new_key(number).public_key(), number)));
        keys
    }

    /// Another key for an account, other safeguards, a recovery, closing, or cancelling: of a few accounts, so that
    /// these meet.
    fn change(&mut self, environment: &Environment, chain: u32, accounts: u64) -> (Account, Transaction) {
        let opened: Vec<u64> = self.opened_on(chain).collect();
        let some = |chance: &mut Chance| match opened.is_empty() || chance.permille(600) {
            true => chance.within(accounts / 2..accounts),
            false => chance.of(&opened),
        };
        let what = self.chance.below(12);
        let guarded: Vec<u64> = self
            .records
            .range((chain, 0)..(chain + 1, 0))
            .filter(|(_, record)| !record.safeguards.is_none())
            .map(|((_, account), _)| *account)
            .collect();
        // Others mostly want to help accounts that somebody guards.
        let of = match what {
            4..=8 if !guarded.is_empty() && self.chance.permille(900) => self.chance.of(&guarded),
            _ => some(&mut self.chance),
        };
        let record = self.records.get(&(chain, of)).cloned().unwrap_or_default();
        // Guardians and those who bring a recovery key sign for others.
        let signer = match (what, &record.safeguards.guardians[..]) {
            (4..=8, guardians @ [_, ..]) if self.chance.permille(900) => self.chance.of(guardians).0,
            (4..=8, _) => self.chance.within(0..accounts),
            _ => of,
        };
        let by = self.signer((chain, signer));
        let key = self.new_keys(1).start;
        // Guardians mostly want the same key.
        let wanted = record.approvals.first().and_then(|approval| self.made.get(&approval.key).copied());
        let key = if what > 3 { wanted.unwrap_or(key) } else { key };
        let recovery_key = record.safeguards.recovery_key.and_then(|key| self.made.get(&key).copied());
        let chance = &mut self.chance;
        let nonce = *self.nonces.entry((chain, signer)).and_modify(|next| *next += 1).or_insert(1) - 1;
        let transaction = match what {
            0..=1 => environment.rekey(chain, by, key, nonce),
            2..=3 => {
                let mut guardians: Vec<AccountId> =
                    (0..3).map(|_| AccountId(chance.within(0..accounts))).collect();
                guardians.retain(|guardian| guardian.0 != of);
                guardians.sort_unstable();
                guardians.dedup();
                let threshold = guardians.len().min(chance.of(&[1, 1, 2])) as u8;
                let recovery_key = chance.permille(500).then(|| Environment::new_key(key).public_key());
                let safeguards = Safeguards { recovery_key, threshold, guardians };
                environment.protect(chain, by, &safeguards, nonce)
            }
            4..=8 => {
                let with = recovery_key.filter(|_| chance.permille(600));
                environment.recover(chain, by, (of, record.changes), (key, with), nonce)
            }
            9 => environment.command(chain, by, Action::Close, nonce),
            _ => environment.command(chain, by, Action::Cancel { change: record.changes }, nonce),
        };
        self.transactions.push(((chain, signer), transaction.clone()));
        ((chain, signer), transaction)
    }

    /// The ledger of some validator has a chain that was created, with so many accounts at its beginning.
    pub(crate) fn learn_chain(&mut self, id: u32, kind: ChainKind, accounts: u64) {
        if id != DECIDING && self.chains.last().is_some_and(|last| last.id < id) {
            self.chains.push(Known { id, kind, accounts });
        }
    }

    /// What the ledger of some validator says of an account that was opened, or that has got another key.
    pub(crate) fn learn_key(&mut self, account: Account, key: &[u8; 32], version: u32) {
        if version == FIRST_KEY_VERSION {
            self.opened.insert(account);
        }
        let known = self.keys.get(&account).map_or(0, |(_, version)| *version);
        if let Some(number) = self.made.get(key).filter(|_| version > known) {
            self.keys.insert(account, (*number, version));
        }
    }

    /// What the ledger of some validator keeps of an account beside its leaf.
    pub(crate) fn learn_record(&mut self, account: Account, record: AccountRecord) {
        self.records.insert(account, record);
    }

    /// Goes on from the lowest nonce that an account may still use: after a long outage those that a client had given
    /// out are too far ahead.
    pub(crate) fn go_on_from(&mut self, account: Account, nonce: u64) {
        self.nonces.insert(account, nonce);
    }

    /// What a validator says. An error is something that no client may ever be told.
    pub(crate) fn told(
        &mut self,
        node: usize,
        life: u64,
        notice: Notice,
        now: Duration,
    ) -> Result<&Submission, String> {
        let at = self.submissions.binary_search_by_key(&notice.tag, |one| one.tag).ok();
        let submission = at.and_then(|at| self.submissions.get_mut(at));
        let Some(submission) = submission.filter(|one| (one.node, one.life) == (node, life)) else {
            return Err(format!("tells of submission {}, which it never got", notice.tag));
        };
        if notice.verdict == Verdict::Committed {
            submission.told_at = Some(now);
        }
        if let Some(before) = submission.told.replace(notice.verdict) {
            return Err(format!(
                "tells of submission {} twice: first {before}, then {}",
                notice.tag, notice.verdict
            ));
        }
        Ok(submission)
    }
}

/// One of those that clients register. Some differ in the last byte only.
fn any_fingerprint(chance: &mut Chance) -> Fingerprint {
    let number = chance.within(0..FINGERPRINTS) as u8;
    let mut bytes = [1 + number / 4; 32];
    bytes[31] = number;
    Fingerprint(bytes)
}
