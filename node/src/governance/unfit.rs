//! Which option makes a decision impossible, and why. The engine has the rules and only says yes or no; here each rule
//! has its words. A test holds both to the same answer.

use engine::limits::{
    ACCOUNTS_MAX, ADDRESS_BYTES_MAX, ADMINISTRATORS_MAX, FOUNDERS_MAX, LOCK_WINDOW_SECONDS_MAX,
    NAME_BYTES_MAX, ROWS_MAX,
};
use engine::types::{
    AccountId, Asset, ChainKind, Council, Decision, LockWindows, Member, MemberChange, NewChain, Quota,
    Registrar, Roles,
};
use kernels::ed25519::is_small_order;

use crate::cli::grouped;

/// The option that is wrong, and why, if a decision is not [valid](Decision::is_valid).
pub(super) fn decision(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Create(new) => new_chain(new),
        Decision::Administrators(of) => council(of),
        Decision::Members(MemberChange::Add(new) | MemberChange::Replace(_, new)) => member(new),
        Decision::Members(MemberChange::Remove { .. } | MemberChange::Rules(_))
        | Decision::Roles(..)
        | Decision::Pause(_)
        | Decision::Resume(_)
        | Decision::Close(_) => None,
    }
}

fn member(member: &Member) -> Option<String> {
    let name = member.name.len();
    if !(1..=NAME_BYTES_MAX).contains(&name) {
        return Some(format!("name: a validator has a name of 1 to {NAME_BYTES_MAX} bytes, not of {name}"));
    }
    if is_small_order(&member.public_key) {
        return Some("public_key: it has small order, so anybody could sign for it".to_owned());
    }
    let all = [("peers", &member.peer_address), ("clients", &member.client_address)];
    let is_wrong = |at: &str| at.len() > ADDRESS_BYTES_MAX || !at.bytes().all(|byte| byte.is_ascii_graphic());
    let (what, _) = all.into_iter().find(|(_, at)| is_wrong(at))?;
    Some(format!(
        "{what}: an address has at most {ADDRESS_BYTES_MAX} printable ASCII characters, and no spaces"
    ))
}

/// The option that is wrong, and why, if a chain of this kind and asset cannot have these roles.
pub(super) fn roles(roles: &Roles, (kind, asset): (ChainKind, Asset)) -> Option<String> {
    of_kind(roles, (kind, asset))
        .or_else(|| caps(roles))
        .or_else(|| windows(roles.windows))
        .or_else(|| quota(roles.quota))
}

/// The accounts that hold a role, each with the option that names it.
pub(super) fn holders(roles: &Roles) -> impl Iterator<Item = (&'static str, AccountId)> {
    let registrar = match roles.registrar {
        Registrar::Account(account) => Some(account),
        Registrar::Nobody | Registrar::Anyone => None,
    };
    let all = [("issuer", roles.issuer), ("freezer", roles.freezer), ("registrar", registrar)];
    all.into_iter().filter_map(|(role, holder)| Some((role, holder?)))
}

fn new_chain(new: &NewChain) -> Option<String> {
    let founders = new.founders.len();
    if !(1..=FOUNDERS_MAX).contains(&founders) {
        return Some(format!(
            "--founder: a chain begins with 1 to {FOUNDERS_MAX} keys, and {founders} are named"
        ));
    }
    if let Some(key) = new.founders.iter().find(|key| is_small_order(key)) {
        return Some(format!(
            "--founder: anybody can sign for the key {}, which has small order",
            hex::encode(key)
        ));
    }
    let absent = holders(&new.roles).find(|(_, account)| account.0 >= founders as u64);
    let roles = roles(&new.roles, (new.kind, new.asset));
    roles
        .or_else(|| {
            absent.map(|(role, account)| match founders {
                1 => {
                    format!("--{role}: there is no account {account}: the chain begins with account 0 alone")
                }
                _ => format!(
                    "--{role}: there is no account {account}: the chain begins with accounts 0 to {}",
                    founders - 1
                ),
            })
        })
        .or_else(|| {
            let cap = new.roles.accounts_cap;
            (cap > 0 && cap < founders as u64).then(|| {
                format!(
                    "--accounts-cap: {cap} is less than the {founders} accounts that the chain begins with"
                )
            })
        })
}

fn council(council: &Council) -> Option<String> {
    let (count, threshold) = (council.accounts.len(), usize::from(council.threshold));
    if !(1..=ADMINISTRATORS_MAX).contains(&count) {
        return Some(format!(
            "--accounts: there are 1 to {ADMINISTRATORS_MAX} administrators, and {count} are named"
        ));
    }
    if let Some(pair) = council.accounts.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("--accounts: account {} is named twice", pair[0]));
    }
    (!(1..=count).contains(&threshold)).then(|| {
        format!(
            "--threshold: of {count} administrators 1 to {count} can be asked to approve, not {threshold}"
        )
    })
}

