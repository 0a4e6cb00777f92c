//! Checks before an administrator signs a decision or submits a signed one. A decision that fails costs a nonce, and
//! asking for consents takes time.

use anyhow::Result;
use client::Client;
use engine::types::{AccountId, ChainId, Content, Decision, Transaction};

use super::GovernanceError;
use super::proposals::{self, Found, record};
use crate::network::Network;
use crate::query::administrators;

/// Refuses an account that does not decide, where it is known who does.
pub(super) fn require_administrator(
    client: &mut Client,
    network: Option<&Network>,
    (chain, account): (ChainId, AccountId),
) -> Result<()> {
    let Some(present) = administrators(client, network, chain)? else { return Ok(()) };
    let accounts = present.council.accounts;
    match accounts.contains(&account) {
        true => Ok(()),
        false => {
            let known: Vec<_> = accounts.iter().map(ToString::to_string).collect();
            Err(GovernanceError::NotAdministrator { chain, account, known: known.join(", ") }.into())
        }
    }
}

/// Why an administrator cannot approve a proposal any more.
pub(super) fn cannot_be_approved(found: &Found, by: AccountId) -> Option<String> {
    match found.record.decided {
        Some(_) => Some(format!("it is decided already; {}", found.fate)),
        None if !found.is_open() => Some(found.fate.clone()),
        None if found.record.approvals.contains(&by) => {
            Some(format!("account {by} has approved it already; {}", found.fate))
        }
        None => None,
    }
}

/// Refuses to submit what would decide about the members and was signed without their consents.
///
/// # Errors
/// [`GovernanceError::NoConsents`], or the validator does not answer.
pub(crate) fn require_consents(
    client: &mut Client,
    network: Option<&Network>,
    transaction: &Transaction,
) -> Result<()> {
    let (chain, by, proposal) = match transaction.run().content() {
        Ok(Content::Approve(of)) if of.consents.is_empty() => (of.chain, of.administrator, of.proposal),
        Ok(Content::Propose(of)) if of.consents.is_empty() => {
            if !matches!(of.decision.get(), Decision::Members(_)) {
                return Ok(());
            }
            (of.chain, of.administrator, of.proposal())
        }
        _ => return Ok(()),
    };
    let (found, ..) = record(client, chain, &proposal)?;
    let approvals = match found {
        // What it meets there is told by its verdict.
        Some(of) if of.decided.is_some() || of.approvals.contains(&by) => return Ok(()),
        Some(of) if !matches!(of.decision, Decision::Members(_)) => return Ok(()),
        Some(of) => of.approvals.len(),
        None => 0,
    };
    let threshold = administrators(client, network, chain)?.map(|of| usize::from(of.council.threshold));
    match threshold {
        Some(threshold) if approvals + 1 >= threshold => Err(GovernanceError::NoConsents(proposal).into()),
        _ => Ok(()),
    }
}

/// What an open proposal lacks, in words.
///
/// # Errors
/// The validator does not answer.
pub(super) fn missing_approvals(
    client: &mut Client,
    network: Option<&Network>,
    (chain, found): (ChainId, &Found),
) -> Result<String> {
    let Some(present) = administrators(client, network, chain)? else {
        return Ok("approvals of others are missing".to_owned());
    };
    let approvals = &found.record.approvals;
    let others: Vec<_> =
        present.council.accounts.iter().filter(|account| !approvals.contains(account)).collect();
    let others: Vec<_> = others.into_iter().map(ToString::to_string).collect();
    let missing = usize::from(present.council.threshold).saturating_sub(approvals.len());
    Ok(format!(
        "{missing} more of accounts {} must approve; {} {} it so far",
        others.join(", "),
        proposals::accounts(approvals),
        if approvals.len() == 1 { "approves" } else { "approve" },
    ))
}
