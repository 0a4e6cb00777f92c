"""Checks proofs, as docs/PROOFS.md says: a proof, the header of the genesis, and nothing else.

    claim ─ path ─▶ entry of its chain ─ path ─▶ state root ─ path ─▶ header ─ log ─▶ final header ◀─ a quorum signed

Signatures are checked by the rules of ZIP-215, as validators do. Proofs of accounts, transactions, transactions that
were never executed, and fingerprints (registered, or not) are read, and histories of fingerprints. What else can stand
in a row (records, old keys, charters, reservations, administrators, proposals, members) is not read here: such a proof
is refused, and `millrace verify-proof` reads it.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Union

from . import zip215
from .errors import CODES, ProofError
from .formats import (
    ATTESTATION_BYTES,
    ATTESTATIONS,
    KINDS,
    STATUSES,
    ZEROS,
    AccountClaim,
    Genesis,
    Header,
    NeverClaim,
    Path,
    Proof,
    Reader,
    RowClaim,
    TransactionClaim,
    Tree,
    decode_certificate,
    decode_genesis,
    decode_proof,
)

PROOF_BYTES_MAX_IN_HISTORY = 18 << 20
HISTORY_MAX = 16_384


@dataclass(frozen=True)
class AccountFact:
    """After the height, an account was so."""

    account: int
    key: str
    key_version: int
    balance: int
    #: The lowest nonce that may be unspent, and the bits of the 64 from there on (1 is spent).
    window_base: int
    window_used: int
    #: Bit 0: nothing leaves it; bit 1: nothing new comes to it; bit 2: closing; bit 3: closed for good.
    flags: int


@dataclass(frozen=True)
class TransactionFact:
    """The block of the height has a transaction, with this outcome."""

    id: str
    #: The code of docs/ERRORS.md. 0 moved money; 9 took it from the payer, and whether it arrived is not proved.
    code: int
    position: int

    @property
    def outcome(self) -> str:
        """The words for the code."""
        return CODES.get(self.code, f"code {self.code}")


@dataclass(frozen=True)
class NeverFact:
    """A transaction with these signed bytes was not executed up to the height and never can be."""

    body: bytes
    kind: int
    account: int
    nonce: int
    expiry: int


@dataclass(frozen=True)
class AttestationFact:
    """After the height, a chain said this of a fingerprint."""

    fingerprint: str
    #: `in force`, `superseded` or `revoked`.
    status: str
    owner: int
    registered: int
    #: The height at which it was superseded or revoked.
    ended: int | None
    type: int
    refers_to: str | None
    supersedes: str | None
    superseded_by: str | None
    #: Of a revocation, the owner's own number.
    reason: int
    data_hash: str | None
    #: Bytes of the data, where it stands in the transaction.
    data_bytes: int
    history: str


@dataclass(frozen=True)
class NotRegisteredFact:
    """After the height, a chain had no attestation of a fingerprint."""

    fingerprint: str


Fact = Union[AccountFact, TransactionFact, NeverFact, AttestationFact, NotRegisteredFact]


@dataclass(frozen=True)
class Statement:
    """What is proved."""

    network: str
    network_name: str
    chain: int
    #: `transfers`, `attestations` or `governance`.
    kind: str
    #: `active`, `paused` or `closed`.
    status: str
    #: The height of which the fact speaks.
    height: int
    issued: int
    burned: int
    fact: Fact
    #: The block that the certificate makes final, and its time by its proposer's clock.
    final_height: int
    final_time_ms: int
    epoch: int
    #: How many validators signed, of how many.
    signed: int
    validators: int


def read_genesis(header: bytes, network: bytes | str | None = None) -> Genesis:
    """Reads the header of a genesis; with a network id, only the one with that id."""
    genesis = decode_genesis(header)
    if network is not None:
        wanted = bytes.fromhex(network) if isinstance(network, str) else network
        if genesis.network != wanted:
            raise ProofError(f"this header is of network {genesis.network.hex()}, and not of {wanted.hex()}")
    return genesis


def verify(proof: bytes, genesis_header: bytes, network: bytes | str | None = None) -> Statement:
    """Checks a proof against the header of the genesis, and says what is proved.

    Who gives the 32 bytes of the network that they trust can take the header from anywhere. Raises `ProofError` with
    the first thing that is wrong. Compare the fact with what you asked: a proof that holds can speak of something else.
    """
    genesis = read_genesis(genesis_header, network)
    decoded = decode_proof(proof)
    if decoded.network != genesis.network:
        raise ProofError("the proof is of another network than the genesis header")
    last = _final_header(decoded)
    entry, leaves = decoded.entry, decoded.chains + 1
    first = struct.pack("<QI", decoded.height, decoded.chains)
    _lead(first, 0, Tree(decoded.state_root, leaves), decoded.height_path, "the height", "the state root")
    place = decoded.place + 1
    _lead(entry.leaf, place, Tree(decoded.state_root, leaves), decoded.entry_path, "the entry", "the state root")
    fact = _fact(decoded)
    keys, changed = _validators(genesis, decoded)
    if last.epoch != len(decoded.changes) or last.height <= changed:
        raise ProofError(f"the final header is of epoch {last.epoch}, and the changes lead to {len(decoded.changes)}")
    signed = _check_certificate(decoded.certificate, last, genesis.network, keys)
    return Statement(
        network=genesis.network.hex(),
        network_name=genesis.name,
        chain=entry.chain,
        kind=KINDS[entry.kind],
        status=STATUSES[entry.status],
        height=decoded.height,
        issued=entry.issued,
        burned=entry.burned,
        fact=fact,
        final_height=last.height,
        final_time_ms=last.time_ms,
        epoch=last.epoch,
        signed=signed,
        validators=len(keys),
    )


def _final_header(proof: Proof) -> Header:
    """The header that must have a certificate: it carries the state root, or a header in its log does."""
    carrier = proof.carrier
    place = proof.height - carrier.first_root
    if not 0 <= place < carrier.roots:
        raise ProofError(f"the header carries no state root of height {proof.height}")
    carried = Tree(carrier.roots_root, carrier.roots)
    _lead(proof.state_root, place, carried, proof.root_path, "the state root", "the header")
    if proof.later is None:
        return carrier
    path, header = proof.later
    log = Tree(header.log_root, header.height)
    _lead(carrier.digest, carrier.height, log, path, "the header", "the log of the later one")
    return header


def _lead(leaf: bytes, index: int, tree: Tree, path: Path, what: str, where: str) -> None:
    """Checks a path of RFC 9162, section 2.1.3.2."""
    if not leads(leaf, index, tree, path):
        raise ProofError(f"{what} does not lead to {where}")


def leads(leaf: bytes, index: int, tree: Tree, path: Path) -> bool:
    """Whether a leaf stands at a place of a tree."""
    if index >= tree.size:
        return False
    at, last = index, tree.size - 1
    found = hashlib.sha256(b"\0" + leaf).digest()
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = hashlib.sha256(b"\1" + sibling + found).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\1" + found + sibling).digest()
        at, last = at >> 1, last >> 1
    return last == 0 and found == tree.root


def _account(leaf: bytes) -> AccountFact:
    account, key, version, balance, base, used, flags = struct.unpack("<Q32sIQQQI", leaf)
    return AccountFact(account, key.hex(), version, balance, base, used, flags)


def _fact(proof: Proof) -> Fact:
    claim, entry = proof.claim, proof.entry
    if isinstance(claim, AccountClaim):
        account = _account(claim.leaf)
        _lead(claim.leaf, account.account, entry.accounts, claim.path, "the account", "the entry of its chain")
        return account
    if isinstance(claim, TransactionClaim):
        leaf = claim.id + bytes([claim.outcome])
        _lead(leaf, claim.place, entry.transactions, claim.path, "the transaction", "the entry of its chain")
        return TransactionFact(claim.id.hex(), claim.outcome, claim.place)
    if isinstance(claim, NeverClaim):
        account = _account(claim.leaf)
        _lead(claim.leaf, account.account, entry.accounts, claim.path, "the account", "the entry of its chain")
        return _never(proof, claim, account)
    return _row(proof, claim)


#: Kinds of transactions that this version of the format knows.
_KNOWN_KINDS = {*range(1, 8), *range(16, 29)}


def _never(proof: Proof, claim: NeverClaim, account: AccountFact) -> NeverFact:
    kind, reserved, chain, payer, credit, nonce, expiry = struct.unpack("<HHI16xQQ8xQQ", claim.body)
    if kind not in _KNOWN_KINDS or reserved:
        raise ProofError("the signed bytes begin no transaction of a kind that is known here")
    if kind == 2 and credit & 0xFFFFFFFF == chain:
        raise ProofError("the signed bytes pay another chain, and name this one")
    if chain != proof.entry.chain or payer != account.account:
        raise ProofError("the signed bytes are of another chain or account than the proof")
    ahead = nonce - account.window_base
    if ahead < 0:
        raise ProofError(f"the window of nonces has moved past nonce {nonce}: nothing can be proved of it")
    if ahead < 64 and account.window_used >> ahead & 1:
        raise ProofError(f"nonce {nonce} is spent")
    if proof.height < expiry:
        raise ProofError(f"the transaction can be executed up to height {expiry}, and this is height {proof.height}")
    return NeverFact(claim.body, kind, payer, nonce, expiry)


def _row(proof: Proof, claim: RowClaim) -> Fact:
    if claim.asked[:16] == bytes(16) or proof.entry.kind != ATTESTATIONS:
        raise ProofError("this row is of a kind that is not read here: `millrace verify-proof` reads it")
    leaf = claim.key + claim.next + claim.value
    _lead(leaf, claim.place, proof.entry.table, claim.path, "the row", "the table of its chain")
    asked = claim.asked.hex()
    if claim.key == claim.asked:
        return decode_attestation(asked, claim.value)
    if claim.key < claim.asked and (claim.asked < claim.next or claim.next == ZEROS):
        return NotRegisteredFact(asked)
    raise ProofError("the row says nothing of this fingerprint")


def decode_attestation(fingerprint: str, value: bytes) -> AttestationFact:
    """Reads what a chain says of a fingerprint: the 168 bytes of docs/ATTESTATIONS.md, in their one form."""
    if len(value) != ATTESTATION_BYTES:
        raise ProofError(f"an attestation has {ATTESTATION_BYTES} bytes, and this one {len(value)}")
    status, link, form, zero, type, data_bytes, reason, owner, registered, ended = struct.unpack("<4B3I3Q", value[:40])
    data_hash, earlier, later, history = (value[at : at + 32] for at in range(40, ATTESTATION_BYTES, 32))
    if zero:
        raise ProofError("a byte of the attestation that must be 0 is not")
    has_later = later != ZEROS
    fits = {
        0: ended == 0 and not has_later and reason == 0,
        1: has_later and reason == 0,
        2: not has_later,
    }
    if not fits.get(status, False):
        raise ProofError("the status of the attestation does not fit to its other fields")
    names_one = earlier[:16] != bytes(16)
    if not ((link == 0 and earlier == ZEROS) or (link in (1, 2) and names_one)):
        raise ProofError("the link of the attestation does not fit to the earlier fingerprint")
    if not ((form == 0 and data_bytes == 0 and data_hash == ZEROS) or (form == 1 and data_bytes) or (
        form == 2 and data_bytes == 0
    )):  # fmt: skip
        raise ProofError("the data of the attestation does not fit to its form")
    return AttestationFact(
        fingerprint=fingerprint,
        status=("in force", "superseded", "revoked")[status],
        owner=owner,
        registered=registered,
        ended=ended if status else None,
        type=type,
        refers_to=earlier.hex() if link == 1 else None,
        supersedes=earlier.hex() if link == 2 else None,
        superseded_by=later.hex() if has_later else None,
        reason=reason,
        data_hash=data_hash.hex() if form else None,
        data_bytes=data_bytes,
        history=history.hex(),
    )


def _validators(genesis: Genesis, proof: Proof) -> tuple[list[bytes], int]:
    """The keys of the validators to whom the changes lead, and the height of the last change."""
    if proof.changes and not genesis.members_are_decided:
        raise ProofError("the validators of this network never change, and the proof has changes of them")
    keys, height = genesis.validators, 0
    for epoch, change in enumerate(proof.changes):
        header, members = change.header, change.members
        if header.epoch != epoch or header.height <= height or members.epoch != epoch + 1:
            raise ProofError(f"the end of epoch {epoch} does not follow from what stands before it")
        if header.next_members != members.digest:
            raise ProofError(f"the members behind epoch {epoch} are others than its last block names")
        _check_certificate(change.certificate, header, genesis.network, keys)
        keys, height = members.keys, header.height
    return keys, height


def _check_certificate(data: bytes, header: Header, network: bytes, keys: list[bytes]) -> int:
    """Checks that a quorum of an epoch's validators signed that a header is final; how many did."""
    certificate = decode_certificate(data)
    if certificate.payload != header.digest:
        raise ProofError("the certificate is for another block")
    if certificate.epoch != header.epoch:
        raise ProofError("the certificate is of another epoch than its header")
    if certificate.view <= certificate.parent_view:
        raise ProofError("the view of the certificate is not above its parent's")
    if len(certificate.signers) != len(keys):
        raise ProofError("the certificate is of another number of validators")
    quorum = len(keys) - (len(keys) - 1) // 3
    if len(certificate.signatures) < quorum:
        raise ProofError(f"{len(certificate.signatures)} validators signed, and a quorum is {quorum}")
    namespace = b"millrace/consensus/1/" + network + b"_FINALIZE"
    message = bytes([len(namespace)]) + namespace + certificate.proposal
    signers = [key for key, signed in zip(sorted(keys), certificate.signers) if signed]
    for key, signature in zip(signers, certificate.signatures):
        if not zip215.verify(key, message, signature):
            raise ProofError(f"the signature of the validator with key {key.hex()} does not fit")
    return len(signers)


