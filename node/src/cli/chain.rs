//! What can be typed about chains: seeing them, their money, and what administrators decide about them and about who
//! validates.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use engine::types::{AccountId, Asset, ChainKind, Digest, NotHex, Registrar};

use super::account::parse_number;
use super::pay::parse_place;
use super::{AuthorityArgs, Place, SigningArgs, WhomArgs};

/// See the chains of a network, issue and burn their money, and decide about
/// them.
///
/// A network with a chain of the kind "governance" (`network init --governance`)
/// has administrators: the accounts of that chain. One of them proposes (create,
/// pause, resume, close, roles, administrators, admit, remove, rules), others
/// approve what `chain proposal` shows, and when enough have, it is decided. It
/// takes effect on every validator at the same height: 128 heights later, or with
/// the next epoch where it is about validators or rules.
#[derive(Debug, Clone, Subcommand)]
#[command(verbatim_doc_comment)]
#[allow(missing_docs, reason = "the text of each argument struct is the manual; one here would replace it")]
pub enum ChainCommand {
    List(ChainListArgs),
    Issue(IssueArgs),
    Burn(BurnArgs),
    Create(CreateArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Close(CloseChainArgs),
    Roles(RolesArgs),
    Administrators(AdministratorsArgs),
    Members(MembersListArgs),
    Admit(AdmitArgs),
    Remove(RemoveArgs),
    Rules(ChainRulesArgs),
    Approve(ApproveArgs),
    Proposal(ProposalArgs),
    Proposals(ProposalsArgs),
}

/// List the chains of a network: what they count, what they began with, what was
/// issued and burned, whether they take transactions, and who may order what.
///
/// All of it is that of the last height that the validator has committed, and
/// proved under its state root. What administrators have decided and is not in
/// effect yet is shown as well, with the height from which on it will be. Without
/// --network, roles that are still as in the genesis are not known.
///
/// Examples:
///   millrace chain list --network /tmp/mill
///   millrace chain list --endpoint 127.0.0.1:7401 --fingerprint 9a41… \
///                    --network-id 77e0…
///
/// Exit codes: 0 listed, 1 no answer, or validators that disagree, 2 usage.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ChainListArgs {
    /// Which validator to ask.
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Issue money: it is new, on an account of the chain.
///
/// Only the chain's issuer can. What is issued minus what is burned never exceeds
/// the chain's cap. Both sums are public and provable.
///
/// Example:
///   millrace chain issue --to 1:7 --amount 1000 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the issuer's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct IssueArgs {
    /// Who receives.
    #[arg(long, value_name = "CHAIN:ACCOUNT", value_parser = parse_place)]
    pub to: Place,
    /// How much.
    #[arg(long)]
    pub amount: u64,
    /// Who orders it, and how.
    #[command(flatten)]
    pub by: AuthorityArgs,
}

/// Burn money of the issuer's own account: it ceases to exist.
///
/// Example:
///   millrace chain burn --chain 1 --amount 1000 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the issuer's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct BurnArgs {
    /// The chain.
    #[arg(long, value_name = "CHAIN")]
    pub chain: u32,
    /// How much.
    #[arg(long)]
    pub amount: u64,
    /// Who orders it, and how.
    #[command(flatten)]
    pub by: AuthorityArgs,
}