fn of_kind(roles: &Roles, (kind, asset): (ChainKind, Asset)) -> Option<String> {
    let (name, cap) = (kind.name(), roles.attestations_cap);
    match kind {
        ChainKind::Transfers if asset == Asset::NONE => {
            return Some(
                "--asset: a chain of the kind \"transfers\" needs an asset other than zeros".to_owned(),
            );
        }
        ChainKind::Attestations if cap == 0 => {
            return Some(format!(
                "--attestations-cap: a chain of the kind \"{name}\" needs a cap of at least 1 attestation"
            ));
        }
        ChainKind::Attestations if cap >= ROWS_MAX => {
            return Some(format!("--attestations-cap: the cap is at most {}", grouped(ROWS_MAX - 1)));
        }
        ChainKind::Transfers | ChainKind::Governance if cap > 0 => {
            return Some(format!("--attestations-cap: a chain of the kind \"{name}\" has no attestations"));
        }
        ChainKind::Transfers => return None,
        ChainKind::Attestations | ChainKind::Governance => {}
    }
    if asset != Asset::NONE {
        return Some(format!("--asset: a chain of the kind \"{name}\" has no money"));
    }
    roles.issuer.map(|_| format!("--issuer: a chain of the kind \"{name}\" has no money to issue"))
}

fn caps(roles: &Roles) -> Option<String> {
    let has_registrar = roles.registrar != Registrar::Nobody;
    let wrong = match (roles.issuer.is_some(), roles.issuance_cap) {
        (true, 0) => "--issuance-cap: an issuer needs a cap above 0",
        (false, 1..) => "--issuance-cap: nobody issues here: name an --issuer, or leave the cap out",
        _ => match (has_registrar, roles.accounts_cap) {
            (true, 0) => "--accounts-cap: a registrar needs a cap of at least as many accounts as there are",
            (false, 1..) => {
                "--accounts-cap: nobody opens accounts here: name a --registrar, or leave the cap out"
            }
            (_, cap) if cap > ACCOUNTS_MAX => {
                return Some(format!("--accounts-cap: the cap is at most {}", grouped(ACCOUNTS_MAX)));
            }
            _ => {
                let beyond = holders(roles).find(|(_, account)| account.0 >= ACCOUNTS_MAX);
                return beyond
                    .map(|(role, account)| format!("--{role}: no chain can have an account {account}"));
            }
        },
    };
    Some(wrong.to_owned())
}

fn windows(windows: LockWindows) -> Option<String> {
    let LockWindows { rekey_seconds, recovery_seconds } = windows;
    if rekey_seconds == 0 {
        return Some("--rekey-window: the window is at least 1 second".to_owned());
    }
    if recovery_seconds > LOCK_WINDOW_SECONDS_MAX {
        let most = grouped(LOCK_WINDOW_SECONDS_MAX.into());
        return Some(format!("--recovery-window: the window is at most {most} seconds"));
    }
    (rekey_seconds >= recovery_seconds).then(|| {
        format!(
            "--recovery-window: {recovery_seconds} s must be longer than the {rekey_seconds} s of --rekey-window"
        )
    })
}

