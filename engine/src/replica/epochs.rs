//! The epochs of a network: who validates since when, and how each follows from the one before.
//!
//! ```text
//! epoch 0                                        epoch 1
//! ── block ── block h ── .. ── block with h's ──▶ block ── block ── ..
//!             decides          root: the last     cut and views begin anew
//!             members          names the members
//! ```
//!
//! The last block of an epoch has the digest of the next validators in its header, and a finalization of the present
//! ones. So from the genesis on each set vouches for the next, and who has these blocks with their finalizations knows
//! who validates now.

use thiserror::Error;

use crate::limits::{BLOCK_BYTES_MAX, EVIDENCE_BYTES_MAX, FINALIZATION_BYTES_MAX, MEMBERS_BYTES_MAX};
use crate::order::{Finality, FinalityVerifier};
use crate::types::{Digest, Epoch, Genesis, Height, Members, Support, UnsupportedRules};
use crate::wire::{Block, Reader, WireError, Writer};

/// How an encoding of epochs begins.
const EPOCHS_KIND: &[u8] = b"millrace/epochs/1";

/// One set of validators hands over to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The last block of the epoch.
    pub block: Block,
    /// Its finalization by the validators of that epoch.
    pub certificate: Vec<u8>,
    /// Who validates from then on.
    pub members: Members,
}

/// Why a handover is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandoverError {
    /// It is of another epoch than the present one.
    #[error("it ends epoch {found}, and the present one is {present}")]
    Epoch {
        /// The epoch of its block.
        found: Epoch,
        /// The present one.
        present: Epoch,
    },
    /// Its block does not end the epoch for these validators.
    #[error("its block does not name these validators as the next ones")]
    Members,
    /// The validators of the epoch have not finalized it.
    #[error("its block has no finalization by the validators of its epoch")]
    Certificate,
    /// The next epoch has rules that this program does not run.
    #[error(transparent)]
    Rules(#[from] UnsupportedRules),
}

/// Why bytes are no [epochs](Epochs::encode) of a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EpochsError {
    /// They are something else, or of another version.
    #[error("they do not begin as epochs of version 1 do")]
    Kind,
    /// They are of another network.
    #[error("they are of the network {found}, and this is {expected}")]
    OtherNetwork {
        /// Theirs.
        found: Digest,
        /// This one.
        expected: Digest,
    },
    /// They cannot be read.
    #[error("they cannot be read: {0}")]
    Unreadable(#[from] WireError),
    /// An epoch does not follow from the one before.
    #[error("epoch {0} does not follow from the one before: {1}")]
    Handover(Epoch, HandoverError),
}

/// All epochs up to the present one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epochs {
    network: Digest,
    /// What the first block extends, and its height.
    first_parent: (Height, Digest),
    first: Members,
    handovers: Vec<Handover>,
    /// The rules that this program runs: no epoch begins that has others.
    support: Support,
}

impl Epochs {
    /// The first epoch, of a genesis, in a program that runs these rules.
    #[must_use]
    pub fn genesis(genesis: &Genesis, support: Support) -> Self {
        let first = Members::of_genesis(genesis);
        Self { first_parent: genesis.first_parent(), ..Self::beginning(*genesis.network(), first, support) }
    }

    /// The first epoch of a network that was not rebuilt.
    pub(crate) fn beginning(network: Digest, first: Members, support: Support) -> Self {
        Self { network, first_parent: (Height(0), network), first, handovers: Vec::new(), support }
    }

    /// The validators of the present epoch.
    #[must_use]
    pub fn members(&self) -> &Members {
        self.handovers.last().map_or(&self.first, |last| &last.members)
    }

    /// The present epoch.
    #[must_use]
    pub fn present(&self) -> Epoch {
        self.members().epoch
    }

    /// What the first block of the present epoch extends, and its height: the genesis, or the last block of the epoch
    /// before.
    #[must_use]
    pub fn root(&self) -> (Height, Digest) {
        self.root_of(self.handovers.len())
    }

    fn root_of(&self, epoch: usize) -> (Height, Digest) {
        let last = epoch.checked_sub(1).map(|last| &self.handovers[last].block);
        last.map_or(self.first_parent, |last| (last.height(), *last.digest()))
    }

