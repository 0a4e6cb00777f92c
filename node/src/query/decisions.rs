//! What administrators decide, in words and as fields.

use engine::types::{
    Approve, Charter, Consents, Council, Decision, LockWindows, Member, MemberChange, NewChain,
    ProposalRecord, Propose, Quota, Registrar, Roles,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::grouped;

/// A decision in a line.
pub(crate) fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Create(new) => {
            let NewChain { id, kind, asset, roles, founders, .. } = new;
            let of =
                if *asset == engine::types::Asset::NONE { String::new() } else { format!(" of {asset}") };
            let keys: Vec<String> = founders.iter().map(hex::encode).collect();
            let keys = keys.join(", ");
            format!(
                "create chain {id}: {}{of}; {}; accounts with the keys {keys}",
                kind.name(),
                in_words(roles)
            )
        }
        Decision::Pause(chain) => format!("pause chain {chain}"),
        Decision::Resume(chain) => format!("resume chain {chain}"),
        Decision::Close(chain) => format!("close chain {chain} for good"),
        Decision::Roles(chain, roles) => format!("chain {chain}: {}", in_words(roles)),
        Decision::Administrators(council) => {
            format!("administrators are {}; {} must approve", accounts(council), council.threshold)
        }
        Decision::Members(MemberChange::Add(new)) => format!("add the validator {}", member(new)),
        Decision::Members(MemberChange::Remove { key, below_four }) => {
            let meant = if *below_four { ", even if fewer than four remain" } else { "" };
            format!("remove the validator with the key {}{meant}", hex::encode(key))
        }
        Decision::Members(MemberChange::Replace(key, new)) => {
            format!("replace the validator with the key {} by {}", hex::encode(key), member(new))
        }
        Decision::Members(MemberChange::Rules(rules)) => format!("rules {rules} from the next epoch on"),
    }
}

/// A validator, in words.
pub(crate) fn member(of: &Member) -> String {
    let (key, certificate) = (hex::encode(of.public_key), hex::encode(of.certificate_fingerprint));
    let address =
        |what: &str, at: &str| if at.is_empty() { String::new() } else { format!(", {what} at {at}") };
    let (peers, clients) = (address("peers", &of.peer_address), address("clients", &of.client_address));
    format!("{:?} with the key {key} and the certificate {certificate}{peers}{clients}", of.name)
}

/// A validator as fields of an object.
pub(crate) fn member_fields(of: &Member) -> Value {
    json!({
        "name": of.name,
        "public_key": hex::encode(of.public_key),
        "certificate_fingerprint": hex::encode(of.certificate_fingerprint),
        "peer_address": of.peer_address,
        "client_address": of.client_address,
    })
}

/// The accounts that decide.
pub(crate) fn accounts(council: &Council) -> String {
    let accounts: Vec<String> = council.accounts.iter().map(ToString::to_string).collect();
    format!("accounts {}", accounts.join(", "))
}

/// Something that a decision replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// What it is.
    pub(crate) what: &'static str,
    /// What is in effect, in words.
    pub(crate) from: String,
    /// What would be in effect.
    pub(crate) to: String,
}

/// Where other roles differ from those in effect.
pub(crate) fn changed_roles(from: &Roles, to: &Roles) -> Vec<Change> {
    differences(&rows(from), &rows(to))
}

/// Where other administrators differ from those in effect.
pub(crate) fn changed_council(from: &Council, to: &Council) -> Vec<Change> {
    let rows = |of: &Council| {
        vec![("administrators", accounts(of)), ("threshold", format!("{} must approve", of.threshold))]
    };
    differences(&rows(from), &rows(to))
}

/// The rows of the second list that the first one does not have; what it has of the same name is what they replace.
fn differences(from: &[(&'static str, String)], to: &[(&'static str, String)]) -> Vec<Change> {
    let before = |what: &str| from.iter().find(|(of, _)| *of == what).map_or("none", |(_, is)| is);
    let all = to.iter().map(|(what, to)| Change { what, from: before(what).to_owned(), to: to.clone() });
    all.filter(|change| change.from != change.to).collect()
}

