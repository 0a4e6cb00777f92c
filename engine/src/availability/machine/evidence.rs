//! What peers sign: acknowledgements on their way to a certificate, and certificates.

use std::time::Duration;

use super::{Availability, Output, Refused};
use crate::availability::stream::Entry;
use crate::types::ValidatorIndex;
use crate::wire::{Acknowledgement, Certificate, PeerMessage};

impl Availability {
    pub(super) fn acknowledged(
        &mut self,
        shown: Vec<(ValidatorIndex, Acknowledgement)>,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let mut wanted = Vec::with_capacity(shown.len());
        for (from, acknowledgement) in shown {
            match self.wants(from, &acknowledgement) {
                Ok(true) => wanted.push(acknowledgement),
                Ok(false) => {}
                Err(refused) => out.push(Output::Refused(refused)),
            }
        }
        let verdicts = self.committee.check(&wanted);
        for (acknowledgement, good) in wanted.into_iter().zip(verdicts) {
            let Acknowledgement { batch, validator, .. } = acknowledgement;
            match good {
                true => self.count(&acknowledgement, now, out)?,
                false => out.push(Output::Refused(Refused::Acknowledgement(batch, validator))),
            }
        }
        Ok(())
    }

    /// Whether an acknowledgement could still help, if its signature is good.
    fn wants(&mut self, from: ValidatorIndex, acknowledgement: &Acknowledgement) -> Result<bool, Refused> {
        let batch = acknowledgement.batch;
        let me = self.committee.me();
        let invalid = Refused::Acknowledgement(batch, from);
        if acknowledgement.validator != from || from == me || batch.author != me {
            return Err(invalid);
        }
        let Ok(stream) = self.stream(&batch) else { return Ok(false) };
        let entry = stream.entries.get(&batch.sequence).ok_or(invalid)?;
        if entry.available.is_some() || entry.acknowledged.contains_key(&from) {
            return Ok(false);
        }
        if entry.digest == acknowledgement.digest { Ok(true) } else { Err(invalid) }
    }

    /// Counts a good acknowledgement of an own batch; the last one that is needed makes the certificate.
    pub(super) fn count(
        &mut self,
        good: &Acknowledgement,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let quorum = self.committee.quorum();
        let entry =
            self.stream(&good.batch)?.entries.get_mut(&good.batch.sequence).expect("the caller found it");
        if entry.available.is_some() {
            return Ok(());
        }
        entry.acknowledged.insert(good.validator, good.signature);
        // Our own copy must be durable too: after a crash this validator sends the batch again, or never sent it.
        if entry.acknowledged.len() < quorum || !entry.durable {
            return Ok(());
        }
        let transactions = entry.body.as_ref().expect("an own batch has its body").transactions();
        let signers = std::mem::take(&mut entry.acknowledged).into_iter().take(quorum).collect();
        let available = self.committee.assemble(good.batch, good.digest, transactions, signers);
        out.push(Output::Broadcast(PeerMessage::Certificate(available.certificate().clone())));
        out.push(Output::Available(good.batch));
        let entry = self.stream(&good.batch)?.entries.get_mut(&good.batch.sequence).expect("found above");
        entry.available = Some(available);
        entry.sent = now;
        Ok(())
    }

    pub(super) fn certified(
        &mut self,
        shown: Vec<(ValidatorIndex, Certificate)>,
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), Refused> {
        let (mut from, mut unknown) = (Vec::with_capacity(shown.len()), Vec::with_capacity(shown.len()));
        for (peer, certificate) in shown {
            match self.lacks(&certificate) {
                Ok(true) => {
                    from.push((peer, certificate.batch()));
                    unknown.push(certificate);
                }
                Ok(false) => {}
                Err(refused) => out.push(Output::Refused(refused)),
            }
        }
        for ((peer, id), available) in from.into_iter().zip(self.committee.certify(unknown)) {
            let Some(available) = available else {
                out.push(Output::Refused(Refused::Certificate(id, peer)));
                continue;
            };
            let digest = *available.certificate().digest();
            let entries = &mut self.stream(&id)?.entries;
            let entry = entries.entry(id.sequence).or_insert_with(|| Entry::new(digest, now));
            if entry.available.is_some() {
                // The same one twice in this round.
                continue;
            }
            out.push(Output::Available(id));
            if entry.digest != digest {
                // The author has sent us another batch than the quorum. What we acknowledged, we acknowledged; the
                // quorum's batch is the one that will be ordered.
                let first = entry.replace(digest, now);
                out.push(Output::Refused(Refused::Equivocation { batch: id, first, second: digest }));
            }
            entry.available = Some(available);
        }
        Ok(())
    }

    /// Whether a certificate is news.
    fn lacks(&mut self, certificate: &Certificate) -> Result<bool, Refused> {
        let id = certificate.batch();
        if !self.is_stream(&id) {
            return Err(Refused::UnknownStream(id));
        }
        let Ok(stream) = self.stream(&id) else { return Ok(false) };
        Ok(stream.entries.get(&id.sequence).is_none_or(|entry| entry.available.is_none()))
    }
}
