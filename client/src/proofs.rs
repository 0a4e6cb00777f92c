//! Collecting what a proof for strangers takes: a claim with its path, and headers up to one that is final.
//!
//! ```text
//! account or transaction, checked ── its state root ── the header above that carries it ── … ── one with a certificate
//! ```
//!
//! Nothing here is believed by anybody: who is given the proof checks it with the genesis header alone.

use std::time::Duration;

use engine::roots::{AccountProof, ChainEntryProof};
use engine::types::{AccountId, ChainId, Digest, Height, Packet, TransactionId};
use proof::{Account, Claim, Entry, HEADERS_MAX, Header, Proof};

use crate::{Client, ClientError};

/// The pause before a block that is not committed yet is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

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

    /// No header carries the state root of height 0.
    fn account_above_genesis(
        &mut self,
        chain: ChainId,
        account: AccountId,
        wait: &mut Wait,
    ) -> Result<(AccountProof, Digest), ClientError> {
        loop {
            let answer = self.account(chain, account)?.value;
            if answer.proof.chain.height > Height(0) {
                return Ok((answer.proof, answer.state_root));
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
        let mut headers: Vec<Header> = Vec::new();
        let mut at = chain.height;
        let certificate = loop {
            at = at.next();
            let (header, certificate) = self.header(at, chain.height, wait)?;
            match header.root_of(chain.height.0) {
                Some(root) if *root != state_root.0 => {
                    return Err(ClientError::Mismatch("a header carries another state root of that height"));
                }
                Some(_) => headers.push(header),
                None if !headers.is_empty() => headers.push(header),
                None if header.roots_first > chain.height.0 => {
                    return Err(ClientError::Mismatch("no header carries the state root of that height"));
                }
                // It carries earlier roots, or none.
                None => continue,
            }
            if !certificate.is_empty() {
                break certificate;
            }
            if headers.len() == HEADERS_MAX {
                return Err(ClientError::NotFinal { height: chain.height, patience: wait.patience });
            }
        };
        Ok(Proof {
            network: self.network().0,
            claim,
            height: chain.height.0,
            height_path: chain.height_path.hashes(),
            entry: Entry::decode(&chain.entry.leaf()),
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

/// How long may still be waited for blocks.
struct Wait {
    left: Duration,
    patience: Duration,
}
