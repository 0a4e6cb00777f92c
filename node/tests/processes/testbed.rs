//! A small network of real processes for a test, killed when the test ends.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::time::Duration;

use client::Client;
use engine::types::{AccountId, Asset, ChainId, ChainKind, Height, Packet, PacketRun, Transfer, Verdict};
use loadgen::outcome::LoadOutcome;
use loadgen::progress::Silent;
use loadgen::{ChainLoad, Endpoint, LoadPlan, Rate, Start};
use node::network::{ChainDraft, InitOptions, Network, Tie, ValidatorProcess, init, wait_ready};
use node::verify::{self, Text};

/// The binary under test.
pub const MILLRACE: &str = env!("CARGO_BIN_EXE_millrace");
/// The chain that every test network has.
pub const CHAIN: ChainId = ChainId(1);
/// What a loaded test machine may take over anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A network whose processes belong to the test.
pub struct Testbed {
    pub network: Network,
    pub processes: Vec<Option<ValidatorProcess>>,
    directory: tempfile::TempDir,
}

impl Testbed {
    /// Makes a network, without starting anything.
    pub fn new(validators: u16, accounts: u64) -> Self {
        let options = InitOptions {
            validators,
            chains: ChainDraft::alike(1, accounts, 1_000_000),
            ..InitOptions::default()
        };
        Self::with(&options)
    }

    pub fn with(options: &InitOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let network = init(directory.path(), options).unwrap();
        let processes = network.members.iter().map(|_| None).collect();
        Self { network, processes, directory }
    }

    /// The same, running.
    pub fn up(validators: u16, accounts: u64) -> Self {
        let mut testbed = Self::new(validators, accounts);
        (0..validators).for_each(|index| testbed.spawn(index.into()));
        testbed.ready();
        testbed
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn spawn(&mut self, index: usize) {
        let member = &self.network.members[index];
        let process = ValidatorProcess::spawn(Path::new(MILLRACE), member, Tie::Tied).unwrap();
        self.processes[index] = Some(process);
    }

    /// Waits until all validators answer and see a quorum.
    pub fn ready(&mut self) {
        let mut processes: Vec<_> = self.processes.iter_mut().filter_map(Option::take).collect();
        let ready = wait_ready(&self.network, &mut processes, PATIENCE);
        for (slot, process) in self.processes.iter_mut().zip(processes) {
            *slot = Some(process);
        }
        if let Err(error) = ready {
            panic!("the network is not ready: {error}");
        }
    }

    /// As a power cut would.
    pub fn kill(&mut self, index: usize) {
        self.processes[index].take().expect("it was running").kill();
    }

    /// As an operator would.
    pub fn stop(&mut self, index: usize) {
        self.processes[index].take().expect("it was running").stop(PATIENCE).unwrap();
    }

    pub fn stop_all(&mut self) {
        for process in self.processes.iter().flatten() {
            process.ask_to_stop();
        }
        for process in self.processes.iter_mut().filter_map(Option::take) {
            process.stop(PATIENCE).unwrap();
        }
    }

    /// Fails the test if a validator has ended by itself.
    pub fn all_alive(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            process.check().unwrap();
        }
    }

    /// The validator that calls all others: of two, the one with the lower fingerprint calls.
    pub fn caller(&self) -> usize {
        let members = self.network.members.iter().enumerate();
        members.min_by_key(|(_, member)| member.fingerprint).unwrap().0
    }

    pub fn client(&self, index: usize) -> Client {
        self.network.members[index].connect(&self.network.genesis).unwrap()
    }

    pub fn try_client(&self, index: usize) -> Option<Client> {
        self.network.members[index].connect(&self.network.genesis).ok()
    }

    pub fn height(&self, index: usize) -> u64 {
        self.client(index).status().unwrap().as_of.height.0
    }

