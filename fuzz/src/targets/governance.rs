//! What administrators decide, as good encodings to begin from.

use engine::types::{
    AccountId, Asset, ChainId, ChainKind, Consent, Consents, Council, CryptoSuite, Decision, Digest, Epoch,
    Height, Member, MemberChange, MembersRecord, NewChain, ProposalRecord, RULES_FIRST, Roles, RulesVersion,
    ValidatorIndex,
};

pub(super) fn new_chain() -> NewChain {
    let roles = Roles { issuer: Some(AccountId(1)), issuance_cap: 9, ..Roles::default() };
    let (kind, suite, asset) = (ChainKind::Transfers, CryptoSuite::Ed25519, Asset::UNIT);
    NewChain { id: ChainId(7), kind, suite, asset, roles, founders: vec![[5; 32], [6; 32]] }
}

pub(super) fn member() -> Member {
    Member {
        name: "v".into(),
        public_key: [5; 32],
        certificate_fingerprint: [6; 32],
        peer_address: "v.example:7000".into(),
        client_address: String::new(),
    }
}

pub(super) fn consents() -> Vec<u8> {
    let consent = |place| Consent { place: ValidatorIndex(place), height: Height(9), signature: [7; 64] };
    Consents::encode([0, 2].map(consent).into())
}

pub(super) fn members() -> MembersRecord {
    let (digest, proposal) = (Digest([4; 32]), Digest([5; 32]));
    let (rules, rules_since) = (RULES_FIRST.next(), Epoch(1));
    MembersRecord { epoch: Epoch(1), decided: Height(9), count: 5, digest, proposal, rules, rules_since }
}

pub(super) fn council() -> Council {
    Council { threshold: 2, accounts: [0, 2, 5].map(AccountId).into() }
}

pub(super) fn decisions() -> impl Iterator<Item = Decision> {
    let chain = ChainId(7);
    let of_chain = [Decision::Pause(chain), Decision::Resume(chain), Decision::Close(chain)];
    let others = [
        Decision::Create(new_chain()),
        Decision::Roles(chain, Roles::default()),
        Decision::Administrators(council()),
        Decision::Members(MemberChange::Add(member())),
        Decision::Members(MemberChange::Remove { key: [2; 32], below_four: true }),
        Decision::Members(MemberChange::Replace([1; 32], member())),
        Decision::Members(MemberChange::Rules(RulesVersion(2))),
    ];
    of_chain.into_iter().chain(others)
}

pub(super) fn proposal(decision: Decision) -> ProposalRecord {
    let decided = matches!(decision, Decision::Create(_)).then_some((3, Height(200)));
    let approvals = vec![AccountId(2), AccountId(0)];
    ProposalRecord { administrators: 1, until_ms: 1 << 40, approvals, decided, decision }
}

/// The name of a proposal whose row has these bytes, whatever they are: the hash of all but approvals and number.
pub(super) fn name_of_proposal(row: &[u8]) -> [u8; 32] {
    let (head, rest) = row.split_at(row.len().min(16));
    let (count, rest) = rest.split_first().map_or((0, rest), |(count, rest)| (usize::from(*count), rest));
    let rest = &rest[rest.len().min(8 * count)..];
    let decision = match rest.split_first() {
        Some((1, behind)) => &behind[behind.len().min(16)..],
        Some((_, behind)) => behind,
        None => rest,
    };
    kernels::sha2::sha256_parts(&[b"millrace/proposal", head, decision])
}
