"""Transactions as bytes: docs/WIRE.md and docs/TRANSFERS.md. Nothing here speaks to a network.

Transfer, Envelope --sign--> Signed --submit--> the ledger
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, Union

PACKET_BYTES = 128
BODY_BYTES = 64
PACKETS_MAX = 512
PAYLOAD_BYTES_MAX = (PACKETS_MAX - 1) * PACKET_BYTES

TRANSFER = 1
CROSS_TRANSFER = 2
ENVELOPE_MIN = 16
LINKED = 16
REGISTER = 18
REVOKE = 19

_BODY = struct.Struct("<HHII12sQQQQQ")
_ENVELOPE = struct.Struct("<HHII12sQI12xQQ")


class Signer(Protocol):
    """What signs: a `Key`, or something that reaches one in a safe place."""

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of a message, 64 bytes."""


def network_id(network: bytes | str) -> bytes:
    """The 32 bytes of a network id, which may be given in hexadecimal."""
    return _fixed(network, 32, "a network id")


def _fixed(value: bytes | str, length: int, what: str) -> bytes:
    found = bytes.fromhex(value) if isinstance(value, str) else bytes(value)
    if len(found) != length:
        raise ValueError(f"{what} has {length} bytes, and this one {len(found)}")
    return found


def reference_bytes(reference: bytes | str) -> bytes:
    """The 12 bytes of a reference: text in UTF-8, filled with zeros."""
    found = reference.encode() if isinstance(reference, str) else bytes(reference)
    if len(found) > 12:
        raise ValueError(f"a reference has at most 12 bytes, and this one {len(found)}")
    return found.ljust(12, b"\0")


@dataclass(frozen=True)
class Signed:
    """A signed transaction. The same bytes can be submitted any number of times: they take effect once."""

    #: All packets, as they travel.
    bytes: bytes
    #: The id, in hexadecimal.
    id: str

    @property
    def hex(self) -> str:
        """The bytes in hexadecimal."""
        return self.bytes.hex()


@dataclass(frozen=True)
class Transfer:
    """A payment within a chain; with `credit_chain` one to an account of another chain."""

    chain: int
    debit: int
    credit: int
    amount: int
    nonce: int
    #: The last height at which it may execute.
    expiry: int
    key_version: int = 1
    reference: bytes | str = b""
    credit_chain: int | None = None

    def body(self) -> bytes:
        """The 64 bytes that are signed behind the network id."""
        kind, credit = TRANSFER, self.credit
        if self.credit_chain is not None:
            if self.credit_chain == self.chain:
                raise ValueError("the chain of the credit is the chain of the debit: leave credit_chain out")
            if not 0 <= self.credit < 1 << 32 or not 0 <= self.credit_chain < 1 << 32:
                raise ValueError("chain and account of a payment to another chain have 32 bits")
            kind, credit = CROSS_TRANSFER, self.credit_chain | self.credit << 32
        reference = reference_bytes(self.reference)
        return _packed(
            _BODY, kind, 0, self.chain, self.key_version, reference, self.debit, credit, self.amount, self.nonce,
            self.expiry,
        )  # fmt: skip

    def sign(self, key: Signer, network: bytes | str) -> Signed:
        """Signs it for one network."""
        message = network_id(network) + self.body()
        return Signed(self.body() + key.sign(message), hashlib.sha256(message).hexdigest())


@dataclass(frozen=True)
class Envelope:
    """A transaction of several packets, whose payload says what it does: see `register`, `revoke` and `linked`."""

    kind: int
    chain: int
    #: The account that signs.
    account: int
    nonce: int
    #: The last height at which it may execute.
    expiry: int
    payload: bytes
    key_version: int = 1
    reference: bytes | str = b""

    def body(self) -> bytes:
        """The 64 bytes that are signed behind the network id and before the payload."""
        if self.kind < ENVELOPE_MIN:
            raise ValueError(f"kinds of envelopes begin with {ENVELOPE_MIN}")
        if not 1 <= len(self.payload) <= PAYLOAD_BYTES_MAX:
            raise ValueError(f"a payload has 1 to {PAYLOAD_BYTES_MAX} bytes, and this one {len(self.payload)}")
        reference = reference_bytes(self.reference)
        return _packed(
            _ENVELOPE, self.kind, 0, self.chain, self.key_version, reference, self.account, len(self.payload),
            self.nonce, self.expiry,
        )  # fmt: skip

    def sign(self, key: Signer, network: bytes | str) -> Signed:
        """Signs it for one network."""
        message = network_id(network) + self.body() + self.payload
        filling = -len(self.payload) % PACKET_BYTES
        packets = self.body() + key.sign(message) + self.payload + bytes(filling)
        return Signed(packets, hashlib.sha256(message).hexdigest())


def _packed(layout: struct.Struct, *fields: int | bytes) -> bytes:
    try:
        return layout.pack(*fields)
    except struct.error as error:
        raise ValueError(f"a number of the transaction does not fit into its field: {error}") from None


