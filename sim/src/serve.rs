//! What validators hear from clients, and what they tell them.

use std::time::Duration;

use engine::mempool::Origin;
use engine::replica::Input;
use engine::types::{AccountId, ChainId, Outcome, PacketSlab, Refusal, Verdict};
use engine::verify::{Checked, CheckedTransaction, Job};
use engine::wire::Notice;

use crate::clients::Account;
use crate::rules::Rule;
use crate::world::{Event, World};

impl World {
    pub(crate) fn submit(&mut self) {
        let nodes: Vec<(usize, u64)> =
            self.everybody().filter_map(|node| Some((node, self.life(node)?))).collect();
        self.clients.administration.ready = self.ready();
        let height = self.checks.height();
        let times = (self.now, self.clock_ms());
        for frame in self.clients.submit(&self.environment, &nodes, height, times) {
            let wait = self.chance.micros(200..5_000);
            let crate::clients::Frame { node, life, tag, packets } = frame;
            self.after(wait, Event::Submission { node, life, tag, packets });
        }
        if self.is_submitting() {
            let every = if self.healed && !self.plan.fast { 100 } else { self.plan.submit_every_ms };
            let wait = self.chance.millis(every / 2..every * 3 / 2);
            self.after(wait, Event::Submit);
        }
    }

    /// One of the transactions that come to a validator at a steady rate.
    pub(crate) fn submit_steadily(&mut self, node: usize) {
        let Some(a_second) = self.plan.steady.filter(|_| self.is_submitting()) else { return };
        if let Some(life) = self.life(node) {
            let validators = self.plan.validators;
            let frame = self.clients.steady(&self.environment, (node, life), validators, self.now);
            let crate::clients::Frame { node, life, tag, packets } = frame;
            let wait = self.chance.micros(200..1_000);
            self.after(wait, Event::Submission { node, life, tag, packets });
        }
        self.after(Duration::from_micros(1_000_000 / a_second), Event::Steady(node));
    }

    pub(crate) fn submission(&mut self, node: usize, first: u64, packets: &[engine::types::Packet]) {
        let now = self.time_of(node).monotonic.as_micros() as u64;
        let Some(running) = &mut self.nodes[node].running else { return };
        let job = Job::packets(node as u64, PacketSlab::copy_from(packets));
        let committed = running.replica.committed();
        let Some(Checked::Packets(checked)) = self.check(node, committed, job) else { return };
        let Some(running) = &mut self.nodes[node].running else { return };
        let (mut accepted, mut notices) = (false, Vec::new());
        for CheckedTransaction { place, verdict, .. } in checked.iter() {
            let tag = first + place as u64;
            let origin = Origin { connection: node as u64, tag, received_us: now, verified_us: now };
            let offered = verdict.and_then(|transaction| {
                let mempool = running.mempools.get(transaction.chain()).ok_or(Refusal::WrongChain)?;
                mempool.offer(transaction, committed, origin)
            });
            match offered {
                Ok(()) => accepted = true,
                Err(refusal) => notices.push(Notice { tag, verdict: Verdict::Refused(refusal) }),
            }
        }
        self.notify(node, notices);
        if accepted {
            self.feed(node, Input::MempoolFilled);
        }
    }

    pub(crate) fn notify(&mut self, node: usize, notices: Vec<Notice>) {
        let life = self.nodes[node].life;
        for mut notice in notices {
            if self.rule == Some(Rule::RefusalsTrue)
                && notice.verdict == Verdict::Committed
                && notice.tag % 16 == 3
            {
                notice.verdict = Verdict::Refused(Refusal::Busy);
            }
            if self.rule == Some(Rule::NoticesByDigest) && notice.verdict == Verdict::Refused(Refusal::Busy) {
                // Another batch has taken the place of the one that carried it.
                let id = self.clients.tagged(notice.tag).map(|one| one.id);
                let host = self.nodes[node].running.as_ref().map(|running| &running.host);
                if id.zip(host).is_some_and(|(id, host)| host.has_sealed(&id)) {
                    notice.verdict = Verdict::Committed;
                }
            }
            let taken = Verdict::Failed(Outcome::FingerprintTaken);
            if self.rule == Some(Rule::TakenTold) && notice.verdict == taken {
                notice.verdict = Verdict::Committed;
            }
            let told = self.clients.told(node, life, notice, self.now);
            match told.map(|submission| (format!("{:.12}", submission.id), submission.account)) {
                Ok((id, account)) => {
                    self.say(node, format_args!("tells a client: {} ({id})", notice.verdict));
                    if notice.verdict == Verdict::Refused(Refusal::NonceTooFar) {
                        self.read_account(node, account);
                    }
                }
                Err(wrong) if self.is_honest(node) => {
                    self.checks.violation(self.now, format!("truth: v{node} {wrong}"));
                }
                Err(_) => {}
            }
        }
    }

    /// A client reads what an account may use.
    fn read_account(&mut self, node: usize, account: Account) {
        let Some(running) = &self.nodes[node].running else { return };
        let states = running.committer.ledger().states();
        let chain = states.get(ChainId(account.0));
        if let Some(window) = chain.and_then(|chain| chain.window(AccountId(account.1))) {
            self.clients.go_on_from(account, window.base);
        }
    }
}
