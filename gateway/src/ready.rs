//! `/ready`: whether the node keeps up and takes transactions. Everybody may ask, so the node is asked for all of them
//! together, at most once a second.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::gateway::Gateway;
use crate::latest::Latest;

/// How old an answer may be.
const AGE_MAX: Duration = Duration::from_secs(1);
/// How many blocks a node may lack and be ready.
const BEHIND_READY: u64 = 3;

/// Why the node is not ready, where it is not, as it was last found.
pub type Ready = Latest<Option<String>>;

/// The status of HTTP, and what is said.
pub async fn answer(gateway: &Gateway) -> (StatusCode, Value) {
    let now = Instant::now();
    let since = now.checked_sub(AGE_MAX).unwrap_or(now);
    match gateway.ready.since(since, why_not(gateway)).await {
        None => (StatusCode::OK, json!({ "ready": true })),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, json!({ "ready": false, "why": why })),
    }
}

async fn why_not(gateway: &Gateway) -> Option<String> {
    match gateway.status().await {
        Err(failure) => Some(failure.message),
        Ok((as_of, status)) => {
            let lost = ["stream_lost", "votes_forgotten"].into_iter().find(|of| status[*of] == true);
            match as_of.behind {
                None => Some("the node hears too little from the others to know where they are".to_owned()),
                Some(behind) if behind > BEHIND_READY => Some(format!("the node is {behind} blocks behind")),
                Some(_) if status["role"] != "member" => Some("the node only follows".to_owned()),
                Some(_) => lost.map(|of| format!("the node takes no transactions: {of}")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Doors;
    use crate::gateway::tests::alone;

    #[test]
    fn an_answer_is_given_for_a_second_without_asking_the_node() {
        crate::testing::run_paused(async {
            let gateway = alone(Doors::default());
            assert_eq!(gateway.ready.since(Instant::now(), async { None }).await, None);
            // Nobody can reach this node, so who asked it would be told otherwise.
            assert_eq!(answer(&gateway).await.0, StatusCode::OK);
            tokio::time::sleep(AGE_MAX + Duration::from_millis(1)).await;
            assert_eq!(answer(&gateway).await.0, StatusCode::SERVICE_UNAVAILABLE);
        });
    }
}
