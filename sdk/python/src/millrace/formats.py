"""The bytes of a proof and of the header of a genesis, decoded as docs/PROOFS.md has them. Nothing is checked here but
form: every length before anything is read, each value against its bounds, and no byte may be left over."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Union

from .errors import ProofError

VALIDATORS_MAX = 128
CHAINS_MAX = 256
GENESIS_BYTES_MAX = 65_536
EPOCH_CHANGES_MAX = 1_024
EPOCH_CHANGES_BYTES_MAX = 16 << 20
CERTIFICATE_BYTES_MAX = 16_384
MEMBERS_BYTES_MAX = 33_164
PATH_MAX = 32
LOG_PATH_MAX = 64
ROW_VALUE_BYTES_MAX = 576
PROOF_BYTES_MAX = EPOCH_CHANGES_BYTES_MAX + (1 << 16)
HEADER_BYTES = 208
ENTRY_BYTES = 239
ATTESTATION_BYTES = 168

TRANSFERS, ATTESTATIONS, GOVERNANCE = 1, 2, 3
KINDS = {TRANSFERS: "transfers", ATTESTATIONS: "attestations", GOVERNANCE: "governance"}
STATUSES = {0: "active", 1: "paused", 2: "closed"}
NOBODY = 2**64 - 1
ZEROS = bytes(32)

Path = list[bytes]


class Reader:
    """Reads bytes from the front, and never past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def left(self) -> int:
        """How many bytes follow."""
        return len(self._data) - self._at

    def take(self, count: int, what: str) -> bytes:
        """The next bytes."""
        if count > self.left():
            raise ProofError(f"the bytes end inside the {what}")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int, what: str) -> int:
        """The next number of so many bytes."""
        return int.from_bytes(self.take(count, what), "little")

    def bounded(self, length_bytes: int, most: int, what: str) -> bytes:
        """Bytes with their length before them."""
        length = self.number(length_bytes, what)
        if length > most:
            raise ProofError(f"the {what}: {length} is more than {most}")
        return self.take(length, what)

    def path(self, most: int = PATH_MAX) -> Path:
        """The siblings of a path, lowest first."""
        count = self.number(1, "path")
        if count > most:
            raise ProofError(f"a path has {count} siblings, and {most} at most")
        return [self.take(32, "path") for _ in range(count)]

    def text(self, length_bytes: int, least: int, what: str) -> str:
        """A text of up to 64 bytes."""
        found = self.bounded(length_bytes, 64, what)
        if len(found) < least:
            raise ProofError(f"the {what} is empty")
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise ProofError(f"the {what} is no UTF-8") from None

    def finish(self) -> None:
        """Nothing may follow."""
        if self.left():
            raise ProofError(f"{self.left()} bytes follow behind the end")


@dataclass(frozen=True)
class Chain:
    """A chain of the genesis, as far as proofs need it."""

    id: int
    kind: int
    accounts: int


@dataclass(frozen=True)
class Genesis:
    """The header of a genesis."""

    #: The network id: the SHA-256 of the header.
    network: bytes
    name: str
    #: The keys of the validators' votes, by their places.
    validators: list[bytes]
    members_are_decided: bool
    chains: list[Chain]


def decode_genesis(data: bytes) -> Genesis:
    """Reads the header of a genesis."""
    if len(data) > GENESIS_BYTES_MAX:
        raise ProofError(f"a genesis header has at most {GENESIS_BYTES_MAX} bytes, and this one {len(data)}")
    reader = Reader(data)
    if reader.take(26, "genesis header") != b"millrace/genesis-header/10":
        raise ProofError("this is no genesis header of version 10")
    name = reader.text(4, 1, "name of the network")
    validators, certificates = [], []
    for _ in range(_count(reader, VALIDATORS_MAX, "validators")):
        reader.text(4, 1, "name of a validator")
        validators.append(reader.take(32, "key of a validator"))
        certificates.append(reader.take(32, "certificate of a validator"))
    _distinct(validators, certificates)
    membership = _one_of(reader.number(1, "membership"), (0, 1), "membership")
    if _one_of(reader.number(1, "origin"), (0, 1), "origin"):
        reader.take(32, "origin")
        height = reader.number(8, "origin")
        if height in (0, 2**64 - 1):
            raise ProofError("nothing goes on from the height of the origin")
        reader.take(96, "origin")
    chains = [_chain(reader) for _ in range(_count(reader, CHAINS_MAX, "chains"))]
    reader.finish()
    if any(a.id >= b.id for a, b in zip(chains, chains[1:])):
        raise ProofError("the ids of the chains do not ascend")
    deciding = sum(chain.kind == GOVERNANCE for chain in chains)
    if deciding > 1 or (membership and not deciding):
        raise ProofError("the genesis has not the one chain that decides")
    return Genesis(hashlib.sha256(data).digest(), name, validators, bool(membership), chains)