/// Who proposes, how long others can approve it, and how that is signed.
#[derive(Debug, Clone, Args)]
pub struct ProposingArgs {
    /// The administrator who proposes and signs: an account of the chain of the kind "governance".
    #[arg(long = "as", value_name = "ACCOUNT", default_value_t = 0)]
    pub administrator: u64,
    /// For how many minutes from now others can approve it.
    #[arg(long, value_name = "MINUTES", default_value_t = 7 * 24 * 60, value_parser = clap::value_parser!(u64).range(1..=527_040))]
    pub for_minutes: u64,
    /// Which version of the administrators this is for; without it, the one that a validator tells, and with --offline
    /// the first one.
    #[arg(long, value_name = "NUMBER")]
    pub administrators_version: Option<u64>,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Who may order what on a chain, and how much of everything it may have.
#[derive(Debug, Clone, Args)]
pub struct RoleArgs {
    /// The account that issues and burns, or "none".
    #[arg(long, value_name = "ACCOUNT|none", value_parser = parse_holder)]
    pub issuer: Option<Holder>,
    /// With an issuer: how much more may be issued than is burned.
    #[arg(long, value_name = "AMOUNT")]
    pub issuance_cap: Option<u64>,
    /// The account that freezes and unfreezes, or "none".
    #[arg(long, value_name = "ACCOUNT|none", value_parser = parse_holder)]
    pub freezer: Option<Holder>,
    /// The account that opens others, or "anyone", or "none".
    #[arg(long, value_name = "ACCOUNT|anyone|none", value_parser = parse_registrar)]
    pub registrar: Option<Registrar>,
    /// With a registrar: how many accounts there may be in all.
    #[arg(long, value_name = "NUMBER")]
    pub accounts_cap: Option<u64>,
    /// On a chain of the kind "attestations": how many there may be in all.
    #[arg(long, value_name = "NUMBER")]
    pub attestations_cap: Option<u64>,
    /// Seconds until a new key that an account has ordered for itself takes effect; until then it can cancel that.
    #[arg(long, value_name = "SECONDS")]
    pub rekey_window: Option<u32>,
    /// Seconds until a recovery takes effect; until then the account can cancel it.
    #[arg(long, value_name = "SECONDS")]
    pub recovery_window: Option<u32>,
    /// How many bytes of the chain's transactions one block may take, 65536 to 8388608 (a whole block).
    #[arg(long, value_name = "BYTES")]
    pub quota: Option<u32>,
}

/// Propose another chain.
///
/// Its number must be above those of all chains, and is never used again. It
/// begins with accounts that hold nothing: one for each --founder, or, for the
/// test money of a local network, with keys from its secret (--test-founders).
/// Money comes from an issuer, or from chains of the same asset. Who may do what
/// there is named with it; what is not named nobody may do.
///
/// Examples:
///   millrace chain create 8 --kind transfers --asset EUR --test-founders 4 \
///                    --issuer 0 --issuance-cap 1000000 \
///                    --registrar anyone --accounts-cap 1000 --network /tmp/mill
///   millrace chain create 9 --kind attestations --attestations-cap 100000 \
///                    --founder 9a41… --as 1 --key admin.pem --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct CreateArgs {
    /// Its number.
    #[arg(value_name = "CHAIN")]
    pub chain: u32,
    /// What it does: "transfers" or "attestations".
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    pub kind: ChainKind,
    /// What its balances are balances of; without it, UNIT for transfers.
    #[arg(long, value_name = "NAME")]
    pub asset: Option<Asset>,
    /// The public key of a first account, in hexadecimal; up to 8, in the order of the accounts' numbers.
    #[arg(long = "founder", value_name = "HEX")]
    pub founders: Vec<Digest>,
    /// Instead of --founder: so many accounts with test keys of the network's own.
    #[arg(long, value_name = "NUMBER", conflicts_with = "founders", requires = "network", value_parser = clap::value_parser!(u64).range(1..=8))]
    pub test_founders: Option<u64>,
    /// Who may order what.
    #[command(flatten)]
    pub roles: RoleArgs,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Propose that a chain rests: every transaction on it fails until it is resumed.
///
/// What is in flight to it still arrives, and what comes back is refunded. No
/// lock window ends meanwhile.
///
/// Example:
///   millrace chain pause 8 --as 1 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct PauseArgs {
    /// The chain.
    #[arg(value_name = "CHAIN")]
    pub chain: u32,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Propose that a chain that rests goes on.
///
/// Example:
///   millrace chain resume 8 --as 1 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ResumeArgs {
    /// The chain.
    #[arg(value_name = "CHAIN")]
    pub chain: u32,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Propose that a chain takes nothing new any more, for good.
///
/// Money can still leave it, to other chains of its asset or by burning, and its
/// accounts' keys can change; nothing else.
///
/// Example:
///   millrace chain close 8 --as 1 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct CloseChainArgs {
    /// The chain.
    #[arg(value_name = "CHAIN")]
    pub chain: u32,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Propose that others may order on a chain, or that it has other caps, lock
/// windows or another quota. What is not named stays as it is now.
///
/// What stays is proved by the validators; with --offline, or without --network,
/// every role and window must be named. Before it is signed, the output says what
/// would change, from what to what, and warns of a role whose account is not on
/// the chain: nobody has that role, unless the account is opened in time.
///
/// Example:
///   millrace chain roles 8 --freezer 2 --issuer none --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RolesArgs {
    /// The chain.
    #[arg(value_name = "CHAIN")]
    pub chain: u32,
    /// Who may order what from then on.
    #[command(flatten)]
    pub roles: RoleArgs,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Propose that others decide: these accounts of the chain of the kind
/// "governance", of whom so many must approve.
///
/// When it takes effect, every proposal that is open is void. Before it is signed,
/// the output says what would change, from what to what.
///
/// Example:
///   millrace chain administrators --accounts 0,2,5 --threshold 2 \
///                    --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct AdministratorsArgs {
    /// Their accounts, at most 16.
    #[arg(long, value_name = "ACCOUNTS", value_delimiter = ',', required = true, value_parser = parse_number)]
    pub accounts: Vec<u64>,
    /// How many must approve.
    #[arg(long)]
    pub threshold: u8,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// List who validates: the members of the present epoch, with their places.
///
/// A network whose genesis says so (`network init --decide-members`) has other
/// members when administrators decide that (admit, remove). What is under way is
/// listed below them: proposals that are open, and members that are decided and
/// whose epoch has not begun.
///
/// Example:
///   millrace chain members --network /tmp/mill
///
/// Exit codes: 0 listed, 1 no answer, 2 usage.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct MembersListArgs {
    /// Which validator to ask.
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Propose another validator, or one in the place of another.
///
/// `network add` has written the file request.toml, which says what is proposed.
/// The new validator should follow the network before it is admitted: with the last
/// approval, a quorum of the new members must consent, and the new one among them.
/// Within a few blocks after the decision the next epoch begins, with the new
/// members.
///
/// With --in-place-of a validator is replaced in one step: a dead one, or the same
/// one with another key, certificate or address.
///
/// Examples:
///   millrace chain admit /tmp/mill/validator-4/request.toml --network /tmp/mill
///   millrace chain admit new.toml --in-place-of 2 --as 1 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a file that cannot be used.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct AdmitArgs {
    /// The file of the validator that is to be admitted.
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
    /// The validator that goes: its place or its name (`millrace chain members`), or the key of its votes.
    #[arg(long, value_name = "PLACE|NAME|KEY")]
    pub in_place_of: Option<Leaver>,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Propose that a validator goes. The places above it move down.
///
/// It may be dead. When the next epoch begins it is no validator any more, and the
/// others refuse it unless an [[observer]] section of their configurations names
/// it.
///
/// The proposal names it by its key: it means the same validator also when places
/// have moved until it is decided.
///
/// Examples:
///   millrace chain remove 3 --network /tmp/mill
///   millrace chain remove damson --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct RemoveArgs {
    /// Its place or its name (`millrace chain members`), or the key of its votes.
    #[arg(value_name = "PLACE|NAME|KEY")]
    pub who: Leaver,
    /// Allow fewer than four validators to remain: such a network stops as soon as one of them fails.
    #[arg(long)]
    pub below_four: bool,
    /// Who proposes it.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Show the rules of the network and what each member runs, or propose the next
/// rules.
///
/// `millrace --version` says which rules a release runs. When every member runs a
/// release that has the next rules, an administrator proposes them. With the last
/// approval every member must consent: the command asks each of them. The next
/// epoch, which begins within a few blocks, has the new rules. Until then each
/// validator can go back to the release before; afterwards none can.
///
/// Examples:
///   millrace chain rules --network /tmp/mill
///   millrace chain rules 2 --network /tmp/mill
///
/// Exit codes: 0 shown, or committed (or signed into the file), 1 refused, failed
/// or no answer, 2 usage, or a key file that cannot be used or is not the
/// account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ChainRulesArgs {
    /// The version to propose: the present one plus 1. Without it the command only shows the rules.
    #[arg(value_name = "VERSION")]
    pub version: Option<u16>,
    /// Who proposes it, or whom to ask.
    #[command(flatten)]
    pub by: ProposingArgs,
}

