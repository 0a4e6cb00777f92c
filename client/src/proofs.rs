//! Collecting what a proof for strangers takes: a claim with its path, and a header that is final.
//!
//! ```text
//! account, row or transaction, checked ── its state root ── the header that carries it ── one with a certificate
//! ```
//!
//! Nothing here is believed by anybody: who is given the proof checks it with the genesis header alone.

use std::time::Duration;

use engine::replica::Handover;
use engine::roots::{AccountProof, ChainEntryProof, RowProof};
use engine::types::{
    AccountId, ChainId, Digest, Epoch, Fingerprint, Height, Members, OWN_CHAIN_KEY, PacketRun, ReservationId,
    TransactionId,
};
use engine::wire::answers::{EpochAnswer, EpochsAnswer};
use engine::wire::{Block, Query};
use proof::{Account, Claim, Entry, EpochChange, Finality, Header, Later, MemberSet, Proof, Row};

use crate::{Client, ClientError};

/// The pause before a block that is not committed yet is asked for again.
const PAUSE: Duration = Duration::from_millis(50);
/// After so many blocks that do not carry the state root yet, none is expected any more: a root is carried within 64
/// heights unless execution is far behind, and an endpoint that lies could go on without end.
const BLOCKS_READ_MAX: usize = 4096;

impl Client {
    /// The proof of an account as it is now. It waits until the state root of this height is under a finalization.
    ///
    /// # Errors
    /// As [`Self::account`]; [`ClientError::NotFinal`] where that takes longer than `patience`.
    pub fn prove_account(
        &mut self,
        chain: ChainId,
        account: AccountId,
        patience: Duration,
    ) -> Result<Proof, ClientError> {
        let mut wait = Wait { left: patience, patience };
        let (proof, state_root) = self.account_above_genesis(chain, account, &mut wait)?;
        let claim = Claim::Account { account: Account::decode(&proof.leaf()), path: proof.path.hashes() };
        self.close(claim, &proof.chain, &state_root, &mut wait)
    }

    /// The proof of what a chain says of a fingerprint now: its attestation, or that it is not registered. It waits
    /// until the state root of this height is under a finalization.
    ///
    /// # Errors
    /// As [`Self::attestation`]; [`ClientError::NotFinal`] where that takes longer than `patience`.
    pub fn prove_attestation(
        &mut self,
        chain: ChainId,
        fingerprint: &Fingerprint,
        patience: Duration,
    ) -> Result<Proof, ClientError> {
        let mut wait = Wait { left: patience, patience };
        let ask = |client: &mut Self| client.attestation(chain, fingerprint).map(|answer| answer.value);
        let found = self.above_genesis(&mut wait, ask, |found| found.proof.chain.height)?;
        self.close_row(fingerprint.0, found.proof, &found.state_root, &mut wait)
    }

    /// The proof of what a chain is now: its kind and status, and who may do what there. It waits until the state root
    /// of this height is under a finalization.
    ///
    /// # Errors
    /// As [`Self::row`]; [`ClientError::NotFinal`] where that takes longer than `patience`.
    pub fn prove_charter(&mut self, chain: ChainId, patience: Duration) -> Result<Proof, ClientError> {
        self.prove_row(chain, &OWN_CHAIN_KEY, patience)
    }

    /// The proof of what the table of a chain says of a key now, or that it says nothing: of the record of an account
    /// ([`record_key`](engine::types::record_key)), of a key that it had
    /// ([`old_key_key`](engine::types::old_key_key)), of the administrators
    /// ([`ADMINISTRATORS_KEY`](engine::types::ADMINISTRATORS_KEY)), of a proposal. It waits until the state root of
    /// this height is under a finalization.
    ///
    /// # Errors
    /// As [`Self::row`]; [`ClientError::NotFinal`] where that takes longer than `patience`.
    pub fn prove_row(
        &mut self,
        chain: ChainId,
        key: &[u8; 32],
        patience: Duration,
    ) -> Result<Proof, ClientError> {
        let mut wait = Wait { left: patience, patience };
        let ask = |client: &mut Self| client.row(chain, key).map(|answer| answer.value);
        let found = self.above_genesis(&mut wait, ask, |found| found.proof.chain.height)?;
        self.close_row(*key, found.proof, &found.state_root, &mut wait)
    }

