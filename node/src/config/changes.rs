//! What differs between the configuration that a validator runs with and its file as it is now, and which of it can be
//! changed while it runs.
//!
//! ```text
//! Config (running) ┐
//!                  ├─ changes ─▶ one for each field that differs ─▶ the log
//! Config (file)    ┘─ adopt ───▶ Config (running), with what can be reloaded
//! ```

use std::path::PathBuf;

use super::Config;

/// When a changed field takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// When the configuration is read again.
    Reload,
    /// When the validator is started again.
    Restart,
}

/// A field of `node.toml`.
pub struct Setting {
    /// Its name, with its section.
    pub name: &'static str,
    /// When a change takes effect.
    pub takes: Takes,
    /// What it says, for comparisons and for people; never a secret.
    says: fn(&Config) -> String,
}

/// A field that says something else now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field, with its section.
    pub field: &'static str,
    /// When it takes effect.
    pub takes: Takes,
    /// What the validator runs with.
    pub from: String,
    /// What the file says.
    pub to: String,
}

const fn reload(name: &'static str, says: fn(&Config) -> String) -> Setting {
    Setting { name, takes: Takes::Reload, says }
}

const fn restart(name: &'static str, says: fn(&Config) -> String) -> Setting {
    Setting { name, takes: Takes::Restart, says }
}

/// Every field, in the order of the file. What the genesis has a say in is compared by what it leads to: another path
/// to the same file is no change.
pub const SETTINGS: [Setting; 54] = [
    restart("validator.index", |of| of.index.map_or_else(|| "none".to_owned(), |index| index.to_string())),
    restart("validator.name", |of| of.name.clone()),
    restart("network.genesis", |of| format!("network {}", of.genesis.network())),
    restart("identity.consensus_key", |of| format!("key {}", hex::encode(of.public_key()))),
    reload("identity.certificate", |of| format!("certificate {}", of.identity.certificate())),
    restart("identity.private_key", |of| format!("key {}", of.identity.fingerprint())),
    reload("identity.group_may_read", |of| of.group_may_read.to_string()),
    restart("listen.peers", |of| of.listen_peers.to_string()),
    restart("listen.clients", |of| of.listen_clients.to_string()),
    restart("gateway.listen", |of| of_gateway(of, |doors| words(&doors.listen))),
    restart("gateway.anonymous", |of| of_gateway(of, |doors| doors.anonymous.to_string())),
    restart("gateway.tokens", |of| {
        of_gateway(of, |doors| {
            doors.tokens.as_ref().map_or_else(|| "none".to_owned(), |of| of.display().to_string())
        })
    }),
    restart("gateway.certificate", |of| {
        of_gateway(of, |doors| path(doors.tls.as_ref(), |of| &of.certificate))
    }),
    restart("gateway.private_key", |of| {
        of_gateway(of, |doors| path(doors.tls.as_ref(), |of| &of.private_key))
    }),
    restart("gateway.client_authority", |of| {
        of_gateway(of, |doors| path(doors.clients.as_ref(), |of| &of.authority))
    }),
    restart("gateway.clients", |of| of_gateway(of, |doors| path(doors.clients.as_ref(), |of| &of.clients))),
    restart("gateway.hosts", |of| of_gateway(of, |doors| words(&doors.hosts))),
    restart("gateway.origins", |of| of_gateway(of, |doors| words(&doors.origins))),
    restart("gateway.webhooks", |of| of_gateway(of, |doors| words(&doors.webhooks))),
    restart("gateway.streams_per_caller", |of| of_gateway(of, |doors| doors.streams_of_caller.to_string())),
    restart("gateway.admin.listen", |of| of_admin(of, |doors| words(&doors.listen))),
    restart("gateway.admin.audit", |of| of_admin(of, |doors| doors.audit.display().to_string())),
    restart("gateway.admin.certificate", |of| {
        of_admin(of, |doors| path(doors.tls.as_ref(), |of| &of.certificate))
    }),
    restart("gateway.admin.private_key", |of| {
        of_admin(of, |doors| path(doors.tls.as_ref(), |of| &of.private_key))
    }),
    restart("gateway.admin.client_authority", |of| {
        of_admin(of, |doors| path(doors.clients.as_ref(), |of| &of.authority))
    }),
    restart("gateway.admin.clients", |of| {
        of_admin(of, |doors| path(doors.clients.as_ref(), |of| &of.clients))
    }),
    restart("gateway.admin.hosts", |of| of_admin(of, |doors| words(&doors.hosts))),
    restart("storage.directory", |of| of.data.display().to_string()),
    restart("storage.backend", |of| format!("{:?}", of.storage).to_lowercase()),
    restart("storage.segment_mib", |of| (of.segment_bytes >> 20).to_string()),
    restart("storage.checkpoint_every_kib", |of| (of.checkpoint_every_bytes >> 10).to_string()),
    restart("storage.scrub_mib_per_second", |of| (of.scrub_bytes_per_second >> 20).to_string()),
    reload("storage.keep_mib", |of| limit(of.retention.bytes.map(|bytes| bytes >> 20))),
    reload("storage.keep_heights", |of| limit(of.retention.heights)),
    reload("storage.keep_minutes", |of| limit(of.retention.ms.map(|ms| ms / 60_000))),
    restart("storage.archive", |of| {
        of.archive.as_ref().map_or_else(|| "none".to_owned(), |archive| archive.display().to_string())
    }),
    restart("work.verify", |of| of.work.verify.word().to_owned()),
    restart("work.verify_threads", |of| of.work.verify_threads.to_string()),
    reload("work.batch_packets_max", |of| of.work.batch_packets_max.to_string()),
    reload("work.batch_delay_ms", |of| of.work.batch_delay.as_millis().to_string()),
    reload("work.block_interval_ms", |of| {
        let interval = of.work.block_interval;
        interval.map_or_else(|| "the default".to_owned(), |interval| interval.as_millis().to_string())
    }),
    restart("work.mempool_transactions", |of| of.work.mempool_transactions.to_string()),
    reload("work.mempool_per_account", |of| of.work.mempool_per_account.to_string()),
    reload("work.ingress_packets", |of| of.work.ingress_packets.to_string()),
    reload("log.level", |of| of.log_level.clone()),
    restart("peer.index", |of| of_peers(of, |peer| peer.index.to_string())),
    restart("peer.name", |of| of_peers(of, |peer| peer.name.clone())),
    restart("peer.clients", |of| {
        let said = |peer: &super::PeerConfig| {
            peer.clients.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
        };
        of_peers(of, said)
    }),
    reload("peer.address", |of| of_peers(of, |peer| peer.address.to_string())),
    restart("peer.certificate_fingerprint", |of| {
        of_peers(of, |peer| hex::encode(peer.certificate_fingerprint))
    }),
    restart("peer.public_key", |of| of_peers(of, |peer| hex::encode(peer.public_key))),
    reload("observer.name", |of| of_observers(of, |one| one.name.clone())),
    reload("observer.address", |of| of_observers(of, |one| one.address.to_string())),
    reload("observer.certificate_fingerprint", |of| {
        of_observers(of, |one| hex::encode(one.certificate_fingerprint))
    }),
];

