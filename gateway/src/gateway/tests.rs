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

/// A gateway to a node that nobody can reach. Within a runtime.
pub(crate) fn alone(doors: Doors) -> Gateway {
    let words = Words {
        fields: |_| Value::Null,
        line: |_| String::new(),
        decision: |_| String::new(),
        proposal: |_| Value::Null,
        charter: |_| Value::Null,
    };
    let network = engine::types::Digest([1; 32]);
    let host: Arc<dyn Host> = Arc::new(Nowhere);
    Gateway::new(Settings { doors, network, genesis: None, words, others: Vec::new() }, Desk::open(&host)).unwrap()
}