    /// The height before the first and the last one of an epoch that is over.
    #[must_use]
    pub fn heights(&self, epoch: Epoch) -> Option<(Height, Height)> {
        let epoch = usize::try_from(epoch.0).ok()?;
        let last = self.handovers.get(epoch)?.block.height();
        Some((self.root_of(epoch).0, last))
    }

    /// The validators of an epoch up to the present one.
    #[must_use]
    pub fn of(&self, epoch: Epoch) -> Option<&Members> {
        self.all().nth(usize::try_from(epoch.0).ok()?)
    }

    /// The validators of all epochs, the first ones first.
    pub fn all(&self) -> impl Iterator<Item = &Members> {
        [&self.first].into_iter().chain(self.handovers.iter().map(|handover| &handover.members))
    }

    /// How each epoch follows from the one before.
    #[must_use]
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// All epochs up to the present one, as a state has them: for each that is over its last block and the members that
    /// followed, and the finalization of that block.
    ///
    /// # Errors
    /// [`HandoverError`]: one of them does not follow from the one before.
    pub fn restore(
        (genesis, support): (&Genesis, Support),
        handovers: impl IntoIterator<Item = (Block, Members)>,
        finalizations: impl IntoIterator<Item = Vec<u8>>,
        certificates: &(impl FinalityVerifier + ?Sized),
    ) -> Result<Self, HandoverError> {
        let mut epochs = Self::genesis(genesis, support);
        let mut finalizations = finalizations.into_iter();
        for (block, members) in handovers {
            let certificate = finalizations.next().ok_or(HandoverError::Certificate)?;
            epochs.begin(Handover { block, certificate, members }, certificates)?;
        }
        // What is too much may be anything, and would be handed on.
        match finalizations.next() {
            None => Ok(epochs),
            Some(_) => Err(HandoverError::Certificate),
        }
    }

    /// All of them, for somebody who has the genesis alone:
    ///
    /// ```text
    /// "millrace/epochs/1" (17) | network (32) | how many are over (4), for each:
    ///     bytes (4) and its last block | bytes (4) and its finalization | bytes (4) and the members of the next one
    /// ```
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.raw(EPOCHS_KIND);
        writer.raw(&self.network.0);
        writer.count(self.handovers.len());
        for Handover { block, certificate, members } in &self.handovers {
            writer.blob(&block.encode());
            writer.blob(certificate);
            writer.blob(&members.encode());
        }
        writer.finish()
    }

    /// The inverse of [`Self::encode`]. The bytes may come from anybody: each epoch is shown by the one before.
    ///
    /// # Errors
    /// [`EpochsError`]: they are no such bytes, or do not lead on from the genesis.
    pub fn decode(
        (genesis, support): (&Genesis, Support),
        bytes: &[u8],
        certificates: &(impl FinalityVerifier + ?Sized),
    ) -> Result<Self, EpochsError> {
        let mut epochs = Self::genesis(genesis, support);
        let bytes = bytes.strip_prefix(EPOCHS_KIND).ok_or(EpochsError::Kind)?;
        let mut reader = Reader::new(bytes);
        let (found, expected) = (reader.digest("network")?, epochs.network);
        if found != expected {
            return Err(EpochsError::OtherNetwork { found, expected });
        }
        for _ in 0..reader.count("handovers", bytes.len() / 12, 12)? {
            let block = Block::decode(reader.blob("block", BLOCK_BYTES_MAX)?)?;
            let certificate = reader.blob("finalization", FINALIZATION_BYTES_MAX)?.to_vec();
            let members = Members::decode(reader.blob("members", MEMBERS_BYTES_MAX)?);
            let next = epochs.present().next();
            let members = members.ok_or(EpochsError::Handover(next, HandoverError::Members))?;
            let begun = epochs.begin(Handover { block, certificate, members }, certificates);
            begun.map_err(|error| EpochsError::Handover(next, error))?;
        }
        reader.finish()?;
        Ok(epochs)
    }

    /// Whether the evidence of the state of a height agrees with these epochs. For an epoch whose end is known here,
    /// the height must not be above that end. Members of later epochs are not known here; they are checked when the
    /// state is restored.
    pub(super) fn agree_with(
        &self,
        (height, evidence): (Height, &Evidence),
        certificates: &(impl FinalityVerifier + ?Sized),
    ) -> bool {
        let agrees = self.handovers.iter().zip(&evidence.handovers).all(|(known, said)| {
            certificates.verify(said).is_some_and(|finality| finality.digest() == known.block.digest())
        });
        let said = evidence.handovers.len();
        let last = || certificates.verify(&evidence.last);
        agrees
            && match self.handovers.get(said) {
                None => said > self.handovers.len() || last().is_some(),
                Some(end) => {
                    height <= end.block.height() && last().is_some_and(|of| of.epoch().0 <= said as u64)
                }
            }
    }

    /// The first epoch that ends otherwise here than there, if there is one.
    #[must_use]
    pub fn parts_from(&self, other: &Self) -> Option<Epoch> {
        let mut both = (0..).map(Epoch).zip(self.handovers.iter().zip(&other.handovers));
        both.find(|(_, (here, there))| here.block.digest() != there.block.digest()).map(|(epoch, _)| epoch)
    }

    /// The next epoch begins. `certificates` knows its validators from then on.
    ///
    /// # Errors
    /// [`HandoverError`]: nothing has changed.
    pub fn begin(
        &mut self,
        handover: Handover,
        certificates: &(impl FinalityVerifier + ?Sized),
    ) -> Result<(), HandoverError> {
        let Handover { block, certificate, members } = &handover;
        let (found, present) = (block.header().epoch, self.present());
        if found != present {
            return Err(HandoverError::Epoch { found, present });
        }
        if members.epoch != present.next() || block.next_members() != Some(&members.digest()) {
            return Err(HandoverError::Members);
        }
        let finality = certificates.verify(certificate);
        let is_final = |of: &Finality| of.epoch() == found && of.digest() == block.digest();
        if !finality.as_ref().is_some_and(is_final) {
            return Err(HandoverError::Certificate);
        }
        self.support.check(members.epoch, members.rules)?;
        certificates.learn(members);
        self.handovers.push(handover);
        Ok(())
    }
}

