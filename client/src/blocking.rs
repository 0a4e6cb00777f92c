//! A client for a program without a runtime: it asks one question at a time and checks the answers.
//!
//! Who answers is a validator, or something in this process that has what a validator once had, such as an archive. Its
//! answers are checked alike.

use std::ops::Range;
use std::time::Duration;

use engine::limits::{SIGNATURE_BYTES, SUBMIT_PACKETS_MAX};
use engine::types::{
    AccountId, ChainId, Consent, Digest, Height, Members, Packet, PacketRun, PacketSlab, Reservation,
    ReservationId, TransactionId, ValidatorIndex, Verdict,
};
use engine::wire::answers::{
    AccountAnswer, AccountsOfAnswer, BlockAnswer, ConsentAnswer, FeedAnswer, MembersAnswer, ProofAnswer,
    RowAnswer, StatusAnswer, TransactionAnswer,
};
use engine::wire::{AsOf, FeedQuery, Notice, Query};
use net::{Address, Fingerprint};
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::answer::{
    attestation_of, block_of, check_account, check_proof, check_row, check_same, compare, feed_of,
    reservation_of, signed_of,
};
use crate::{
    Answer, ClientError, Connection, Event, Feed, FoundAttestation, FoundBlock, FoundReservation,
    FoundTransaction, RawAnswer, Welcome,
};

/// How long a validator may take over one answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);

/// Answers questions in this process: the height that the answer speaks of, and its body, one of
/// [`answers`](crate::answers) as JSON.
pub type LocalAnswers = Box<dyn FnMut(&Query) -> (AsOf, Vec<u8>) + Send>;

/// Who answers.
enum Link {
    /// A validator. A thread of its own keeps the connection alive between the calls.
    Validator {
        handle: Handle,
        connection: Box<Connection>,
        // Dropped last: the thread ends with it.
        _running: oneshot::Sender<()>,
    },
    Local(LocalAnswers),
}

/// A connection to one validator, or to something in this process that answers like one.
pub struct Client {
    link: Link,
    welcome: Welcome,
    network: Digest,
    fingerprint: Option<Fingerprint>,
    /// The number of the last question.
    asked: u64,
    /// How many questions were answered. A validator that answers more than it was asked is not listened to.
    answered: u64,
    /// The tag of the next packet.
    tag: u64,
    /// How many transactions were submitted.
    submitted: u64,
    /// How many verdicts have come in.
    told: u64,
    /// Notices that came in while an answer was waited for.
    notices: Vec<Notice>,
}