    /// The proof of what a chain says of a reservation, at a height with transactions from now on: also that it is not
    /// open. It waits until the state root of that height is under a finalization.
    ///
    /// # Errors
    /// As [`Self::reservation`]; [`ClientError::NotFinal`] where that takes longer than `patience`.
    pub fn prove_reservation(
        &mut self,
        chain: ChainId,
        id: ReservationId,
        patience: Duration,
    ) -> Result<Proof, ClientError> {
        let key = id.key().ok_or(ClientError::Mismatch("no account has such a number"))?;
        let mut wait = Wait { left: patience, patience };
        let ask = |client: &mut Self| client.reservation(chain, id).map(|answer| answer.value);
        let found = self.above_genesis(&mut wait, ask, |found| found.proof.chain.height)?;
        self.close_row(key, found.proof, &found.state_root, &mut wait)
    }

    /// The proof that a transaction is in a block, with its outcome. It waits until the state root of that height is
    /// under a finalization.
    ///
    /// # Errors
    /// As [`Self::transaction`]; [`ClientError::NotFinal`] where that takes longer than `patience`.
    pub fn prove_transaction(
        &mut self,
        chain: Option<ChainId>,
        id: &TransactionId,
        patience: Duration,
    ) -> Result<Proof, ClientError> {
        let found = self.transaction(chain, id)?.value.proof;
        let claim = Claim::Transaction {
            id: found.proof.id.0,
            outcome: found.proof.outcome.code(),
            position: found.proof.path.index,
            path: found.proof.path.hashes(),
        };
        let mut wait = Wait { left: patience, patience };
        self.close(claim, &found.proof.chain, &found.state_root, &mut wait)
    }

    /// The proof that a transaction has not been executed and never can be: at a height that is not below its expiry,
    /// the nonce is unspent. Where it does not hold, this is a proof that is refused; who checks it is told why.
    ///
    /// # Errors
    /// As [`Self::prove_account`].
    pub fn prove_never(
        &mut self,
        transaction: PacketRun<'_>,
        patience: Duration,
    ) -> Result<Proof, ClientError> {
        let mut wait = Wait { left: patience, patience };
        let (chain, account) = (transaction.chain(), transaction.debit());
        let (proof, state_root) = self.account_above_genesis(chain, account, &mut wait)?;
        let claim = Claim::Unspent {
            body: *transaction.first().body(),
            account: Account::decode(&proof.leaf()),
            path: proof.path.hashes(),
        };
        self.close(claim, &proof.chain, &state_root, &mut wait)
    }

    /// How the epochs before this one ended, by the word of the endpoint: whether each follows from the one before is
    /// said by [`proof::validators_after`], and by the check of a proof.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Mismatch`] where it does not know so many.
    pub fn epoch_changes(&mut self, epoch: u64) -> Result<Vec<EpochChange>, ClientError> {
        let mut changes = Vec::new();
        while (changes.len() as u64) < epoch {
            let from = Epoch(changes.len() as u64);
            let EpochsAnswer { ended, .. } = self.ask(Query::Epochs { from })?.value;
            if ended.is_empty() {
                return Err(ClientError::Mismatch("it does not say how all epochs before the block's ended"));
            }
            let left = usize::try_from(epoch - from.0).unwrap_or(usize::MAX);
            for answer in ended.iter().take(left) {
                changes.push(change_of(answer)?);
            }
        }
        Ok(changes)
    }

