//! What does not change in a run: the network's genesis and everybody's keys.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use engine::types::{
    AccountGenesis, AccountId, Action, Approve, Asset, Attest, ChainGenesis, ChainId, ChainKind, Command,
    Consent, Consents, CryptoSuite, Data, Decision, Digest, EncodedDecision, EncodedSafeguards, Envelope,
    FIRST_KEY_VERSION, Fingerprint, Genesis, Height, Link, Linked, LockWindows, Member, Members, Membership,
    NewAccount, NewAccounts, NewChain, Offer, Opening, Payment, Payments, Price, Propose, Protect, Quota,
    Recover, Registrar, Registration, Registrations, Rekey, ReservationId, Reserve, Revoke, Roles,
    Safeguards, Settle, Take, Terms, Transaction, Transfer, ValidatorGenesis, new_key_message,
    possession_message, recovery_message,
};
use kernels::ed25519::SigningKey;

/// What an account holds at the beginning.
pub(crate) const BALANCE: u64 = 1_000;
/// The account of each chain that issues and burns.
pub(crate) const ISSUER: u64 = 0;
/// The account of each chain that freezes and unfreezes.
pub(crate) const FREEZER: u64 = 1;
/// The account of each chain that opens others.
pub(crate) const REGISTRAR: u64 = 2;
/// How long changes of accounts wait.
pub(crate) const WINDOWS: LockWindows = LockWindows { rekey_seconds: 1, recovery_seconds: 2 };
/// How many accounts a chain may have beside those of its genesis.
pub(crate) const OPENED_MAX: u64 = 30;
/// How much more a chain may issue than it burns.
pub(crate) const ISSUANCE_CAP: u64 = 2_000;

/// The chain of the administrators, where there is one.
pub(crate) const DECIDING: u32 = 0;
/// How many administrators there are at the beginning.
pub(crate) const ADMINISTRATORS: u64 = 3;
/// How many of them must approve.
pub(crate) const THRESHOLD: u8 = 2;
/// How many accounts a chain has when it is created.
pub(crate) const FOUNDERS: u64 = 8;

/// How many attestations a chain that takes them may have.
pub(crate) const ATTESTATIONS_CAP: u64 = 25;

/// Genesis and keys.
pub(crate) struct Environment {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) signing_seeds: Vec<[u8; 32]>,
    accounts: Vec<SigningKey>,
}

fn account(key: &SigningKey, balance: u64) -> AccountGenesis {
    AccountGenesis { public_key: key.public_key(), balance }
}

fn seed(kind: u8, number: u64) -> [u8; 32] {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    seed
}

/// An account, and the key with which it signs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signer {
    pub(crate) account: u64,
    /// The number of the key, or that of the genesis.
    pub(crate) key: Option<u64>,
    pub(crate) version: u32,
}

impl Signer {
    /// An account of the genesis with its first key.
    pub(crate) fn first(account: u64) -> Self {
        Self { account, key: None, version: FIRST_KEY_VERSION }
    }
}

/// Which chains a network has at the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Founded {
    /// Chains with money, numbered from 1 on.
    pub(crate) chains: u32,
    /// Whether there is one behind them that takes fingerprints.
    pub(crate) register: bool,
    /// Whether there is one before them, whose accounts are administrators.
    pub(crate) governed: bool,
    /// Accounts of each chain but that of the administrators.
    pub(crate) accounts: u64,
    /// How much of a block the first chain with money may have.
    pub(crate) quota: Quota,
    /// Validators beside those of the genesis, which may come into their places.
    pub(crate) spares: usize,
}

/// The roles of a chain with money that begins with so many accounts.
fn roles(accounts: u64) -> Roles {
    Roles {
        issuer: Some(AccountId(ISSUER)),
        issuance_cap: ISSUANCE_CAP,
        freezer: Some(AccountId(FREEZER)),
        registrar: Registrar::Account(AccountId(REGISTRAR)),
        accounts_cap: accounts + OPENED_MAX,
        attestations_cap: 0,
        windows: WINDOWS,
        quota: Quota::WHOLE,
    }
}

/// The roles of a chain of this kind that begins with so many accounts.
pub(crate) fn roles_of(kind: ChainKind, accounts: u64) -> Roles {
    let moneyless = Roles { issuer: None, issuance_cap: 0, ..roles(accounts) };
    match kind {
        ChainKind::Transfers => roles(accounts),
        ChainKind::Attestations => Roles { attestations_cap: ATTESTATIONS_CAP, ..moneyless },
        // Nobody can keep administrators from what a run waits for.
        ChainKind::Governance => Roles { freezer: None, ..moneyless },
    }
}

