"""What a gateway answers, with the fields that programs use most. `raw` has everything that came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import CODES, AnswerUnreadable, TransactionFailed

Raw = Mapping[str, Any]

#: Codes of outcomes by their names in answers.
OUTCOMES = {words.replace(" ", "_"): code for code, words in CODES.items() if code < 32 or code >= 64}
#: The outcome of a payment that is on its way to another chain.
SENT = 9


def whole(value: Any) -> int:
    """A whole number, which beyond 2^53 comes as a string of digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise AnswerUnreadable(f"{value!r} stands where a whole number is expected")


def member(raw: Raw, name: str) -> Any:
    """A member that each such answer has."""
    try:
        return raw[name]
    except (KeyError, TypeError):
        raise AnswerUnreadable(f"the answer lacks the member {name!r}") from None


@dataclass(frozen=True, order=True)
class Cursor:
    """A place in what happened on a chain. As text it is `height.place`; every validator understands it."""

    height: int
    place: int

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that a text names."""
        height, dot, place = text.partition(".")
        if not dot or not (height.isascii() and height.isdigit() and place.isascii() and place.isdigit()):
            raise ValueError(f"{text!r} is no cursor: one is a height and a place with a dot between them, as 17.3")
        return cls(int(height), int(place))

    def next(self) -> Cursor:
        """The place behind this one."""
        return Cursor(self.height, self.place + 1)

    def __str__(self) -> str:
        return f"{self.height}.{self.place}"


@dataclass(frozen=True)
class Receipt:
    """What is known of a submission."""

    id: str
    #: `committed`, `failed`, or `accepted` (in one node's memory, and lost if that node ends).
    status: str
    #: Of what is decided: the code of docs/ERRORS.md.
    code: int | None = None
    #: Of what is decided: its words, with `_` for a space.
    outcome: str | None = None
    chain: int | None = None
    height: int | None = None
    position: int | None = None

    def require_committed(self) -> Receipt:
        """This receipt, if the transaction took effect; raises `TransactionFailed` if it did not."""
        if self.status == "failed" and self.code is not None:
            raise TransactionFailed(self.id, self.code)
        return self

    @classmethod
    def of(cls, raw: Raw) -> Receipt:
        """Reads an answer."""
        numbers = {name: whole(raw[name]) for name in ("code", "chain", "height", "position") if name in raw}
        return cls(str(member(raw, "id")), str(member(raw, "status")), outcome=raw.get("outcome"), **numbers)


@dataclass(frozen=True)
class Found:
    """A transaction that is in a block."""

    id: str
    chain: int
    height: int
    position: int
    #: What execution made of it there: a code of docs/ERRORS.md.
    code: int
    #: The same in the end; `None` while a payment to another chain is on its way.
    final_code: int | None
    #: The transaction itself.
    transaction: bytes
    said: Any
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Found:
        """Reads an answer."""
        code = whole(member(raw, "code"))
        return cls(
            id=str(member(raw, "id")),
            chain=whole(member(raw, "chain")),
            height=whole(member(raw, "height")),
            position=whole(member(raw, "position")),
            code=code,
            final_code=_final(code, raw.get("crossing")),
            transaction=bytes.fromhex(member(raw, "packet")),
            said=raw.get("said"),
            raw=raw,
        )

    def receipt(self) -> Receipt | None:
        """The receipt, once the end is known."""
        if self.final_code is None:
            return None
        status = "failed" if self.final_code else "committed"
        outcome = CODES.get(self.final_code, "").replace(" ", "_")
        return Receipt(self.id, status, self.final_code, outcome, self.chain, self.height, self.position)


def _final(code: int, crossing: Any) -> int | None:
    if code != SENT:
        return code
    state = crossing.get("state") if isinstance(crossing, dict) else None
    if state == "credited":
        return 0
    if state == "refunded":
        return OUTCOMES.get(str(crossing.get("reason")), SENT)
    return None


@dataclass(frozen=True)
class Account:
    """An account at a durable height. Its Merkle path is in `raw` and was not checked: see `Client.prove_account`."""

    chain: int
    account: int
    height: int
    balance: int
    key: bytes
    key_version: int
    status: str
    frozen: str
    next_nonce: int
    #: The lowest nonces that are not used.
    free_nonces: list[int]
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Account:
        """Reads an answer."""
        return cls(
            chain=whole(member(raw, "chain")),
            account=whole(member(raw, "account")),
            height=height_of(raw),
            balance=whole(member(raw, "balance")),
            key=bytes.fromhex(member(raw, "key")),
            key_version=whole(member(raw, "key_version")),
            status=str(member(raw, "status")),
            frozen=str(member(raw, "frozen")),
            next_nonce=whole(member(raw, "next_nonce")),
            free_nonces=[whole(nonce) for nonce in member(raw, "free_nonces")],
            raw=raw,
        )


def height_of(raw: Raw) -> int:
    """The durable height of which an answer speaks."""
    return whole(member(member(raw, "as_of"), "height"))


@dataclass(frozen=True)
class Block:
    """A committed block, as a stream tells it."""

    height: int
    digest: str
    time_ms: int
    transactions: int
    failures: int
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Block:
        """Reads an answer or an event."""
        return cls(
            height=whole(member(raw, "height")),
            digest=str(member(raw, "digest")),
            time_ms=whole(member(raw, "time_ms")),
            transactions=whole(member(raw, "transactions")),
            failures=whole(member(raw, "failures")),
            raw=raw,
        )


@dataclass(frozen=True)
class Event:
    """Something that happened on a chain. `next` is where to go on when it is dealt with."""

    at: Cursor
    #: `executed`, `credited`, `not_credited`, `refunded`, `swapped`; of what took effect by itself `changed`,
    #: `released` or `in_effect`.
    kind: str
    #: The transaction, if it is about one.
    id: str | None
    outcome: str | None
    #: What the transaction says, by its kind.
    said: Any
    raw: Raw = field(repr=False)

    @property
    def next(self) -> Cursor:
        """The cursor of what follows: keep it together with what you have made of this one."""
        return self.at.next()

    @classmethod
    def of(cls, raw: Raw) -> Event:
        """Reads an event."""
        at, kind = Cursor.parse(str(member(raw, "at"))), str(member(raw, "event"))
        return cls(at, kind, raw.get("id"), raw.get("outcome", raw.get("reason")), raw.get("said"), raw)


@dataclass(frozen=True)
class Page:
    """Some of what happened, and where to go on."""

    events: list[Event]
    next: Cursor
    #: Whether it ends with the durable height of the node.
    at_end: bool
    height: int

    @classmethod
    def of(cls, raw: Raw) -> Page:
        """Reads an answer."""
        events = [Event.of(event) for event in member(raw, "events")]
        return cls(events, Cursor.parse(str(member(raw, "next"))), bool(member(raw, "at_end")), height_of(raw))


@dataclass(frozen=True)
class Attested:
    """What a chain says of a fingerprint; its Merkle path is in `raw` and was not checked."""

    chain: int
    fingerprint: str
    registered: bool
    #: The transaction that registered it.
    transaction: str | None
    #: What was registered with it.
    data: bytes | None
    height: int
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Attested:
        """Reads an answer."""
        data = raw.get("data")
        return cls(
            chain=whole(member(raw, "chain")),
            fingerprint=str(member(raw, "fingerprint")),
            registered=bool(member(raw, "registered")),
            transaction=raw.get("transaction"),
            data=bytes.fromhex(data) if data else None,
            height=height_of(raw),
            raw=raw,
        )
