use std::sync::Arc;

use engine::execute::StateWriter;
use engine::replica::Epochs;
use engine::types::{AccountId, ChainId, Epoch, Head, Packet, Support, Transfer, ValidatorIndex};
use engine::wire::BatchSection;
use kernels::ed25519::SigningKey;

use super::*;
use crate::network::{ChainDraft, InitOptions, Network, init};

/// A network of four, and a batch of its first validator with transfers of its clients, of which these are forged.
struct Final {
    directory: tempfile::TempDir,
    network: Network,
}

impl Final {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let chains = ChainDraft::alike(1, 16, 1_000);
        let options = InitOptions { validators: 4, chains, ..InitOptions::default() };
        let network = init(directory.path(), &options).unwrap();
        Self { directory, network }
    }

    fn chains(&self) -> Chains {
        let chains = self.network.genesis.chains().iter();
        Chains::new(chains.map(|chain| Arc::clone(StateWriter::genesis(chain).state())))
    }

    fn batch(&self, forged: &[u64]) -> (Height, Batch) {
        let network = self.network.genesis.network();
        let seed = self.network.client_seed().unwrap();
        let packet = |debit: u64| -> Packet {
            let transfer = Transfer {
                chain: ChainId(1),
                key_version: 1,
                reference: [0; 12],
                debit: AccountId(debit),
                credit_chain: None,
                credit: AccountId(debit + 1),
                amount: 1,
                nonce: 0,
                expiry: Height(100),
            };
            let key = seed.signing_key(ChainId(1), transfer.debit);
            let mut packet = transfer.sign(network, |message| key.sign(message));
            packet.0[100] ^= u8::from(forged.contains(&debit));
            packet
        };
        let packets: Vec<Packet> = (0..8).map(packet).collect();
        let author = crate::config::Config::load(&self.network.members[0].config_file()).unwrap();
        let key = SigningKey::from_seed(author.consensus_seed.0);
        let sections = [BatchSection { chain: ChainId(1), packets: packets.len() as u32 }];
        let of = (Epoch(0), ValidatorIndex(0));
        let batch = Batch::seal(network, of, &Head::NONE, Height(0), &sections, packets.iter(), |message| {
            key.sign(message)
        });
        (Height(9), batch)
    }

    fn first_bad(&self, batches: &[(Height, Batch)]) -> Option<(Height, u32)> {
        let epochs = Epochs::genesis(&self.network.genesis, Support::OURS);
        let network = self.network.genesis.network();
        let checker = Checker { network, chains: self.chains(), epochs: &epochs, last: Height(9) };
        let bad = checker.first_bad(batches).unwrap();
        bad.map(|((height, _), refusal)| (*height, refusal.position))
    }
}

#[test]
fn what_the_cpu_refuses_is_found_wherever_it_stands() {
    let of = Final::new();
    let good = of.batch(&[]);
    assert_eq!(of.first_bad(&[good.clone(), good.clone()]), None);
    assert_eq!(of.first_bad(&[good.clone(), of.batch(&[5, 6])]), Some((Height(9), 5)));
    assert_eq!(of.first_bad(&[of.batch(&[0]), good]), Some((Height(9), 0)));
}

#[test]
fn the_evidence_names_the_transaction_and_no_start_overlooks_it() {
    let of = Final::new();
    let data = of.directory.path();
    Forgery::look(data).unwrap();
    let (height, batch) = of.batch(&[3]);
    let epochs = Epochs::genesis(&of.network.genesis, Support::OURS);
    let network = of.network.genesis.network();
    let checker = Checker { network, chains: of.chains(), epochs: &epochs, last: Height(9) };
    let batches = [(height, batch.clone())];
    let (_, refusal) = checker.first_bad(&batches).unwrap().unwrap();
    let error = Forgery::write(data, height, &batch, &refusal).unwrap().to_string();
    assert!(error.contains("height 9") && error.contains("forgery.json"), "{error}");
    let evidence: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join(EVIDENCE)).unwrap()).unwrap();
    assert_eq!(evidence["packets"], hex::encode(batch.packets()[3].0));
    assert_eq!((&evidence["transaction"], &evidence["fault"]), (&3.into(), &"bad signature".into()));
    assert_eq!(evidence["batch"]["bytes"], hex::encode(batch.bytes()));
    assert!(Forgery::look(data).unwrap_err().to_string().contains("found before"));
}
