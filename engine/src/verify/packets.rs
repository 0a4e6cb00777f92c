//! What a client submitted: each packet is judged by itself.

use super::signed::Signed;
use super::{PREFETCH_AHEAD, Tally, Verified};
use crate::execute::{AccountKey, ChainState, Chains, WindowRefusal};
use crate::types::{
    AccountId, Action, Command, Content, Frozen, Height, Packet, PacketSlab, Refusal, Transaction,
};

/// A client's packets and their verdicts.
#[derive(Clone, Debug)]
pub struct CheckedPackets {
    slab: PacketSlab,
    refusals: Vec<Option<Refusal>>,
    tally: Tally,
}

impl CheckedPackets {
    /// For each packet, in order: the evidence or the refusal.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Verified<Transaction>, Refusal>> {
        self.slab.packets().iter().zip(&self.refusals).map(|(packet, refusal)| match refusal {
            Some(refusal) => Err(*refusal),
            None => packet.transaction().map(Verified::new).map_err(|_| Refusal::Malformed),
        })
    }

    /// For each packet, in order: why it is refused, if it is.
    pub fn refusals(&self) -> &[Option<Refusal>] {
        &self.refusals
    }

    /// How many signatures were checked, and how many of them were bad.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many packets.
    pub fn len(&self) -> usize {
        self.refusals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// The cheap refusals of a client's packets; survivors go to `signed`.
pub(super) fn judge<'a>(
    chains: &'a Chains,
    committed: Height,
    slab: &'a PacketSlab,
    signed: &mut Vec<Signed<'a>>,
) -> Vec<Option<Refusal>> {
    let packets = slab.packets();
    let judge = |(at, packet): (usize, &'a Packet)| {
        if let Some(coming) = packets.get(at + PREFETCH_AHEAD)
            && let Some(state) = chains.get(coming.chain())
        {
            state.prefetch(coming.debit());
            if !coming.is_cross() {
                state.prefetch(coming.credit());
            }
        }
        match judge_packet(chains, committed, packet) {
            Ok(key) => {
                signed.push(Signed::packet(key, packet));
                None
            }
            Err(refusal) => Some(refusal),
        }
    };
    packets.iter().enumerate().map(judge).collect()
}

fn judge_packet<'a>(
    chains: &'a Chains,
    committed: Height,
    packet: &Packet,
) -> Result<AccountKey<'a>, Refusal> {
    let content = packet.content().map_err(|_| Refusal::Malformed)?;
    let state = chains.get(packet.chain()).ok_or(Refusal::WrongChain)?;
    if packet.expiry() <= committed {
        return Err(Refusal::Expired);
    }
    let key = state.key(packet.debit()).ok_or(Refusal::UnknownAccount)?;
    if key.version != packet.key_version() {
        return Err(Refusal::WrongKeyVersion);
    }
    // In the order of execution: what has spent its nonce is told as that, whatever has changed since. So who submits
    // the same bytes again hears what became of them.
    let window = state.window(packet.debit()).ok_or(Refusal::UnknownAccount)?;
    window.with(packet.nonce()).map_err(|refusal| match refusal {
        WindowRefusal::Replayed => Refusal::Replayed,
        WindowRefusal::TooFar => Refusal::NonceTooFar,
    })?;
    match content {
        Content::Command(command) => judge_command(state, &command)?,
        Content::Transfer(transfer) if let Some(other) = transfer.credit_chain => {
            refuse_frozen(state, transfer.debit, Frozen::debit)?;
            // Whether the account exists there is for that chain to say, when the money arrives.
            let other = chains.get(other).ok_or(Refusal::UnknownCreditChain)?;
            if other.asset() != state.asset() {
                return Err(Refusal::OtherAsset);
            }
        }
        Content::Transfer(transfer) => {
            refuse_frozen(state, transfer.debit, Frozen::debit)?;
            refuse_frozen(state, transfer.credit, Frozen::credit)?;
        }
    }
    Ok(key)
}

fn judge_command(state: &ChainState, command: &Command) -> Result<(), Refusal> {
    let roles = state.roles();
    let (holder, credited) = match command.action {
        Action::Issue { to, .. } => (roles.issuer, to),
        Action::Burn { .. } => (roles.issuer, command.authority),
        Action::Freeze { account, .. } => (roles.freezer, account),
    };
    if holder != Some(command.authority) {
        return Err(Refusal::RoleNotHeld);
    }
    state.index(credited).ok_or(Refusal::UnknownAccount)?;
    Ok(())
}

/// What is frozen now would most probably fail. Execution decides.
fn refuse_frozen(state: &ChainState, account: AccountId, way: fn(Frozen) -> bool) -> Result<(), Refusal> {
    match state.frozen(account).ok_or(Refusal::UnknownAccount)? {
        frozen if way(frozen) => Err(Refusal::Frozen),
        _ => Ok(()),
    }
}

/// Puts the cheap refusals and the verdicts on signatures together; takes its verdicts from the front.
pub(super) fn conclude(
    slab: PacketSlab,
    mut refusals: Vec<Option<Refusal>>,
    verdicts: &mut &[bool],
) -> CheckedPackets {
    let mut tally = Tally::default();
    for undecided in refusals.iter_mut().filter(|refusal| refusal.is_none()) {
        let good = *verdicts.split_off_first().expect("a verdict for each survivor");
        tally.count(good);
        *undecided = (!good).then_some(Refusal::BadSignature);
    }
    CheckedPackets { slab, refusals, tally }
}