fn in_words(roles: &Roles) -> String {
    let all: Vec<String> = rows(roles).into_iter().map(|(what, who)| format!("{what} {who}")).collect();
    all.join("; ")
}

/// Roles, caps and lock windows, one after the other.
pub(crate) fn rows(roles: &Roles) -> Vec<(&'static str, String)> {
    let holder = |account: Option<_>| match account {
        None => "nobody".to_owned(),
        Some(account) => format!("account {account}"),
    };
    let issuer = match roles.issuer {
        None => holder(None),
        issuer => {
            format!("{}, at most {} more than is burned", holder(issuer), grouped(roles.issuance_cap))
        }
    };
    let most = grouped(roles.accounts_cap);
    let registrar = match roles.registrar {
        Registrar::Nobody => holder(None),
        Registrar::Account(account) => format!("{}, at most {most} accounts in all", holder(Some(account))),
        Registrar::Anyone => format!("any account, at most {most} accounts in all"),
    };
    let LockWindows { rekey_seconds, recovery_seconds } = roles.windows;
    let (rekey, recovery) = (grouped(rekey_seconds.into()), grouped(recovery_seconds.into()));
    let quota = match roles.quota {
        Quota::WHOLE => "a whole block".to_owned(),
        Quota(bytes) => format!("{} bytes of a block", grouped(bytes.into())),
    };
    let mut rows = Vec::new();
    if roles.attestations_cap > 0 {
        rows.push(("attestations", format!("at most {}", grouped(roles.attestations_cap))));
    }
    rows.extend([
        ("issuer", issuer),
        ("freezer", holder(roles.freezer)),
        ("registrar", registrar),
        ("lock windows", format!("{rekey} s for a key, {recovery} s for a recovery")),
        ("quota", quota),
    ]);
    rows
}

/// Roles, caps and lock windows as fields of an object.
pub(crate) fn roles_fields(roles: &Roles) -> Value {
    let registrar = match roles.registrar {
        Registrar::Nobody => Value::Null,
        Registrar::Account(account) => json!(account),
        Registrar::Anyone => json!("anyone"),
    };
    json!({
        "issuer": roles.issuer,
        "issuance_cap": roles.issuance_cap,
        "freezer": roles.freezer,
        "registrar": registrar,
        "accounts_cap": roles.accounts_cap,
        "attestations_cap": roles.attestations_cap,
        "rekey_window": roles.windows.rekey_seconds,
        "recovery_window": roles.windows.recovery_seconds,
        "quota": roles.quota.0,
    })
}

/// A decision as fields of an object.
pub(crate) fn decision_fields(decision: &Decision) -> Value {
    match decision {
        Decision::Create(NewChain { id, kind, asset, roles, founders, .. }) => json!({ "create": {
            "chain": id,
            "kind": kind.name(),
            "asset": (*asset != engine::types::Asset::NONE).then_some(asset),
            "founders": founders.iter().map(hex::encode).collect::<Vec<_>>(),
            "roles": roles_fields(roles),
        }}),
        Decision::Pause(chain) => json!({ "pause": chain }),
        Decision::Resume(chain) => json!({ "resume": chain }),
        Decision::Close(chain) => json!({ "close": chain }),
        Decision::Roles(chain, roles) => json!({ "roles": { "chain": chain, "roles": roles_fields(roles) }}),
        Decision::Administrators(council) => {
            json!({ "administrators": { "accounts": council.accounts, "threshold": council.threshold }})
        }
        Decision::Members(MemberChange::Add(new)) => json!({ "add_member": member_fields(new) }),
        Decision::Members(MemberChange::Remove { key, below_four }) => {
            json!({ "remove_member": { "public_key": hex::encode(key), "below_four": below_four }})
        }
        Decision::Members(MemberChange::Replace(key, new)) => {
            json!({ "replace_member": { "public_key": hex::encode(key), "by": member_fields(new) }})
        }
        Decision::Members(MemberChange::Rules(rules)) => json!({ "rules": rules }),
    }
}

