//! What a proof that holds says.

use alloc::string::String;
use core::fmt;

use crate::leaf::{kind_name, outcome_name};
use crate::{
    Account, AccountRecord, Administrators, Attestation, ChainKind, ChainStatus, Charter, Decision, Digest,
    Member, MemberChange, MembersRecord, OldKey, Proposal, Purpose, Reservation, Status, Unexecuted,
};

/// What is proved, and by whom. Only [`verify`](crate::verify()) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statement {
    /// The network id.
    pub network: Digest,
    /// The name of the network, as its genesis has it: any text.
    pub network_name: String,
    /// The chain.
    pub chain: u32,
    /// What the chain does.
    pub kind: ChainKind,
    /// Whether it took new work at that height.
    pub status: ChainStatus,
    /// The asset of the chain; zeros where its kind has none.
    pub asset: [u8; 16],
    /// The height of which it speaks.
    pub height: u64,
    /// What has been issued on the chain up to that height.
    pub issued: u64,
    /// What has been burned there.
    pub burned: u64,
    /// What is so at that height.
    pub fact: Fact,
    /// The height of the block that the certificate makes final, with all below it.
    pub final_height: u64,
    /// The time of that block, in milliseconds since 1970, by its proposer's clock.
    pub final_time_ms: u64,
    /// The epoch of that block: so often had the validators changed since the genesis.
    pub epoch: u64,
    /// How many validators signed the certificate.
    pub signed: usize,
    /// How many validators there are in that epoch.
    pub validators: usize,
}

