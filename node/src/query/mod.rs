//! Questions to a running validator, whose answers are checked before they are printed.
//!
//! ```text
//! ask one validator ── answer with a Merkle path ── does it lead to the state root it names?
//!                                                    └─ do the other validators name the same root? (--network)
//! ```
//!
//! With `--proof` the answer goes into a file that convinces strangers ([`crate::proofs`]).
//!
//! Invariant: what is printed as checked was checked in this process; a proof that does not hold is never printed
//! as an answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use client::answers::{BlockAnswer, ProofAnswer};
use client::{Answer, AsOf, Client, ClientError, FoundBlock, FoundTransaction, Query};
use engine::types::{
    ADMINISTRATORS_KEY, AccountId, ChainId, Digest, Epoch, Height, Outcome, TransactionId, ValidatorIndex,
    old_key_key, record_key,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::attestations::fingerprint_of;
use crate::cli::{QueryArgs, Question, Reserved, SignedSource, WhomArgs, rows};
use crate::config::ConfigError;
use crate::config::genesis::HEADER_FILE;
use crate::governance::proposals::deciding_by;
use crate::network::Network;
use crate::validator::counters::CountersReport;
use archive::AskedArchive;

mod accounts;
mod archive;
mod attestation;
mod chains;
pub(crate) mod decisions;
mod feed;
pub(crate) mod print;
mod reach;
pub(crate) mod reservations;
pub(crate) mod rules;
mod status;

pub use chains::list_chains;
pub(crate) use chains::{administrators, charter, charter_if_known};
use reach::note_follower;
pub use reach::{NoValidator, NotMember};
pub(crate) use reach::{other_roots, present_members, reach, require_member};

/// How long a proof waits until the state root is under a finalization.
pub(crate) const PROOF_PATIENCE: Duration = Duration::from_secs(20);

/// A chain that the network does not have.
#[derive(Debug, thiserror::Error)]
#[error("the network has no chain {0}; `millrace chain list` shows them")]
pub struct NoChain(ChainId);

/// Whom we talk to: one validator, and the network around it if we know it.
pub(crate) struct Asked {
    pub(crate) client: Client,
    pub(crate) network: Option<Network>,
    /// Where it is an archive that answers.
    archive: Option<AskedArchive>,
}

/// Answers one question; `false` where there is no such thing or a proof does not hold.
///
/// # Errors
/// No validator answered, or nothing that makes sense.
pub fn query(args: &QueryArgs) -> Result<bool> {
    if let Some(directory) = &args.archive {
        return archive::query(args, directory);
    }
    let network = network_of(args.whom.network.as_deref())?;
    if let Some(network) = &network {
        match &args.question {
            Question::Feed { chain, .. }
            | Question::Transaction { chain: Some(chain), .. }
            | Question::Account { chain, .. }
            | Question::Accounts { chain, .. }
            | Question::Record { chain, .. }
            | Question::Key { chain, .. }
            | Question::Chain { chain, .. }
            | Question::Attestation { chain, .. }
            | Question::History { chain, .. } => is_there(network, ChainId(*chain))?,
            Question::Reservation { reservation, .. } => is_there(network, reservation.chain)?,
            _ => {}
        }
    }
    // Before anything is waited for: also a connection may take its time.
    let progress = match &args.question {
        Question::Feed { args: feed, .. } | Question::History { args: feed, .. } => {
            Some(feed::Progress::new(feed.from)?)
        }
        _ => None,
    };
    let mut asked = connect_with(&args.whom, network)?;
    note_follower(&asked.client);
    let mut not = vec![asked.client.validator()];
    let mut answered = answer(&mut asked, args, progress.as_ref());
    // A feed goes on where it is, and asks others by itself.
    while progress.is_none()
        && is_below_retention(&answered)
        && let Some(other) = another(&args.whom, &mut asked, &not)
    {
        asked = other;
        not.push(asked.client.validator());
        match answer(&mut asked, args, progress.as_ref()) {
            again if is_below_retention(&again) => {}
            // One that fails in another way proves nothing.
            Err(error) if error.is::<ClientError>() => {}
            better => answered = better,
        }
    }
    found(answered, args)
}

/// Says that there is nothing, where that is the answer.
fn found(answered: Result<bool>, args: &QueryArgs) -> Result<bool> {
    match answered {
        Err(error) => match error.downcast_ref() {
            Some(ClientError::NotFound { reason, as_of }) if args.json => {
                let nothing = not_found(reason, *as_of);
                match args.question {
                    Question::Feed { .. } | Question::History { .. } => println!("{nothing}"),
                    _ => drop(crate::cli::print_json(&nothing)?),
                }
                Ok(false)
            }
            Some(ClientError::NotFound { .. }) => {
                eprintln!("{error}");
                Ok(false)
            }
            _ => Err(error),
        },
        answered => answered,
    }
}

/// The JSON of an answer: whether there is what was asked for, what the validator says of it, at which height, and what
/// was checked of that. Where there is nothing, `said` is what shows that.
fn answer_json(found: bool, said: &impl Serialize, as_of: AsOf, checked: &Checked) -> Value {
    json!({ "found": found, "answer": said, "as_of": as_of, "checked": checked })
}

/// The same where a validator says that there is nothing, and shows nothing for it.
fn not_found(reason: &str, as_of: AsOf) -> Value {
    let mut nothing = answer_json(false, &Value::Null, as_of, &Checked::default());
    nothing["reason"] = reason.into();
    nothing
}

fn is_below_retention(answered: &Result<bool>) -> bool {
    let error = answered.as_ref().err().and_then(|error| error.downcast_ref());
    matches!(error, Some(ClientError::BelowRetention { .. }))
}

/// Answers one question with what a validator says.
fn answer(asked: &mut Asked, args: &QueryArgs, progress: Option<&feed::Progress>) -> Result<bool> {
    let answered = match &args.question {
        Question::Feed { chain, args: feed } => {
            let whose = (ChainId(*chain), None);
            feed::print_feed(asked, &args.whom, whose, (feed, progress), args.json)
        }
        Question::History { chain, account, args: feed } => {
            let whose = (ChainId(*chain), Some(AccountId(*account)));
            // Of an account that is not there nothing would ever be told.
            match asked.client.account(ChainId(*chain), AccountId(*account)) {
                Err(error @ ClientError::NotFound { .. }) => Err(error.into()),
                _ => feed::print_feed(asked, &args.whom, whose, (feed, progress), args.json),
            }
        }
        Question::Account { chain, account, proof: None } => {
            asked.account(ChainId(*chain), AccountId(*account), args.json)
        }
        Question::Account { chain, account, proof: Some(file) } => {
            let proof = asked.client.prove_account(ChainId(*chain), AccountId(*account), PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Record { chain, account, proof: None } => {
            asked.record(ChainId(*chain), AccountId(*account), args.json)
        }
        Question::Record { chain, account, proof: Some(file) } => {
            let key = record_key(AccountId(*account));
            let proof = asked.client.prove_row(ChainId(*chain), &key, PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Key { chain, account, version, proof: None } => {
            return asked.old_key(ChainId(*chain), AccountId(*account), *version, args.json);
        }
        Question::Key { chain, account, version, proof: Some(file) } => {
            let key = old_key_key(AccountId(*account), *version);
            let proof = asked.client.prove_row(ChainId(*chain), &key, PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Administrators { proof: None } => asked.administrators(args.json),
        Question::Administrators { proof: Some(file) } => {
            let chain = deciding_by(asked)?;
            let proof = asked.client.prove_row(chain, &ADMINISTRATORS_KEY, PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Accounts { chain, public_key, from } => {
            return asked.accounts_of(ChainId(*chain), *public_key, AccountId(*from), args.json);
        }
        Question::Attestation { chain, fingerprint, file, history, proof } => {
            let chain = ChainId(*chain);
            let fingerprint = match (fingerprint, file) {
                (Some(fingerprint), _) => *fingerprint,
                (None, Some(file)) => fingerprint_of(file)?,
                (None, None) => unreachable!("clap asks for one of them"),
            };
            match proof {
                Some(file) if *history => asked.write_history((chain, fingerprint), file, args.json),
                Some(file) => {
                    let proof = asked.client.prove_attestation(chain, &fingerprint, PROOF_PATIENCE);
                    asked.write(proof, file, None, args.json)
                }
                None if *history => asked.attestation_history(chain, fingerprint, args.json),
                None => return asked.attestation(chain, fingerprint, args.json),
            }
        }
        Question::Chain { chain, proof: None } => asked.chain(ChainId(*chain), args.json),
        Question::Chain { chain, proof: Some(file) } => {
            let proof = asked.client.prove_charter(ChainId(*chain), PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Reservation { reservation, proof: None } => {
            return asked.reservation(*reservation, args.json);
        }
        Question::Reservation { reservation: Reserved { chain, id }, proof: Some(file) } => {
            let proof = asked.client.prove_reservation(*chain, *id, PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Transaction { id, chain, proof: None } => {
            asked.transaction(chain.map(ChainId), id, args.json)
        }
        Question::Transaction { id, chain, proof: Some(file) } => {
            let proof = asked.client.prove_transaction(chain.map(ChainId), id, PROOF_PATIENCE);
            asked.write(proof, file, None, args.json)
        }
        Question::Never { transaction: source, proof: file } => {
            let transaction = source.transaction(asked.client.network())?;
            let proof = asked.client.prove_never(transaction.run(), PROOF_PATIENCE);
            asked.write(proof, file, Some(source), args.json)
        }
        Question::Block { height } => asked.block(Height(*height), args.json),
        Question::Proof { chain, id } => asked.proof(ChainId(*chain), id, args.json),
        Question::Status => asked.status(args.json),
        Question::Counters => asked.counters(args.json),
    };
    answered.map(|()| true)
}

/// Refuses a chain that the network cannot have.
fn is_there(network: &Network, chain: ChainId) -> Result<(), NoChain> {
    network.genesis.may_have(chain).then_some(()).ok_or(NoChain(chain))
}

/// The network in a directory, if one is named.
pub(crate) fn network_of(directory: Option<&Path>) -> Result<Option<Network>, ConfigError> {
    directory.map(Network::load).transpose()
}

/// Connects to the validator that the options name.
pub(crate) fn connect(whom: &WhomArgs) -> Result<Asked> {
    connect_with(whom, network_of(whom.network.as_deref())?)
}

fn connect_with(whom: &WhomArgs, network: Option<Network>) -> Result<Asked> {
    let client = reach(whom, network.as_ref())?;
    Ok(Asked { client, network, archive: None })
}

/// Another member of the network that answers, where none is named: it may keep more than those at the places `not`.
fn another(whom: &WhomArgs, asked: &mut Asked, not: &[ValidatorIndex]) -> Option<Asked> {
    let is_free = whom.validator.is_none() && whom.endpoint.is_none();
    let network = asked.network.clone().filter(|_| is_free)?;
    let others = present_members(&network, &mut asked.client).ok()?;
    let others = others.into_iter().filter(|member| !not.contains(&member.place));
    let client = others.filter_map(|member| member.connect(network.genesis.network()).ok()).next()?;
    Some(Asked { client, network: Some(network), archive: None })
}

impl Asked {
    /// Writes a proof into a file, and says what it proves.
    pub(crate) fn write(
        &self,
        proof: Result<proof::Proof, ClientError>,
        file: &Path,
        asked_of: Option<&SignedSource>,
        json: bool,
    ) -> Result<()> {
        let (genesis, header) = self.genesis_header();
        crate::proofs::write(&proof?, genesis, (file, header.as_deref()), asked_of, json)
    }

    /// The header of the genesis with which proofs are checked, and the file that has it, as far as they are known.
    fn genesis_header(&self) -> (Option<&[u8]>, Option<PathBuf>) {
        let genesis = self.network.as_ref().map(|network| network.genesis.header());
        let header = self.network.as_ref().map(|network| network.directory.join(HEADER_FILE));
        (
            genesis.or(self.archive.as_ref().map(|archive| &archive.header[..])),
            header.or(self.archive.as_ref().map(|archive| archive.header_file.clone())),
        )
    }

    fn transaction(&mut self, chain: Option<ChainId>, id: &TransactionId, json: bool) -> Result<()> {
        let Answer { as_of, value: found } = self.client.transaction(chain, id)?;
        let FoundTransaction { transaction: answer, signed, proof } = found;
        let checked = self.checked_transaction(&proof)?;
        if json {
            let both = print::with_content(json!({ "transaction": answer, "proof": proof }), &signed);
            return print_json(as_of, &both, &checked);
        }
        println!("transaction {}", answer.id);
        let made = reservations::made(&signed).filter(|_| answer.outcome == Outcome::Applied);
        let state = match made.filter(|_| self.archive.is_none()) {
            Some(made) => Some((made, self.client.reservation(made.chain, made.id)?)),
            None => None,
        };
        let mut shown = vec![
            ("outcome", print::outcome(&answer, &signed)),
            (
                "block",
                format!("height {}, place {} on chain {}", answer.height, answer.position, answer.chain),
            ),
            ("says", print::says(&signed)),
            ("nonce", signed.nonce().to_string()),
            ("expiry", format!("height {}", signed.expiry())),
            ("key version", signed.key_version().to_string()),
            ("reference", hex::encode(signed.reference())),
            ("batch", format!("sequence {} of validator {}", answer.sequence, answer.author)),
            ("state root", proof.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ];
        if let Some((made, found)) = state {
            let word = if found.value.reservation.is_some() { "open" } else { "no longer open" };
            shown.insert(1, ("reservation", format!("{made}, {word} after {}", found.as_of)));
        }
        rows(&shown);
        for payment in print::payments(&signed) {
            println!("  {payment}");
        }
        Ok(())
    }

    fn proof(&mut self, chain: ChainId, id: &TransactionId, json: bool) -> Result<()> {
        let Answer { as_of, value: answer } = self.client.proof(chain, id)?;
        let checked = self.checked_transaction(&answer)?;
        let proof = &answer.proof;
        if json {
            return print_json(as_of, &answer, &checked);
        }
        println!(
            "transaction {} is in the block at height {}: {}",
            proof.id, proof.chain.height, proof.outcome
        );
        let place = format!("{} of {}", proof.path.index, proof.path.size);
        let siblings = |path: &engine::roots::Path| {
            path.siblings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n                     ")
        };
        rows(&[
            ("place", place),
            ("path", siblings(&proof.path)),
            ("transactions root", proof.chain.entry.transactions_root.to_string()),
            ("accounts root", proof.chain.entry.accounts_root.to_string()),
            ("path of the chain", siblings(&proof.chain.entry_path)),
            ("state root", answer.state_root.to_string()),
            ("as of", as_of.to_string()),
            ("checked", checked.text()),
        ]);
        Ok(())
    }

    fn block(&mut self, height: Height, json: bool) -> Result<()> {
        let Answer { as_of, value: FoundBlock { answer, block } } = self.client.block(height)?;
        let finality = self.finality(&answer, block.header().epoch)?;
        let checked = Checked { path: false, ..self.checked(height, &answer.state_root)? };
        if json {
            let mut both = serde_json::to_value(&answer)?;
            both["header"] = print::header(&block);
            return print_json(as_of, &both, &checked);
        }
        print::block(&answer, &block, &finality, &checked.roots());
        Ok(())
    }

    /// Checks the finalization certificate of a block of this epoch, where the genesis is known: its validators vouch
    /// for those of the next epoch, and so on.
    fn finality(&mut self, answer: &BlockAnswer, epoch: Epoch) -> Result<String> {
        let genesis = match (&self.network, &self.archive) {
            (None, None) => {
                return Ok("not checked: the validators' keys are in the genesis, see --network".into());
            }
            (Some(network), _) => proof::Genesis::decode(network.genesis.header()).context("the genesis")?,
            (None, Some(archive)) => archive.genesis()?,
        };
        if answer.certificate.is_empty() {
            return Ok("final through a later block".into());
        }
        let changes = self.client.epoch_changes(epoch.0);
        let changes = changes.with_context(|| format!("who validated in epoch {epoch}"))?;
        let (keys, _) = proof::validators_after(&genesis, &changes)
            .with_context(|| format!("the validators of epoch {epoch} do not follow from the genesis"))?;
        let certificate = hex::decode(&answer.certificate).context("the finalization certificate")?;
        let finalized = consensus::Verifier::new(&self.client.network().0, epoch.0, &keys)
            .with_context(|| format!("the validators of epoch {epoch}"))?
            .verify(&certificate)
            .context("the finalization certificate does not hold")?;
        if finalized.payload() != answer.digest.0 {
            bail!("the finalization certificate is for another block");
        }
        let of_epoch = if epoch == Epoch(0) { String::new() } else { format!(" of epoch {epoch}") };
        Ok(format!("certificate of a quorum{of_epoch}, view {}: holds", finalized.view()))
    }

    fn status(&mut self, json: bool) -> Result<()> {
        let Answer { as_of, value: found } = self.client.status()?;
        if json {
            return print_json(as_of, &found, &Checked::default());
        }
        status::print(as_of, &found);
        Ok(())
    }

    fn counters(&mut self, json: bool) -> Result<()> {
        let Answer { as_of, value: report } = self.client.ask::<CountersReport>(Query::Counters)?;
        if json {
            return print_json(as_of, &report, &Checked::default());
        }
        status::print_counters(as_of, &report);
        Ok(())
    }

    /// The same for a transaction; in an archive a certificate must cover the state root.
    fn checked_transaction(&mut self, answer: &ProofAnswer) -> Result<Checked> {
        match &self.archive {
            Some(archive) => archive.checked(&mut self.client, &answer.proof),
            None => self.checked(answer.proof.chain.height, &answer.state_root),
        }
    }

    /// Compares a state root with those of the other validators.
    pub(crate) fn checked(&mut self, height: Height, root: &Digest) -> Result<Checked> {
        match &self.network {
            None => Ok(Checked { path: true, ..Checked::default() }),
            Some(network) => check_root(network, &mut self.client, (height, root)),
        }
    }
}

/// Compares the state root that one validator has told with those of the others.
fn check_root(network: &Network, client: &mut Client, (height, root): (Height, &Digest)) -> Result<Checked> {
    let mut checked = Checked { path: true, ..Checked::default() };
    let told_by = client.validator();
    for (member, found) in other_roots(network, client, height)? {
        checked.others += 1;
        match found {
            Ok(found) if found == *root => checked.agree += 1,
            Ok(found) => bail!(
                "two validators disagree about height {height}: \"{}\" has the state root {found}, validator {told_by} \
                 has {root}",
                member.name,
            ),
            Err(why) => checked.silent.push(Silent { validator: member.place, name: member.name, why }),
        }
    }
    Ok(checked)
}

/// What was checked of an answer.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Checked {
    /// A Merkle path leads from the answer to the state root.
    path: bool,
    /// Other validators that have the same state root at that height.
    agree: u16,
    /// Other validators that were asked.
    others: u16,
    /// Those of them that did not say their root.
    silent: Vec<Silent>,
    /// Of an archive: whether a certificate in it proves the state root.
    certificate: Option<bool>,
}

/// A validator that was asked for its state root and did not say it.
#[derive(Debug, Clone, Serialize)]
struct Silent {
    validator: ValidatorIndex,
    name: String,
    why: &'static str,
}

impl Checked {
    /// What holds for both.
    fn and(self, other: Self) -> Self {
        if other.agree < self.agree { other } else { self }
    }

    /// For an answer with a path.
    pub(crate) fn text(&self) -> String {
        format!("a path leads to this state root; {}", self.roots())
    }

    /// What other validators say.
    fn roots(&self) -> String {
        let said = match self.others {
            _ if self.certificate == Some(true) => {
                "a finalization certificate in the archive covers it".into()
            }
            _ if self.certificate == Some(false) => {
                "the archive ends before the certificate that covers it".into()
            }
            0 => "no other validator was asked for its root".into(),
            others => format!("{} of {others} other validators have the same root", self.agree),
        };
        let silent =
            |Silent { validator, name, why }: &Silent| format!("; validator {validator} (\"{name}\") {why}");
        self.silent.iter().map(silent).fold(said, |said, silent| said + &silent)
    }
}

fn print_json(as_of: AsOf, answer: &impl Serialize, checked: &Checked) -> Result<()> {
    print_found(as_of, (answer, true), checked).map(drop)
}

/// Prints an answer that may say that there is nothing, and returns whether there is something.
fn print_found(as_of: AsOf, (answer, found): (&impl Serialize, bool), checked: &Checked) -> Result<bool> {
    crate::cli::print_json(&answer_json(found, answer, as_of, checked)).map(|_| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_the_same_fields_also_where_there_is_nothing() {
        let keys = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let something = answer_json(true, &7, AsOf::default(), &Checked::default());
        let mut nothing = not_found("no account 9", AsOf::default());
        assert_eq!((&nothing["found"], &nothing["answer"]), (&Value::Bool(false), &Value::Null));
        assert_eq!(nothing.as_object_mut().unwrap().remove("reason").unwrap(), "no account 9");
        assert_eq!(keys(&something), keys(&nothing));
    }

    #[test]
    fn who_said_nothing_is_named() {
        let silent = |index: u16, name: &str, why| Silent {
            validator: ValidatorIndex(index),
            name: name.to_owned(),
            why,
        };
        let all = Checked { path: true, agree: 3, others: 3, ..Checked::default() };
        assert_eq!(all.roots(), "3 of 3 other validators have the same root");
        let some =
            vec![silent(1, "birch", "does not answer"), silent(3, "damson", "does not have this height yet")];
        let one = Checked { path: true, agree: 1, others: 3, silent: some, ..Checked::default() };
        assert_eq!(
            one.roots(),
            "1 of 3 other validators have the same root; validator 1 (\"birch\") does not answer; validator 3 \
             (\"damson\") does not have this height yet"
        );
        assert_eq!(all.and(one).agree, 1, "the answer with fewer witnesses counts");
        assert_eq!(Checked::default().roots(), "no other validator was asked for its root");
    }
}
