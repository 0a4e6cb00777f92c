use super::*;

fn transfer() -> Transfer {
    Transfer {
        chain: ChainId(0x0403_0201),
        key_version: 0x0807_0605,
        reference: *b"invoice 2026",
        debit: AccountId(3),
        credit_chain: None,
        credit: AccountId(1 << 40),
        amount: u64::MAX,
        nonce: 77,
        expiry: Height(9_000),
    }
}

#[test]
fn a_transfer_lies_where_the_layout_says() {
    let network = Digest([7; 32]);
    let packet = transfer().sign(&network, |message| {
        assert_eq!(message[..32], [7; 32]);
        assert_eq!(message[32..], transfer().body());
        [0xEE; 64]
    });
    assert_eq!(packet.0[..12], [1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(&packet.0[12..24], b"invoice 2026");
    assert_eq!(packet.0[24..32], 3_u64.to_le_bytes());
    assert_eq!(packet.0[32..40], (1_u64 << 40).to_le_bytes());
    assert_eq!(packet.0[40..48], [0xFF; 8]);
    assert_eq!(packet.0[48..56], 77_u64.to_le_bytes());
    assert_eq!(packet.0[56..64], 9_000_u64.to_le_bytes());
    assert_eq!(packet.signature(), &[0xEE; 64]);
    assert_eq!(packet.run().transfer(), Ok(transfer()));
    assert_eq!(packet.message(&network), transfer().message(&network));
}

#[test]
fn a_transfer_to_another_chain_has_both_in_the_credit_field() {
    let to = |chain, account| Transfer {
        credit_chain: Some(ChainId(chain)),
        credit: AccountId(account),
        ..transfer()
    };
    let packet = to(0x0d0c_0b0a, 0xffff_fffe).sign(&Digest::default(), |_| [0; 64]);
    assert_eq!(packet.0[..4], [2, 0, 0, 0]);
    assert_eq!(packet.0[32..40], [0x0a, 0x0b, 0x0c, 0x0d, 0xfe, 0xff, 0xff, 0xff]);
    assert_eq!(packet.run().transfer(), Ok(to(0x0d0c_0b0a, 0xffff_fffe)));
    assert_eq!((packet.credit_chain(), packet.credit()), (ChainId(0x0d0c_0b0a), AccountId(0xffff_fffe)));
    // Within a chain there is one encoding.
    let within = to(0x0403_0201, 5).sign(&Digest::default(), |_| [0; 64]);
    assert_eq!(within.run().transfer(), Err(Malformed));
}

#[test]
fn the_id_is_the_hash_of_network_and_body_and_ignores_the_signature() {
    let network = Digest([7; 32]);
    let one = transfer().sign(&network, |_| [1; 64]);
    let other = transfer().sign(&network, |_| [2; 64]);
    assert_ne!(one, other);
    assert_eq!(one.id(&network), other.id(&network));
    let hashed = kernels::sha2::sha256(&[&[7; 32][..], &one.0[..64]].concat());
    assert_eq!(one.id(&network), TransactionId(hashed));
    assert_ne!(one.id(&network), one.id(&Digest([8; 32])));
}

fn command(action: Action) -> Command {
    let Transfer { chain, key_version, reference, debit: authority, nonce, expiry, .. } = transfer();
    Command { chain, key_version, reference, authority, action, nonce, expiry }
}

#[test]
fn a_command_lies_where_the_layout_says_and_each_kind_has_one_encoding() {
    let sign = |action| command(action).sign(&Digest::default(), |_| [0xEE; 64]);
    let (to, account) = (AccountId(9), AccountId(1 << 33));
    let actions = [
        (Action::Issue { to, amount: u64::MAX }, 3, 9, u64::MAX),
        (Action::Burn { amount: 5 }, 4, 3, 5),
        (Action::Freeze { account, frozen: Frozen::BOTH }, 5, 1 << 33, 3),
        (Action::Freeze { account, frozen: Frozen::NONE }, 5, 1 << 33, 0),
    ];
    for (action, kind, credit, value) in actions {
        let packet = sign(action);
        assert_eq!(packet.0[..12], [kind, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(packet.0[24..32], 3_u64.to_le_bytes());
        assert_eq!(packet.0[32..40], u64::to_le_bytes(credit));
        assert_eq!(packet.0[40..48], u64::to_le_bytes(value));
        assert_eq!(packet.run().content(), Ok(Content::Command(command(action))));
        assert_eq!(packet.run().transfer(), Err(Malformed));
        assert!(packet.is_command() && !packet.is_cross() && packet.run().transaction().is_ok());
        assert_eq!(packet.credit_chain(), packet.chain());
    }
    let spoiled = |action, at: usize| {
        let mut packet = sign(action);
        packet.0[at] ^= 4;
        (packet.run().content().is_err(), packet.run().transaction().is_err())
    };
    let malformed = (true, true);
    assert_eq!(spoiled(Action::Burn { amount: 5 }, 32), malformed, "a burn of another account");
    assert_eq!(spoiled(Action::Freeze { account, frozen: Frozen::BOTH }, 40), malformed, "an unknown flag");
    assert_eq!(spoiled(Action::Freeze { account, frozen: Frozen::BOTH }, 47), malformed);
    assert_eq!(spoiled(Action::Issue { to, amount: 1 }, 2), malformed, "the reserved field");
    let mut sixth = sign(Action::Issue { to, amount: 1 });
    sixth.0[0] = 6;
    assert_eq!(sixth.run().content(), Err(Malformed));
}

#[test]
fn another_kind_or_a_used_reserved_field_is_malformed() {
    let packet = transfer().sign(&Digest::default(), |_| [0; 64]);
    for byte in 0..4 {
        let mut changed = packet;
        changed.0[byte] ^= 0x80;
        assert_eq!(changed.run().transfer(), Err(Malformed), "byte {byte}");
    }
}

#[test]
fn a_slab_is_whole_packets() {
    assert!(PacketSlab::new(vec![0; 127].into()).is_none());
    let packets =
        [transfer().sign(&Digest::default(), |_| [1; 64]), transfer().sign(&Digest::default(), |_| [2; 64])];
    let slab = PacketSlab::copy_from(&packets);
    assert_eq!(slab.packets(), packets);
    assert_eq!(PacketSlab::new(slab.as_bytes().to_vec().into()), Some(slab));
}

#[test]
fn quorums_leave_out_as_many_as_may_fail() {
    assert_eq!([1, 2, 3, 4, 5, 6, 7, 8, 16].map(quorum), [1, 2, 3, 3, 4, 5, 5, 6, 11]);
    for n in 1..=100 {
        let faulty = (n - 1) / 3;
        assert!(2 * quorum(n) > n + faulty, "two quorums of {n} share an honest validator");
        assert!(quorum(n) <= n - faulty, "the honest of {n} are a quorum");
    }
}

#[test]
fn a_verdict_is_one_byte_and_back() {
    let mut known = 0;
    for code in 0..=255 {
        if let Ok(verdict) = Verdict::try_from(code) {
            assert_eq!(verdict.code(), code);
            known += 1;
        }
    }
    // Nobody is told that money was sent: its arrival or return is told.
    assert_eq!(known, Outcome::ALL.len() - 1 + Refusal::ALL.len());
    assert_eq!(Verdict::try_from(Outcome::Sent.code()), Err(UnknownCode(9)));
    assert_eq!(Verdict::from(Outcome::Applied), Verdict::Committed);
    assert_eq!(Verdict::try_from(200), Err(UnknownCode(200)));
}

#[test]
fn digests_are_hexadecimal_text() {
    let digest = Digest(std::array::from_fn(|i| i as u8));
    let text = digest.to_string();
    assert!(text.starts_with("000102") && text.ends_with("1e1f"));
    assert_eq!(text.parse(), Ok(digest));
    assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<Digest>(&format!("\"{text}\"")).unwrap(), digest);
    assert!(text[1..].parse::<Digest>().is_err());
    assert_eq!(serde_json::to_string(&Height(5)).unwrap(), "5");
    assert_eq!(serde_json::to_string(&Outcome::CreditOverflow).unwrap(), "\"credit_overflow\"");
}

fn validator(seed: u8) -> ValidatorGenesis {
    ValidatorGenesis {
        name: format!("validator {seed}"),
        public_key: [seed; 32],
        certificate_fingerprint: [seed ^ 0x80; 32],
    }
}

fn chain(id: u32, balances: &[u64]) -> ChainGenesis {
    let accounts =
        balances.iter().map(|balance| AccountGenesis { public_key: [9; 32], balance: *balance }).collect();
    ChainGenesis {
        id: ChainId(id),
        kind: ChainKind::Transfers,
        suite: CryptoSuite::Ed25519,
        asset: Asset::UNIT,
        roles: Roles::default(),
        threshold: 0,
        accounts,
    }
}

fn genesis(validators: Vec<ValidatorGenesis>, chains: Vec<ChainGenesis>) -> Result<Genesis, GenesisError> {
    Genesis::new("test".into(), validators, chains)
}

#[test]
fn a_genesis_that_exists_is_valid() {
    let good =
        genesis(vec![validator(1), validator(2)], vec![chain(0, &[1, 2]), chain(5, &[u64::MAX - 3, 0])])
            .unwrap();
    assert_eq!(good.quorum(), 2);
    assert_eq!(good.chain(ChainId(5)).unwrap().supply(), Some(u64::MAX - 3));
    assert_eq!(good.account(ChainId(0), AccountId(1)).unwrap().balance, 2);
    assert_eq!(good.account(ChainId(0), AccountId(2)), None);
    assert_eq!(good.account(ChainId(1), AccountId(0)), None);

    let chains = vec![chain(0, &[1])];
    assert_eq!(genesis(vec![], chains.clone()), Err(GenesisError::Validators(0)));
    let mut twin = validator(2);
    twin.public_key = [1; 32];
    let shared = GenesisError::SharedIdentity(ValidatorIndex(0), ValidatorIndex(1));
    assert_eq!(genesis(vec![validator(1), twin], chains.clone()), Err(shared));
    let mut unnamed = validator(1);
    unnamed.name.clear();
    assert_eq!(genesis(vec![unnamed], chains), Err(GenesisError::Name(0)));
    let with = |chains| genesis(vec![validator(1)], chains).unwrap_err();
    assert_eq!(with(vec![]), GenesisError::Chains(0));
    assert_eq!(with(vec![chain(1, &[1]), chain(1, &[1])]), GenesisError::ChainOrder(ChainId(1)));
    assert_eq!(with(vec![chain(1, &[])]), GenesisError::Accounts { chain: ChainId(1), accounts: 0 });
    assert_eq!(with(vec![chain(1, &[u64::MAX, 1])]), GenesisError::Supply(Asset::UNIT));
    // Together, or what one chain sends could overflow an account of the other; another asset cannot.
    let together = |asset| vec![chain(1, &[u64::MAX]), ChainGenesis { asset, ..chain(2, &[1]) }];
    assert_eq!(with(together(Asset::UNIT)), GenesisError::Supply(Asset::UNIT));
    assert!(genesis(vec![validator(1)], together("GOLD".parse().unwrap())).is_ok());
}

#[test]
fn roles_are_held_by_accounts_and_what_may_be_issued_fits_with_what_there_is() {
    let with = |issuer: Option<u64>, issuance_cap, freezer: Option<u64>| {
        let (issuer, freezer) = (issuer.map(AccountId), freezer.map(AccountId));
        let roles = Roles { issuer, issuance_cap, freezer, ..Roles::default() };
        genesis(vec![validator(1)], vec![ChainGenesis { roles, ..chain(4, &[1, 2]) }])
    };
    let held = |account| {
        Err(GenesisError::RoleAccount { chain: ChainId(4), accounts: 2, account: AccountId(account) })
    };
    assert!(with(Some(1), u64::MAX - 3, Some(0)).is_ok());
    assert_eq!(with(Some(1), u64::MAX - 2, None), Err(GenesisError::Supply(Asset::UNIT)));
    assert_eq!(with(Some(2), 5, None), held(2));
    assert_eq!(with(None, 0, Some(2)), held(2));
    assert_eq!(with(Some(u64::MAX), 5, None), held(u64::MAX), "nobody, as the encoding has it");
    assert_eq!(with(Some(1), 0, None), Err(GenesisError::IssuanceCap(ChainId(4))));
    assert_eq!(with(None, 1, None), Err(GenesisError::IssuanceCap(ChainId(4))));
}

#[test]
fn keys_under_which_anybody_could_sign_are_refused() {
    let mut weak = [0xff; 32];
    weak[0] = 0xec;
    let with_account = |key| {
        let mut chain = chain(4, &[1, 2]);
        chain.accounts[1].public_key = key;
        genesis(vec![validator(1)], vec![chain]).err()
    };
    for key in [[0; 32], weak] {
        assert_eq!(with_account(key), Some(GenesisError::AccountKey(ChainId(4), AccountId(1))));
        let members = vec![validator(1), ValidatorGenesis { public_key: key, ..validator(2) }];
        let error = genesis(members, vec![chain(4, &[1])]).err();
        assert_eq!(error, Some(GenesisError::ValidatorKey(ValidatorIndex(1))));
    }
}

#[test]
fn a_chain_of_attestations_has_a_cap_and_no_money() {
    let id = ChainId(4);
    let with = |change: fn(&mut ChainGenesis)| {
        let mut chain = ChainGenesis {
            kind: ChainKind::Attestations,
            asset: Asset::NONE,
            roles: Roles { attestations_cap: 9, ..Roles::default() },
            ..chain(4, &[0, 0])
        };
        change(&mut chain);
        genesis(vec![validator(1)], vec![chain]).err()
    };
    assert_eq!(with(|_| {}), None);
    let money = Some(GenesisError::Money { chain: id, kind: "attestations" });
    assert_eq!(with(|chain| chain.accounts[1].balance = 1), money.clone());
    assert_eq!(with(|chain| chain.asset = Asset::UNIT), money.clone());
    let issuer = |chain: &mut ChainGenesis| {
        (chain.roles.issuer, chain.roles.issuance_cap) = (Some(AccountId(0)), 5);
    };
    assert_eq!(with(issuer), money);
    assert_eq!(with(|chain| chain.roles.attestations_cap = 0), Some(GenesisError::AttestationsCap(id)));
    let too_small = with(|chain| chain.roles.quota = Quota(Quota::LEAST.0 - 1));
    let too_large = with(|chain| chain.roles.quota = Quota(Quota::WHOLE.0 + 1));
    assert_eq!([too_small, too_large], [Some(GenesisError::Quota(id)), Some(GenesisError::Quota(id))]);
    assert_eq!(with(|chain| chain.roles.attestations_cap = 1 << 32), Some(GenesisError::AttestationsCap(id)));
    let transfers = |chain: ChainGenesis| genesis(vec![validator(1)], vec![chain]).err();
    let roles = Roles { attestations_cap: 1, ..Roles::default() };
    assert_eq!(transfers(ChainGenesis { roles, ..chain(4, &[1]) }), Some(GenesisError::AttestationsCap(id)));
    let without = ChainGenesis { asset: Asset::NONE, ..chain(4, &[1]) };
    assert_eq!(transfers(without), Some(GenesisError::NoAsset(id)));
}

#[test]
fn a_registrar_comes_with_a_cap_on_accounts_that_there_are_already() {
    let with = |registrar, accounts_cap| {
        let roles = Roles { registrar, accounts_cap, ..Roles::default() };
        genesis(vec![validator(1)], vec![ChainGenesis { roles, ..chain(4, &[1, 2]) }]).err()
    };
    let registrar = |account| Registrar::Account(AccountId(account));
    let cap = Some(GenesisError::AccountsCap { chain: ChainId(4), accounts: 2 });
    assert_eq!(with(Registrar::Nobody, 0), None);
    assert_eq!(with(Registrar::Nobody, 5), cap);
    for registrar in [Registrar::Anyone, registrar(1)] {
        assert_eq!((with(registrar, 1), with(registrar, 2)), (cap.clone(), None));
        assert_eq!((with(registrar, 1 << 32), with(registrar, (1 << 32) + 1)), (None, cap.clone()));
    }
    let account = AccountId(2);
    assert_eq!(
        with(registrar(2), 5),
        Some(GenesisError::RoleAccount { chain: ChainId(4), accounts: 2, account })
    );
    assert!(Registrar::Anyone.is(account) && registrar(2).is(account));
    assert!(!Registrar::Nobody.is(account) && !registrar(1).is(account));
}

#[test]
fn who_validates_is_decided_only_where_somebody_decides() {
    let deciding =
        ChainGenesis { kind: ChainKind::Governance, asset: Asset::NONE, threshold: 1, ..chain(4, &[0, 0]) };
    let with = |membership, chains: &[&ChainGenesis]| {
        let chains = chains.iter().copied().cloned().collect();
        Genesis::with_membership("test".into(), vec![validator(1)], membership, chains)
    };
    let money = chain(2, &[1]);
    assert_eq!(with(Membership::Decided, &[&money]), Err(GenesisError::NobodyDecides));
    let fixed = with(Membership::Fixed, &[&money, &deciding]).unwrap();
    let decided = with(Membership::Decided, &[&money, &deciding]).unwrap();
    assert_ne!(fixed.network(), decided.network(), "it is under the network id");
    for genesis in [fixed, decided] {
        let again = Genesis::decode(&genesis.encode()).unwrap();
        assert_eq!((again.membership(), &again), (genesis.membership(), &genesis));
        let members = Members::of_genesis(&genesis);
        assert_eq!(members.get(ValidatorIndex(0)).unwrap().public_key, validator(1).public_key);
        assert_eq!((members.epoch, members.list.len()), (Epoch(0), 1));
    }
}

#[test]
fn an_asset_is_its_name_or_its_bytes() {
    for text in ["UNIT", "x", "sixteen-letters!", "00ff00ff00ff00ff00ff00ff00ff00ff"] {
        assert_eq!(text.parse::<Asset>().unwrap().to_string(), text);
    }
    assert_eq!("UNIT".parse(), Ok(Asset::UNIT));
    for text in ["", "seventeen-letters", "two words", "gr\u{fc}n"] {
        assert_eq!(text.parse::<Asset>(), Err(NoAsset), "{text}");
    }
}

#[test]
fn the_network_id_covers_every_field() {
    let base = genesis(vec![validator(1)], vec![chain(0, &[1, 2])]).unwrap();
    let mut named = validator(1);
    named.name.push('x');
    let mut keyed = validator(1);
    keyed.public_key[0] ^= 1;
    let mut pinned = validator(1);
    pinned.certificate_fingerprint[0] ^= 1;
    for validators in [vec![named], vec![keyed], vec![pinned], vec![validator(1), validator(2)]] {
        assert_ne!(genesis(validators, vec![chain(0, &[1, 2])]).unwrap().network(), base.network());
    }
    for chains in [vec![chain(1, &[1, 2])], vec![chain(0, &[2, 1])], vec![chain(0, &[1, 2, 0])]] {
        assert_ne!(genesis(vec![validator(1)], chains).unwrap().network(), base.network());
    }
    let renamed = Genesis::new("other".into(), vec![validator(1)], vec![chain(0, &[1, 2])]).unwrap();
    assert_ne!(renamed.network(), base.network());
    assert_eq!(base.network().0, kernels::sha2::sha256(base.header()));
    let asset = "GOLD".parse().unwrap();
    let other_asset = genesis(vec![validator(1)], vec![ChainGenesis { asset, ..chain(0, &[1, 2]) }]).unwrap();
    assert_ne!(other_asset.network(), base.network());
    let mut keyed = chain(0, &[1, 2]);
    keyed.accounts[1].public_key[0] ^= 1;
    assert_ne!(genesis(vec![validator(1)], vec![keyed]).unwrap().network(), base.network());
    let account = Some(AccountId(0));
    let roles = [
        Roles { issuer: account, issuance_cap: 1, ..Roles::default() },
        Roles { issuer: account, issuance_cap: 2, ..Roles::default() },
        Roles { issuer: Some(AccountId(1)), issuance_cap: 1, ..Roles::default() },
        Roles { freezer: account, ..Roles::default() },
        Roles { registrar: Registrar::Anyone, accounts_cap: 2, ..Roles::default() },
        Roles { registrar: Registrar::Anyone, accounts_cap: 3, ..Roles::default() },
        Roles { registrar: Registrar::Account(AccountId(0)), accounts_cap: 3, ..Roles::default() },
        Roles { quota: Quota::LEAST, ..Roles::default() },
    ];
    let mut ids = std::collections::BTreeSet::from([*base.network()]);
    for roles in roles {
        let chain = ChainGenesis { roles, ..chain(0, &[1, 2]) };
        assert!(ids.insert(*genesis(vec![validator(1)], vec![chain]).unwrap().network()), "{roles:?}");
    }
}

#[test]
fn the_header_has_the_roots_with_which_the_ledger_begins() {
    let genesis = genesis(vec![validator(1)], vec![chain(1, &[5]), chain(7, &[1, 2, 3])]).unwrap();
    let ledger = crate::roots::Ledger::genesis(&genesis);
    let chain_bytes = crate::limits::CHAIN_HEADER_BYTES;
    for ((_, root), chain) in ledger.accounts_roots().zip(genesis.header().rchunks(chain_bytes).take(2).rev())
    {
        assert_eq!(root.0, chain[96..128]);
    }
}

/// `docs/ERRORS.md` has a row for each code, with its words and whether it spends the nonce, and no other row.
#[test]
fn the_page_of_errors_has_every_code_and_no_other() {
    let page = include_str!("../../../docs/ERRORS.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [code, words, nonce, when, advice] = cells[..] else { return None };
        let code: u8 = code.parse().ok()?;
        assert!(when.ends_with('.') && advice.ends_with('.'), "code {code} says when, and what to do");
        Some((code, words, nonce))
    });
    let nonce = |spends| if spends { "spent" } else { "not spent" };
    let outcomes =
        Outcome::ALL.iter().map(|outcome| (outcome.code(), outcome.name(), nonce(outcome.spends_nonce())));
    let refusals = Refusal::ALL.iter().map(|refusal| (refusal.code(), refusal.name(), nonce(false)));
    assert_eq!(rows.collect::<Vec<_>>(), outcomes.chain(refusals).collect::<Vec<_>>());
}