@dataclass(frozen=True)
class Registration:
    """A fingerprint to be registered. It may refer to an earlier one, or supersede an earlier one of the same owner."""

    fingerprint: bytes | str
    #: The owner's own number for what sort of thing it is.
    type: int = 0
    #: Data that stands in the transaction, up to 1,024 bytes.
    data: bytes | None = None
    #: Or only the SHA-256 of data.
    data_hash: bytes | str | None = None
    refers_to: bytes | str | None = None
    supersedes: bytes | str | None = None

    def encode(self) -> bytes:
        """Its bytes in the payload."""
        if self.refers_to is not None and self.supersedes is not None:
            raise ValueError("a registration refers to an earlier fingerprint or supersedes it, and not both")
        if self.data is not None and self.data_hash is not None:
            raise ValueError("a registration has data or the hash of data, and not both")
        link, earlier = (1, self.refers_to) if self.refers_to is not None else (2, self.supersedes)
        tail = b""
        if earlier is None:
            link = 0
        else:
            tail = _fixed(earlier, 32, "a fingerprint")
        form, length = 0, 0
        if self.data is not None:
            if not 1 <= len(self.data) <= 1_024:
                raise ValueError(f"data has 1 to 1,024 bytes, and this {len(self.data)}: register its hash")
            form, length, tail = 1, len(self.data), tail + self.data
        elif self.data_hash is not None:
            form, length, tail = 2, 32, tail + _fixed(self.data_hash, 32, "a hash")
        fingerprint = _fixed(self.fingerprint, 32, "a fingerprint")
        if fingerprint[:16] == bytes(16):
            raise ValueError("a fingerprint does not begin with 16 zero bytes: such keys are the ledger's own")
        return struct.pack("<BBHI", link, form, length, self.type) + fingerprint + tail


def register(registrations: Sequence[Registration]) -> bytes:
    """The payload of an envelope of kind REGISTER: 1 to 1,000 registrations, all or none."""
    if not 1 <= len(registrations) <= 1_000:
        raise ValueError(f"an envelope has 1 to 1,000 registrations, and this one {len(registrations)}")
    return struct.pack("<H", len(registrations)) + b"".join(one.encode() for one in registrations)


def revoke(fingerprints: Sequence[bytes | str], reason: int = 0) -> bytes:
    """The payload of an envelope of kind REVOKE: 1 to 1,000 fingerprints, all or none."""
    if not 1 <= len(fingerprints) <= 1_000:
        raise ValueError(f"an envelope revokes 1 to 1,000 fingerprints, and this one {len(fingerprints)}")
    return struct.pack("<I", reason) + b"".join(_fixed(one, 32, "a fingerprint") for one in fingerprints)


def linked(payments: Iterable[tuple[int, int]], memo: bytes | str = b"") -> bytes:
    """The payload of an envelope of kind LINKED: payments (account, amount) of one payer, all or none."""
    listed = list(payments)
    said = memo.encode() if isinstance(memo, str) else memo
    if not 1 <= len(listed) <= 1_000:
        raise ValueError(f"an envelope has 1 to 1,000 payments, and this one {len(listed)}")
    if len(said) > 256:
        raise ValueError(f"a memo has at most 256 bytes, and this one {len(said)}")
    each = b"".join(struct.pack("<QQ", account, amount) for account, amount in listed)
    return struct.pack("<HH", len(listed), len(said)) + each + said


Transaction = Union[Transfer, Envelope]


def parse(data: bytes) -> tuple[Transaction, bytes]:
    """What signed bytes say, and their signature. Transfers of one packet and envelopes are read.

    Raises `ValueError` if the bytes are neither.
    """
    if not data or len(data) % PACKET_BYTES or len(data) > PACKETS_MAX * PACKET_BYTES:
        raise ValueError(f"a transaction has 1 to {PACKETS_MAX} packets of {PACKET_BYTES} bytes, not {len(data)} bytes")
    body, signature = data[:BODY_BYTES], data[BODY_BYTES:PACKET_BYTES]
    kind, reserved, chain, version, reference, debit, credit, amount, nonce, expiry = _BODY.unpack(body)
    if reserved:
        raise ValueError("the reserved bytes of the transaction are not 0")
    if kind >= ENVELOPE_MIN:
        length = credit & 0xFFFFFFFF
        payload, filling = data[PACKET_BYTES : PACKET_BYTES + length], data[PACKET_BYTES + length :]
        if not length or len(payload) != length or len(filling) >= PACKET_BYTES or any(filling):
            raise ValueError("the packets of the envelope are not what its length says")
        if amount or credit >> 32:
            raise ValueError("bytes 36 to 47 of the envelope are not 0")
        return Envelope(kind, chain, debit, nonce, expiry, payload, version, reference), signature
    if kind not in (TRANSFER, CROSS_TRANSFER) or len(data) != PACKET_BYTES:
        raise ValueError(f"a transaction of kind {kind} is not read here: ask a gateway (decode)")
    to = credit & 0xFFFFFFFF if kind == CROSS_TRANSFER else None
    if to == chain:
        raise ValueError("it pays another chain, and names its own")
    account = credit >> 32 if kind == CROSS_TRANSFER else credit
    return Transfer(chain, debit, account, amount, nonce, expiry, version, reference, to), signature


def transaction_id(data: bytes, network: bytes | str) -> str:
    """The id of signed bytes in a network, in hexadecimal."""
    said, _ = parse(data)
    payload = said.payload if isinstance(said, Envelope) else b""
    return hashlib.sha256(network_id(network) + data[:BODY_BYTES] + payload).hexdigest()
