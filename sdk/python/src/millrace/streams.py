"""Streams of events that go on by themselves: over broken connections, and from one gateway to another.

    gateway: each event at least once, in order ──▶ here: what was given out before is left out ──▶ each event once

An event counts as given out when the iterator is asked for the next one or has been left; who must not do its work
twice after a restart keeps the cursor together with that work.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from .answers import Block, Cursor, Event
from .errors import (
    AnswerUnreadable,
    Behind,
    BelowRetention,
    ConnectionFailed,
    MillraceError,
    TooMany,
    Unavailable,
    error_of,
)
from .http import Endpoint, LinkBroken, Query

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: A gateway says at least every 15 seconds that it lives.
SILENCE_SECONDS = 45.0
#: Attempts in a row, for each gateway, after which the stream is given up.
ATTEMPTS_MAX = 8
_PAUSE_SECONDS = 0.2
_PAUSE_MAX_SECONDS = 5.0


@dataclass(frozen=True)
class Message:
    """One server-sent event."""

    name: str
    id: str
    data: Any


class Course(Protocol[T_co]):
    """A stream of one kind, and how far it is."""

    path: str

    def query(self) -> Query:
        """Where it goes on."""

    def take(self, event: Message) -> Iterator[T_co]:
        """What is new in an event: nothing, or one thing."""

    def is_over(self) -> bool:
        """Whether nothing follows any more."""


def messages(lines: Iterator[str]) -> Iterator[Message]:
    """The events in the lines of a stream."""
    name, id = "message", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                text = "\n".join(data)
                try:
                    value = json.loads(text)
                except ValueError:
                    raise AnswerUnreadable(f"an event of the stream is no JSON: {text[:80]!r}") from None
                yield Message(name, id, value)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            id = value


class _Ordered(Generic[T]):
    """A stream whose events ascend: what is not above the last one was given out before."""

    def __init__(
        self,
        path: str,
        fixed: Query,
        begin: Cursor,
        read: Callable[[Any], T],
        at: Callable[[T], Cursor],
        of_blocks: bool,
    ) -> None:
        self.path = path
        self._fixed = fixed
        self._next = begin
        self._read = read
        self._at = at
        self._of_blocks = of_blocks

    def query(self) -> Query:
        return {**self._fixed, "from": self._next.height if self._of_blocks else str(self._next)}

    def take(self, event: Message) -> Iterator[T]:
        thing = self._read(event.data)
        at = self._at(thing)
        if at < self._next:
            return
        if self._of_blocks and at != self._next:
            raise AnswerUnreadable(f"the stream left out blocks {self._next.height} to {at.height - 1}")
        self._next = Cursor(at.height + 1, 0) if self._of_blocks else at.next()
        yield thing

    def is_over(self) -> bool:
        return False


def blocks_course(begin: int) -> Course[Block]:
    """Blocks from a height on."""
    start = Cursor(max(begin, 1), 0)
    return _Ordered("/v1/streams/blocks", {}, start, Block.of, lambda block: Cursor(block.height, 0), True)


def events_course(chain: int, account: int | None, reference: str | None, begin: Cursor) -> Course[Event]:
    """What happens on a chain, from a cursor on."""
    query: Query = {"chain": chain, "account": account, "reference": reference}
    return _Ordered("/v1/streams/history", query, begin, Event.of, lambda event: event.at, False)


class _Snapshots(Generic[T]):
    """A stream that tells how something is: at first, and when it changes. The same twice is told once."""

    def __init__(
        self, name: str, query: Query, read: Callable[[Any], T], ends: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        self.path = f"/v1/streams/{name}"
        self._query = query
        self._read = read
        self._ends = ends
        self._told: Any = None
        self._over = False

    def query(self) -> Query:
        return self._query

    def take(self, event: Message) -> Iterator[T]:
        # The height at which it was looked at is no part of it.
        said = {name: value for name, value in event.data.items() if name != "as_of"}
        self._over = self._ends(event.data)
        if said != self._told:
            self._told = said
            yield self._read(event.data)

    def is_over(self) -> bool:
        return self._over


def snapshots_course(
    name: str, query: Query, read: Callable[[Any], T], ends: Callable[[Mapping[str, Any]], bool]
) -> Course[T]:
    """A stream of how something is."""
    return _Snapshots(name, query, read, ends)


def follow(
    course: Course[T],
    endpoints: int,
    choose: Callable[[], Endpoint],
    check: Callable[[Endpoint], None],
    give_up: Callable[[Endpoint], None],
) -> Iterator[T]:
    """Follows a stream: where it breaks off, it goes on from where it was, here or at the next gateway.

    Raises `BelowRetention` where no gateway can go on from the cursor any more, other errors of the gateways as they
    are, and `ConnectionFailed` after several attempts at each gateway that brought nothing, not even a sign of life.
    """
    failed = pruned = 0

    def heard(lines: Iterator[str]) -> Iterator[str]:
        nonlocal failed, pruned
        for line in lines:
            # A stream on which nothing happens lives as well.
            if line.startswith(":"):
                failed = pruned = 0
            yield line

    while not course.is_over():
        endpoint = choose()
        reason: MillraceError = ConnectionFailed(f"{endpoint.url} ended the stream")
        after: float | None = None
        try:
            check(endpoint)
            with endpoint.stream(course.path, course.query(), SILENCE_SECONDS) as stream:
                for event in messages(heard(stream.lines())):
                    if event.name == "error":
                        raise error_of(event.data)
                    failed = pruned = 0
                    yield from course.take(event)
                    if course.is_over():
                        return
        except LinkBroken as broken:
            reason = ConnectionFailed(str(broken))
        except BelowRetention:
            # Another one may keep more.
            pruned += 1
            if pruned >= endpoints:
                raise
        except (Unavailable, Behind, TooMany) as failure:
            reason, after = failure, failure.retry_after
        give_up(endpoint)
        failed += 1
        if failed >= ATTEMPTS_MAX * endpoints:
            raise reason
        pause = min(_PAUSE_SECONDS * 2 ** min(failed - 1, 10), _PAUSE_MAX_SECONDS)
        time.sleep((pause if after is None else after) * random.uniform(0.5, 1.0))
