use std::sync::mpsc;

use super::*;
use crate::network::{ChainDraft, InitOptions, init};
use crate::validator::counters::CountersReport;

#[test]
fn a_validator_stops_in_order_while_clients_poll_its_counters() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        InitOptions { validators: 1, chains: ChainDraft::alike(1, 8, 1_000), ..InitOptions::default() };
    let network = init(directory.path(), &options).unwrap();
    let member = &network.members[0];
    let config = Config::load(&member.config_file()).unwrap();
    for _ in 0..5 {
        let validator = Validator::start(&config, &Orders::none(), None).unwrap();
        std::thread::scope(|scope| {
            let (answered, first_answers) = mpsc::channel();
            for _ in 0..4 {
                let answered = answered.clone();
                let mut client = member.connect(&network.genesis).unwrap();
                scope.spawn(move || {
                    // Until the validator takes its leave.
                    while client.ask::<CountersReport>(engine::wire::Query::Counters).is_ok() {
                        // The test may have seen enough.
                        let _ = answered.send(());
                    }
                });
            }
            first_answers.iter().take(40).for_each(drop);
            // A stop that went wrong would end this process.
            validator.stop(true);
        });
    }
}