/// What is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An account is so after the block at the height.
    Account(Account),
    /// A transaction is in the block at the height, with this outcome.
    Transaction {
        /// Its id.
        id: Digest,
        /// The code of its outcome; see [`outcome_name`].
        outcome: u8,
        /// Its place among the block's transactions on this chain.
        position: u64,
        /// How many transactions the block has on this chain.
        of: u64,
    },
    /// A transaction has not been executed and never can be: after the block at the height, which is not below its
    /// expiry, its nonce is unspent.
    NeverExecuted(Unexecuted),
    /// The chain says so of a fingerprint after the block at the height.
    Attestation {
        /// The fingerprint.
        fingerprint: Digest,
        /// What the chain says of it.
        attestation: Attestation,
    },
    /// After the block at the height, the chain is this: kind, status, and who may do what there.
    Charter(Charter),
    /// After the block at the height, so much is set aside under this account and nonce; or nothing is.
    Reservation {
        /// The account that has set it aside.
        payer: u32,
        /// The nonce with which it did.
        nonce: u64,
        /// What is set aside; none where the reservation is not open.
        reservation: Option<Reservation>,
    },
    /// After the block at the height, a fingerprint is not registered on the chain.
    NotRegistered {
        /// The fingerprint.
        fingerprint: Digest,
    },
    /// After the block at the height, the chain keeps this of an account beside its leaf.
    Record {
        /// The account.
        account: u64,
        /// The record; none where no change of key or safeguards and no closing was ever begun.
        record: Option<AccountRecord>,
    },
    /// After the block at the height, the chain says this of a key that an account had.
    OldKey {
        /// The account.
        account: u64,
        /// The version of the key.
        version: u32,
        /// The key; none where the account has it still, or never had one of that version.
        key: Option<OldKey>,
    },
    /// After the block at the height, these decide about the chains of the network.
    Administrators(Administrators),
    /// After the block at the height, these members are decided last; none where those of the genesis stay.
    Members(Option<MembersRecord>),
    /// After the block at the height, this one is at a place of the members that were decided last.
    Member {
        /// The place.
        place: u16,
        /// The member; none where there is no such place, or those of the genesis stay.
        member: Option<Member>,
    },
    /// After the block at the height, the chain that decides says this of a proposal.
    Proposal {
        /// The name of the proposal: a hash of what it says.
        id: Digest,
        /// The proposal; none where there is none of that name.
        proposal: Option<Proposal>,
    },
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, height, .. } = self;
        match &self.fact {
            Fact::Account(account) if self.kind != ChainKind::Transfers => write!(
                f,
                "after block {height} of the network \"{}\", account {} of chain {chain} had the key {}",
                self.network_name.escape_debug(),
                account.id,
                Hex(&account.key)
            ),
            Fact::Attestation { fingerprint, attestation } => {
                write!(
                    f,
                    "after block {height} of the network \"{}\", fingerprint {} is ",
                    self.network_name.escape_debug(),
                    Hex(fingerprint)
                )?;
                match attestation.status {
                    Status::InForce => f.write_str("in force")?,
                    Status::Superseded { at, by } => {
                        write!(f, "superseded since height {at} by fingerprint {}", Hex(&by))?;
                    }
                    Status::Revoked { at, reason } => {
                        write!(f, "revoked since height {at} (reason {reason})")?;
                    }
                }
                let Attestation { owner, registered, .. } = attestation;
                write!(f, " on chain {chain}, where account {owner} registered it at height {registered}")
            }
            Fact::Charter(Charter { kind, status, since, proposal, .. }) => {
                write!(
                    f,
                    "after block {height} of the network \"{}\", chain {chain} of the kind {} was {}; ",
                    self.network_name.escape_debug(),
                    kind.name(),
                    status.name()
                )?;
                match proposal {
                    None => f.write_str("nothing decided about it has taken effect since the genesis"),
                    Some(proposal) => {
                        write!(
                            f,
                            "the last decision in effect is proposal {}, since height {since}",
                            Hex(proposal)
                        )
                    }
                }
            }
            Fact::Reservation { payer, nonce, reservation } => {
                write!(
                    f,
                    "after block {height} of the network \"{}\", reservation {chain}:{payer}/{nonce} ",
                    self.network_name.escape_debug()
                )?;
                let Some(Reservation { amount, due_ms, purpose }) = reservation else {
                    return f.write_str("was not open");
                };
                write!(f, "was open: {amount} {} ", Asset(&self.asset))?;
                match purpose {
                    Purpose::Payment { payee, settler } => {
                        write!(f, "for account {payee}, settled by account {settler}")?;
                    }
                    Purpose::Swap { chain, price, to, taker } => {
                        write!(f, "for {price} on chain {chain} to account {to}")?;
                        if let Some(taker) = taker {
                            write!(f, ", from account {taker} alone")?;
                        }
                    }
                }
                write!(f, ", until {due_ms} ms since 1970 by the lock clock")
            }
            Fact::Record { account, record } => {
                write!(f, "after block {height} of the network \"{}\", ", self.network_name.escape_debug())?;
                let Some(AccountRecord { changes, key_since, safeguards, pending, .. }) = record else {
                    return write!(
                        f,
                        "no change of key, safeguards or closing of account {account} of chain {chain} was ever begun"
                    );
                };
                match key_since {
                    0 => write!(f, "account {account} of chain {chain} had the key with which it began")?,
                    since => {
                        write!(f, "account {account} of chain {chain} had its key since height {since}")?
                    }
                }
                match (safeguards.recovery_key.is_some(), safeguards.guardians.len()) {
                    (false, 0) => f.write_str(", no safeguards")?,
                    (true, 0) => f.write_str(", a recovery key")?,
                    (has_key, count) => {
                        let key = if has_key { "a recovery key and " } else { "" };
                        write!(f, ", {key}{} of {count} guardians", safeguards.threshold)?;
                    }
                }
                match pending {
                    None => write!(f, ", and no change in its lock window ({changes} begun so far)"),
                    Some(_) => write!(f, ", and change {changes} in its lock window"),
                }
            }
            Fact::OldKey { account, version, key } => {
                write!(
                    f,
                    "after block {height} of the network \"{}\", account {account} of chain {chain} ",
                    self.network_name.escape_debug()
                )?;
                match key {
                    Some(OldKey { key, since, until }) => {
                        write!(f, "had had the key {} (version {version}) from ", Hex(key))?;
                        match since {
                            0 => f.write_str("its beginning")?,
                            since => write!(f, "height {since} on")?,
                        }
                        write!(f, " until height {until} gave it the next one")
                    }
                    None => write!(f, "had had no key of version {version} that another one has replaced"),
                }
            }
            Fact::Administrators(Administrators { version, council }) => write!(
                f,
                "after block {height} of the network \"{}\", {} accounts of chain {chain} decided, {} of whom must \
                 approve (version {version} of them)",
                self.network_name.escape_debug(),
                council.accounts.len(),
                council.threshold
            ),
            Fact::Members(members) => {
                write!(f, "after block {height} of the network \"{}\", ", self.network_name.escape_debug())?;
                match members {
                    None => f.write_str("no other members had been decided than those of the genesis"),
                    Some(MembersRecord { epoch, decided, count, digest, proposal, rules, .. }) => write!(
                        f,
                        "the members decided last were {count} for epoch {epoch} with rules {rules}, by proposal {} at \
                         height {decided}; the digest of the set is {}",
                        Hex(proposal),
                        Hex(digest)
                    ),
                }
            }
            Fact::Member { place, member } => {
                write!(f, "after block {height} of the network \"{}\", ", self.network_name.escape_debug())?;
                match member {
                    None => write!(f, "no member decided after the genesis was at place {place}"),
                    Some(Member { validator, .. }) => write!(
                        f,
                        "the member decided for place {place} was \"{}\" with the key {}",
                        validator.name.escape_debug(),
                        Hex(&validator.key)
                    ),
                }
            }
            Fact::Proposal { id, proposal } => {
                write!(f, "after block {height} of the network \"{}\", ", self.network_name.escape_debug())?;
                let Some(Proposal { approvals, decided, decision, .. }) = proposal else {
                    return write!(f, "there was no proposal {} on chain {chain}", Hex(id));
                };
                write!(f, "proposal {} on chain {chain}, ", Hex(id))?;
                match decision {
                    Decision::Create(new) => write!(f, "to create chain {}", new.id)?,
                    Decision::Pause(of) => write!(f, "to pause chain {of}")?,
                    Decision::Resume(of) => write!(f, "to resume chain {of}")?,
                    Decision::Close(of) => write!(f, "to close chain {of}")?,
                    Decision::Roles(of, _) => write!(f, "to give chain {of} other roles")?,
                    Decision::Administrators(_) => f.write_str("to have other administrators")?,
                    Decision::Members(MemberChange::Add(_)) => f.write_str("to add a validator")?,
                    Decision::Members(MemberChange::Remove { key, .. }) => {
                        write!(f, "to remove the validator with the key {}", Hex(key))?
                    }
                    Decision::Members(MemberChange::Replace(key, _)) => {
                        write!(f, "to replace the validator with the key {}", Hex(key))?
                    }
                    Decision::Members(MemberChange::Rules(rules)) => {
                        write!(f, "to have rules {rules} from the next epoch on")?
                    }
                }
                match decided {
                    Some((number, at)) if matches!(decision, Decision::Members(_)) => {
                        write!(f, ", was decided (decision {number}) at height {at} for the next epoch")
                    }
                    Some((number, since)) => {
                        write!(f, ", was decided (decision {number}) and takes effect at height {since}")
                    }
                    None => write!(f, ", had {} approvals and was not decided", approvals.len()),
                }
            }
            Fact::NotRegistered { fingerprint } => write!(
                f,
                "after block {height} of the network \"{}\", fingerprint {} is not registered on chain {chain}",
                self.network_name.escape_debug(),
                Hex(fingerprint)
            ),
            Fact::Account(account) => write!(
                f,
                "after block {height} of the network \"{}\", account {} of chain {chain} held {} {}",
                self.network_name.escape_debug(),
                account.id,
                account.balance,
                Asset(&self.asset)
            ),
            Fact::Transaction { id, outcome, .. } => {
                write!(
                    f,
                    "block {height} of the network \"{}\" has on chain {chain} the ",
                    self.network_name.escape_debug()
                )?;
                write!(f, "transaction {}: ", Hex(id))?;
                match outcome_name(*outcome) {
                    Some("applied") => f.write_str("applied"),
                    Some(name @ "sent to another chain") => {
                        write!(f, "{name} (whether it arrived there or came back is not proved)")
                    }
                    // These spend no nonce, so the same transaction may stand elsewhere with effect.
                    Some(
                        name @ ("expired"
                        | "replayed"
                        | "nonce too far"
                        | "unknown debit account"
                        | "wrong key version"),
                    ) => {
                        write!(
                            f,
                            "without effect here ({name}; whether another block executed it is not proved)"
                        )
                    }
                    Some(name) => write!(f, "without effect ({name})"),
                    None => write!(f, "with the outcome of code {outcome}, which this version does not know"),
                }
            }
            Fact::NeverExecuted(Unexecuted { body, kind, account, nonce, expiry, id, .. }) => {
                match (id, kind_name(*kind)) {
                    (Some(id), _) => write!(f, "transaction {}", Hex(id))?,
                    // The id is not known here: who has the envelope compares what it signs.
                    (None, kind) => {
                        let kind = kind.unwrap_or("of an unknown kind");
                        write!(f, "an envelope ({kind}) with the signed bytes {}", Hex(body))?;
                    }
                }
                write!(
                    f,
                    " of chain {chain} of the network \"{}\" has not been executed and never can be: \
                     it expired at height {expiry}, and after block {height} account {account} has not spent nonce {nonce}",
                    self.network_name.escape_debug(),
                )
            }
        }
    }
}

/// Lower-case hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name of an asset, or its bytes.
struct Asset<'a>(&'a [u8; 16]);

impl fmt::Display for Asset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let (name, padding) = self.0.split_at(length);
        let printable = name.iter().all(u8::is_ascii_graphic) && padding.iter().all(|byte| *byte == 0);
        match str::from_utf8(name) {
            Ok(name) if printable && !name.is_empty() => f.write_str(name),
            _ => Hex(self.0).fmt(f),
        }
    }
}
