//! What a proof says, as the engine has it: so that the same words and fields are made of both.

use engine::types::{
    AccountId, AccountRecord, Approval, Asset, ChainId, ChainKind, Change, Council, CryptoSuite, Decision,
    Height, LockWindows, Member, MemberChange, NewChain, Pending, Price, ProposalRecord, Purpose, Quota,
    Registrar, Reservation, Roles, RulesVersion, Safeguards,
};

pub(crate) fn roles(of: &proof::Roles) -> Roles {
    Roles {
        issuer: of.issuer.map(AccountId),
        issuance_cap: of.issuance_cap,
        freezer: of.freezer.map(AccountId),
        registrar: match of.registrar {
            None => Registrar::Nobody,
            Some(proof::ANYONE) => Registrar::Anyone,
            Some(account) => Registrar::Account(AccountId(account)),
        },
        accounts_cap: of.accounts_cap,
        attestations_cap: of.attestations_cap,
        windows: LockWindows { rekey_seconds: of.rekey_window, recovery_seconds: of.recovery_window },
        quota: Quota(of.quota),
    }
}

pub(super) fn reservation(of: &proof::Reservation) -> Reservation {
    let account = |account: u32| AccountId(account.into());
    let purpose = match of.purpose {
        proof::Purpose::Payment { payee, settler } => {
            Purpose::Payment { payee: account(payee), settler: account(settler) }
        }
        proof::Purpose::Swap { chain, price, to, taker } => Purpose::Swap(Price {
            chain: ChainId(chain),
            amount: price,
            to: account(to),
            taker: taker.map(account),
        }),
    };
    Reservation { amount: of.amount, due_ms: of.due_ms, purpose }
}

pub(crate) fn kind(of: proof::ChainKind) -> ChainKind {
    match of {
        proof::ChainKind::Transfers => ChainKind::Transfers,
        proof::ChainKind::Attestations => ChainKind::Attestations,
        proof::ChainKind::Governance => ChainKind::Governance,
    }
}

fn accounts(of: &[u64]) -> Vec<AccountId> {
    of.iter().copied().map(AccountId).collect()
}

fn safeguards(of: &proof::Safeguards) -> Safeguards {
    Safeguards { recovery_key: of.recovery_key, threshold: of.threshold, guardians: accounts(&of.guardians) }
}

pub(super) fn record(of: &proof::AccountRecord) -> AccountRecord {
    let change = |of: &proof::Change| match of {
        proof::Change::Key(key) => Change::Key(*key),
        proof::Change::Safeguards(of) => Change::Safeguards(safeguards(of)),
        proof::Change::Close => Change::Close,
    };
    let pending = |of: &proof::Pending| Pending {
        change: change(&of.change),
        by_recovery: of.by_recovery,
        begun: Height(of.begun),
        due_ms: of.due_ms,
    };
    let approval =
        |of: &proof::Approval| Approval { guardian: of.guardian, until_ms: of.until_ms, key: of.key };
    AccountRecord {
        changes: of.changes,
        key_since: Height(of.key_since),
        safeguards: safeguards(&of.safeguards),
        pending: of.pending.as_ref().map(pending),
        approvals: of.approvals.iter().map(approval).collect(),
    }
}

pub(super) fn council(of: &proof::Council) -> Council {
    Council { threshold: of.threshold, accounts: accounts(&of.accounts) }
}

pub(super) fn decision(of: &proof::Decision) -> Decision {
    match of {
        proof::Decision::Create(new) => Decision::Create(NewChain {
            id: ChainId(new.id),
            kind: kind(new.kind),
            // A proof knows no other one.
            suite: CryptoSuite::Ed25519,
            asset: Asset(new.asset),
            roles: roles(&new.roles),
            founders: new.founders.clone(),
        }),
        proof::Decision::Pause(chain) => Decision::Pause(ChainId(*chain)),
        proof::Decision::Resume(chain) => Decision::Resume(ChainId(*chain)),
        proof::Decision::Close(chain) => Decision::Close(ChainId(*chain)),
        proof::Decision::Roles(chain, of) => Decision::Roles(ChainId(*chain), roles(of)),
        proof::Decision::Administrators(of) => Decision::Administrators(council(of)),
        proof::Decision::Members(of) => Decision::Members(match of {
            proof::MemberChange::Add(of) => MemberChange::Add(member(of)),
            proof::MemberChange::Remove { key, below_four } => {
                MemberChange::Remove { key: *key, below_four: *below_four }
            }
            proof::MemberChange::Replace(key, of) => MemberChange::Replace(*key, member(of)),
            proof::MemberChange::Rules(rules) => MemberChange::Rules(RulesVersion(*rules)),
        }),
    }
}

pub(super) fn member(of: &proof::Member) -> Member {
    Member {
        name: of.validator.name.clone(),
        public_key: of.validator.key,
        certificate_fingerprint: of.validator.certificate_fingerprint,
        peer_address: of.peer_address.clone(),
        client_address: of.client_address.clone(),
    }
}

pub(super) fn proposal(of: &proof::Proposal) -> ProposalRecord {
    ProposalRecord {
        administrators: of.administrators,
        until_ms: of.until_ms,
        approvals: accounts(&of.approvals),
        decided: of.decided.map(|(number, height)| (number, Height(height))),
        decision: decision(&of.decision),
    }
}
