"""The vectors of sdk/vectors, which the Rust code makes, and docs/ERRORS.md."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import millrace
from millrace import Envelope, Key, ProofError, Registration, Transfer, parse, transaction_id, zip215
from millrace.proof import AccountFact, AttestationFact, NeverFact, NotRegisteredFact, TransactionFact
from millrace.transactions import LINKED, REGISTER, REVOKE, Signed, linked, register, revoke

ROOT = Path(__file__).parents[3]
VECTORS = ROOT / "sdk" / "vectors"


def vectors(name: str) -> list[dict[str, Any]]:
    listed = json.loads((VECTORS / name).read_text())["vectors"]
    assert listed
    return list(listed)


def test_signatures_at_the_edges_of_zip_215() -> None:
    for case in vectors("signatures.json"):
        key, message, signature = (bytes.fromhex(case[name]) for name in ("key", "message", "signature"))
        assert zip215.verify(key, message, signature) is case["valid"], case


def signed(case: dict[str, Any]) -> Signed:
    """What this package makes of the fields of a vector."""
    key = Key.from_seed(bytes.fromhex(case["seed"]))
    assert key.public.hex() == case["public_key"]
    common = (case["nonce"], case["expiry"])
    if "credit" in case:
        transfer = Transfer(
            case["chain"], case["account"], case["credit"], int(case["amount"]), *common, case["key_version"],
            case["reference"], case["credit_chain"],
        )  # fmt: skip
        return transfer.sign(key, case["network"])
    if "payments" in case:
        kind, payload = LINKED, linked([(to, int(amount)) for to, amount in case["payments"]], case["memo"])
    elif "registrations" in case:
        listed = [
            Registration(**{**one, "data": bytes.fromhex(one["data"])} if "data" in one else one)
            for one in case["registrations"]
        ]
        kind, payload = REGISTER, register(listed)
    else:
        kind, payload = REVOKE, revoke(case["revoked"], case["reason"])
    envelope = Envelope(kind, case["chain"], case["account"], *common, payload, case["key_version"], case["reference"])
    return envelope.sign(key, case["network"])


def test_signed_transactions_are_the_bytes_that_the_ledger_takes() -> None:
    for case in vectors("transactions.json"):
        made = signed(case)
        assert (made.hex, made.id) == (case["bytes"], case["id"]), case["about"]
        said, signature = parse(made.bytes)
        assert transaction_id(made.bytes, case["network"]) == case["id"]
        again = said.sign(Key.from_seed(bytes.fromhex(case["seed"])), case["network"])
        assert again == made and again.bytes[64:128] == signature


def test_the_page_of_the_wire_has_what_this_package_makes() -> None:
    page = (ROOT / "docs" / "WIRE.md").read_text()
    key = Key.from_seed(bytes(range(32)))
    transfer = Transfer(chain=1, debit=9, credit=8, amount=25, nonce=3, expiry=1_004, reference="invoice 17")
    made = transfer.sign(key, "11" * 32)
    for text in (made.bytes[:64].hex(), made.bytes[64:].hex(), made.id, key.public.hex()):
        assert f"`{text}`" in page


def test_what_does_not_fit_is_said_before_it_is_signed() -> None:
    fits = {"chain": 1, "debit": 9, "credit": 8, "amount": 25, "nonce": 3, "expiry": 9}
    for wrong in ({"amount": 2**64}, {"amount": -1}, {"chain": 2**32}, {"reference": "x" * 13}, {"credit_chain": 1}):
        with pytest.raises(ValueError):
            Transfer(**{**fits, **wrong}).body()  # type: ignore[arg-type]
    for wrong_registration in (
        Registration(bytes(32)),
        Registration(b"\1" * 31),
        Registration(b"\1" * 32, data=b""),
        Registration(b"\1" * 32, data=bytes(1_025)),
        Registration(b"\1" * 32, refers_to=b"\2" * 32, supersedes=b"\2" * 32),
    ):
        with pytest.raises(ValueError):
            wrong_registration.encode()
    for empty in (lambda: register([]), lambda: revoke([]), lambda: linked([])):
        with pytest.raises(ValueError):
            empty()


def test_bytes_that_are_no_transaction_are_refused() -> None:
    case = vectors("transactions.json")[0]
    good = bytes.fromhex(case["bytes"])
    for bad in (b"", good[:-1], good + bytes(128), b"\0\0" + good[2:], good[:2] + b"\1" + good[3:]):
        with pytest.raises(ValueError):
            parse(bad)


FACTS = {
    "account": AccountFact,
    "transaction": TransactionFact,
    "never": NeverFact,
    "attestation": AttestationFact,
    "not registered": NotRegisteredFact,
}


def same(said: dict[str, Any], found: Any) -> None:
    """Fails unless each member that the vector has is what was found."""
    for name, value in said.items():
        if name == "fact":
            continue
        got = getattr(found, name)
        expected = int(value) if name == "window_used" else bytes.fromhex(value) if name == "body" else value
        assert got == expected, (name, got, expected)


def stated(says: dict[str, Any], found: millrace.Statement) -> None:
    same(says, found)
    assert type(found.fact) is FACTS[says["fact"]["fact"]]
    same(says["fact"], found.fact)


def proofs() -> list[dict[str, Any]]:
    return [case for case in vectors("proofs.json") if "proof" in case]


def test_proofs_say_what_the_rust_code_reads() -> None:
    read = 0
    for case in proofs():
        proof, genesis = bytes.fromhex(case["proof"]), bytes.fromhex(case["genesis"])
        if case["says"]["fact"] is None:
            with pytest.raises(ProofError, match="not read here"):
                millrace.verify(proof, genesis)
            continue
        stated(case["says"], millrace.verify(proof, genesis))
        stated(case["says"], millrace.verify(proof, genesis, case["says"]["network"]))
        with pytest.raises(ProofError, match="of network"):
            millrace.verify(proof, genesis, "00" * 32)
        read += 1
    assert read >= 20


def test_histories_say_what_the_rust_code_reads() -> None:
    cases = [case for case in vectors("proofs.json") if "history" in case]
    for case in cases:
        data, genesis = bytes.fromhex(case["history"]), bytes.fromhex(case["genesis"])
        found = millrace.verify_history(data, genesis)
        stated(case["says"], found.last)
        assert len(found.earlier) == len(case["earlier"]) > 0
        for said, one in zip(case["earlier"], found.earlier):
            same(said, one)
        for at in range(len(data) - 168 * len(found.earlier), len(data)):
            spoiled = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(ProofError):
                millrace.verify_history(spoiled, genesis)
    assert len(cases) == 2


def test_every_byte_of_a_proof_counts() -> None:
    """Another byte is another statement or none; only the question of a *never* and of an absence is no evidence."""
    seen = set()
    for case in proofs():
        kind = case["says"]["fact"] and case["says"]["fact"]["fact"]
        if kind is None or (kind, case["about"]) in seen:
            continue
        seen.add((kind, case["about"]))
        proof, genesis = bytes.fromhex(case["proof"]), bytes.fromhex(case["genesis"])
        right = asdict(millrace.verify(proof, genesis))
        for at in range(0, len(proof), 5):
            spoiled = proof[:at] + bytes([proof[at] ^ 0x10]) + proof[at + 1 :]
            try:
                found = asdict(millrace.verify(spoiled, genesis))
            except ProofError:
                continue
            assert kind in ("never", "not registered", "attestation") and found["fact"] != right["fact"], (kind, at)
        for cut in (0, 15, 16, 100, len(proof) - 1):
            with pytest.raises(ProofError):
                millrace.verify(proof[:cut], genesis)
        with pytest.raises(ProofError):
            millrace.verify(proof + b"\0", genesis)
        for at in range(0, len(genesis), 7):
            with pytest.raises(ProofError):
                millrace.verify(proof, genesis[:at] + bytes([genesis[at] ^ 1]) + genesis[at + 1 :])
    assert len(seen) >= 8


def rows(text: str) -> list[list[str]]:
    """The cells of the lines of tables that begin with a number."""
    cells = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    )
    return [row for row in cells if row[0].lstrip("-").isdigit()]


def test_the_codes_are_those_of_the_page_of_errors() -> None:
    page = (ROOT / "docs" / "ERRORS.md").read_text()
    verdicts, rest = page.split("## What a gateway says")
    gateway = rest.split("## Exit codes")[0]
    assert {int(row[0]): row[1] for row in rows(verdicts)} == millrace.CODES
    for row in rows(gateway):
        error = millrace.errors.error_of({"code": int(row[0]), "name": row[1], "message": ""}, int(row[2]))
        assert type(error) is not millrace.ApiError, row
    assert type(millrace.errors.error_of({"code": 42})) is millrace.Refused
