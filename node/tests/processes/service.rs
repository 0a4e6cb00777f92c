//! A validator under a service manager: what it tells, what it does on a signal, and what it makes of a machine that
//! forbids something.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::testbed::{MILLRACE, PATIENCE, Testbed, verdicts, wait};
use engine::types::Verdict;
use node::network::Member;

/// One validator as a service, with the socket on which it tells its manager.
struct Service {
    child: Child,
    socket: UnixDatagram,
    log: PathBuf,
}

impl Service {
    fn start(member: &Member, prepare: impl FnOnce(&mut Command)) -> Self {
        let path = member.directory.join("notify");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (log, file) = (member.log_file(), fs::File::create(member.log_file()).unwrap());
        let mut command = Command::new(MILLRACE);
        command.args(["node", "--config"]).arg(member.config_file()).env("NOTIFY_SOCKET", &path);
        command.env_remove("WATCHDOG_USEC").stdout(Stdio::null()).stderr(file);
        prepare(&mut command);
        Self { child: command.spawn().unwrap(), socket, log }
    }

    /// Reads what it tells until it has told this; all of it, a state a line.
    fn told(&self, until: &str) -> Vec<String> {
        let mut told = Vec::new();
        while !told.iter().any(|state: &String| state.starts_with(until)) {
            let mut bytes = [0; 4_096];
            let count = self.socket.recv(&mut bytes).unwrap_or_else(|error| {
                panic!("{until} is not told ({error}): {told:?}\n{}", self.said());
            });
            told.extend(String::from_utf8_lossy(&bytes[..count]).lines().map(str::to_owned));
        }
        told
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Has it read its configuration again; what it says of that.
    fn reload(&self) -> String {
        let before = self.said().len();
        self.signal("-HUP");
        let told = self.told("READY=1");
        let reloading =
            told.iter().position(|state| state == "RELOADING=1").expect("it says that it reloads");
        assert!(told[reloading + 1].starts_with("MONOTONIC_USEC="), "{told:?}");
        self.said()[before..].to_owned()
    }

    /// Stops it; its exit code.
    fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let mut code = None;
        wait("it ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // One that was stopped is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a configuration anew with a line more at the end of a section.
fn with_line(file: &Path, section: &str, line: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(section), "{section}: {text}");
    fs::write(file, text.replacen(section, &format!("{section}\n{line}"), 1)).unwrap();
}

#[test]
fn a_service_manager_hears_when_it_is_ready_that_it_is_alive_and_that_it_stops() {
    let testbed = Testbed::new(1, 100);
    let member = &testbed.network.members[0];
    for nonce in 0..2 {
        let mut service = Service::start(member, |command| {
            command.env("WATCHDOG_USEC", "2000000");
        });
        service.told("READY=1");
        // Ready is ready: nothing has to be waited for.
        let mut client = testbed.client(0);
        assert_eq!(verdicts(&mut client, &[testbed.transfer(1, nonce)]), [Verdict::Committed]);
        service.told("WATCHDOG=1");
        service.told("WATCHDOG=1");
        assert_eq!(service.stop(), Some(0));
        service.told("STOPPING=1");
        assert!(service.said().contains("the journal is complete"), "{}", service.said());
    }
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    let testbed = Testbed::new(1, 100);
    let member = &testbed.network.members[0];
    let file = member.config_file();
    let mut service = Service::start(member, |_| {});
    service.told("READY=1");
    let said = service.reload();
    assert!(said.contains("was read again") && said.contains("reloaded=0 waiting=0"), "{said}");

    // One field that can be changed, and one that cannot.
    with_line(&file, "[storage]", "keep_heights = 5000\nsegment_mib = 8");
    let said = service.reload();
    assert!(said.contains("storage.keep_heights is 5000 from now on; it was no limit"), "{said}");
    assert!(said.contains("storage.segment_mib is 8 in") && said.contains("started again"), "{said}");
    let said = service.reload();
    assert!(!said.contains("keep_heights") && said.contains("storage.segment_mib"), "{said}");

    // The log itself.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("level = \"info\"", "level = \"off\"", 1)).unwrap();
    assert_eq!(service.reload(), "");
    fs::write(&file, text).unwrap();
    assert!(service.reload().contains("log.level is info from now on; it was off"));

    // What cannot be used changes nothing, and is said as at a start.
    let text = fs::read_to_string(&file).unwrap();
    for (from, to, says) in [
        ("[storage]", "[storage", "is not valid TOML"),
        ("segment_mib = 8", "segment_mib = 1", "the field `storage.segment_mib` is 1; write"),
        ("level = \"info\"", "level = \"a=b=c\"", "the field `log.level` is"),
        ("name = \"alder\"", "name = \"oak\"", "index and name must be those of one validator"),
    ] {
        fs::write(&file, text.replacen(from, to, 1).replacen("keep_heights = 5000", "keep_heights = 9", 1))
            .unwrap();
        let said = service.reload();
        assert!(said.contains(says) && said.contains("nothing is changed"), "{says}: {said}");
        let (_, at_start) = crate::testbed::expect(2, &["node", "--config", file.to_str().unwrap()]);
        assert!(at_start.contains(says), "{says}: {at_start}");
    }
    fs::write(&file, text).unwrap();
    assert!(!service.reload().contains("keep_heights"), "it was not taken over");
    let mut client = testbed.client(0);
    assert_eq!(verdicts(&mut client, &[testbed.transfer(1, 0)]), [Verdict::Committed]);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_peer_is_called_at_the_address_that_was_read_again() {
    let mut testbed = Testbed::new(2, 100);
    let members = testbed.network.members.clone();
    let caller = testbed.caller();
    let called = 1 - caller;
    let file = members[caller].config_file();
    let right = fs::read_to_string(&file).unwrap();
    let line = right.lines().find(|line| line.starts_with("address = ")).unwrap();
    fs::write(&file, right.replacen(line, "address = \"127.0.0.1:1\"", 1)).unwrap();
    testbed.spawn(called);
    let mut service = Service::start(&members[caller], |_| {});
    service.told("READY=1");
    wait("it calls in vain", || service.said().contains("cannot reach a peer yet"));
    fs::write(&file, &right).unwrap();
    let said = service.reload();
    assert!(
        said.contains(&format!("peer.address is {called}: "))
            && said.contains(&format!("it was {called}: 127.0.0.1:1")),
        "{said}"
    );
    wait("they are connected", || testbed.client(caller).status().unwrap().value.peers.len() == 1);
    assert_eq!(service.stop(), Some(0));
}

/// A pipe where a fetched state would be: who opens it waits until somebody writes, which nobody does.
#[test]
fn a_start_that_hangs_on_a_disk_ends_when_it_is_asked_to() {
    let testbed = Testbed::new(1, 100);
    let member = &testbed.network.members[0];
    let checkpoints = member.data().join("checkpoints");
    fs::create_dir_all(&checkpoints).unwrap();
    let pipe = checkpoints.join("fetched.state");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut service = Service::start(member, |_| {});
    service.told("STATUS=looking whether a state was fetched");
    assert_eq!(service.stop(), Some(0));
    assert!(service.said().contains("stopped without waiting"), "{}", service.said());
    assert!(!service.said().contains("running"), "{}", service.said());

    // It is as after a power cut.
    fs::remove_file(&pipe).unwrap();
    let mut service = Service::start(member, |_| {});
    service.told("READY=1");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn a_validator_is_stopped_at_any_moment_of_its_start() {
    let mut testbed = Testbed::up(1, 100);
    testbed.load(&[0], 500.0, 3, loadgen::Start::Fresh);
    testbed.kill(0);
    let member = &testbed.network.members[0];
    for moment in (0..60).step_by(6) {
        let mut service = Service::start(member, |_| {});
        // Before it has blocked the signals they end it, as they end every process.
        service.told("STATUS=");
        std::thread::sleep(Duration::from_millis(moment));
        assert_eq!(service.stop(), Some(0), "after {moment} ms: {}", service.said());
    }
    let mut service = Service::start(member, |_| {});
    service.told("READY=1");
    assert_eq!(service.stop(), Some(0));
    testbed.audit(&[]);
}

#[test]
fn a_log_that_cannot_be_written_stops_no_validator() {
    let testbed = Testbed::new(1, 100);
    let member = &testbed.network.members[0];
    let mut service = Service::start(member, |command| {
        command.stderr(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    });
    service.told("READY=1");
    service.signal("-HUP");
    service.told("READY=1");
    let mut client = testbed.client(0);
    assert_eq!(verdicts(&mut client, &[testbed.transfer(1, 0)]), [Verdict::Committed]);
    assert_eq!(service.stop(), Some(0));
}

/// `io_uring_setup` answers "not permitted" from here on, as under the seccomp profile of most containers.
fn forbid_uring() -> io::Result<()> {
    /// The same on every machine that Linux runs on.
    const IO_URING_SETUP: u32 = 425;
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut program = [
        // The number of the call is the first word.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, IO_URING_SETUP) },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: both calls take numbers and a program that outlives them, and touch no other memory of ours.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn where_io_uring_is_forbidden_the_journal_is_written_by_files_and_the_reason_is_said_once() {
    let testbed = Testbed::new(1, 100);
    let member = &testbed.network.members[0];
    let forbid = |command: &mut Command| {
        // SAFETY: between fork and exec only calls of the system are made.
        unsafe { command.pre_exec(forbid_uring) };
    };
    let mut service = Service::start(member, forbid);
    service.told("READY=1");
    let status = testbed.client(0).status().unwrap().value;
    let why = status.storage_fallback.unwrap();
    assert!(status.storage == "portable" && why.contains("seccomp"), "{}: {why}", status.storage);
    let network = testbed.path().to_str().unwrap();
    let (text, _) = crate::testbed::expect(0, &["query", "--network", network, "status"]);
    assert!(text.contains("portable, because io_uring cannot be used: the system forbids it"), "{text}");
    let load = ["load", "--network", network, "--rate", "100", "--seconds", "1", "--json", "-"];
    let (json, _) = crate::testbed::expect(0, &load);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["config"]["storage"], "portable");
    assert_eq!(service.stop(), Some(0));
    assert_eq!(service.said().matches("io_uring cannot be used").count(), 1, "{}", service.said());

    // Who demands it is refused.
    let text = fs::read_to_string(member.config_file()).unwrap();
    fs::write(member.config_file(), text.replacen("backend = \"auto\"", "backend = \"uring\"", 1)).unwrap();
    let mut service = Service::start(member, forbid);
    assert_eq!(service.child.wait().unwrap().code(), Some(2), "{}", service.said());
    testbed.audit(&[]);
}