def _count(reader: Reader, most: int, what: str) -> int:
    count = reader.number(4, what)
    if not 1 <= count <= most:
        raise ProofError(f"there are 1 to {most} {what}, and not {count}")
    return count


def _one_of(value: int, known: tuple[int, ...], what: str) -> int:
    if value not in known:
        raise ProofError(f"the {what} {value} is unknown here")
    return value


def _distinct(keys: list[bytes], certificates: list[bytes]) -> None:
    if len(set(keys)) < len(keys) or len(set(certificates)) < len(certificates):
        raise ProofError("two validators share a key or a certificate")


def _chain(reader: Reader) -> Chain:
    id = reader.number(4, "chain")
    kind = _one_of(reader.number(2, "kind of a chain"), (1, 2, 3), "kind of a chain")
    _one_of(reader.number(2, "suite of a chain"), (1,), "suite of a chain")
    asset = reader.take(16, "asset of a chain")
    roles = reader.take(60, "roles of a chain")
    issuer, cap, _, _, _, attestations, rekey, recovery, quota = struct.unpack("<6Q3I", roles)
    threshold = reader.number(4, "threshold of a chain")
    accounts = reader.number(8, "accounts of a chain")
    reader.take(32, "accounts root of a chain")
    supply = reader.number(8, "supply of a chain")
    if not 1 <= accounts <= 1 << 32:
        raise ProofError("a chain has 1 to 2^32 accounts")
    if not 1 <= rekey < recovery <= 31_622_400:
        raise ProofError("the window of a recovery is the longer one, of at most 366 days")
    if not 65_536 <= quota <= 8_388_608:
        raise ProofError("the quota of a chain is 64 KiB to 8 MiB")
    has_money = asset != bytes(16) or issuer != NOBODY or cap > 0 or supply > 0
    fits = {
        TRANSFERS: asset != bytes(16) and attestations == 0,
        ATTESTATIONS: not has_money and 1 <= attestations < 1 << 32,
        GOVERNANCE: not has_money and attestations == 0 and accounts <= 16,
    }[kind]
    if not fits or (threshold > 0) != (kind == GOVERNANCE) or threshold > accounts:
        raise ProofError("the kind of a chain does not fit to its other fields")
    return Chain(id, kind, accounts)


@dataclass(frozen=True)
class Header:
    """The header of a block in its short form."""

    height: int
    time_ms: int
    epoch: int
    roots: int
    first_root: int
    next_members: bytes
    roots_root: bytes
    log_root: bytes
    digest: bytes


def read_header(reader: Reader) -> Header:
    """Reads a header."""
    data = reader.take(HEADER_BYTES, "header")
    height, _, time_ms, _, roots, heads, epoch, _, first, members, roots_root, _, log = struct.unpack(
        "<QQQHHIQ32sQ32s32s32s32s", data
    )
    if height in (0, 2**64 - 1):
        raise ProofError("a header cannot have this height")
    if roots > 64 or first + roots > height:
        raise ProofError("a header carries at most 64 state roots, of heights below its own")
    if not 1 <= heads <= VALIDATORS_MAX:
        raise ProofError("a header has 1 to 128 heads")
    digest = hashlib.sha256(b"millrace/block/3" + data).digest()
    return Header(height, time_ms, epoch, roots, first, members, roots_root, log, digest)


