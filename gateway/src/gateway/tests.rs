use std::sync::Arc;

use super::*;
use crate::settings::{Doors, Words};
use crate::{Boxed, Gone, Host, Talk};

/// A node that nobody can reach.
struct Nowhere;

impl Host for Nowhere {
    fn open(&self) -> Boxed<'_, Result<Talk, Gone>> {
        Box::pin(std::future::ready(Err(Gone("nobody is there".to_owned()))))
    }
}

/// What a gateway to a node that nobody can reach begins with.
pub(crate) fn settings(doors: Doors) -> (Settings, Arc<dyn Host>) {
    let words = Words {
        fields: |_| Value::Null,
        line: |_| String::new(),
        decision: |_| String::new(),
        proposal: |_| Value::Null,
        charter: |_| Value::Null,
    };
    let network = engine::types::Digest([1; 32]);
    let settings =
        Settings { doors, network, genesis: None, words, administration: None, others: Vec::new() };
    (settings, Arc::new(Nowhere))
}

/// A gateway to a node that nobody can reach. Within a runtime.
pub(crate) fn alone(doors: Doors) -> Gateway {
    let (settings, host) = settings(doors);
    Gateway::new(settings, Desk::open(&host)).unwrap()
}
