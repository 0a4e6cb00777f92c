//! What engines of consensus ask and send.

use std::time::Duration;

use consensus::{Channel, Recipients};
use engine::replica::{Input, To};
use engine::types::ValidatorIndex;
use engine::wire::PeerMessage;

use crate::bell::{Call, Caller};
use crate::byzantine::{Liar, Misdeed};
use crate::host::Question;
use crate::moments::{Moment, Said};
use crate::rules::Rule;
use crate::schedule::Sort;
use crate::world::{Event, World};

impl World {
    /// A call of an engine.
    pub(crate) fn call(&mut self, (node, life): Caller, call: Call) {
        if self.life(node) != Some(life) {
            return;
        }
        if self.nodes[node].pause.holds(self.now) {
            return self.hold(node, Event::Call(node, life, call));
        }
        match call {
            Call::Sync => self.write_votes(node),
            Call::Send(to, channel, message) => self.send_vote(node, &to, channel, &message),
            Call::Pruned => self.moment(node, Moment::Prunes, 0, None),
            Call::Propose(proposal, reply) => {
                self.say(node, format_args!("is to propose in view {}", proposal.view));
                self.nodes[node].led = proposal.view;
                self.moment(node, Moment::Proposes, proposal.view, None);
                // The script may change what this leader does.
                self.advance();
                if self.nodes[node].liar.as_ref().is_some_and(|liar| liar.does(Misdeed::OversizeBlocks)) {
                    self.oversize(node);
                }
                let Some(running) = &mut self.nodes[node].running else { return };
                let question = running.host.ask(Question::Propose(reply));
                self.feed(node, Input::Propose(question, proposal));
            }
            Call::Verify(proposal, digest, reply) => {
                self.say(node, format_args!("is to verify {digest:.12} of view {}", proposal.view));
                self.moment(node, Moment::Verifies, proposal.view, Some(digest));
                let Some(running) = &mut self.nodes[node].running else { return };
                let question = running.host.ask(Question::Verify(reply, proposal.view, digest));
                self.feed(node, Input::Verify(question, proposal, digest));
            }
            Call::Certify(view, digest, reply) => {
                self.say(node, format_args!("is to certify {digest:.12} of view {view}"));
                self.moment(node, Moment::Certifies, view, Some(digest));
                let refuses = |liar: &Liar| liar.does(Misdeed::RefuseToCertify);
                if self.nodes[node].led == view && self.nodes[node].liar.as_ref().is_some_and(refuses) {
                    self.moment(node, Moment::RefusesOwn, view, Some(digest));
                    return reply.send(false);
                }
                if self.rule == Some(Rule::CertifyWaits) {
                    return reply.send(true);
                }
                let Some(running) = &mut self.nodes[node].running else { return };
                let question = running.host.ask(Question::Certify(reply, view, digest));
                self.feed(node, Input::Certify(question, view, digest));
            }
            Call::Relay(digest) => {
                let Some(running) = &mut self.nodes[node].running else { return };
                if let Some(forged) = running.host.forged.get(&digest).cloned() {
                    self.say(node, format_args!("proposes a forged block"));
                    self.send(node, &To::All, &PeerMessage::Block(forged));
                }
                self.feed(node, Input::Relay(digest));
            }
            Call::Finalized(finality) => {
                self.say(node, format_args!("hears that {:.12} is final", finality.digest()));
                if let Some(running) = &self.nodes[node].running
                    && finality.view() > running.floor
                {
                    running.votes.made_good();
                }
                self.moment(node, Moment::HearsFinal, finality.view(), Some(*finality.digest()));
                self.feed(node, Input::Finalized(finality));
            }
            Call::Fault(fault) => {
                self.say(node, format_args!("catches v{}: {:?}", fault.validator, fault.kind));
                let of = self.author(node, ValidatorIndex(fault.validator));
                let by = self.is_honest(node);
                if by && self.is_honest(of) {
                    self.checks
                        .violation(self.now, format!("honesty: v{of} broke consensus: {:?}", fault.kind));
                }
            }
            Call::Stopped(reason) => {
                self.say(node, format_args!("consensus stops: {reason}"));
                if !self.nodes[node].full && self.is_honest(node) {
                    self.checks.violation(self.now, format!("halt: consensus of v{node} stops: {reason}"));
                }
                self.stop(node);
                self.after(
                    Duration::from_millis(500),
                    Event::Act(crate::schedule::Act::Start(node, crate::schedule::Loss::Nothing)),
                );
            }
        }
    }

    fn send_vote(&mut self, node: usize, to: &Recipients, channel: Channel, message: &bytes::Bytes) {
        let validators = self.nodes[node].running.as_ref().map_or(0, |running| running.seats.len());
        let indices: Vec<usize> = match to {
            Recipients::All => (0..validators).collect(),
            Recipients::One(peer) => vec![usize::from(*peer)],
            Recipients::Some(peers) => peers.iter().map(|peer| usize::from(*peer)).collect(),
        };
        if channel == Channel::Vote && self.nodes[node].forgot && self.is_honest(node) {
            let what = format!("honesty: v{node} votes, although it has forgotten its votes");
            self.checks.violation(self.now, what);
        }
        let said = Said::of(channel, message);
        if let Some(Said { moment, view, digest }) = said.filter(|_| channel == Channel::Vote) {
            self.moment(node, moment, view, digest);
            if let Some(digest) = digest.filter(|_| moment == Moment::Finalizes && self.is_honest(node)) {
                self.check_held(node, view, &digest);
            }
        }
        let is = |sort| match sort {
            Sort::Vote(moment) => channel == Channel::Vote && said.is_some_and(|said| said.moment == moment),
            Sort::Certificate(moment) => {
                channel == Channel::Certificate && said.is_some_and(|said| said.moment == moment)
            }
            Sort::Requests => !matches!(channel, Channel::Vote | Channel::Certificate),
            Sort::All => true,
            Sort::Batches => false,
        };
        let Some(epoch) = self.nodes[node].running.as_ref().map(|running| running.epoch) else { return };
        for index in indices {
            let Some(peer) = self.reach(node, index) else { continue };
            let index = self.nodes[peer].me;
            let now = self.now;
            if self.filters.iter().any(|filter| filter.takes(self.nodes[node].me, index, is)) {
                continue;
            }
            if let Some(liar) = &mut self.nodes[node].liar
                && !liar.lets_vote(index, channel as u8, message, now)
            {
                continue;
            }
            let Some(connection) = self.links.connection(node, peer) else { continue };
            if self.meter.on {
                self.meter.votes.count(message.len());
            }
            for at in self.links.arrivals(node, peer, channel as u8, now) {
                let message = message.clone();
                self.at(at, Event::Vote { from: node, to: peer, connection, channel, epoch, message });
            }
        }
    }
}