fn limit(limit: Option<u64>) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
}

/// A field of the gateway.
fn of_gateway(config: &Config, says: impl Fn(&gateway::Doors) -> String) -> String {
    config.gateway.as_ref().map_or_else(|| "no gateway".to_owned(), says)
}

/// A field of administration.
fn of_admin(config: &Config, says: impl Fn(&gateway::AdminDoors) -> String) -> String {
    config.admin.as_ref().map_or_else(|| "no administration".to_owned(), says)
}

/// A path of what may be left out.
fn path<T>(of: Option<&T>, path: impl Fn(&T) -> &PathBuf) -> String {
    of.map_or_else(|| "none".to_owned(), |of| path(of).display().to_string())
}

/// Some of the same, with commas between them.
fn words(of: &[impl ToString]) -> String {
    let words: Vec<String> = of.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

/// A field of all peers, each with its index.
fn of_peers(config: &Config, says: impl Fn(&super::PeerConfig) -> String) -> String {
    let peers: Vec<_> = config.peers.iter().map(|peer| format!("{}: {}", peer.index, says(peer))).collect();
    peers.join(", ")
}

/// A field of all observers, in their order.
fn of_observers(config: &Config, says: impl Fn(&super::ObserverConfig) -> String) -> String {
    let observers: Vec<_> = config.observers.iter().map(says).collect();
    if observers.is_empty() { "none".to_owned() } else { observers.join(", ") }
}

impl Config {
    /// The fields of which `new`, the file as it is now, says something else than this one, in the order of the file.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let change = |setting: &Setting| {
            let (from, to) = ((setting.says)(self), (setting.says)(new));
            (from != to).then_some(Change { field: setting.name, takes: setting.takes, from, to })
        };
        SETTINGS.iter().filter_map(change).collect()
    }

    /// Takes over what can be changed while the validator runs; the rest stays as it is.
    pub fn adopt(&mut self, new: &Self) {
        self.retention = new.retention;
        self.group_may_read = new.group_may_read;
        self.identity.renew(&new.identity);
        self.log_level.clone_from(&new.log_level);
        self.observers.clone_from(&new.observers);
        let (work, said) = (&mut self.work, &new.work);
        work.batch_packets_max = said.batch_packets_max;
        work.batch_delay = said.batch_delay;
        work.block_interval = said.block_interval;
        work.mempool_per_account = said.mempool_per_account;
        work.ingress_packets = said.ingress_packets;
        for peer in &mut self.peers {
            if let Some(said) = new.peers.iter().find(|said| said.public_key == peer.public_key) {
                peer.address.clone_from(&said.address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