@dataclass(frozen=True)
class Members:
    """The validators of an epoch: the keys of their votes, by their places."""

    epoch: int
    keys: list[bytes]
    digest: bytes


def decode_members(data: bytes) -> Members:
    """Reads a set of members."""
    reader = Reader(data)
    epoch = reader.number(8, "epoch of the members")
    count = reader.number(2, "members")
    if not 1 <= count <= VALIDATORS_MAX:
        raise ProofError("there are 1 to 128 members")
    keys, certificates = [], []
    for _ in range(count):
        reader.text(1, 1, "name of a member")
        keys.append(reader.take(32, "key of a member"))
        certificates.append(reader.take(32, "certificate of a member"))
        for _ in range(2):
            address = reader.bounded(1, 64, "address of a member")
            if any(not 33 <= letter <= 126 for letter in address):
                raise ProofError("an address of a member has other letters than printable ASCII")
    if reader.left() and reader.number(2, "rules of the members") < 2:
        raise ProofError("rules 1 are not written")
    reader.finish()
    _distinct(keys, certificates)
    return Members(epoch, keys, hashlib.sha256(b"millrace/members" + data).digest())


@dataclass(frozen=True)
class Certificate:
    """A finalization certificate."""

    epoch: int
    view: int
    parent_view: int
    payload: bytes
    signers: list[bool]
    signatures: list[bytes]
    #: What each of them signs, behind the namespace.
    proposal: bytes