fn quota(quota: Quota) -> Option<String> {
    let [least, most] = [Quota::LEAST, Quota::WHOLE].map(|of| grouped(of.0.into()));
    (!quota.is_valid()).then(|| {
        format!(
            "--quota: a chain may have {least} to {most} bytes of a block, not {}",
            grouped(quota.0.into())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{ChainId, CryptoSuite};
    use kernels::ed25519::SigningKey;

    fn all_roles() -> Vec<Roles> {
        let holders = [None, Some(AccountId(0)), Some(AccountId(2)), Some(AccountId(ACCOUNTS_MAX))];
        let registrars = [Registrar::Nobody, Registrar::Anyone, Registrar::Account(AccountId(2))];
        let windows = [(0, 5), (5, 5), (1, 5), (5, LOCK_WINDOW_SECONDS_MAX + 1)];
        let mut all = Vec::new();
        for (issuer, issuance_cap) in holders.iter().flat_map(|issuer| [0, 7].map(|cap| (*issuer, cap))) {
            for (freezer, registrar) in holders.iter().flat_map(|freezer| registrars.map(|of| (*freezer, of)))
            {
                for accounts_cap in [0, 1, 3, ACCOUNTS_MAX + 1] {
                    for attestations_cap in [0, 1, ROWS_MAX] {
                        for (rekey_seconds, recovery_seconds) in windows {
                            let windows = LockWindows { rekey_seconds, recovery_seconds };
                            // Most have a good one: else nearly every case would be the same.
                            let quota = match all.len() % 8 {
                                0 => Quota(Quota::LEAST.0 - 1),
                                1 => Quota(Quota::WHOLE.0 + 1),
                                2 => Quota::LEAST,
                                _ => Quota::WHOLE,
                            };
                            all.push(Roles {
                                issuer,
                                issuance_cap,
                                freezer,
                                registrar,
                                accounts_cap,
                                attestations_cap,
                                windows,
                                quota,
                            });
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn an_option_is_wrong_where_the_engine_refuses_and_nowhere_else() {
        let keys: Vec<_> = (0..9).map(|seed| SigningKey::from_seed([seed; 32]).public_key()).collect();
        let mut counts = (0, 0);
        for of in all_roles() {
            for kind in [ChainKind::Transfers, ChainKind::Attestations, ChainKind::Governance] {
                for asset in [Asset::NONE, Asset::UNIT] {
                    let wrong = roles(&of, (kind, asset));
                    assert_eq!(wrong.is_none(), of.fit(kind, asset), "{kind:?} {asset}: {of:?}: {wrong:?}");
                    if kind == ChainKind::Governance {
                        continue;
                    }
                    let suite = CryptoSuite::Ed25519;
                    for founders in
                        [vec![], keys[..2].to_vec(), keys[..3].to_vec(), keys.clone(), vec![[0; 32]]]
                    {
                        let new = NewChain { id: ChainId(4), kind, suite, asset, roles: of, founders };
                        let decided = Decision::Create(new);
                        let wrong = decision(&decided);
                        assert_eq!(wrong.is_none(), decided.is_valid(), "{decided:?}: {wrong:?}");
                        *if wrong.is_none() { &mut counts.0 } else { &mut counts.1 } += 1;
                    }
                }
            }
        }
        assert!(counts.0 > 10 && counts.1 > 10, "{counts:?}");
        for accounts in [vec![], vec![1], vec![1, 1], vec![1, 2, 3], (0..17).collect()] {
            for threshold in 0..=4 {
                let accounts: Vec<_> = accounts.iter().copied().map(AccountId).collect();
                let decided = Decision::Administrators(Council { threshold, accounts });
                assert_eq!(decision(&decided).is_none(), decided.is_valid(), "{decided:?}");
            }
        }
        let at = |text: &str| text.to_owned();
        for (name, public_key, peers, clients, good) in [
            (at("v"), keys[0], at("a:1"), at(""), true),
            (at(""), keys[0], at("a:1"), at(""), false),
            ("n".repeat(65), keys[0], at(""), at(""), false),
            (at("v"), [0; 32], at(""), at(""), false),
            (at("v"), keys[0], "a".repeat(65), at(""), false),
            (at("v"), keys[0], at(""), at("a b"), false),
        ] {
            let certificate_fingerprint = [1; 32];
            let (peer_address, client_address) = (peers, clients);
            let new = Member { name, public_key, certificate_fingerprint, peer_address, client_address };
            for change in [MemberChange::Add(new.clone()), MemberChange::Replace([2; 32], new)] {
                let decided = Decision::Members(change);
                assert_eq!((decision(&decided).is_none(), decided.is_valid()), (good, good), "{decided:?}");
            }
        }
    }

    #[test]
    fn the_option_is_named() {
        let money = (ChainKind::Transfers, Asset::UNIT);
        let said = |of: Roles| roles(&of, money).unwrap_or_default();
        let none = Roles::default();
        let issuer = Roles { issuer: Some(AccountId(1)), ..none };
        assert!(said(issuer).starts_with("--issuance-cap: an issuer needs"), "{}", said(issuer));
        let cap = Roles { issuance_cap: 5, ..none };
        assert!(said(cap).starts_with("--issuance-cap: nobody issues"), "{}", said(cap));
        let registrar = Roles { registrar: Registrar::Anyone, ..none };
        assert!(said(registrar).starts_with("--accounts-cap: a registrar"), "{}", said(registrar));
        let attestations = Roles { attestations_cap: 5, ..none };
        assert!(said(attestations).starts_with("--attestations-cap: "), "{}", said(attestations));
        let quota = said(Roles { quota: Quota(5), ..none });
        assert!(quota.starts_with("--quota: a chain may have 65,536 to 8,388,608 bytes"), "{quota}");
        let windows = LockWindows { rekey_seconds: 9, recovery_seconds: 8 };
        let said = said(Roles { windows, ..none });
        assert!(said.contains("8 s must be longer than the 9 s"), "{said}");
    }
}