/// Approve a proposal, as another administrator.
///
/// Look at it first: `millrace chain proposal`. With the last approval that is
/// needed it is decided. What it says about chains and administrators takes effect
/// 128 heights later. Other validators and rules take effect with the next epoch,
/// a few blocks later; for them this command asks all that are to validate for their
/// consent. So they must be in reach, and the last approval of such a proposal
/// cannot be made with --offline.
///
/// Example:
///   millrace chain approve 77e0… --as 2 --network /tmp/mill
///
/// Exit codes: 0 committed (or signed into the file), 1 refused, failed or no
/// answer, 2 usage, or a key file that cannot be used or is not the account's.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ApproveArgs {
    /// The proposal, as proposing it printed it.
    #[arg(value_name = "PROPOSAL", value_parser = parse_proposal)]
    pub proposal: Digest,
    /// The administrator who approves and signs.
    #[arg(long = "as", value_name = "ACCOUNT")]
    pub administrator: u64,
    /// Which version of the administrators this is for; without it, the one that a validator tells, and with --offline
    /// the first one.
    #[arg(long, value_name = "NUMBER")]
    pub administrators_version: Option<u64>,
    /// How it is signed and submitted.
    #[command(flatten)]
    pub how: SigningArgs,
}

/// Show a proposal: what it says, who approves it, from which height on it is in
/// effect, and what it changes until then.
///
/// With --wait the command waits until the decision is in effect. If it is not
/// decided yet, it does not wait, and says who must approve.
///
/// Examples:
///   millrace chain proposal 77e0… --network /tmp/mill
///   millrace chain proposal 77e0… --endpoint 127.0.0.1:7401 \
///                    --fingerprint 9a41… --network-id 5f0c…
///   millrace chain proposal 77e0… --network /tmp/mill --proof decided.proof
///
/// Exit codes: 0 found (with --wait: in effect; with --proof: written, also that
/// there is none), 1 there is none, or with --wait it is not decided or not in
/// effect within five minutes, 2 usage.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ProposalArgs {
    /// The proposal.
    #[arg(value_name = "PROPOSAL", value_parser = parse_proposal)]
    pub proposal: Digest,
    /// Which validator to ask.
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Wait until it is in effect.
    #[arg(long)]
    pub wait: bool,
    /// Write a proof for strangers into this file instead of printing the answer.
    #[arg(long, value_name = "FILE", conflicts_with = "wait")]
    pub proof: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// List the proposals that administrators can still approve, and those that are