    /// Waits until a validator has committed a height.
    pub fn wait_height(&self, index: usize, height: u64) {
        // One that goes on from a fetched state, or in another epoch, starts again in its process.
        wait(&format!("validator {index} at height {height}"), || {
            let status = self.try_client(index).and_then(|mut client| client.status().ok());
            status.is_some_and(|status| status.as_of.height.0 >= height)
        });
    }

    /// Loads a validator while another one is gone, so that a quorum needs it: it must take part.
    pub fn load_in_need_of(&self, index: usize) -> LoadOutcome {
        let outcome = self.load(&[index], 100.0, 2, Start::Resume);
        assert!(outcome.tally().applied() > 0 && outcome.tally().timed_out == 0, "{:?}", outcome.tally());
        outcome
    }

    /// Waits until all running validators have committed what the highest of them has now.
    pub fn settle(&self) {
        let running: Vec<usize> =
            (0..self.processes.len()).filter(|index| self.processes[*index].is_some()).collect();
        let goal = running.iter().map(|index| self.height(*index)).max().unwrap_or(0);
        running.iter().for_each(|index| self.wait_height(*index, goal));
    }

    /// A transfer of 5 to the next account, signed by its owner.
    pub fn transfer(&self, debit: u64, nonce: u64) -> Packet {
        self.signed(&Transfer {
            chain: CHAIN,
            key_version: 1,
            reference: [0; 12],
            debit: AccountId(debit),
            credit_chain: None,
            credit: AccountId((debit + 1) % self.accounts()),
            amount: 5,
            nonce,
            expiry: Height(1_000_000),
        })
    }

    /// Any transfer, signed by the owner of its debit account.
    pub fn signed(&self, transfer: &Transfer) -> Packet {
        let key = self.network.client_seed().unwrap().signing_key(CHAIN, transfer.debit);
        transfer.sign(self.network.genesis.network(), |message| key.sign(message))
    }

    fn accounts(&self) -> u64 {
        self.network.genesis.chain(CHAIN).map_or(0, |chain| chain.accounts.len()) as u64
    }

    /// Offers load to some of the validators and returns when it is over.
    pub fn load(&self, lanes: &[usize], tps: f64, seconds: u64, start: Start) -> LoadOutcome {
        let plan = self.plan(lanes, tps, seconds, start);
        let outcome = loadgen::run(&plan, &mut Silent).unwrap();
        self.spot_check(lanes, &outcome);
        outcome
    }

    /// Holds validators to the last thing that they told: it is in a block, proved.
    fn spot_check(&self, lanes: &[usize], outcome: &LoadOutcome) {
        let Some(packet) = outcome.acknowledged().last() else { return };
        let (lane, _) = loadgen::workload::parse_reference(&packet.reference());
        let id = packet.id(self.network.genesis.network());
        let mut client = self.client(lanes[lane]);
        assert!(client.check(&id, Verdict::Committed).unwrap().is_some());
    }

    pub fn plan(&self, lanes: &[usize], tps: f64, seconds: u64, start: Start) -> LoadPlan {
        let endpoints = lanes
            .iter()
            .map(|index| &self.network.members[*index])
            .map(|member| Endpoint { address: member.clients.clone(), fingerprint: member.fingerprint.0 })
            .collect();
        LoadPlan {
            chains: vec![self.chain_load(CHAIN)],
            rate: Rate::Fixed(tps),
            seconds,
            warm_up: Duration::from_millis(500),
            start,
            ..LoadPlan::new(*self.network.genesis.network(), endpoints, self.network.client_seed().unwrap())
        }
    }

    /// All accounts of a chain.
    pub fn chain_load(&self, chain: ChainId) -> ChainLoad {
        ChainLoad {
            chain,
            kind: ChainKind::Transfers,
            accounts: self.accounts(),
            balance: 1_000_000,
            asset: Asset::UNIT,
        }
    }