/// A proposal as it was signed.
pub(crate) fn propose_fields(of: &Propose<'_>) -> Value {
    json!({
        "chain": of.chain,
        "key_version": of.key_version,
        "reference": hex::encode(of.reference),
        "administrator": of.administrator,
        "proposal": of.proposal(),
        "administrators": of.administrators,
        "until_ms": of.until_ms,
        "decision": decision_fields(&of.decision.get()),
        "consents": consents(of.consents),
        "nonce": of.nonce,
        "expiry": of.expiry,
    })
}

/// An approval as it was signed.
pub(crate) fn approve_fields(of: &Approve<'_>) -> Value {
    json!({
        "chain": of.chain,
        "key_version": of.key_version,
        "reference": hex::encode(of.reference),
        "administrator": of.administrator,
        "proposal": of.proposal,
        "administrators": of.administrators,
        "consents": consents(of.consents),
        "nonce": of.nonce,
        "expiry": of.expiry,
    })
}

/// Who consents to the members that are decided, and at which height.
fn consents(of: Consents<'_>) -> Vec<Value> {
    of.iter().map(|consent| json!({ "place": consent.place, "height": consent.height })).collect()
}

/// What has become of a proposal.
pub(crate) fn proposal_fields(of: &ProposalRecord) -> Value {
    json!({
        "decision": decision_fields(&of.decision),
        "administrators": of.administrators,
        "until_ms": of.until_ms,
        "approvals": of.approvals,
        "number": of.decided.map(|(number, _)| number),
        "in_effect_from": of.decided.map(|(_, height)| height),
    })
}

/// What a chain is, as fields of an object.
pub(crate) fn charter_fields(of: &Charter) -> Value {
    let mut fields = roles_fields(&of.roles);
    fields["kind"] = json!(of.kind.name());
    fields["asset"] = json!((of.asset != engine::types::Asset::NONE).then_some(of.asset));
    fields["supply"] = json!(of.supply);
    fields["status"] = json!(of.status.name());
    fields["since"] = json!(of.since);
    fields["proposal"] = json!((of.since.0 > 0).then_some(of.proposal));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::AccountId;

    #[test]
    fn a_change_is_said_from_what_to_what_and_nothing_else_is() {
        let before = Roles {
            issuer: Some(AccountId(0)),
            issuance_cap: 5_000,
            freezer: Some(AccountId(1)),
            ..Roles::default()
        };
        assert_eq!(changed_roles(&before, &before), []);
        let windows = LockWindows { rekey_seconds: 2, ..before.windows };
        let after = Roles { issuance_cap: 6_000, freezer: None, windows, ..before };
        let changed: Vec<_> =
            changed_roles(&before, &after).into_iter().map(|of| (of.what, of.from, of.to)).collect();
        let [issuer, freezer, windows] = &changed[..] else { panic!("{changed:?}") };
        let words = |cap: &str| format!("account 0, at most {cap} more than is burned");
        assert_eq!(*issuer, ("issuer", words("5,000"), words("6,000")));
        assert_eq!(*freezer, ("freezer", "account 1".to_owned(), "nobody".to_owned()));
        assert_eq!((windows.0, &*windows.2), ("lock windows", "2 s for a key, 604,800 s for a recovery"));

        let council = |threshold, accounts: &[u64]| Council {
            threshold,
            accounts: accounts.iter().copied().map(AccountId).collect(),
        };
        let changed = changed_council(&council(2, &[0, 1, 2]), &council(2, &[0, 2, 5]));
        let [Change { what: "administrators", from, to }] = &changed[..] else { panic!("{changed:?}") };
        assert_eq!((&**from, &**to), ("accounts 0, 1, 2", "accounts 0, 2, 5"));
        let changed = changed_council(&council(2, &[0, 1]), &council(1, &[0, 1]));
        let [Change { what: "threshold", from, to }] = &changed[..] else { panic!("{changed:?}") };
        assert_eq!((&**from, &**to), ("2 must approve", "1 must approve"));
    }
}