def decode_certificate(data: bytes) -> Certificate:
    """Reads a certificate."""
    reader = Reader(data)
    epoch, view, parent_view = (_variable(reader, 64) for _ in range(3))
    payload = reader.take(32, "payload of the certificate")
    proposal = data[: len(data) - reader.left()]
    bits = int.from_bytes(reader.take(8, "signers of the certificate"), "big")
    if bits > VALIDATORS_MAX:
        raise ProofError("the certificate counts more than 128 validators")
    field = int.from_bytes(reader.take((bits + 7) // 8, "signers of the certificate"), "little")
    if field >> bits:
        raise ProofError("bits beyond the last validator are set")
    signers = [bool(field >> bit & 1) for bit in range(bits)]
    count = _variable(reader, 32)
    if count == 0 or count != sum(signers):
        raise ProofError("there is not one signature for each validator that signed")
    signatures = [reader.take(64, "signatures of the certificate") for _ in range(count)]
    reader.finish()
    return Certificate(epoch, view, parent_view, payload, signers, signatures, proposal)


def _variable(reader: Reader, bits: int) -> int:
    number = shift = 0
    while True:
        byte = reader.number(1, "certificate")
        number |= (byte & 0x7F) << shift
        # The last group is not zero unless it is the only one, and nothing reaches beyond the highest bit.
        if (byte == 0 and shift) or number >> bits or (byte & 0x80 and shift + 7 >= bits):
            raise ProofError("a number of the certificate is not in its one form")
        if not byte & 0x80:
            return number
        shift += 7


@dataclass(frozen=True)
class EpochChange:
    """The last block of an epoch, its certificate, and who follows."""

    header: Header
    certificate: bytes
    members: Members


@dataclass(frozen=True)
class AccountClaim:
    """A leaf of the tree of accounts."""

    leaf: bytes
    path: Path


@dataclass(frozen=True)
class TransactionClaim:
    """A leaf of the tree of transactions."""

    id: bytes
    outcome: int
    place: int
    path: Path


@dataclass(frozen=True)
class NeverClaim:
    """Signed bytes, and the leaf of the account that would sign them."""

    body: bytes
    leaf: bytes
    path: Path


@dataclass(frozen=True)
class RowClaim:
    """A row of the table, which speaks of a key."""

    asked: bytes
    place: int
    key: bytes
    next: bytes
    value: bytes
    path: Path


Claim = Union[AccountClaim, TransactionClaim, NeverClaim, RowClaim]


@dataclass(frozen=True)
class Tree:
    """Root and size of a tree."""

    root: bytes
    size: int


@dataclass(frozen=True)
class Entry:
    """What a state root says of a chain."""

    leaf: bytes
    chain: int
    kind: int
    status: int
    asset: bytes
    transactions: Tree
    accounts: Tree
    table: Tree
    issued: int
    burned: int


@dataclass(frozen=True)
class Proof:
    """A proof, decoded. It is a claim until `verify` says otherwise."""

    network: bytes
    changes: list[EpochChange]
    claim: Claim
    height: int
    chains: int
    height_path: Path
    place: int
    entry: Entry
    entry_path: Path
    state_root: bytes
    root_path: Path
    carrier: Header
    later: tuple[Path, Header] | None
    certificate: bytes


def decode_proof(data: bytes) -> Proof:
    """Reads a proof."""
    if len(data) > PROOF_BYTES_MAX:
        raise ProofError(f"{len(data)} bytes are more than any proof has")
    reader = Reader(data)
    if reader.take(16, "proof") != b"millrace/proof/8":
        raise ProofError("this is no proof of version 8")
    network = reader.take(32, "network id")
    count = reader.number(2, "epoch changes")
    if count > EPOCH_CHANGES_MAX:
        raise ProofError(f"a proof has at most {EPOCH_CHANGES_MAX} epoch changes, and this one {count}")
    before = reader.left()
    changes = [_change(reader) for _ in range(count)]
    if before - reader.left() > EPOCH_CHANGES_BYTES_MAX:
        raise ProofError("the epoch changes have more than 16 MiB")
    claim = _claim(reader)
    height = reader.number(8, "height")
    chains = reader.number(4, "number of chains")
    height_path = reader.path()
    place = reader.number(4, "place of the chain")
    entry = _entry(reader.take(ENTRY_BYTES, "entry of the chain"))
    entry_path = reader.path()
    state_root = reader.take(32, "state root")
    root_path = reader.path()
    carrier = read_header(reader)
    later = None
    if _one_of(reader.number(1, "number of later headers"), (0, 1), "number of later headers"):
        later = (reader.path(LOG_PATH_MAX), read_header(reader))
    certificate = reader.bounded(2, CERTIFICATE_BYTES_MAX, "certificate")
    reader.finish()
    return Proof(
        network, changes, claim, height, chains, height_path, place, entry, entry_path, state_root, root_path, carrier,
        later, certificate,
    )  # fmt: skip


def _change(reader: Reader) -> EpochChange:
    header = read_header(reader)
    certificate = reader.bounded(2, CERTIFICATE_BYTES_MAX, "certificate")
    return EpochChange(header, certificate, decode_members(reader.bounded(2, MEMBERS_BYTES_MAX, "members")))


def _claim(reader: Reader) -> Claim:
    kind = reader.number(1, "kind of the proof")
    if kind == 1:
        return AccountClaim(reader.take(72, "account"), reader.path())
    if kind == 2:
        id, outcome = reader.take(32, "id"), reader.number(1, "outcome")
        return TransactionClaim(id, outcome, reader.number(8, "place"), reader.path())
    if kind == 3:
        return NeverClaim(reader.take(64, "signed bytes"), reader.take(72, "account"), reader.path())
    if kind == 4:
        asked, place = reader.take(32, "key"), reader.number(8, "place")
        key, next = reader.take(32, "key of the row"), reader.take(32, "next key")
        return RowClaim(asked, place, key, next, reader.bounded(2, ROW_VALUE_BYTES_MAX, "value"), reader.path())
    raise ProofError(f"no proof of version 8 has kind {kind}")


def _entry(leaf: bytes) -> Entry:
    reader = Reader(leaf)
    chain = reader.number(4, "chain")
    kind = _one_of(reader.number(2, "kind"), (1, 2, 3), "kind of the entry")
    status = _one_of(reader.number(1, "status"), (0, 1, 2), "status of the entry")
    asset = reader.take(16, "asset")
    transactions, accounts, _, _, table = (Tree(reader.take(32, "tree"), reader.number(8, "tree")) for _ in range(5))
    issued, burned = reader.number(8, "issued"), reader.number(8, "burned")
    return Entry(leaf, chain, kind, status, asset, transactions, accounts, table, issued, burned)
