//! Collecting what a proof for strangers takes: a claim with its path, and headers up to one that is final.
//!
//! ```text
//! account, row or transaction, checked ── its state root ── the header that carries it ── … ── one with a certificate
//! ```
//!
//! Nothing here is believed by anybody: who is given the proof checks it with the genesis header alone.

use std::time::Duration;

use engine::roots::{AccountProof, ChainEntryProof, RowProof};
use engine::types::{
    AccountId, ChainId, Digest, Fingerprint, Height, OWN_CHAIN_KEY, Packet, ReservationId, TransactionId,
};
use proof::{Account, Claim, Entry, HEADERS_MAX, Header, Proof, Row};

use crate::{Client, ClientError};

/// The pause before a block that is not committed yet is asked for again.
const PAUSE: Duration = Duration::from_millis(50);
/// After so many headers that do not carry the state root yet, none is expected any more: a root is carried within 64
/// heights unless execution is far behind, and an endpoint that lies could go on without end.
const HEADERS_READ_MAX: usize = 4096;

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
        let mut wait = Wait { left: patience, patience };
        let ask = |client: &mut Self| client.row(chain, &OWN_CHAIN_KEY).map(|answer| answer.value);
        let found = self.above_genesis(&mut wait, ask, |found| found.proof.chain.height)?;
        self.close_row(OWN_CHAIN_KEY, found.proof, &found.state_root, &mut wait)
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

    /// The proof that a transfer has not been executed and never can be: at a height that is not below its expiry, the
    /// nonce is unspent. Where it does not hold, this is a proof that is refused; who checks it is told why.
    ///
    /// # Errors
    /// As [`Self::prove_account`].
    pub fn prove_never(&mut self, packet: &Packet, patience: Duration) -> Result<Proof, ClientError> {
        let mut wait = Wait { left: patience, patience };
        let (proof, state_root) = self.account_above_genesis(packet.chain(), packet.debit(), &mut wait)?;
        let claim = Claim::Unspent {
            body: *packet.body(),
            account: Account::decode(&proof.leaf()),
            path: proof.path.hashes(),
        };
        self.close(claim, &proof.chain, &state_root, &mut wait)
    }

    /// The proof of what a row says of a key.
    fn close_row(
        &mut self,
        fingerprint: [u8; 32],
        proof: RowProof,
        state_root: &Digest,
        wait: &mut Wait,
    ) -> Result<Proof, ClientError> {
        let RowProof { key, next, value, path, chain } = proof;
        let row = Row { key: key.0, next: next.0, value };
        let (position, path) = (path.index, path.hashes());
        self.close(Claim::Row { fingerprint, position, row, path }, &chain, state_root, wait)
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

    /// Adds the headers from the one that carries the state root up to one that is final.
    fn close(
        &mut self,
        claim: Claim,
        chain: &ChainEntryProof,
        state_root: &Digest,
        wait: &mut Wait,
    ) -> Result<Proof, ClientError> {
        let mut trail = Trail { height: chain.height, state_root: *state_root, headers: Vec::new(), read: 0 };
        let mut at = chain.height;
        let certificate = loop {
            at = at.next();
            let (header, certificate) = self.header(at, chain.height, wait)?;
            match trail.take(header, certificate)? {
                Step::Closed(certificate) => break certificate,
                Step::More => {}
                Step::TooLong => {
                    return Err(ClientError::NotFinal { height: chain.height, patience: wait.patience });
                }
            }
        };
        let headers = trail.headers;
        let entry = Entry::decode(&chain.entry.leaf());
        let entry = entry.map_err(|error| ClientError::Unreadable(error.to_string()))?;
        // The height is the first leaf, and an entry of each chain follows.
        let of_chains = |leaves: u64| leaves.saturating_sub(1) as u32;
        Ok(Proof {
            network: self.network().0,
            claim,
            height: chain.height.0,
            chains: of_chains(chain.entry_path.size),
            height_path: chain.height_path.hashes(),
            place: of_chains(chain.entry_path.index),
            entry,
            entry_path: chain.entry_path.hashes(),
            headers,
            certificate,
        })
    }

    /// The header and the certificate of a block, once it is committed.
    fn header(
        &mut self,
        at: Height,
        proved: Height,
        wait: &mut Wait,
    ) -> Result<(Header, Vec<u8>), ClientError> {
        let found = loop {
            match self.block(at) {
                Ok(found) => break found.value,
                Err(ClientError::NotFound { .. }) => self.pause(wait, proved)?,
                Err(error) => return Err(error),
            }
        };
        let unreadable = |error: String| ClientError::Unreadable(error);
        let header = Header::decode(&found.block.encode()).map_err(|error| unreadable(error.to_string()))?;
        let certificate =
            hex::decode(&found.answer.certificate).map_err(|error| unreadable(error.to_string()))?;
        Ok((header, certificate))
    }

    fn pause(&self, wait: &mut Wait, height: Height) -> Result<(), ClientError> {
        wait.left =
            wait.left.checked_sub(PAUSE).ok_or(ClientError::NotFinal { height, patience: wait.patience })?;
        self.sleep(PAUSE);
        Ok(())
    }
}