impl Environment {
    pub(crate) fn new(validators: usize, founded: Founded) -> Self {
        let Founded { chains, register, governed, accounts, quota, spares } = founded;
        let signing_seeds: Vec<_> =
            (0..(validators + spares) as u64).map(|index| seed(0xa1, index)).collect();
        let validator = |(index, signing_seed): (usize, &[u8; 32])| ValidatorGenesis {
            name: format!("v{index}"),
            public_key: SigningKey::from_seed(*signing_seed).public_key(),
            certificate_fingerprint: seed(0xf1, index as u64),
        };
        let keys: Vec<_> = (0..accounts).map(|account| SigningKey::from_seed(seed(0xac, account))).collect();
        let money = |id: u32| ChainGenesis {
            id: ChainId(id),
            kind: ChainKind::Transfers,
            suite: CryptoSuite::Ed25519,
            // The third chain has money of its own.
            asset: if id < 3 { Asset::UNIT } else { Asset(*b"another asset...") },
            roles: roles_of(ChainKind::Transfers, accounts),
            threshold: 0,
            accounts: keys.iter().map(|key| account(key, BALANCE)).collect(),
        };
        let mut all: Vec<_> = (1..=chains).map(money).collect();
        all[0].roles.quota = quota;
        if register {
            let (kind, asset) = (ChainKind::Attestations, Asset::NONE);
            let roles = roles_of(kind, accounts);
            let accounts = keys.iter().map(|key| account(key, 0)).collect();
            all.push(ChainGenesis { kind, asset, roles, accounts, ..money(chains + 1) });
        }
        if governed {
            let (kind, asset, threshold) = (ChainKind::Governance, Asset::NONE, THRESHOLD);
            let roles = roles_of(kind, ADMINISTRATORS);
            let accounts = keys.iter().take(ADMINISTRATORS as usize).map(|key| account(key, 0)).collect();
            all.insert(0, ChainGenesis { kind, asset, roles, threshold, accounts, ..money(DECIDING) });
        }
        let validators = signing_seeds.iter().take(validators).enumerate().map(validator).collect();
        let membership = if governed { Membership::Decided } else { Membership::Fixed };
        let genesis = Genesis::with_membership("simulated".into(), validators, membership, all);
        Self { genesis: Arc::new(genesis.expect("a small network is valid")), signing_seeds, accounts: keys }
    }

    /// Four validators, and so many chains with money, of 12 accounts; with a chain of fingerprints and administrators
    /// where they are wanted.
    #[cfg(test)]
    pub(crate) fn of_four(chains: u32, register: bool, governed: bool) -> Self {
        Self::new(4, Founded { chains, register, governed, accounts: 12, quota: Quota::WHOLE, spares: 0 })
    }

    /// The first chain with money.
    pub(crate) fn first_money(&self) -> &ChainGenesis {
        let mut chains = self.genesis.chains().iter();
        chains.find(|chain| chain.kind == ChainKind::Transfers).expect("every network has one")
    }

    /// A chain that administrators may create: its accounts have the keys of the first ones of the other chains, and
    /// its money is that of chain 1.
    pub(crate) fn new_chain(&self, id: u32, kind: ChainKind) -> NewChain {
        let founders: Vec<_> =
            self.accounts.iter().take(FOUNDERS as usize).map(SigningKey::public_key).collect();
        NewChain {
            id: ChainId(id),
            kind,
            suite: CryptoSuite::Ed25519,
            asset: if kind == ChainKind::Transfers { Asset::UNIT } else { Asset::NONE },
            roles: roles_of(kind, founders.len() as u64),
            founders,
        }
    }