    /// How some epochs from this one on have ended, by the word of the endpoint; none where this one has not. Whether
    /// each follows from the one before is said by [`Epochs::begin`](engine::replica::Epochs::begin).
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Mismatch`] where it is of a release that does not tell it.
    pub fn ended_epochs(&mut self, from: Epoch) -> Result<Vec<Handover>, ClientError> {
        let EpochsAnswer { ended, .. } = self.ask(Query::Epochs { from })?.value;
        ended.iter().map(handover_of).collect()
    }

    /// The proof of what a row says of a key.
    fn close_row(
        &mut self,
        asked: [u8; 32],
        proof: RowProof,
        state_root: &Digest,
        wait: &mut Wait,
    ) -> Result<Proof, ClientError> {
        let RowProof { key, next, value, path, chain } = proof;
        let row = Row { key: key.0, next: next.0, value };
        let (position, path) = (path.index, path.hashes());
        self.close(Claim::Row { asked, position, row, path }, &chain, state_root, wait)
    }

    fn account_above_genesis(
        &mut self,
        chain: ChainId,
        account: AccountId,
        wait: &mut Wait,
    ) -> Result<(AccountProof, Digest), ClientError> {
        let ask = |client: &mut Self| client.account(chain, account).map(|answer| answer.value);
        let found = self.above_genesis(wait, ask, |found| found.proof.chain.height)?;
        Ok((found.proof, found.state_root))
    }

    /// Asks until the answer is above height 0, whose state root no header carries.
    fn above_genesis<T>(
        &mut self,
        wait: &mut Wait,
        ask: impl Fn(&mut Self) -> Result<T, ClientError>,
        height: impl Fn(&T) -> Height,
    ) -> Result<T, ClientError> {
        loop {
            let found = ask(self)?;
            if height(&found) > Height(0) {
                return Ok(found);
            }
            self.pause(wait, Height(0))?;
        }
    }

    /// Adds the header that carries the state root, and a later one if that is the first with a certificate.
    fn close(
        &mut self,
        claim: Claim,
        chain: &ChainEntryProof,
        state_root: &Digest,
        wait: &mut Wait,
    ) -> Result<Proof, ClientError> {
        let mut trail = Trail::new(chain.height, *state_root);
        let mut at = chain.height;
        let finality = loop {
            at = at.next();
            let (block, certificate) = self.committed(at, chain.height, wait)?;
            match trail.take(&block, certificate)? {
                Step::Closed(finality) => break *finality,
                Step::More => {}
                Step::TooLong => {
                    return Err(ClientError::NotFinal { height: chain.height, patience: wait.patience });
                }
            }
        };
        let entry = Entry::decode(&chain.entry.leaf());
        let entry = entry.map_err(|error| ClientError::Unreadable(error.to_string()))?;
        // The height is the first leaf, and an entry of each chain follows.
        let of_chains = |leaves: u64| leaves.saturating_sub(1) as u32;
        Ok(Proof {
            network: self.network().0,
            epoch_changes: self.epoch_changes(finality.last().epoch)?,
            claim,
            height: chain.height.0,
            chains: of_chains(chain.entry_path.size),
            height_path: chain.height_path.hashes(),
            place: of_chains(chain.entry_path.index),
            entry,
            entry_path: chain.entry_path.hashes(),
            finality,
        })
    }

    /// A block and its certificate, once it is committed.
    fn committed(
        &mut self,
        at: Height,
        proved: Height,
        wait: &mut Wait,
    ) -> Result<(Block, Vec<u8>), ClientError> {
        let found = loop {
            match self.block(at) {
                Ok(found) => break found.value,
                Err(ClientError::NotFound { .. }) if self.goes_on() => self.pause(wait, proved)?,
                Err(error) => return Err(error),
            }
        };
        let certificate = hex::decode(&found.answer.certificate);
        let certificate = certificate.map_err(|error| ClientError::Unreadable(error.to_string()))?;
        Ok((found.block, certificate))
    }

    fn pause(&self, wait: &mut Wait, height: Height) -> Result<(), ClientError> {
        wait.left =
            wait.left.checked_sub(PAUSE).ok_or(ClientError::NotFinal { height, patience: wait.patience })?;
        self.sleep(PAUSE);
        Ok(())
    }
}

fn handover_of(answer: &EpochAnswer) -> Result<Handover, ClientError> {
    if answer.block.is_empty() {
        return Err(ClientError::Mismatch("it is of a release that does not tell how epochs have ended"));
    }
    let unreadable = |error: &dyn std::fmt::Display| ClientError::Unreadable(error.to_string());
    let bytes = |hexadecimal| hex::decode(hexadecimal).map_err(|error| unreadable(&error));
    let members = Members::decode(&bytes(&answer.members)?);
    Ok(Handover {
        block: Block::decode(&bytes(&answer.block)?).map_err(|error| unreadable(&error))?,
        certificate: bytes(&answer.certificate)?,
        members: members.ok_or_else(|| unreadable(&"the members of an epoch cannot be read"))?,
    })
}

fn change_of(answer: &EpochAnswer) -> Result<EpochChange, ClientError> {
    let unreadable = |error: &dyn std::fmt::Display| ClientError::Unreadable(error.to_string());
    let bytes = |hexadecimal| hex::decode(hexadecimal).map_err(|error| unreadable(&error));
    Ok(EpochChange {
        header: Header::decode(&bytes(&answer.header)?).map_err(|error| unreadable(&error))?,
        certificate: bytes(&answer.certificate)?,
        members: MemberSet::decode(&bytes(&answer.members)?).map_err(|error| unreadable(&error))?,
    })
}

/// The way from a state root up to a header that is final, while blocks are read.
struct Trail {
    height: Height,
    state_root: Digest,
    carrier: Option<Carrier>,
    /// How many blocks were looked at.
    read: usize,
}

/// The block that carries the state root.
struct Carrier {
    block: Block,
    /// From the state root to those that it carries.
    path: Vec<[u8; 32]>,
    /// The digests of the blocks above it.
    above: Vec<Digest>,
}

/// What one more block makes of a [`Trail`].
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is final.
    Closed(Box<Finality>),
    /// The next one is needed.
    More,
    /// There is no end to it.
    TooLong,
}

impl Trail {
    fn new(height: Height, state_root: Digest) -> Self {
        Self { height, state_root, carrier: None, read: 0 }
    }

    /// Takes the block of the next height in, with its certificate if it has one.
    fn take(&mut self, block: &Block, certificate: Vec<u8>) -> Result<Step, ClientError> {
        self.read += 1;
        let further = if self.read < BLOCKS_READ_MAX { Step::More } else { Step::TooLong };
        let Some(carrier) = &mut self.carrier else {
            let Some(path) = self.path_in(block)? else { return Ok(further) };
            let carrier = self.carrier.insert(Carrier { block: block.clone(), path, above: Vec::new() });
            return match certificate.is_empty() {
                true => Ok(further),
                false => carrier.finality(self.state_root, None, certificate),
            };
        };
        if certificate.is_empty() {
            carrier.above.push(*block.digest());
            return Ok(further);
        }
        let Some(path) = carrier.block.prove_in_log(&carrier.above, block) else {
            return Err(ClientError::Mismatch("a later header has not the log of those before it"));
        };
        carrier.finality(self.state_root, Some((path, block)), certificate)
    }

    /// From the state root to those that a block carries, if it does.
    fn path_in(&self, block: &Block) -> Result<Option<Vec<[u8; 32]>>, ClientError> {
        let header = block.header();
        let Some(place) = self.height.0.checked_sub(header.roots_first.0) else {
            return Err(ClientError::Mismatch("no header carries the state root of that height"));
        };
        match header.roots.get(place as usize) {
            Some(root) if *root != self.state_root => {
                Err(ClientError::Mismatch("a header carries another state root of that height"))
            }
            // Otherwise it carries this root, or earlier ones, or none.
            _ => Ok(block.prove_root(self.height)),
        }
    }
}

impl Carrier {
    fn finality(
        &self,
        state_root: Digest,
        later: Option<(Vec<[u8; 32]>, &Block)>,
        certificate: Vec<u8>,
    ) -> Result<Step, ClientError> {
        let short = |block: &Block| {
            Header::decode(&block.short()).map_err(|error| ClientError::Unreadable(error.to_string()))
        };
        let later = later.map(|(path, block)| Ok::<_, ClientError>(Later { path, header: short(block)? }));
        Ok(Step::Closed(Box::new(Finality {
            state_root: state_root.0,
            path: self.path.clone(),
            carrier: short(&self.block)?,
            later: later.transpose()?,
            certificate,
        })))
    }
}

/// How long may still be waited for blocks.
struct Wait {
    left: Duration,
    patience: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::order::Position;
    use engine::types::{Epoch, Head, ValidatorIndex};

    const HEIGHT: Height = Height(7);
    const ROOT: Digest = Digest([5; 32]);

    fn trail() -> Trail {
        Trail::new(HEIGHT, ROOT)
    }

    /// A block on another one that carries these roots, from `first` on.
    fn above(parent: &Position, first: u64, roots: &[Digest]) -> Block {
        let header = engine::wire::Header {
            epoch: Epoch(0),
            height: parent.height.next(),
            view: 9,
            proposer: ValidatorIndex(0),
            parent: parent.digest,
            time_ms: 9,
            roots_first: Height(first),
            next_members: engine::types::Digest::default(),
            roots: roots.to_vec(),
            cut: vec![Head::NONE],
            log: parent.log.clone(),
        };
        Block::new(header).expect("a block")
    }

    /// Blocks from height 8 on, each on the one before: what each carries, from the height that it says on.
    fn blocks(carried: &[(u64, &[Digest])]) -> Vec<Block> {
        let mut parent = Position::genesis(Digest([1; 32]), 1);
        for _ in 0..HEIGHT.0 {
            parent = Position::of(&above(&parent, 0, &[]));
        }
        let on_top = carried.iter().map(|(first, roots)| {
            let block = above(&parent, *first, roots);
            parent = Position::of(&block);
            block
        });
        on_top.collect()
    }

    #[test]
    fn a_trail_begins_where_the_root_is_carried_and_ends_with_a_certificate() {
        for between in 0..5 {
            let mut carried: Vec<(u64, &[Digest])> =
                vec![(5, &[Digest([1; 32])]), (6, &[Digest([2; 32]), ROOT])];
            carried.resize(carried.len() + between, (8, &[]));
            let blocks = blocks(&carried);
            let (last, open) = blocks.split_last().expect("there are some");
            let mut trail = trail();
            for block in open {
                assert_eq!(trail.take(block, Vec::new()).unwrap(), Step::More);
            }
            let Step::Closed(finality) = trail.take(last, vec![9]).unwrap() else { panic!("it is final") };
            assert_eq!(finality.certificate, [9]);
            assert_eq!(finality.carrier.digest(), blocks[1].digest().0);
            assert_eq!(finality.later.is_some(), between > 0);
            assert_eq!(finality.last().digest(), last.digest().0);
        }
    }

    #[test]
    fn a_certificate_below_the_root_says_nothing() {
        let blocks = blocks(&[(5, &[Digest([1; 32])]), (7, &[ROOT])]);
        let mut trail = trail();
        assert_eq!(trail.take(&blocks[0], vec![3]).unwrap(), Step::More, "earlier roots");
        assert!(matches!(trail.take(&blocks[1], vec![4]), Ok(Step::Closed(_))));
    }

    #[test]
    fn another_root_a_root_that_was_left_out_and_another_log_are_lies() {
        let lie = |carried: &[(u64, &[Digest])]| {
            let error = trail().take(&blocks(carried)[0], Vec::new()).unwrap_err();
            assert!(matches!(error, ClientError::Mismatch(_)), "{error}");
        };
        lie(&[(7, &[Digest([1; 32])])]);
        lie(&[(8, &[])]);
        let good = blocks(&[(7, &[ROOT]), (8, &[]), (8, &[])]);
        let mut trail = trail();
        trail.take(&good[0], Vec::new()).unwrap();
        let error = trail.take(&good[2], vec![9]).unwrap_err();
        assert!(matches!(error, ClientError::Mismatch(_)), "one is left out: {error}");
    }

    #[test]
    fn an_endpoint_cannot_go_on_without_end() {
        for carried in [(3, [].as_slice()), (7, &[ROOT])] {
            let block = &blocks(&[carried])[0];
            let mut trail = trail();
            let steps: Vec<Step> =
                (0..BLOCKS_READ_MAX).map(|_| trail.take(block, Vec::new()).unwrap()).collect();
            assert_eq!(steps.iter().filter(|step| **step == Step::More).count(), BLOCKS_READ_MAX - 1);
            assert_eq!(steps.last(), Some(&Step::TooLong));
        }
    }
}