/// Headers from the one that carries a state root up to one that is final.
struct Trail {
    height: Height,
    state_root: Digest,
    headers: Vec<Header>,
    /// How many were looked at.
    read: usize,
}

/// What one more header makes of a [`Trail`].
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is final: this is its certificate.
    Closed(Vec<u8>),
    /// The next one is needed.
    More,
    /// There is no end to it.
    TooLong,
}

impl Trail {
    /// Takes the header of the next height in.
    fn take(&mut self, header: Header, certificate: Vec<u8>) -> Result<Step, ClientError> {
        self.read += 1;
        match header.root_of(self.height.0) {
            Some(root) if *root != self.state_root.0 => {
                return Err(ClientError::Mismatch("a header carries another state root of that height"));
            }
            None if self.headers.is_empty() && header.roots_first > self.height.0 => {
                return Err(ClientError::Mismatch("no header carries the state root of that height"));
            }
            // It carries earlier roots, or none.
            None if self.headers.is_empty() => {
                return Ok(if self.read < HEADERS_READ_MAX { Step::More } else { Step::TooLong });
            }
            _ => self.headers.push(header),
        }
        Ok(match certificate.is_empty() {
            false => Step::Closed(certificate),
            true if self.headers.len() < HEADERS_MAX => Step::More,
            true => Step::TooLong,
        })
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

    const HEIGHT: Height = Height(7);
    const ROOT: Digest = Digest([5; 32]);

    fn trail() -> Trail {
        Trail { height: HEIGHT, state_root: ROOT, headers: Vec::new(), read: 0 }
    }

    /// A header that carries these roots, from `first` on.
    fn header(first: u64, roots: &[[u8; 32]]) -> Header {
        let header = engine::wire::Header {
            height: Height(9),
            view: 9,
            proposer: engine::types::ValidatorIndex(0),
            parent: Digest::default(),
            time_ms: 9,
            roots_first: Height(first),
            roots: roots.iter().map(|root| Digest(*root)).collect(),
            cut: vec![engine::types::Head::NONE],
        };
        let block = engine::wire::Block::new(header).expect("a header");
        Header::decode(&block.encode()).expect("the same header")
    }

    #[test]
    fn a_trail_begins_where_the_root_is_carried_and_ends_with_a_certificate() {
        let mut trail = trail();
        assert_eq!(trail.take(header(5, &[[1; 32]]), vec![3]).unwrap(), Step::More, "earlier roots");
        assert_eq!(trail.take(header(7, &[ROOT.0]), Vec::new()).unwrap(), Step::More);
        assert_eq!(trail.take(header(8, &[]), vec![9]).unwrap(), Step::Closed(vec![9]));
        assert_eq!(trail.headers.len(), 2);
    }

    #[test]
    fn another_root_and_a_root_that_was_left_out_are_lies() {
        assert!(matches!(trail().take(header(7, &[[1; 32]]), Vec::new()), Err(ClientError::Mismatch(_))));
        assert!(matches!(trail().take(header(8, &[]), Vec::new()), Err(ClientError::Mismatch(_))));
    }

    #[test]
    fn an_endpoint_cannot_go_on_without_end() {
        let mut waiting = trail();
        let steps: Vec<Step> =
            (0..HEADERS_READ_MAX).map(|_| waiting.take(header(3, &[]), Vec::new()).unwrap()).collect();
        assert_eq!(steps.iter().filter(|step| **step == Step::More).count(), HEADERS_READ_MAX - 1);
        assert_eq!(steps.last(), Some(&Step::TooLong));
        let mut open = trail();
        let steps: Vec<Step> =
            (0..HEADERS_MAX).map(|_| open.take(header(7, &[ROOT.0]), Vec::new()).unwrap()).collect();
        assert_eq!((open.headers.len(), steps.last()), (HEADERS_MAX, Some(&Step::TooLong)));
    }
}