/// decided and not in effect yet.
///
/// Every proposal of the network has a row under the state root, which names the
/// next one. So the list is whole, and each row is proved.
///
/// Example:
///   millrace chain proposals --network /tmp/mill
///
/// Exit codes: 0 listed, also where there are none, 1 no answer, or validators
/// that disagree, 2 usage, or a network without administrators.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct ProposalsArgs {
    /// Which validator to ask.
    #[command(flatten)]
    pub whom: WhomArgs,
    /// Show also those that are in effect, expired or void.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A member that is to go, as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaver {
    /// By its place in the present epoch.
    Place(u16),
    /// By its name.
    Name(String),
    /// By the key of its votes.
    Key(Digest),
}

impl FromStr for Leaver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(key) = text.parse() {
            return Ok(Self::Key(key));
        }
        match text.parse() {
            Ok(place) => Ok(Self::Place(place)),
            Err(_) if text.is_empty() || text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err("write a place or a name as `millrace chain members` lists them, or a key of 64 digits"
                    .to_owned())
            }
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

impl fmt::Display for Leaver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => write!(f, "the validator at place {place}"),
            Self::Name(name) => write!(f, "\"{}\"", name.escape_debug()),
            Self::Key(key) => write!(f, "the validator with the key {key}"),
        }
    }
}

fn parse_proposal(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|error: NotHex| {
        format!("{error}. `millrace chain proposals` lists proposals with their ids")
    })
}

/// An account, or nobody.
pub type Holder = Option<AccountId>;

fn parse_holder(text: &str) -> Result<Holder, String> {
    match text {
        "none" => Ok(None),
        _ => text
            .parse()
            .map(|account| Some(AccountId(account)))
            .map_err(|_| "write the number of an account of the chain, or none".to_owned()),
    }
}

fn parse_registrar(text: &str) -> Result<Registrar, String> {
    match text {
        "none" => Ok(Registrar::Nobody),
        "anyone" => Ok(Registrar::Anyone),
        _ => text
            .parse()
            .map(|account| Registrar::Account(AccountId(account)))
            .map_err(|_| "write the number of an account of the chain, anyone, or none".to_owned()),
    }
}

fn parse_kind(text: &str) -> Result<ChainKind, String> {
    let kinds = [ChainKind::Transfers, ChainKind::Attestations];
    let found = kinds.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| "a chain that is created is of the kind transfers or attestations".to_owned())
}