    /// A signed proposal, for this version of the administrators and until this time.
    pub(crate) fn propose(
        &self,
        by: Signer,
        (administrators, until_ms): (u64, u64),
        (decision, consents): (&Decision, &[u8]),
        nonce: u64,
    ) -> Transaction {
        let encoded = decision.encode();
        let propose = Propose {
            chain: ChainId(DECIDING),
            key_version: by.version,
            reference: [0; 12],
            administrator: AccountId(by.account),
            administrators,
            until_ms,
            consents: Consents::read(consents).expect("they were written so"),
            decision: EncodedDecision::read(&encoded).expect("it could be one"),
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = propose.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("a decision that was read")
    }

    /// Whether there are validators beside those of the genesis.
    pub(crate) fn has_spares(&self) -> bool {
        self.signing_seeds.len() > self.genesis.validators().len()
    }

    /// Whose key it is.
    pub(crate) fn owner(&self, public_key: &[u8; 32]) -> usize {
        let key = |seed: &[u8; 32]| SigningKey::from_seed(*seed).public_key();
        let owner = self.signing_seeds.iter().position(|seed| key(seed) == *public_key);
        owner.expect("all keys of a run are made here")
    }

    /// Whose keys these members have, in the order of their places.
    pub(crate) fn owners(&self, members: &Members) -> Vec<usize> {
        members.list.iter().map(|member| self.owner(&member.public_key)).collect()
    }

    /// Somebody as administrators would let it in.
    pub(crate) fn member(&self, who: usize) -> Member {
        let genesis = self.genesis.validators();
        let name = genesis.get(who).map_or_else(|| format!("spare {who}"), |of| of.name.clone());
        Member {
            name,
            public_key: SigningKey::from_seed(self.signing_seeds[who]).public_key(),
            certificate_fingerprint: seed(0xf1, who as u64),
            peer_address: format!("host-{who}:7000"),
            client_address: String::new(),
        }
    }

    /// What those that are to be members say at a height, as far as they are ready and run the rules, encoded.
    pub(crate) fn consents(&self, set: &Members, height: Height, ready: &BTreeSet<usize>) -> Vec<u8> {
        let message = Consent::message(&self.network(), (set.epoch, set.rules, &set.digest()), height);
        let keys = ready.iter().map(|who| SigningKey::from_seed(self.signing_seeds[*who]));
        let consent = |key: SigningKey| {
            let place = set.place_of(&key.public_key())?;
            Some(Consent { place, height, signature: key.sign(&message) })
        };
        Consents::encode(keys.filter_map(consent).collect())
    }

    /// A signed approval, for this version of the administrators.
    pub(crate) fn approve(
        &self,
        by: Signer,
        (proposal, consents): (Digest, &[u8]),
        administrators: u64,
        nonce: u64,
    ) -> Transaction {
        let approve = Approve {
            chain: ChainId(DECIDING),
            key_version: by.version,
            reference: [0; 12],
            administrator: AccountId(by.account),
            proposal,
            administrators,
            consents: Consents::read(consents).expect("they were written so"),
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = approve.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("an approval has a shape")
    }

    /// The same network, but each account with money has one more: for the broken rule of conservation.
    pub(crate) fn richer(&self) -> Genesis {
        let mut chains = self.genesis.chains().to_vec();
        for chain in chains.iter_mut().filter(|chain| chain.kind == ChainKind::Transfers) {
            chain.accounts = self.accounts.iter().map(|key| account(key, BALANCE + 1)).collect();
        }
        let (validators, membership) = (self.genesis.validators().to_vec(), self.genesis.membership());
        Genesis::with_membership("simulated".into(), validators, membership, chains).expect("it is valid")
    }

    pub(crate) fn network(&self) -> Digest {
        *self.genesis.network()
    }

    pub(crate) fn keys(&self) -> Vec<[u8; 32]> {
        self.genesis.validators().iter().map(|validator| validator.public_key).collect()
    }

    /// A signed command.
    pub(crate) fn command(&self, chain: u32, by: Signer, action: Action, nonce: u64) -> Transaction {
        let command = Command {
            chain: ChainId(chain),
            key_version: by.version,
            reference: [0; 12],
            authority: AccountId(by.account),
            action,
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = command.sign(&self.network(), |message| self.sign(by, message));
        signed.run().transaction().expect("a command has a shape")
    }

    /// The key of an account that is opened in a run.
    pub(crate) fn new_key(number: u64) -> SigningKey {
        SigningKey::from_seed(seed(0xae, number))
    }

    fn sign(&self, by: Signer, message: &[u8]) -> [u8; 64] {
        match by.key {
            Some(number) => Self::new_key(number).sign(message),
            None => self.accounts[by.account as usize].sign(message),
        }
    }

    /// A signed wish for another key.
    pub(crate) fn rekey(&self, chain: u32, by: Signer, to: u64, nonce: u64) -> Transaction {
        let (chain, account, network) = (ChainId(chain), AccountId(by.account), self.network());
        let new = Self::new_key(to);
        let key = &new.public_key();
        let possession = &new.sign(&new_key_message(&network, (chain, account), key));
        let (key_version, reference, expiry) = (by.version, [0; 12], Height(u64::MAX));
        let rekey = Rekey { chain, key_version, reference, account, key, possession, nonce, expiry };
        rekey.sign(&network, |message| self.sign(by, message)).expect("a re-key has a shape")
    }

    /// Signed safeguards.
    pub(crate) fn protect(&self, chain: u32, by: Signer, safeguards: &Safeguards, nonce: u64) -> Transaction {
        let (chain, account, encoded) = (ChainId(chain), AccountId(by.account), safeguards.encode());
        let (key_version, reference, expiry) = (by.version, [0; 12], Height(u64::MAX));
        let safeguards = EncodedSafeguards::read(&encoded).expect("they are valid");
        let protect = Protect { chain, key_version, reference, account, safeguards, nonce, expiry };
        protect
            .sign(&self.network(), |message| self.sign(by, message))
            .expect("no account guards itself here")
    }

    /// A signed wish for another key of somebody else's account, by a guardian or with a recovery key.
    pub(crate) fn recover(
        &self,
        chain: u32,
        by: Signer,
        (account, changes): (u64, u64),
        (to, recovery_key): (u64, Option<u64>),
        nonce: u64,
    ) -> Transaction {
        let (chain, account, network) = (ChainId(chain), AccountId(account), self.network());
        let new = Self::new_key(to);
        let key = &new.public_key();
        let possession = &new.sign(&new_key_message(&network, (chain, account), key));
        let signed = recovery_key.map(Self::new_key).map(|recovery_key| {
            let message = recovery_message(&network, (chain, account), key, changes);
            (recovery_key.public_key(), recovery_key.sign(&message))
        });
        let recover = Recover {
            chain,
            key_version: by.version,
            reference: [0; 12],
            signer: AccountId(by.account),
            account,
            changes,
            key,
            possession,
            recovery: signed.as_ref().map(|(key, signature)| (key, signature)),
            nonce,
            expiry: Height(u64::MAX),
        };
        recover.sign(&network, |message| self.sign(by, message)).expect("a recovery has a shape")
    }

    /// A signed opening of accounts with new keys.
    pub(crate) fn opening(&self, chain: u32, by: Signer, keys: Range<u64>, nonce: u64) -> Transaction {
        let registrar = by.account;
        let (chain, network) = (ChainId(chain), self.network());
        let account = |number: u64| {
            let key = Self::new_key(number);
            let public_key = key.public_key();
            let message = possession_message(&network, chain, AccountId(registrar), &public_key);
            NewAccount { key: &public_key, possession: &key.sign(&message) }.encode()
        };
        let encoded: Vec<_> = keys.map(account).collect();
        let opening = Opening {
            chain,
            key_version: by.version,
            reference: [0; 12],
            registrar: AccountId(registrar),
            accounts: NewAccounts::of(&encoded),
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = opening.sign(&network, |message| self.sign(by, message));
        signed.expect("a few accounts")
    }

    /// A signed registration of fingerprints.
    pub(crate) fn attest(
        &self,
        (chain, by): (u32, Signer),
        registrations: &[Registration<'_>],
        nonce: u64,
    ) -> Transaction {
        let mut encoded = Vec::new();
        for registration in registrations {
            registration.encode(&mut encoded).expect("a fingerprint, and a little data");
        }
        let attest = Attest {
            chain: ChainId(chain),
            key_version: by.version,
            reference: [0; 12],
            owner: AccountId(by.account),
            registrations: Registrations::read(registrations.len(), &encoded).expect("it was just encoded"),
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = attest.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("a few fingerprints")
    }

    /// A signed revocation.
    pub(crate) fn revoke(
        &self,
        (chain, by): (u32, Signer),
        fingerprints: &[Fingerprint],
        nonce: u64,
    ) -> Transaction {
        let fingerprints: Vec<_> = fingerprints.iter().map(|of| of.0).collect();
        let revoke = Revoke {
            chain: ChainId(chain),
            key_version: by.version,
            reference: [0; 12],
            owner: AccountId(by.account),
            reason: 3,
            fingerprints: &fingerprints,
            nonce,
            expiry: Height(u64::MAX),
        };
        let signed = revoke.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("a few fingerprints")
    }

    /// For each chain a signed transaction that only the other kind of chain takes. Its nonce moves no replay window.
    pub(crate) fn astray(&self) -> BTreeMap<ChainId, Transaction> {
        let nonce = 20;
        let one = |chain: &ChainGenesis| {
            let last = Signer::first(chain.accounts.len() as u64 - 1);
            match chain.kind {
                ChainKind::Attestations | ChainKind::Governance => {
                    self.transfer((chain.id.0, None), (last, 0), 1, nonce, u64::MAX)
                }
                ChainKind::Transfers => {
                    let (fingerprint, link, data) = (Fingerprint([0xff; 32]), Link::None, Data::None);
                    let registration = Registration { fingerprint, kind: 1, link, data };
                    self.attest((chain.id.0, last), &[registration], nonce)
                }
            }
        };
        self.genesis.chains().iter().map(|chain| (chain.id, one(chain))).collect()
    }

    /// What an envelope says before its payload.
    fn envelope(chain: u32, by: Signer, nonce: u64) -> Envelope {
        Envelope {
            chain: ChainId(chain),
            key_version: by.version,
            reference: [0; 12],
            signer: AccountId(by.account),
            nonce,
            expiry: Height(u64::MAX),
        }
    }

    /// A signed reservation: how much for how many seconds, and for which payee and settler.
    pub(crate) fn reserve(
        &self,
        (chain, by): (u32, Signer),
        (amount, seconds): (u64, u32),
        (payee, settler): (u64, u64),
        nonce: u64,
    ) -> Transaction {
        let (envelope, memo) = (Self::envelope(chain, by, nonce), b"simulated");
        let (payee, settler) = (AccountId(payee), AccountId(settler));
        let reserve = Reserve { envelope, amount, seconds, payee, settler, memo };
        let signed = reserve.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("something for a while")
    }

    /// A signed offer: how much for how many seconds, and what it costs.
    pub(crate) fn offer(
        &self,
        (chain, by): (u32, Signer),
        (amount, seconds): (u64, u32),
        price: Price,
        nonce: u64,
    ) -> Transaction {
        let offer =
            Offer { envelope: Self::envelope(chain, by, nonce), amount, seconds, price, memo: b"simulated" };
        let signed = offer.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("something for a while and for a price on another chain")
    }

    /// A signed settlement.
    pub(crate) fn settle(
        &self,
        (chain, by): (u32, Signer),
        reservation: ReservationId,
        (payee, amount): (u64, u64),
        nonce: u64,
    ) -> Transaction {
        let (envelope, payee) = (Self::envelope(chain, by, nonce), AccountId(payee));
        let settle = Settle { envelope, reservation, payee, amount, memo: b"simulated" };
        settle.sign(&self.network(), |message| self.sign(by, message)).expect("an account of 32 bits")
    }

    /// A signed take of an offer of another chain: its terms, what it costs, and who gets what is offered.
    pub(crate) fn take(
        &self,
        (chain, by): (u32, Signer),
        (of, terms): (u32, Terms),
        (price, credit): (u64, u64),
        nonce: u64,
    ) -> Transaction {
        let (envelope, memo) = (Self::envelope(chain, by, nonce), b"simulated");
        let take = Take { envelope, chain: ChainId(of), terms, price, credit: AccountId(credit), memo };
        take.sign(&self.network(), |message| self.sign(by, message)).expect("something of another chain")
    }

    /// Signed linked transfers.
    pub(crate) fn linked(
        &self,
        chain: u32,
        by: Signer,
        payments: &[Payment],
        nonce: u64,
        expiry: u64,
    ) -> Transaction {
        let encoded: Vec<_> = payments.iter().map(Payment::encode).collect();
        let linked = Linked {
            chain: ChainId(chain),
            key_version: by.version,
            reference: [0; 12],
            debit: AccountId(by.account),
            payments: Payments::of(&encoded),
            memo: b"simulated",
            nonce,
            expiry: Height(expiry),
        };
        let signed = linked.sign(&self.network(), |message| self.sign(by, message));
        signed.expect("1 to 1,000 payments and a short memo")
    }

    /// A signed transfer; the credit may be on another chain.
    pub(crate) fn transfer(
        &self,
        (chain, credit_chain): (u32, Option<u32>),
        (by, credit): (Signer, u64),
        amount: u64,
        nonce: u64,
        expiry: u64,
    ) -> Transaction {
        let transfer = Transfer {
            chain: ChainId(chain),
            key_version: by.version,
            reference: [0; 12],
            debit: AccountId(by.account),
            credit_chain: credit_chain.map(ChainId),
            credit: AccountId(credit),
            amount,
            nonce,
            expiry: Height(expiry),
        };
        let signed = transfer.sign(&self.network(), |message| self.sign(by, message));
        signed.run().transaction().expect("a transfer has a shape")
    }
}
