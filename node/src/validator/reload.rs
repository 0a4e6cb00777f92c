//! SIGHUP: the configuration is read again, and what can be changed while the validator runs is changed.
//!
//! ```text
//! node.toml ── cannot be used ──▶ said, as at a start; nothing is changed
//!       └────── fields that differ ──┬─▶ log, retention, sealing, queues, addresses: from now on
//!                                    └─▶ the others: said, each time, until the validator is started again
//! ```

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use crossbeam::channel::Sender;
use engine::ingress::{Lane, Submission};
use engine::replica::Input;
use net::PeerNetwork;

use super::events::CoreEvent;
use super::seat::Seat;
use super::service;
use super::shared::Shared;
use super::start::{ingress_bytes, tuning};
use crate::cli::reasons;
use crate::config::{Change, Config, Takes};
use crate::log::{self, Log};

/// What of a running validator can be set anew.
pub struct Knobs {
    pub shared: Arc<Shared>,
    pub core: Sender<CoreEvent>,
    pub ingress: Lane<Submission>,
    pub peers: PeerNetwork,
    pub seat: Seat,
    /// The observers that it lets in.
    pub observers: Vec<[u8; 32]>,
}

impl Knobs {
    fn turn(&self, config: &Config) {
        *self.shared.retention.lock().unwrap_or_else(PoisonError::into_inner) = config.retention;
        self.shared.mempools.set_sender_cap(config.work.mempool_per_account as u32);
        self.ingress.set_bytes_max(ingress_bytes(config));
        match self.seat.fingerprints(config) == self.observers {
            true => {
                let peers = self.seat.peers(config).into_iter();
                peers.for_each(|peer| self.peers.set_address(peer.index, peer.address));
                self.seat.tell_observers(config);
            }
            // Who may connect is known when the network is opened.
            false => self.shared.starts_again.store(true, Relaxed),
        }
        // A core that is gone is stopping.
        let _stopping = self.core.send(CoreEvent::Input(Input::Tune(tuning(config, &self.seat))));
    }
}

/// Reads the file of a configuration again, and takes over what can be.
pub fn reload(config: &mut Config, log: &Log, knobs: &Knobs) {
    service::reloading();
    let file = config.file.display().to_string();
    let read = || {
        let new = Config::load(&config.file)?;
        log::filter_of(&new)?;
        anyhow::Ok(new)
    };
    match read() {
        Err(error) => {
            tracing::error!(
                "the configuration cannot be read again, and nothing is changed: {}",
                reasons(&error)
            );
            service::ready("running; its configuration cannot be read again, see the log");
        }
        Ok(new) => {
            let changes = config.changes(&new);
            config.adopt(&new);
            knobs.turn(config);
            if let Err(error) = log.set(&new.log_level) {
                tracing::error!("log.level cannot be set: {error}");
            }
            told(&file, &changes);
            service::ready("running");
        }
    }
}

/// Says what has changed and what has not.
fn told(file: &str, changes: &[Change]) {
    for Change { field, takes, from, to } in changes {
        match takes {
            Takes::Reload => tracing::info!("{field} is {to} from now on; it was {from}"),
            Takes::Restart => tracing::warn!(
                "{field} is {to} in {file}: it takes effect when the validator is started again, until then it is {from}"
            ),
        }
    }
    let reloaded = changes.iter().filter(|change| change.takes == Takes::Reload).count();
    let waiting = changes.len() - reloaded;
    tracing::info!(reloaded, waiting, "the configuration was read again");
}
