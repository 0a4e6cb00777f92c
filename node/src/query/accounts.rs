//! Accounts: one by its number, or those that have a key.

use anyhow::{Result, anyhow};
use client::Answer;
use client::answers::AccountAnswer;
use engine::types::{
    ACCOUNT_MAX, AccountId, AccountRecord, ChainId, ChainKind, Digest, OldKey, ReservationId, old_key_key,
};
use serde_json::json;

use super::{Asked, Checked, print, print_found, print_json, reservations};
use crate::cli::{Reserved, grouped, rows};

/// Open reservations that are shown of an account; each is a question.
const RESERVATIONS_SHOWN: usize = 50;

impl Asked {
    /// One account, with what the chain keeps of it.
    pub(super) fn account(&mut self, chain: ChainId, account: AccountId, json: bool) -> Result<()> {
        let Answer { as_of, value: answer } = self.client.account(chain, account)?;
        let proof = &answer.proof;
        let checked = self.checked(proof.chain.height, &answer.state_root)?;
        let next_nonce = print::next_nonce(proof.window_base, proof.window_used);
        let record = answer.record().unwrap_or_default();
        let has_money = proof.chain.entry.kind == ChainKind::Transfers;
        let (reserved, more) = match has_money && account.0 <= ACCOUNT_MAX {
            true => self.client.reservations(chain, account, RESERVATIONS_SHOWN)?,
            false => (Vec::new(), false),
        };
        if json {
            let mut with_nonce = serde_json::to_value(&answer)?;
            with_nonce["next_nonce"] = next_nonce.into();
            with_nonce["status"] = proof.flags.name().into();
            with_nonce["safeguards"] = print::safeguards_fields(&record.safeguards);
            with_nonce["changes"] = record.changes.into();
            with_nonce["pending"] = print::pending_fields(&record);
            let fields = |(id, of): &(_, _)| reservations::fields(Reserved { chain, id: *id }, of);
            with_nonce["reservations"] = reserved.iter().map(fields).collect();
            with_nonce["more_reservations"] = more.into();
            return print_json(as_of, &with_nonce, &checked);
        }
        println!("account {account} on chain {chain} after height {}", proof.chain.height);
        let mut shown = vec![
            ("balance", crate::cli::grouped(proof.balance)),
            ("status", proof.flags.name().to_owned()),
            ("frozen", proof.flags.frozen().name().to_owned()),
            ("key", format!("{} (version {})", proof.key, proof.key_version)),
            ("next nonce", next_nonce.to_string()),
            ("nonce window", format!("{:#018x} from {}", proof.window_used, proof.window_base)),
        ];
        let name = |id: &ReservationId| Reserved { chain, id: *id }.to_string();
        shown.extend(
            reserved.iter().map(|(id, of)| ("set aside", format!("{} in {}", grouped(of.amount), name(id)))),
        );
        if more {
            shown.push(("set aside", format!("in more than {RESERVATIONS_SHOWN} reservations")));
        }
        shown.extend(print::record_rows(&record));
        shown.extend([
            ("state root", answer.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        rows(&shown);
        Ok(())
    }

    /// What the chain keeps of an account beside its leaf.
    pub(super) fn record(&mut self, chain: ChainId, account: AccountId, json: bool) -> Result<()> {
        let Answer { as_of, value: answer } = self.client.account(chain, account)?;
        let checked = self.checked(answer.proof.chain.height, &answer.state_root)?;
        let record = answer.record().unwrap_or_default();
        if json {
            let fields = json!({
                "chain": chain,
                "account": account,
                "key": answer.proof.key,
                "key_version": answer.proof.key_version,
                "key_since": record.key_since,
                "changes": record.changes,
                "safeguards": print::safeguards_fields(&record.safeguards),
                "pending": print::pending_fields(&record),
                "approvals": print::approval_fields(&record),
            });
            return print_json(as_of, &fields, &checked);
        }
        println!("account {account} on chain {chain} after height {}", answer.proof.chain.height);
        let mut shown = vec![
            ("key", format!("{} (version {})", answer.proof.key, answer.proof.key_version)),
            ("key since", print::since(record.key_since.0)),
        ];
        shown.extend(print::record_rows(&record));
        if record == AccountRecord::default() {
            shown.push(("record", "none: no change of it was ever begun".to_owned()));
        }
        shown.extend([
            ("state root", answer.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        rows(&shown);
        Ok(())
    }

    /// A key that an account had; `false` where none of that version was replaced.
    pub(super) fn old_key(
        &mut self,
        chain: ChainId,
        account: AccountId,
        version: u32,
        json: bool,
    ) -> Result<bool> {
        // Of an account that is not there nothing would be said.
        let present = self.client.account(chain, account)?.value.proof;
        let key = old_key_key(account, version);
        let Answer { as_of, value: answer } = self.client.row(chain, &key)?;
        let checked = self.checked(answer.proof.chain.height, &answer.state_root)?;
        let unreadable =
            || anyhow!("the row of the key cannot be read: is the validator of another release?");
        let row = answer.proof.says(&Digest(key)).flatten();
        let found = row.map(|row| OldKey::decode(row).ok_or_else(unreadable)).transpose()?;
        if json {
            let fields = json!({
                "chain": chain,
                "account": account,
                "version": version,
                "key": found.map(|of| hex::encode(of.key)),
                "since": found.map(|of| of.since),
                "until": found.map(|of| of.until),
            });
            return print_found(as_of, (&fields, found.is_some()), &checked);
        }
        match found {
            Some(OldKey { key, since, until }) => {
                println!("key {version} of account {account} on chain {chain}");
                rows(&[
                    ("key", hex::encode(key)),
                    ("from", print::since(since.0)),
                    ("until", format!("height {until}, which gave it the next one")),
                    ("as of", as_of.to_string()),
                    ("checked", checked.text()),
                ]);
            }
            None => println!(
                "account {account} on chain {chain} has had no key of version {version} that another one has replaced; \
                 it has version {} (at {as_of})",
                present.key_version
            ),
        }
        Ok(found.is_some())
    }

    /// The accounts that have a key; `false` where none has.
    pub(super) fn accounts_of(
        &mut self,
        chain: ChainId,
        key: Digest,
        from: AccountId,
        json: bool,
    ) -> Result<bool> {
        let Answer { as_of, value: found } = self.client.accounts_of(chain, key.0, from)?;
        let mut accounts = Vec::new();
        for account in &found.accounts {
            let Answer { value: answer, .. } = self.client.account(chain, *account)?;
            let checked = self.checked(answer.proof.chain.height, &answer.state_root)?;
            // It may have got another key since.
            if answer.proof.key == key {
                accounts.push((answer, checked));
            }
        }
        let next = found.more.then(|| found.accounts.last().map(|last| last.0 + 1)).flatten();
        if json {
            let fields = |(answer, checked): &(AccountAnswer, Checked)| {
                let mut fields = serde_json::to_value(answer)?;
                fields["status"] = answer.proof.flags.name().into();
                fields["checked"] = serde_json::to_value(checked)?;
                Ok(fields)
            };
            let accounts = accounts.iter().map(fields).collect::<Result<Vec<_>>>()?;
            let found = !accounts.is_empty();
            let fields = json!({ "key": key, "accounts": accounts, "more_from": next });
            // Of each account it stands beside it; that there are no others is the validator's word.
            return print_found(as_of, (&fields, found), &Checked::default());
        }
        if accounts.is_empty() {
            println!("no account of chain {chain} has the key {key}: the validator's word, as of {as_of}");
            return Ok(false);
        }
        for (AccountAnswer { proof, .. }, checked) in &accounts {
            println!("account {} on chain {chain} after height {}", proof.account, proof.chain.height);
            rows(&[
                ("balance", grouped(proof.balance)),
                ("status", proof.flags.name().to_owned()),
                ("key version", proof.key_version.to_string()),
                ("checked", checked.text()),
            ]);
        }
        match next {
            Some(next) => println!("there are more: --from {next}"),
            None => println!("there are no others: the validator's word, as of {as_of}"),
        }
        Ok(true)
    }
}
