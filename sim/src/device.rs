//! A simulated device beside the verifiers. By chance it takes some of the signatures, is late, loses answers, and
//! leaves signatures undecided. No verdict may change: each one is compared with the verdict of the CPU alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::types::Height;
use engine::verify::{Answer, Assistant, Checked, Job};
use kernels::ed25519::{Item, verify};

use crate::chance::Chance;
use crate::rules::Rule;
use crate::world::World;

/// A device that all verifiers of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    chance: Arc<Mutex<Chance>>,
    /// Whether it accepts everything, to show that the comparison finds it.
    lies: bool,
}

impl Device {
    /// A device whose behaviour follows from the seed alone, so that it does not change what else is drawn.
    pub(crate) fn new(seed: u64, rule: Option<Rule>) -> Self {
        let chance = Chance::new(seed.wrapping_mul(0x9e6c_63d0_876a_6835));
        Self { chance: Arc::new(Mutex::new(chance)), lies: rule == Some(Rule::VerdictsKept) }
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The additional delay of a verdict; now and then so long that later ones come first. `None` if it does not come
    /// at all, as where a verifier has no room for a batch.
    pub(crate) fn delay(&self) -> Option<Duration> {
        self.draw(|chance| match chance.below(40) {
            0 => None,
            1..=4 => Some(chance.millis(1..1_000)),
            _ => Some(chance.micros(0..20_000)),
        })
    }
}

impl Assistant for Device {
    fn offer(&self, items: &[Item<'_>]) -> Option<Box<dyn Answer>> {
        let taken = self.draw(|chance| match chance.below(4) {
            0 => None,
            1 => Some(items.len()),
            _ => Some(chance.below(items.len() + 1)),
        })?;
        let is_good = |item: &Item<'_>| {
            let entry = item.entry();
            self.lies || verify(entry.key, entry.message, entry.signature)
        };
        let accepts =
            |item: &Item<'_>| is_good(item) && (self.lies || !self.draw(|chance| chance.permille(200)));
        let accepted: Vec<bool> = items[..taken].iter().map(accepts).collect();
        let is_lost = self.draw(|chance| chance.permille(100));
        Some(Box::new(Opinions { taken, accepted: (!is_lost).then_some(accepted) }))
    }
}

#[derive(Debug)]
struct Opinions {
    taken: usize,
    accepted: Option<Vec<bool>>,
}

impl Answer for Opinions {
    fn taken(&self) -> usize {
        self.taken
    }

    fn wait(self: Box<Self>) -> Option<Vec<bool>> {
        self.accepted
    }
}

impl World {
    /// What the verifier of a node says, with the device's help where there is one.
    pub(crate) fn check(&mut self, node: usize, committed: Height, job: Job) -> Option<Checked> {
        let seed = self.chance.bytes();
        let running = self.nodes[node].running.as_mut()?;
        let Some(device) = self.device.clone() else {
            return running.verifier.check(committed, vec![job], seed).pop();
        };
        let alone = running.verifier.check(committed, vec![job.clone()], seed).pop()?;
        let mut helped = running.verifier.clone().assisted_by(Arc::new(device));
        let helped = helped.check(committed, vec![job], seed).pop()?;
        let differ = match (&alone, &helped) {
            (Checked::Packets(alone), Checked::Packets(helped)) => alone.refusals() != helped.refusals(),
            (Checked::Batch(alone), Checked::Batch(helped)) => {
                alone.as_ref().err().map(|refusal| (refusal.position, refusal.fault))
                    != helped.as_ref().err().map(|refusal| (refusal.position, refusal.fault))
            }
            _ => true,
        };
        if differ {
            let what = format!("verdicts: v{node} has another one with a device than without");
            self.checks.violation(self.now, what);
        }
        Some(helped)
    }
}
