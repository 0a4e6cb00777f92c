"""Everything against a real network, which this test makes, starts and stops.

MILLRACE names the binary. Without it these tests are skipped, and pytest prints why.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import millrace
from millrace import Client, Cursor, Key, Payer, Registration, Transfer

MILLRACE = os.environ.get("MILLRACE") or shutil.which("millrace")
pytestmark = pytest.mark.skipif(
    MILLRACE is None, reason="there is no binary: MILLRACE=target/release/millrace runs the tests against a network"
)

CHAINS = """
[[chain]]
id = 1
[[chain]]
id = 2
[[chain]]
id = 3
kind = "attestations"
attestations_cap = 100000
"""


@dataclass
class Network:
    directory: Path
    port: int

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{self.port + 1 + 2 * index}" for index in range(4)]

    def client(self, *only: int) -> Client:
        urls = [self.urls[index] for index in only] if only else self.urls
        return Client(urls, genesis=self.directory / "genesis.header")

    def key(self, account: str, passphrase: str | None = None) -> Key:
        file = self.directory / f"{account.replace(':', '-')}{'-locked' if passphrase else ''}.pem"
        if not file.exists():
            how = ["--passphrase-env", "MILL_PASS"] if passphrase else ["--no-passphrase"]
            millrace_does("key", "derive", str(file), "--network", str(self.directory), "--account", account, *how)
        return Key.from_file(file, passphrase)


def millrace_does(*arguments: str) -> str:
    done = subprocess.run(
        [str(MILLRACE), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "MILL_PASS": "a long walk"},
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def free_port() -> int:
    """The first of eight ports in a row that nothing uses."""
    for first in range(21_000 + os.getpid() % 500 * 16, 32_000, 16):
        try:
            for port in range(first, first + 8):
                with socket.socket() as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    one.bind(("127.0.0.1", port))
                    other.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no eight ports in a row are free")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with tempfile.TemporaryDirectory() as place:
        directory, port = Path(place) / "mill", free_port()
        chains = Path(place) / "chains.toml"
        chains.write_text(CHAINS)
        millrace_does(
            "network", "init", str(directory), "--chains", str(chains), "--accounts", "50", "--base-port", str(port)
        )
        try:
            millrace_does("network", "up", str(directory))
            yield Network(directory, port)
        finally:
            subprocess.run([str(MILLRACE), "network", "down", str(directory)], capture_output=True, timeout=120)


def test_a_payment_is_committed_found_and_proved(network: Network) -> None:
    with network.client() as client:
        payer = Payer(client, network.key("1:9"), 1, 9)
        before = client.account(1, 8).balance
        receipt = payer.pay(8, 25, reference="invoice 17").require_committed()
        found = client.transaction(receipt.id)
        assert client.account(1, 8, min_height=found.height).balance == before + 25
        assert millrace.parse(found.transaction)[0] == Transfer(1, 9, 8, 25, 0, found.said["transfer"]["expiry"],
                                                                1, b"invoice 17\0\0", None)  # fmt: skip
        # The same bytes, elsewhere: the same receipt, and nothing is paid twice.
        assert network.client(2).submit(found.transaction).id == receipt.id
        assert client.account(1, 8, min_height=found.height).balance == before + 25
        said = client.prove_transaction(receipt.id)
        assert isinstance(said.fact, millrace.TransactionFact) and said.fact.code == 0 and said.height == found.height
        said = client.prove_account(1, 8)
        assert isinstance(said.fact, millrace.AccountFact) and said.fact.balance == before + 25
        assert [found.final_code for found in client.fate(receipt.id)] == [0]


def test_what_fails_and_what_is_refused(network: Network) -> None:
    with network.client() as client:
        payer = Payer(client, network.key("1:10"), 1, 10)
        failed = payer.pay(8, 10**18)
        assert (failed.status, failed.code, failed.outcome) == ("failed", 7, "insufficient_balance")
        with pytest.raises(millrace.TransactionFailed):
            failed.require_committed()
        with pytest.raises(millrace.Refused) as refused:
            payer.pay(10**6, 1)
        assert refused.value.code == 37
        stranger = Payer(client, Key.generate(), 1, 11)
        with pytest.raises(millrace.Refused) as refused:
            stranger.pay(8, 1)
        assert refused.value.code == 39
        with pytest.raises(millrace.NotFound):
            client.account(1, 10**6)
        with pytest.raises(millrace.NotFound):
            client.transaction("ab" * 32)
        payer.pay(8, 1).require_committed()


def test_a_key_with_a_passphrase_pays_to_another_chain(network: Network) -> None:
    with network.client() as client:
        key = network.key("1:12", passphrase="a long walk")
        payer = Payer(client, key, 1, 12)
        receipt = payer.pay(5, 7, credit_chain=2).require_committed()
        assert client.transaction(receipt.id).final_code == 0
        with pytest.raises((ValueError, TypeError)):
            network.key("1:12", passphrase="a short walk")


def test_fingerprints_are_registered_superseded_revoked_and_proved(network: Network) -> None:
    with network.client() as client:
        owner = Payer(client, network.key("3:4"), 3, 4)
        one, two, three, four = (hashlib.sha256(bytes([number])).digest() for number in range(4))
        owner.register([Registration(one, type=5, data=b"page one"), Registration(two, refers_to=one)])
        owner.register([Registration(three, supersedes=one, data_hash=two)]).require_committed()
        owner.revoke([three], reason=6).require_committed()
        again = owner.register([Registration(one)])
        assert (again.status, again.code) == ("failed", 18)
        said = client.attestation(3, one, min_height=client.height())
        assert said.registered and said.data == b"page one"
        assert not client.attestation(3, four).registered
        facts = [client.prove_attestation(3, of).fact for of in (one, two, three, four)]
        assert [getattr(fact, "status", "not registered") for fact in facts] == [
            "superseded", "in force", "revoked", "not registered",
        ]  # fmt: skip
        file = network.directory / "history.proof"
        millrace_does("query", "attestation", "3", three.hex(), "--network", str(network.directory), "--history",
                      "--proof", str(file))  # fmt: skip
        history = millrace.verify_history(file.read_bytes(), (network.directory / "genesis.header").read_bytes())
        assert [fact.fingerprint for fact in history.earlier] == [one.hex()]


def test_many_payments_of_one_account_at_once(network: Network) -> None:
    with network.client() as client:
        payer = Payer(client, network.key("1:13"), 1, 13)
        codes: list[int | None] = []

        def work() -> None:
            codes.extend(payer.pay(14, 1).code for _ in range(20))

        workers = [threading.Thread(target=work) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert codes == [0] * 160
        ids = [event.id for event in client.history(1, account=13, limit=30)]
        assert len(ids) == len(set(ids)) == 160


def test_streams_go_on_at_another_validator_and_give_each_event_once(network: Network) -> None:
    with network.client(0) as client, network.client(3, 1) as stubborn:
        payer = Payer(client, network.key("1:15"), 1, 15)
        stream = stubborn.events(1, account=15, start=Cursor(1, 0))
        blocks = stubborn.blocks(1)
        ids = [payer.pay(16, 1).id for _ in range(3)]
        assert [next(stream).id for _ in range(3)] == ids
        heights = [next(blocks).height for _ in range(5)]
        # The validator that streams ends, as in a power cut; the other one goes on.
        stop_validator(network, 3)
        ids = [payer.pay(16, 1).id for _ in range(3)]
        assert [next(stream).id for _ in range(3)] == ids
        heights += [next(blocks).height for _ in range(client.height() - 5)]
        assert heights == list(range(1, len(heights) + 1))
        assert next(told for told in client.alarms() if "quorum_at_edge" in str(told))
        millrace_does("network", "up", str(network.directory))


def stop_validator(network: Network, index: int) -> None:
    millrace_does("network", "down", str(network.directory), "--only", str(index))


def test_tls_and_tokens(network: Network) -> None:
    place = network.directory
    tokens, certificate, key = place / "tokens.toml", place / "tls.crt", place / "tls.key"
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl, which makes the certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    token = millrace_does("token", "new", "--file", str(tokens), "--name", "a", "--scope", "read").strip()
    port = free_port()
    gateway = subprocess.Popen(
        [str(MILLRACE), "gateway", "--network", str(place), "--listen", f"127.0.0.1:{port}", "--certificate",
         str(certificate), "--private-key", str(key), "--tokens", str(tokens), "--anonymous", "none"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"https://localhost:{port}"
        client = Client(url, token=token, ca_file=str(certificate), timeout=30)
        assert client.account(1, 20).account == 20
        assert next(client.blocks(1)).height == 1
        with pytest.raises(millrace.Forbidden):
            client.submit(Transfer(1, 20, 8, 1, 0, 10**6).sign(network.key("1:20"), client.network))
        with pytest.raises(millrace.Unauthorized):
            Client(url, ca_file=str(certificate)).account(1, 20)
        with pytest.raises(millrace.ConnectionFailed, match="certificate"):
            Client(url, token=token, timeout=1).account(1, 20)
    finally:
        gateway.terminate()
        gateway.wait(30)