/// What shows that a state is the network's: the finalizations of the last blocks of all epochs that are over, and the
/// last one at or below its height.
///
/// ```text
/// handovers (4), for each: bytes (4) | bytes (4) of the last one
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The finalizations of the last blocks of the epochs, in their order.
    pub handovers: Vec<Vec<u8>>,
    /// The last finalization; empty if there is none.
    pub last: Vec<u8>,
}

impl Evidence {
    /// The encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.count(self.handovers.len());
        for certificate in &self.handovers {
            writer.blob(certificate);
        }
        writer.blob(&self.last);
        writer.finish()
    }

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// [`WireError`]: the bytes are not an encoding of evidence.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count("handovers", EVIDENCE_BYTES_MAX / 4, 4)?;
        let certificate = |reader: &mut Reader<'_>| -> Result<Vec<u8>, WireError> {
            Ok(reader.blob("finalization", FINALIZATION_BYTES_MAX)?.to_vec())
        };
        let handovers = (0..count).map(|_| certificate(&mut reader)).collect::<Result<_, _>>()?;
        let last = certificate(&mut reader)?;
        reader.finish()?;
        Ok(Self { handovers, last })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use kernels::merkle::{Frontier, leaf_hash};

    use super::*;
    use crate::order::FinalityEvidence;
    use crate::types::{Head, Member, Quota, RULES_FIRST, RULES_TRIAL, ValidatorIndex};
    use crate::wire::Header;

    const NETWORK: Digest = Digest([5; 32]);

    /// A certificate is "epoch (8 bytes) | digest".
    struct Plain;

    impl FinalityVerifier for Plain {
        fn verify(&self, certificate: &[u8]) -> Option<Finality> {
            let (epoch, digest) = certificate.split_first_chunk::<8>()?;
            let (epoch, digest) = (Epoch(u64::from_le_bytes(*epoch)), Digest(digest.try_into().ok()?));
            Some(Finality::handed_on(FinalityEvidence { epoch, view: 7, digest, certificate }))
        }

        fn leader(&self, _: Epoch, _: u64) -> ValidatorIndex {
            ValidatorIndex(0)
        }

        fn learn(&self, _: &Members) {}
    }

    fn members(epoch: u64, validators: u8) -> Members {
        let member = |number| Member {
            name: format!("member-{number}"),
            public_key: [number; 32],
            certificate_fingerprint: [number; 32],
            peer_address: String::new(),
            client_address: String::new(),
        };
        Members { epoch: Epoch(epoch), rules: RULES_FIRST, list: (1..=validators).map(member).collect() }
    }

    /// These epochs, and one more with so many other validators.
    pub fn handed_over(mut epochs: Epochs, validators: u8) -> Epochs {
        let present = epochs.present().0;
        epochs
            .begin(handover(1_000 * (present + 1), present, members(present + 1, validators)), &Plain)
            .unwrap();
        epochs
    }

    /// The handover at a height, from an epoch to members.
    fn handover(height: u64, epoch: u64, members: Members) -> Handover {
        let mut log = Frontier::default();
        (0..height).for_each(|_| log.append(leaf_hash(&NETWORK.0)));
        let block = Block::new(Header {
            height: Height(height),
            epoch: Epoch(epoch),
            view: 3,
            parent: Digest([height as u8; 32]),
            proposer: ValidatorIndex(0),
            time_ms: 0,
            roots_first: Height(1),
            next_members: members.digest(),
            roots: vec![],
            cut: vec![Head::NONE; 4],
            log,
        })
        .unwrap();
        let certificate = [&epoch.to_le_bytes()[..], &block.digest().0].concat();
        Handover { block, certificate, members }
    }

    #[test]
    fn each_epoch_follows_from_the_one_before() {
        let mut epochs = Epochs::beginning(NETWORK, members(0, 4), Support::OURS);
        assert_eq!((epochs.present(), epochs.root()), (Epoch(0), (Height(0), NETWORK)));
        let (first, second) = (handover(5, 0, members(1, 5)), handover(9, 1, members(2, 3)));
        let wrong = |change: &dyn Fn(&mut Handover)| {
            let mut other = first.clone();
            change(&mut other);
            epochs.clone().begin(other, &Plain)
        };
        let (found, present) = (Epoch(1), Epoch(0));
        assert_eq!(
            epochs.clone().begin(second.clone(), &Plain),
            Err(HandoverError::Epoch { found, present })
        );
        assert_eq!(wrong(&|of| of.members = members(1, 4)), Err(HandoverError::Members));
        assert_eq!(wrong(&|of| of.members.epoch = Epoch(2)), Err(HandoverError::Members));
        assert_eq!(wrong(&|of| of.certificate[9] ^= 1), Err(HandoverError::Certificate));
        assert_eq!(wrong(&|of| of.certificate[0] ^= 1), Err(HandoverError::Certificate), "of another epoch");
        assert_eq!(wrong(&|of| of.certificate.clear()), Err(HandoverError::Certificate));

        let mut newer = epochs.clone();
        let later = handover(5, 0, Members { rules: RULES_TRIAL, ..members(1, 4) });
        let refused = newer.begin(later.clone(), &Plain).unwrap_err();
        assert_eq!(refused, Support::OURS.check(Epoch(1), RULES_TRIAL).unwrap_err().into());
        assert_eq!(newer, epochs, "this program stays in the epoch before");
        Epochs::beginning(NETWORK, members(0, 4), Support::TRIAL).begin(later, &Plain).unwrap();

        epochs.begin(first.clone(), &Plain).unwrap();
        epochs.begin(second.clone(), &Plain).unwrap();
        assert_eq!((epochs.present(), epochs.members()), (Epoch(2), &members(2, 3)));
        assert_eq!(epochs.root(), (Height(9), *second.block.digest()));
        assert_eq!(epochs.of(Epoch(1)), Some(&members(1, 5)));
        assert_eq!(epochs.of(Epoch(3)), None);
        let over = [0, 1, 2].map(|epoch| epochs.heights(Epoch(epoch)));
        assert_eq!(over, [Some((Height(0), Height(5))), Some((Height(5), Height(9))), None]);

        let other = handover(8, 1, members(2, 3));
        let parted = [&first, &other].map(Clone::clone);
        let mut forged = Epochs::beginning(NETWORK, members(0, 4), Support::OURS);
        assert_eq!(epochs.parts_from(&forged), None);
        parted.into_iter().for_each(|of| forged.begin(of, &Plain).unwrap());
        assert_eq!((epochs.parts_from(&forged), epochs.parts_from(&epochs)), (Some(Epoch(1)), None));

        let ends = [first, second].map(|of| of.certificate);
        let agrees = |height: u64, handovers: &[Vec<u8>], last: &[u8]| {
            let evidence = Evidence { handovers: handovers.to_vec(), last: last.to_vec() };
            epochs.agree_with((Height(height), &evidence), &Plain)
        };
        assert!(agrees(12, &ends, &ends[1]));
        let later = [&ends[..], &[vec![9]]].concat();
        assert!(agrees(20, &later, b""), "the members of a later epoch are not known");
        assert!(!agrees(12, &ends, b"none"));
        assert!(agrees(9, &ends[..1], &ends[1]), "an epoch that is over here has states up to its end");
        assert!(agrees(7, &ends[..1], &ends[0]), "nothing is final above the end of the epoch before");
        assert!(!agrees(10, &ends[..1], &ends[1]), "above its end is another epoch");
        assert!(!agrees(4, &[], &ends[1]), "a finalization of a later epoch");
        assert!(!agrees(4, &[], b"none"));
        let exchanged = [ends[1].clone(), ends[0].clone()];
        assert!(!agrees(12, &exchanged, &ends[1]), "other ends than those that are known");
    }

    #[test]
    fn epochs_are_decoded_to_themselves_and_only_where_each_follows_from_the_one_before() {
        let genesis = super::super::tests::founded::genesis(4, Quota::WHOLE);
        let mut epochs = Epochs::genesis(&genesis, Support::OURS);
        assert_eq!(Epochs::decode((&genesis, Support::OURS), &epochs.encode(), &Plain).as_ref(), Ok(&epochs));
        epochs.begin(handover(5, 0, members(1, 5)), &Plain).unwrap();
        epochs.begin(handover(9, 1, members(2, 3)), &Plain).unwrap();
        let ended = || epochs.handovers().iter().map(|of| (of.block.clone(), of.members.clone()));
        let finalizations = || epochs.handovers().iter().map(|of| of.certificate.clone());
        let restored = |finalizations: Vec<Vec<u8>>| {
            Epochs::restore((&genesis, Support::OURS), ended(), finalizations, &Plain)
        };
        assert_eq!(restored(finalizations().collect()).as_ref(), Ok(&epochs));
        for wrong in [finalizations().take(1).collect(), finalizations().chain([vec![9]]).collect()] {
            assert_eq!(restored(wrong), Err(HandoverError::Certificate), "one is missing, or too many");
        }
        let bytes = epochs.encode();
        let decode = |bytes: &[u8]| Epochs::decode((&genesis, Support::OURS), bytes, &Plain);
        assert_eq!(decode(&bytes).as_ref(), Ok(&epochs));

        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "{end}");
        }
        assert!(matches!(decode(&[&bytes[..], &[0]].concat()), Err(EpochsError::Unreadable(_))));
        let spoiled = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            decode(&bytes)
        };
        assert_eq!(spoiled(16), Err(EpochsError::Kind), "a later version");
        assert!(matches!(spoiled(17), Err(EpochsError::OtherNetwork { .. })));
        let late = [(53..bytes.len()).find(|at| matches!(spoiled(*at), Err(EpochsError::Handover(..))))];
        assert!(late[0].is_some(), "each byte is under the digest that the one before has named");
        assert!((53..bytes.len()).all(|at| spoiled(at).is_err()));
        let huge = [&bytes[..49], &u32::MAX.to_le_bytes()].concat();
        assert!(matches!(decode(&huge), Err(EpochsError::Unreadable(_))), "before anything is allocated");
    }

    #[test]
    fn evidence_is_decoded_to_itself_and_garbage_to_an_error() {
        let evidence = Evidence { handovers: vec![vec![1; 300], vec![], vec![2; 3]], last: vec![3; 40] };
        let bytes = evidence.encode();
        assert_eq!(Evidence::decode(&bytes), Ok(evidence));
        assert_eq!(Evidence::decode(&Evidence::default().encode()), Ok(Evidence::default()));
        for end in 0..bytes.len() {
            assert!(Evidence::decode(&bytes[..end]).is_err(), "{end}");
        }
        assert!(Evidence::decode(&[255; 40]).is_err(), "no memory is taken for what is only announced");
    }
}