    /// Audits the directories of all validators, and holds those with a whole journal to what clients were told. Above
    /// which height each could be audited.
    pub fn audit(&self, told: &[&LoadOutcome]) -> Vec<Height> {
        let mut auditor = verify::auditor(self.network.genesis.clone()).unwrap();
        let mut from = Vec::new();
        for member in &self.network.members {
            let mut trails: Vec<_> = told.iter().map(|outcome| outcome.trail()).collect();
            let visit = &mut |_: Height, transaction: PacketRun<'_>, outcome: engine::types::Outcome| {
                if outcome == engine::types::Outcome::Applied {
                    for trail in &mut trails {
                        let _ = trail.applied(transaction);
                    }
                }
            };
            let report = auditor.audit(&member.data(), &|_, _| {}, visit).unwrap();
            let text = Text(&report, &[]);
            assert!(report.ok, "{text}");
            from.push(report.audited_above);
            for trail in trails.into_iter().filter(|_| report.audited_above.0 == 0) {
                assert!(trail.acknowledged > 0, "the load was acknowledged");
                assert_eq!((trail.missing(None), trail.duplicated), (0, 0), "{}: {text}", member.name);
            }
        }
        from
    }
}

/// Submits packets, waits for a verdict on each, and holds the validator to what it told.
pub fn verdicts(client: &mut Client, packets: &[Packet]) -> Vec<Verdict> {
    let tags = client.submit(packets).unwrap();
    let mut verdicts = vec![None; packets.len()];
    while verdicts.iter().any(Option::is_none) {
        for notice in client.notices(PATIENCE).unwrap() {
            verdicts[(notice.tag - tags.start) as usize] = Some(notice.verdict);
        }
    }
    let verdicts: Vec<Verdict> = verdicts.into_iter().flatten().collect();
    for (packet, verdict) in packets.iter().zip(&verdicts) {
        client.check(&packet.id(client.network()), *verdict).unwrap();
    }
    verdicts
}

/// Offers load as soon as all validators take connections: those that start again in their processes refuse them.
pub fn run_load(plan: &LoadPlan) -> LoadOutcome {
    for _ in 0..PATIENCE.as_secs() {
        match loadgen::run(plan, &mut Silent) {
            Ok(outcome) => return outcome,
            Err(error) => eprintln!("the load begins again: {error}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("no load within {PATIENCE:?}");
}

/// Stops the network of a directory, however the test ends.
pub struct Down<'a>(pub &'a str);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let _ = millrace(&["network", "down", self.0]);
    }
}

/// Eight ports side by side that are free now, and that no other test of this process is given.
pub fn free_base_port() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() * 64 % 16_000) as u16;
    let free =
        |base: &u16| (*base..base + 8).all(|port| std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok());
    let bases = std::iter::repeat_with(|| 12_000 + (start + NEXT.fetch_add(8, Relaxed) % 16_000) % 16_000);
    bases.take(2_000).find(free).expect("some ports are free").to_string()
}

/// Waits until something holds.
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let step = Duration::from_millis(50);
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        if holds() {
            return;
        }
        std::thread::sleep(step);
    }
    panic!("not within {PATIENCE:?}: {what}");
}

/// The first value of this name in a JSON text, wherever it stands.
pub fn named_in(text: &str, name: &str) -> serde_json::Value {
    fn find<'a>(value: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
        match value {
            serde_json::Value::Object(fields) => {
                fields.get(name).or_else(|| fields.values().find_map(|value| find(value, name)))
            }
            serde_json::Value::Array(list) => list.iter().find_map(|value| find(value, name)),
            _ => None,
        }
    }
    let value = serde_json::from_str(text).unwrap();
    find(&value, name).unwrap_or_else(|| panic!("no {name} in {text}")).clone()
}

/// Runs the binary to its end.
pub fn millrace(arguments: &[&str]) -> Output {
    Command::new(MILLRACE).args(arguments).output().unwrap()
}

/// Runs it and expects an exit code; returns stdout and stderr.
pub fn expect(code: i32, arguments: &[&str]) -> (String, String) {
    let output = millrace(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "millrace {arguments:?}\n{out}\n{err}");
    (out, err)
}
