//! Checking a proof, from the claim up to the validators.

use alloc::vec::Vec;

use kernels::merkle::{InclusionProof, leaf_hash, verify_inclusion};

use crate::entry::height_leaf;
use crate::leaf::{BODY_BYTES, Nonce, transaction_leaf};
use crate::row::Subject;
use crate::{
    Account, AccountRecord, Administrators, Attestation, Certificate, CertificateError, ChainKind, Member,
    MembersRecord,
};
use crate::{
    Chain, Charter, Claim, Digest, Entry, Fact, Finality, Genesis, Header, Later, OldKey, Proof, ProofError,
};
use crate::{Proposal, Reservation, Row, Statement, Unexecuted, validators_after};

/// Checks the bytes of a proof against the bytes of a genesis header, and says what is proved.
///
/// # Errors
/// [`ProofError`]: the first thing that is wrong.
pub fn verify(proof: &[u8], genesis_header: &[u8]) -> Result<Statement, ProofError> {
    let genesis = Genesis::decode(genesis_header).map_err(ProofError::Genesis)?;
    let proof = Proof::decode(proof)?;
    if proof.network != genesis.network {
        return Err(ProofError::Network);
    }
    let last = final_header(&proof)?;
    let state_root = &proof.finality.state_root;
    // The first leaf says how many there are: the height, and an entry for each chain.
    let leaves = u64::from(proof.chains) + 1;
    if !leads(&height_leaf(proof.height, proof.chains), 0, leaves, &proof.height_path, state_root) {
        return Err(ProofError::Height);
    }
    let place = u64::from(proof.place) + 1;
    if !leads(&proof.entry.encode(), place, leaves, &proof.entry_path, state_root) {
        return Err(ProofError::Entry);
    }
    let fact = fact(&proof, &genesis)?;
    let Entry { kind, status, asset, .. } = proof.entry;
    let (keys, changed) = validators_after(&genesis, &proof.epoch_changes)?;
    let changes = proof.epoch_changes.len() as u64;
    if last.epoch != changes || last.height <= changed {
        return Err(ProofError::FinalEpoch { found: last.epoch, changes });
    }
    let signed = signatures(&proof.finality.certificate, last, (&genesis.network, &keys))?;
    Ok(Statement {
        network: genesis.network,
        chain: proof.entry.chain,
        kind,
        status,
        asset,
        height: proof.height,
        issued: proof.entry.issued,
        burned: proof.entry.burned,
        fact,
        final_height: last.height,
        final_time_ms: last.time_ms,
        epoch: last.epoch,
        signed,
        validators: keys.len(),
        network_name: genesis.name,
    })
}

/// The header that must have a certificate: it carries the state root of the height, or a header in its log does.
fn final_header(proof: &Proof) -> Result<&Header, ProofError> {
    let finality = &proof.finality;
    let Finality { state_root, path, carrier, later, .. } = finality;
    let place = carrier.place_of(proof.height).ok_or(ProofError::NotCarried { height: proof.height })?;
    if !leads(state_root, place, carrier.roots.size, path, &carrier.roots.root) {
        return Err(ProofError::StateRoot);
    }
    // The first leaf is the genesis; height h stands at place h, and the log ends below the header's own height.
    let in_log = |Later { path, header }: &Later| {
        leads(&carrier.digest(), carrier.height, header.height, path, &header.log)
    };
    match later.as_ref().is_none_or(in_log) {
        true => Ok(finality.last()),
        false => Err(ProofError::Log),
    }
}

/// Whether a leaf stands at a place of a tree of so many leaves.
fn leads(leaf: &[u8], index: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    let proof = InclusionProof { index, size, path: Vec::from(path) };
    verify_inclusion(root, &leaf_hash(leaf), &proof)
}

/// What the claim says, if its leaf is under the entry.
fn fact(proof: &Proof, genesis: &Genesis) -> Result<Fact, ProofError> {
    let entry = &proof.entry;
    let account_leads = |account: &Account, path: &[Digest]| {
        leads(&account.encode(), account.id, entry.accounts.size, path, &entry.accounts.root)
    };
    match &proof.claim {
        Claim::Account { account, path } if account_leads(account, path) => Ok(Fact::Account(*account)),
        Claim::Transaction { id, outcome, position, path } => {
            let (leaf, of) = (transaction_leaf(id, *outcome), entry.transactions.size);
            let holds = leads(&leaf, *position, of, path, &entry.transactions.root);
            let fact = Fact::Transaction { id: *id, outcome: *outcome, position: *position, of };
            holds.then_some(fact).ok_or(ProofError::Leaf)
        }
        Claim::Unspent { body, account, path } if account_leads(account, path) => {
            proof.never_executed(body, account).map(Fact::NeverExecuted)
        }
        Claim::Row { asked, position, row, path } => {
            let subject = subject(asked, entry)?;
            match leads(&row.leaf(), *position, entry.table.size, path, &entry.table.root) {
                true => said(subject, asked, row, entry, genesis),
                false => Err(ProofError::Leaf),
            }
        }
        Claim::Account { .. } | Claim::Unspent { .. } => Err(ProofError::Leaf),
    }
}