impl Client {
    /// Connects to the client port of the validator whose certificate has this fingerprint, in this network.
    ///
    /// # Errors
    /// [`ClientError`]: nobody answers, it is another validator, network or protocol version, or it refuses.
    pub fn connect(
        address: &Address,
        fingerprint: Fingerprint,
        network: Digest,
    ) -> Result<Self, ClientError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new().name("client".to_owned()).spawn(move || runtime.block_on(stopped))?;
        let connection = handle.block_on(Connection::open(address, fingerprint, &network))?;
        let welcome = connection.welcome;
        let link = Link::Validator { handle, connection: Box::new(connection), _running: running };
        Ok(Self { fingerprint: Some(fingerprint), ..Self::linked(link, welcome, network) })
    }

    /// A client of something in this process that has what a validator of this network had up to a height. It takes no
    /// transactions, and what is not there is not waited for.
    #[must_use]
    pub fn local(network: Digest, welcome: Welcome, answers: LocalAnswers) -> Self {
        Self::linked(Link::Local(answers), welcome, network)
    }

    fn linked(link: Link, welcome: Welcome, network: Digest) -> Self {
        let (fingerprint, notices) = (None, Vec::new());
        Self {
            link,
            welcome,
            network,
            fingerprint,
            asked: 0,
            answered: 0,
            tag: 0,
            submitted: 0,
            told: 0,
            notices,
        }
    }

    /// What the validator said of itself when it welcomed this client.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The fingerprint of the certificate that the validator at the other end has shown; none of something in this
    /// process.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// The place of the validator at the other end, by its own word.
    #[must_use]
    pub fn validator(&self) -> ValidatorIndex {
        self.welcome.validator
    }

    /// The network that it belongs to.
    #[must_use]
    pub fn network(&self) -> &Digest {
        &self.network
    }

    /// Submits signed transactions; waits while the validator pushes back. The tags that are returned are those of the
    /// packets, in their order; the notice of an envelope names the tag of its first packet.
    ///
    /// # Errors
    /// [`ClientError::Link`].
    pub fn submit(&mut self, packets: &[Packet]) -> Result<Range<u64>, ClientError> {
        let Link::Validator { handle, connection, .. } = &mut self.link else {
            return Err(ClientError::Rejected("it answers questions, and takes no transactions".to_owned()));
        };
        let first = self.tag;
        self.submitted += PacketRun::all(packets).count() as u64;
        let submissions = Submissions(packets).map(|packets| {
            let tag = self.tag;
            self.tag += packets.len() as u64;
            (tag, PacketSlab::copy_from(packets))
        });
        handle.block_on(connection.sender.submit(submissions))?;
        Ok(first..self.tag)
    }

    /// The notices that have come in, waiting up to `patience` for the first.
    ///
    /// # Errors
    /// [`ClientError::Silent`] where none comes in time.
    pub fn notices(&mut self, patience: Duration) -> Result<Vec<Notice>, ClientError> {
        if !self.notices.is_empty() {
            return Ok(std::mem::take(&mut self.notices));
        }
        loop {
            match self.next(patience)? {
                Event::Notices(notices) => return Ok(notices),
                // The answer to a question that was given up.
                Event::Answer(_) | Event::Accepted(_) => {}
            }
        }
    }

    /// Asks, and reads the answer as `T` without checking what is in it.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::BelowRetention`] and [`ClientError::Unavailable`] in the validator's
    /// words.
    pub fn ask<T: DeserializeOwned>(&mut self, query: Query) -> Result<Answer<T>, ClientError> {
        self.asked += 1;
        match &mut self.link {
            Link::Validator { handle, connection, .. } => {
                handle.block_on(connection.sender.ask([(self.asked, query)]))?;
            }
            Link::Local(answers) => {
                let (as_of, body) = answers(&query);
                return RawAnswer { id: self.asked, as_of, body: body.into() }.read();
            }
        }
        loop {
            match self.next(ANSWER_PATIENCE)? {
                Event::Answer(answer) if answer.id == self.asked => return answer.read(),
                // The answer to a question that was given up.
                Event::Answer(_) | Event::Accepted(_) => {}
                Event::Notices(notices) => self.notices.extend(notices),
            }
        }
    }

    /// How the validator is.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn status(&mut self) -> Result<Answer<StatusAnswer>, ClientError> {
        self.ask(Query::Status)
    }

    /// An account at the validator's committed height, with what the chain keeps of it beside its leaf, proved.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Proof`] and [`ClientError::Mismatch`].
    pub fn account(
        &mut self,
        chain: ChainId,
        account: AccountId,
    ) -> Result<Answer<AccountAnswer>, ClientError> {
        let answer = self.ask(Query::Account { chain, account, record: true })?;
        check_account(&answer, chain, account)?;
        Ok(answer)
    }

    /// The accounts of a chain from `from` on that have a public key at the validator's committed height, ascending,
    /// and whether there are more. Nothing is proved yet: [`Self::account`] proves each; that there are no others is
    /// the validator's word.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn accounts_of(
        &mut self,
        chain: ChainId,
        key: [u8; 32],
        from: AccountId,
    ) -> Result<Answer<AccountsOfAnswer>, ClientError> {
        self.ask(Query::AccountsOf { chain, key, from })
    }

    /// What a chain says of a fingerprint at the validator's committed height, proved: also that it is not registered.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Proof`] and [`ClientError::Mismatch`].
    pub fn attestation(
        &mut self,
        chain: ChainId,
        fingerprint: &engine::types::Fingerprint,
    ) -> Result<Answer<FoundAttestation>, ClientError> {
        let answer = self.ask(Query::Attestation { chain, fingerprint: *fingerprint })?;
        attestation_of(answer, chain, fingerprint)
    }

    /// What the table of a chain says of a key at the validator's committed height, proved: also that there is no row.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Proof`] and [`ClientError::Mismatch`].
    pub fn row(&mut self, chain: ChainId, key: &[u8; 32]) -> Result<Answer<RowAnswer>, ClientError> {
        let answer = self.ask(Query::Row { chain, key: *key })?;
        check_row(&answer, chain, key)?;
        Ok(answer)
    }

    /// Who validates in the validator's present epoch, as it says.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Mismatch`] where the answer is no set of members.
    pub fn members(&mut self) -> Result<Answer<(Members, MembersAnswer)>, ClientError> {
        let Answer { as_of, value } = self.ask::<MembersAnswer>(Query::Members)?;
        let members = hex::decode(&value.members).ok().and_then(|bytes| Members::decode(&bytes));
        let members = members.filter(|members| members.epoch == value.epoch);
        let members = members.ok_or(ClientError::Mismatch("it tells no set of members"))?;
        Ok(Answer { as_of, value: (members, value) })
    }

    /// The validator's consent to members of the next epoch, at their place; none where it does not keep
    /// up, is in another epoch or not among them, does not run their rules, or does not vote yet after a loss.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn consent(&mut self, to: &Members) -> Result<Option<Consent>, ClientError> {
        let (network, digest) = (self.network, to.digest());
        let question = Query::Consent { epoch: to.epoch, members: digest, rules: to.rules };
        let answer: Answer<ConsentAnswer> = self.ask(question)?;
        let ConsentAnswer { public_key, height, signature } = answer.value;
        let mut bytes = [0; SIGNATURE_BYTES];
        let signed = signature.is_some_and(|digits| hex::decode_to_slice(digits, &mut bytes).is_ok());
        let place = to.place_of(&public_key.0).filter(|_| signed);
        let consent = place.map(|place| Consent { place, height, signature: bytes });
        Ok(consent.filter(|consent| consent.is_signed(&network, to, &digest)))
    }

    /// What a chain says of a reservation at the validator's committed height, proved: also that it is not open.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Proof`] and [`ClientError::Mismatch`], also where no account has such a number.
    pub fn reservation(
        &mut self,
        chain: ChainId,
        id: ReservationId,
    ) -> Result<Answer<FoundReservation>, ClientError> {
        let key = id.key().ok_or(ClientError::Mismatch("no account has such a number"))?;
        reservation_of(self.ask(Query::Row { chain, key })?, chain, &key)
    }

    /// The open reservations that an account has made, by nonce and each proved, up to so many; and whether there are
    /// more. The table is followed from row to row, one question for each, so what changes meanwhile may be missed.
    ///
    /// # Errors
    /// As [`Self::reservation`].
    pub fn reservations(
        &mut self,
        chain: ChainId,
        payer: AccountId,
        most: usize,
    ) -> Result<(Vec<(ReservationId, Reservation)>, bool), ClientError> {
        let (mut found, mut next) = (Vec::new(), Some(ReservationId { payer, nonce: 0 }));
        while let Some(id) = next {
            if found.len() == most {
                return Ok((found, true));
            }
            let value = self.reservation(chain, id)?.value;
            found.extend(value.reservation.map(|of| (id, of)));
            next = ReservationId::of(&value.proof.next.0).filter(|next| next.payer == payer && *next > id);
        }
        Ok((found, false))
    }

    /// A transaction in its block, proved. Without a chain, all are searched.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Proof`] and [`ClientError::Mismatch`].
    pub fn transaction(
        &mut self,
        chain: Option<ChainId>,
        id: &TransactionId,
    ) -> Result<Answer<FoundTransaction>, ClientError> {
        let Answer { as_of, value: transaction } =
            self.ask::<TransactionAnswer>(Query::Transaction { chain, id: *id })?;
        let signed = signed_of(&transaction, &self.network, chain, id)?;
        let proof = self.proof(transaction.chain, id)?.value;
        check_same(&transaction, &proof)?;
        Ok(Answer { as_of, value: FoundTransaction { transaction, signed, proof } })
    }

    /// The proof that a transaction is in a block.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Proof`] and [`ClientError::Mismatch`].
    pub fn proof(&mut self, chain: ChainId, id: &TransactionId) -> Result<Answer<ProofAnswer>, ClientError> {
        let answer = self.ask(Query::Proof { chain, id: *id })?;
        check_proof(&answer, chain, id)?;
        Ok(answer)
    }

    /// A block. Its finalization certificate is not checked here: that takes the validators' keys.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Mismatch`].
    pub fn block(&mut self, height: Height) -> Result<Answer<FoundBlock>, ClientError> {
        let Answer { as_of, value: answer } = self.ask::<BlockAnswer>(Query::Block { height })?;
        let block = block_of(&answer, height)?;
        Ok(Answer { as_of, value: FoundBlock { answer, block } })
    }

    /// Some of the feed of a chain, from the query's cursor on. That nothing is left out is the validator's word; the
    /// bytes of each event hash to its id, and [`Self::transaction`] proves what became of one.
    ///
    /// # Errors
    /// As [`Self::ask`]; [`ClientError::Mismatch`].
    pub fn feed(&mut self, query: &FeedQuery) -> Result<Answer<Feed>, ClientError> {
        let answer = self.ask::<FeedAnswer>(Query::Feed(*query))?;
        let feed = feed_of(&answer, &self.network, query)?;
        Ok(Answer { as_of: answer.as_of, value: feed })
    }

    /// Holds the validator to a verdict: what it told to be *committed* or *failed* must be in a block with that
    /// outcome, proved. Of a payment to another chain only the sending is proved: its end is the validator's word,
    /// which must be the same as before. `None` for a refusal, which promises nothing: the same bytes may be submitted
    /// again and be taken.
    ///
    /// # Errors
    /// [`ClientError::Contradiction`] where the ledger says something else; as [`Self::transaction`].
    pub fn check(
        &mut self,
        id: &TransactionId,
        told: Verdict,
    ) -> Result<Option<FoundTransaction>, ClientError> {
        if matches!(told, Verdict::Refused(_)) {
            return Ok(None);
        }
        let found = self.transaction(None, id).map(|answer| answer.value);
        compare(id, told, found).map(Some)
    }

    /// Whether what is not there now may be there later.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(self.link, Link::Validator { .. })
    }

    /// Does nothing for so long, on the caller's thread.
    pub(crate) fn sleep(&self, pause: Duration) {
        if let Link::Validator { handle, .. } = &self.link {
            // Made inside the runtime: a timer looks for it at once.
            handle.block_on(async { tokio::time::sleep(pause).await });
        }
    }

    /// The next event. There is one answer to each question, and one verdict for each transaction.
    fn next(&mut self, patience: Duration) -> Result<Event, ClientError> {
        let Link::Validator { handle, connection, .. } = &mut self.link else {
            return Err(ClientError::Silent(Duration::ZERO));
        };
        let event = handle.block_on(connection.receiver.next_within(patience))?;
        match &event {
            Event::Answer(_) => self.answered += 1,
            Event::Notices(notices) => self.told += notices.len() as u64,
            Event::Accepted(_) => {
                return Err(ClientError::Unexpected("what it has accepted, although that was not asked for"));
            }
        }
        if self.answered > self.asked {
            return Err(ClientError::Unexpected("an answer to a question that was not asked"));
        }
        if self.told > self.submitted {
            return Err(ClientError::Unexpected("more verdicts than transactions were submitted"));
        }
        Ok(event)
    }
}

