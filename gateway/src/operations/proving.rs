//! Proofs for strangers. The `client` crate collects and checks them; its questions go over the desk.

use std::time::Duration;

use client::answers::ErrorAnswer;
use client::{AsOf, Client, ClientError, Query, RawAnswer, Role, Standing, Welcome};
use engine::types::{AccountId, Epoch, Fingerprint, TransactionId, ValidatorIndex};
use proof::Proof;
use serde_json::json;
use tokio::runtime::Handle;

use super::asking::{chain_of, given};
use super::{Arguments, Reply};
use crate::desk::Desk;
use crate::failure::{self, Failure};
use crate::gateway::Gateway;

/// How long it is waited until a state root is under a finalization.
const PATIENCE: Duration = Duration::from_secs(10);
/// The pause before a block that is not committed yet is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn transaction(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let id = TransactionId(given(arguments.bytes32("id"), "id")?);
    let chain = arguments.whole("chain").map(|_| chain_of(arguments)).transpose()?;
    prove(gateway, move |client| client.prove_transaction(chain, &id, PATIENCE)).await
}

pub(super) async fn account(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let (chain, account) = (chain_of(arguments)?, AccountId(given(arguments.whole("account"), "account")?));
    prove(gateway, move |client| client.prove_account(chain, account, PATIENCE)).await
}

pub(super) async fn attestation(gateway: &Gateway, arguments: &Arguments) -> Result<Reply, Failure> {
    let chain = chain_of(arguments)?;
    let fingerprint = Fingerprint(given(arguments.bytes32("fingerprint"), "fingerprint")?);
    prove(gateway, move |client| client.prove_attestation(chain, &fingerprint, PATIENCE)).await
}

/// Collects a proof on a thread of its own, of which there are few.
async fn prove(
    gateway: &Gateway,
    collect: impl FnOnce(&mut Client) -> Result<Proof, ClientError> + Send + 'static,
) -> Result<Reply, Failure> {
    let busy = || Failure::unavailable("too many proofs are being made; ask again later");
    let _room = gateway.proofs.try_acquire().map_err(|_| busy())?;
    let (desk, network, handle) = (gateway.desk.clone(), gateway.settings.network, Handle::current());
    let made = tokio::task::spawn_blocking(move || {
        let standing = Standing { epoch: Epoch(0), role: Role::Member };
        let (validator, as_of, version) = (ValidatorIndex(0), AsOf::default(), client::PROTOCOL_VERSION);
        let welcome = desk.welcome().unwrap_or(Welcome { validator, as_of, standing, version });
        let answers = Box::new(move |query: &Query| handle.block_on(answered(&desk, *query)));
        collect(&mut Client::local(network, welcome, answers))
    });
    let made =
        made.await.map_err(|error| Failure::new(failure::INTERNAL, format!("no proof was made: {error}")))?;
    let proof = made.map_err(|error| of_client(&error))?;
    let too_long =
        |error: proof::FormError| Failure::new(failure::INTERNAL, format!("the proof is too long: {error}"));
    let bytes = proof.encode().map_err(too_long)?;
    Ok(Reply::ok(json!({
        "view": "proven",
        "height": proof.height,
        "proof": hex::encode(&bytes),
        "bytes": bytes.len(),
    })))
}

/// Asks the node, and again while a block that follows is not committed yet.
async fn answered(desk: &Desk, query: Query) -> (AsOf, Vec<u8>) {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match desk.ask(query).await {
            Ok(RawAnswer { as_of, body, .. }) => return (as_of, body.to_vec()),
            Err(failure)
                if failure.kind == failure::NOT_FOUND
                    && matches!(query, Query::Block { .. })
                    && tokio::time::Instant::now() < until =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            Err(failure) => {
                let error = match failure.kind {
                    failure::NOT_FOUND => ErrorAnswer::not_found(failure.message),
                    failure::BELOW_RETENTION => ErrorAnswer::below_retention(failure.message),
                    _ => ErrorAnswer::unavailable(failure.message),
                };
                let body = serde_json::to_vec(&error).expect("text has a JSON form");
                return (AsOf::default(), body);
            }
        }
    }
}

fn of_client(error: &ClientError) -> Failure {
    match error {
        ClientError::NotFound { reason, .. } => Failure::new(failure::NOT_FOUND, reason),
        ClientError::BelowRetention { reason, .. } => Failure::new(failure::BELOW_RETENTION, reason),
        ClientError::Unavailable { reason, .. } => Failure::unavailable(reason),
        ClientError::NotFinal { .. } => Failure::unavailable(error.to_string()),
        // The node lies, or is of another release.
        _ => Failure::new(failure::INTERNAL, error.to_string()),
    }
}