/// What a key is about, if a chain of that kind has such rows.
fn subject(key: &Digest, entry: &Entry) -> Result<Subject, ProofError> {
    let subject = Subject::of(key).ok_or(ProofError::OwnRow)?;
    let none = |what| Err(ProofError::NoSuchRows { chain: entry.chain, what });
    match (subject, entry.kind) {
        (Subject::Named, ChainKind::Transfers) => none("attestations and no proposals"),
        (Subject::Administrators, ChainKind::Transfers | ChainKind::Attestations) => none("administrators"),
        (Subject::Members | Subject::Member(_), ChainKind::Transfers | ChainKind::Attestations) => {
            none("members")
        }
        (Subject::Record(account) | Subject::OldKey(account, _), _) if account >= entry.accounts.size => {
            Err(ProofError::NoAccount { account, accounts: entry.accounts.size })
        }
        _ => Ok(subject),
    }
}

/// The same without a path, for tests.
#[cfg(test)]
pub(crate) fn said_of(key: &Digest, row: &Row, entry: &Entry, genesis: &Genesis) -> Result<Fact, ProofError> {
    said(subject(key, entry)?, key, row, entry, genesis)
}

/// What a row under the table root says of a key, or that it has none.
fn said(
    subject: Subject,
    key: &Digest,
    row: &Row,
    entry: &Entry,
    genesis: &Genesis,
) -> Result<Fact, ProofError> {
    // What the entry says of the chain is not signed yet: another kind of that number is another chain.
    let is_it = |chain: &&Chain| (chain.id, chain.kind) == (entry.chain, entry.kind);
    let of_genesis = || genesis.chains.iter().find(is_it);
    Ok(match subject {
        Subject::Record(account) => Fact::Record { account, record: row.says(key, AccountRecord::decode)? },
        Subject::OldKey(account, version) => {
            Fact::OldKey { account, version, key: row.says(key, OldKey::decode)? }
        }
        Subject::Administrators => Fact::Administrators(Administrators::said(row, key, of_genesis())?),
        Subject::Members => Fact::Members(row.says(key, MembersRecord::decode)?),
        Subject::Member(place) => Fact::Member { place, member: row.says(key, Member::decode)? },
        Subject::Charter => Fact::Charter(Charter::said(row, of_genesis())?),
        Subject::Reservation(payer, nonce) => {
            Fact::Reservation { payer, nonce, reservation: row.says(key, Reservation::decode)? }
        }
        Subject::Named if entry.kind == ChainKind::Governance => {
            let proposal = row.says(key, |value| Proposal::decode(key, value))?;
            Fact::Proposal { id: *key, proposal }
        }
        Subject::Named => match row.says(key, Attestation::decode)? {
            Some(attestation) => Fact::Attestation { fingerprint: *key, attestation },
            None => Fact::NotRegistered { fingerprint: *key },
        },
    })
}

impl Proof {
    /// Whether the claim could hold, by what it says alone: no path and no signature is checked. For those who make a
    /// proof and have no genesis header; what it proves is said by [`verify`](crate::verify()) only.
    ///
    /// # Errors
    /// [`ProofError`]: with this claim no proof holds.
    pub fn check_claim(&self) -> Result<(), ProofError> {
        match &self.claim {
            Claim::Unspent { body, account, .. } => self.never_executed(body, account).map(|_| ()),
            Claim::Row { asked, .. } => subject(asked, &self.entry).map(|_| ()),
            Claim::Account { .. } | Claim::Transaction { .. } => Ok(()),
        }
    }

    /// The transaction, if no block up to the height executed it and no later one can. A block above the expiry does
    /// not execute it, and each outcome that is final spends the nonce.
    fn never_executed(&self, body: &[u8; BODY_BYTES], account: &Account) -> Result<Unexecuted, ProofError> {
        let unexecuted = Unexecuted::parse(&self.network, body)?;
        let Unexecuted { chain, nonce, expiry, .. } = unexecuted;
        if chain != self.entry.chain || unexecuted.account != account.id {
            return Err(ProofError::OtherTransaction);
        }
        // What is spent cannot execute any more, whatever the expiry says.
        match account.nonce(nonce) {
            Nonce::Unspent => {}
            Nonce::Spent => return Err(ProofError::Spent(nonce)),
            Nonce::Passed => return Err(ProofError::Passed(nonce)),
        }
        match self.height < expiry {
            true => Err(ProofError::NotExpired { expiry, height: self.height }),
            false => Ok(unexecuted),
        }
    }
}

/// How many of the validators of its epoch, which have these keys, signed that the header is final.
fn signatures(
    certificate: &[u8],
    last: &Header,
    (network, keys): (&Digest, &[Digest]),
) -> Result<usize, ProofError> {
    let certificate = Certificate::decode(certificate).map_err(CertificateError::Form)?;
    if certificate.payload != last.digest() {
        return Err(ProofError::OtherBlock);
    }
    certificate.check(network, last.epoch, keys)?;
    Ok(certificate.signatures.len())
}