@dataclass(frozen=True)
class History:
    """What is proved of a fingerprint and of all that it superseded."""

    #: The statement about the last one; its fact is an `AttestationFact`.
    last: Statement
    #: Those before it, the last one first.
    earlier: list[AttestationFact]


def verify_history(data: bytes, genesis_header: bytes, network: bytes | str | None = None) -> History:
    """Checks a file with the history of an attestation (`millrace query attestation --history --proof`)."""
    reader = Reader(data)
    if reader.take(18, "history") != b"millrace/history/1":
        raise ProofError("this is no history of version 1")
    proof = reader.bounded(4, PROOF_BYTES_MAX_IN_HISTORY, "proof")
    count = reader.number(4, "earlier attestations")
    if count > HISTORY_MAX:
        raise ProofError(f"a history has at most {HISTORY_MAX} attestations")
    values = [reader.take(ATTESTATION_BYTES, "earlier attestation") for _ in range(count)]
    reader.finish()
    last = verify(proof, genesis_header, network)
    claim = decode_proof(proof).claim
    fact = last.fact
    if not isinstance(fact, AttestationFact) or not isinstance(claim, RowClaim):
        raise ProofError("the proof of the history speaks of no attestation")
    earlier: list[AttestationFact] = []
    behind, value = fact, claim.value
    for number, before in enumerate(values):
        if behind.supersedes is None:
            raise ProofError("the history has attestations to which the last one does not lead")
        one = decode_attestation(behind.supersedes, before)
        if one.status != "superseded" or one.superseded_by != behind.fingerprint or one.ended != behind.registered:
            raise ProofError(f"attestation {number + 1} before the last one is not superseded by the one behind it")
        _check_link(behind, value, bytes.fromhex(one.history), number)
        earlier.append(one)
        behind, value = one, before
    if behind.supersedes is not None:
        raise ProofError("the first attestation supersedes one that is missing")
    _check_link(behind, value, ZEROS, len(values))
    return History(last, earlier)


def _check_link(fact: AttestationFact, value: bytes, before: bytes, number: int) -> None:
    """Checks that the history of an attestation is that of its registration and of the one before."""
    at_first = bytearray(value[:136])
    at_first[0] = 0
    at_first[12:16] = bytes(4)
    at_first[32:40] = bytes(8)
    at_first[104:136] = ZEROS
    chained = hashlib.sha256(b"millrace/attestation" + bytes.fromhex(fact.fingerprint) + at_first + before).digest()
    if fact.status == "revoked":
        end = struct.pack("<IQ", fact.reason, fact.ended)
        chained = hashlib.sha256(b"millrace/revocation" + chained + end).digest()
    if chained.hex() != fact.history:
        raise ProofError(f"the hash chain does not hold at attestation {number} before the last one")