/// Packets in parts that one frame can hold, of whole transactions.
struct Submissions<'a>(&'a [Packet]);

impl<'a> Iterator for Submissions<'a> {
    type Item = &'a [Packet];

    fn next(&mut self) -> Option<&'a [Packet]> {
        let mut length = 0;
        for run in PacketRun::all(self.0) {
            if length + run.packets().len() > SUBMIT_PACKETS_MAX {
                break;
            }
            length += run.packets().len();
        }
        let (packets, rest) = self.0.split_at(length);
        self.0 = rest;
        (!packets.is_empty()).then_some(packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_hold_whole_transactions_and_everything_once() {
        let mut first = Packet([0; 128]);
        first.0[..2].copy_from_slice(&16_u16.to_le_bytes());
        first.0[32..36].copy_from_slice(&(511 * 128_u32).to_le_bytes());
        let envelope = [&[first][..], &vec![Packet([7; 128]); 511]].concat();
        let alone = |count| vec![Packet([1; 128]); count];
        let all = [alone(3_600), envelope.clone(), alone(10), envelope].concat();
        let lengths: Vec<_> = Submissions(&all).map(<[Packet]>::len).collect();
        assert_eq!(lengths, [3_600, 512 + 10 + 512]);
        assert_eq!(Submissions(&all).flatten().collect::<Vec<_>>(), all.iter().collect::<Vec<_>>());
        assert_eq!(Submissions(&alone(4_097)).map(<[Packet]>::len).collect::<Vec<_>>(), [4_096, 1]);
        assert_eq!(Submissions(&[]).next(), None);
    }
}
