"""The client: asks one gateway, and goes on with the others where it does not answer."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote

from . import proof
from .answers import Account, Attested, Block, Cursor, Event, Found, Page, Receipt, height_of, member, whole
from .errors import (
    AnswerUnreadable,
    ApiError,
    Behind,
    ConnectionFailed,
    MillraceError,
    NotFound,
    ProofError,
    TooMany,
    Unavailable,
    Unheard,
    WrongNetwork,
    WrongReceipt,
)
from .http import Answer, Endpoint, LinkBroken, Query
from .streams import Course, blocks_course, events_course, follow, snapshots_course
from .transactions import Signed, network_id, transaction_id

T = TypeVar("T")

#: Refusals that say nothing about the transaction: the same bytes may be taken a little later or elsewhere.
#: duplicate pending, sender full, busy, stopping, not a member; and what a gateway says of itself.
_AGAIN = {40, 41, 42, 43, 52, 1003, 1010, 1012, -32603}
#: Answers behind which the transaction may be in a block: its like waits, or its fate was lost on the way.
_MAYBE_TAKEN = {40, 1003, -32603}
#: Refusals that a transaction also gets when it has been executed before.
_PERHAPS_DONE = {34, 35}
#: Refusals that hold everywhere and from then on: malformed, wrong chain, expired, replayed, bad signature. All else
#: may be true of the node that says it alone, whose height, token or chains are not those of where the bytes may wait.
_NEVER = {32, 33, 34, 35, 39}
#: How long one gateway is waited for when there are others.
_SLICE_SECONDS = 10.0
#: The longest wait that a gateway takes.
_WAIT_SECONDS_MAX = 60.0
#: What an answer may take beyond the wait that was asked for.
_MARGIN_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_PAUSE_MAX_SECONDS = 2.0
_OCTETS = "application/octet-stream"


class Client:
    """A network, through the gateways of one or more of its nodes.

    `endpoints` are addresses such as `https://pay.example`. `network` is the network id that you trust; without it the
    one that the first gateway tells is taken. `genesis` is the header of the genesis (bytes, or a file), with which
    proofs are checked. `token` and `ca_file` are for gateways beyond this machine. All methods can be called from
    several threads.
    """

    def __init__(
        self,
        endpoints: str | Sequence[str],
        *,
        network: str | bytes | None = None,
        genesis: bytes | str | os.PathLike[str] | None = None,
        token: str | None = None,
        ca_file: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        urls = [endpoints] if isinstance(endpoints, str) else list(endpoints)
        if not urls:
            raise ValueError("a client needs the address of a gateway at least")
        self._endpoints = [Endpoint(url, token=token, ca_file=ca_file, timeout=timeout) for url in urls]
        self._timeout = timeout
        self._lock = threading.Lock()
        self._turn = 0
        self._known: set[Endpoint] = set()
        self._network = network_id(network) if network is not None else None
        self._genesis: bytes | None = None
        if genesis is not None:
            self._genesis = genesis if isinstance(genesis, bytes) else Path(genesis).read_bytes()
            of_genesis = proof.read_genesis(self._genesis, self._network).network
            self._network = of_genesis

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are kept open."""
        for endpoint in self._endpoints:
            endpoint.close()

    @property
    def network(self) -> bytes:
        """The network id: the one that was given, or the one that the first gateway told."""
        if self._network is None:
            self._get("/v1/status")
        if self._network is None:
            raise ConnectionFailed("no gateway told its network")
        return self._network

    # Questions

    def status(self) -> dict[str, Any]:
        """How the node is, as it tells it."""
        answer = self._get("/v1/status")
        return dict(member(answer, "status"))

    def height(self) -> int:
        """The newest height that is durable on the node."""
        return height_of(self._get("/v1/status"))

    def validators(self) -> list[dict[str, Any]]:
        """Who validates in the present epoch, by the node's word."""
        return list(member(self._get("/v1/validators"), "validators"))

    def chains(self) -> list[dict[str, Any]]:
        """All chains of the network."""
        return list(member(self._get("/v1/chains"), "chains"))

    def chain(self, chain: int) -> dict[str, Any]:
        """A chain: its kind, its status, what it has."""
        return self._get(f"/v1/chains/{int(chain)}")

    def block(self, height: int) -> Block:
        """A committed block."""
        return Block.of(self._get(f"/v1/blocks/{int(height)}"))

    def account(self, chain: int, account: int, *, min_height: int | None = None) -> Account:
        """An account at the newest durable height; with `min_height` not before that one."""
        path = f"/v1/chains/{int(chain)}/accounts/{int(account)}"
        return Account.of(self._get(path, {"min_height": min_height}))

    def accounts_of(self, chain: int, key: bytes) -> Iterator[int]:
        """The accounts of a chain that have a public key, ascending."""
        start = 0
        while True:
            query: Query = {"key": key.hex(), "from": start}
            answer = self._get(f"/v1/chains/{int(chain)}/accounts", query)
            accounts = [whole(account) for account in member(answer, "accounts")]
            yield from accounts
            if not accounts or not member(answer, "more"):
                return
            start = accounts[-1] + 1

    def transaction(self, id: str, *, chain: int | None = None, min_height: int | None = None) -> Found:
        """Where a transaction is, and what became of it. Raises `NotFound` if it is in no block."""
        query: Query = {"chain": chain, "min_height": min_height}
        return Found.of(self._get(f"/v1/transactions/{quote(id, safe='')}", query))

    def attestation(self, chain: int, fingerprint: bytes | str, *, min_height: int | None = None) -> Attested:
        """What a chain says of a fingerprint; also that it is not registered."""
        path = f"/v1/chains/{int(chain)}/attestations/{_hex(fingerprint)}"
        return Attested.of(self._get(path, {"min_height": min_height}))

    def page(
        self,
        chain: int,
        *,
        account: int | None = None,
        reference: str | None = None,
        start: Cursor | None = None,
        limit: int = 100,
    ) -> Page:
        """Some of what happened on a chain, or to one account. Pages stay as they are while blocks arrive."""
        begin = str(start) if start is not None else None
        query: Query = {"account": account, "reference": reference, "from": begin, "limit": limit}
        return Page.of(self._get(f"/v1/chains/{int(chain)}/history", query))

    def history(
        self,
        chain: int,
        *,
        account: int | None = None,
        reference: str | None = None,
        start: Cursor | None = None,
        limit: int = 100,
    ) -> Iterator[Event]:
        """All that happened up to now, page by page. `events` follows what comes."""
        while True:
            page = self.page(chain, account=account, reference=reference, start=start, limit=limit)
            yield from page.events
            if page.at_end:
                return
            start = page.next

    def decode(self, transaction: Signed | bytes) -> dict[str, Any]:
        """What signed bytes say, by a gateway; of any kind. Nothing is submitted."""
        return self._post("/v1/decode", _bytes(transaction))

    def dry_run(self, transaction: Signed | bytes) -> dict[str, Any]:
        """What would keep a signed transfer from applying now (`would`, `code`, `words`). Nothing is submitted."""
        return self._post("/v1/dry-run", _bytes(transaction))

    # Proofs

    def prove_account(self, chain: int, account: int) -> proof.Statement:
        """An account under a certificate of the validators, checked here. Needs `genesis`."""
        said = self._prove(f"/v1/proofs/chains/{int(chain)}/accounts/{int(account)}")
        fact = said.fact
        if not isinstance(fact, proof.AccountFact) or (said.chain, fact.account) != (chain, account):
            raise ProofError("the gateway has proved something else than this account")
        return said

    def prove_transaction(self, id: str, *, chain: int | None = None) -> proof.Statement:
        """That a transaction is in a block, with its outcome, checked here. Needs `genesis`."""
        said = self._prove(f"/v1/proofs/transactions/{quote(id, safe='')}", {"chain": chain})
        if not isinstance(said.fact, proof.TransactionFact) or said.fact.id != id.lower():
            raise ProofError("the gateway has proved something else than this transaction")
        return said

    def prove_attestation(self, chain: int, fingerprint: bytes | str) -> proof.Statement:
        """What a chain says of a fingerprint, or that it says nothing, checked here. Needs `genesis`."""
        wanted = _hex(fingerprint)
        said = self._prove(f"/v1/proofs/chains/{int(chain)}/attestations/{wanted}")
        fact = said.fact
        is_it = isinstance(fact, (proof.AttestationFact, proof.NotRegisteredFact)) and fact.fingerprint == wanted
        if not is_it or said.chain != chain:
            raise ProofError("the gateway has proved something else than this fingerprint")
        return said

    def _prove(self, path: str, query: Query | None = None) -> proof.Statement:
        if self._genesis is None:
            raise ValueError("proofs are checked against the header of the genesis: give Client(genesis=…)")
        answer = self._get(path, query, timeout=max(self._timeout, 30.0))
        return proof.verify(bytes.fromhex(member(answer, "proof")), self._genesis, self._network)

    # Submissions

    def submit(
        self, transaction: Signed | bytes, *, wait: str = "committed", timeout: float = 60.0, full: bool = False
    ) -> Receipt:
        """Submits signed bytes, and the same bytes again until something is heard of them, here or elsewhere.

        Answers a receipt that says `committed` or `failed`; with `wait="accepted"` also `accepted`. With `full` it says
        where the transaction is. Raises `Refused` where no validator takes it, and `Unheard` where the time is over and
        it may be in a block: then submit the same bytes again, and sign no others in their place. Raises `WrongReceipt`
        where the gateway answers for another transaction.
        """
        data = _bytes(transaction)
        id = transaction.id if isinstance(transaction, Signed) else transaction_id(data, self.network)
        deadline = time.monotonic() + timeout
        unheard: str | None = None
        pause = _PAUSE_SECONDS
        while True:
            endpoint = self._endpoint()
            left = max(0.0, deadline - time.monotonic())
            share = min(left, _SLICE_SECONDS if len(self._endpoints) > 1 else _WAIT_SECONDS_MAX)
            error: MillraceError | None = None
            query: Query = {
                "wait": wait,
                "timeout_ms": int(share * 1_000),
                "receipt": "full" if full else "verdict",
            }
            after: float | None = None
            try:
                body, margin = data, share + _MARGIN_SECONDS
                answer = endpoint.request("POST", "/v1/transactions", query, body, _OCTETS, margin)
                value = answer.value()
                if answer.status != 202:
                    return _of_it(Receipt.of(value), data, id)
                unheard, after = "no verdict yet", 0.0
            except LinkBroken as broken:
                error = ConnectionFailed(str(broken))
                unheard = str(broken) if broken.sent else unheard
            except AnswerUnreadable as strange:
                error, unheard = strange, str(strange)
            except ApiError as failure:
                error, after = failure, failure.retry_after
                if failure.code in _AGAIN:
                    unheard = str(failure) if failure.code in _MAYBE_TAKEN else unheard
                elif not unheard and failure.code not in _PERHAPS_DONE:
                    raise
                else:
                    try:
                        found = self._found(id)
                    except MillraceError as unknown:
                        unheard = str(unknown)
                    else:
                        if found is not None:
                            return _of_it(found, data, id)
                        if failure.code in _NEVER:
                            raise
            self._next_endpoint(endpoint)
            if time.monotonic() + (pause if after is None else after) >= deadline:
                if unheard is None and error is not None:
                    raise error
                raise Unheard(data, id, unheard or "")
            self._rest(pause if after is None else after, deadline)
            pause = min(2 * pause, _PAUSE_MAX_SECONDS)

    def _found(self, id: str) -> Receipt | None:
        try:
            return self.transaction(id).receipt()
        except NotFound:
            return None

    # Streams

    def blocks(self, start: int | None = None) -> Iterator[Block]:
        """Blocks as they are committed, each once, from a height on; without one, from the next.

        Keep `block.height + 1` with what you have made of a block, to go on from there after a restart.
        """
        begin = start if start is not None else self.height() + 1
        return self._follow(blocks_course(begin))

    def events(
        self,
        chain: int,
        *,
        account: int | None = None,
        reference: str | None = None,
        start: Cursor | None = None,
    ) -> Iterator[Event]:
        """What happens on a chain, or to one account, each event once, from a cursor on; without one, from now on.

        Keep `event.next` with what you have made of an event, to go on from there after a restart.
        """
        begin = start if start is not None else Cursor(self.height() + 1, 0)
        return self._follow(events_course(chain, account, reference, begin))

    def fate(self, id: str) -> Iterator[Found]:
        """What becomes of a transaction; ends when that is final."""
        return self._follow(snapshots_course("fate", {"id": id}, Found.of, lambda data: bool(data.get("final"))))

    def alarms(self) -> Iterator[list[dict[str, Any]]]:
        """The alarms of the node: all of them at first, and again whenever they change."""
        told: Callable[[Any], list[dict[str, Any]]] = lambda data: list(member(data, "alarms"))
        return self._follow(snapshots_course("alarms", {}, told, lambda data: False))

    def _follow(self, course: Course[T]) -> Iterator[T]:
        return follow(course, len(self._endpoints), self._endpoint, self._check, self._next_endpoint)

    # How it asks

    def _endpoint(self) -> Endpoint:
        with self._lock:
            return self._endpoints[self._turn % len(self._endpoints)]

    def _next_endpoint(self, endpoint: Endpoint) -> None:
        """Goes on with another gateway, unless somebody has done so already."""
        with self._lock:
            if self._endpoints[self._turn % len(self._endpoints)] is endpoint:
                self._turn += 1

    @staticmethod
    def _rest(seconds: float, deadline: float) -> None:
        time.sleep(max(0.0, min(seconds * random.uniform(0.5, 1.0), deadline - time.monotonic())))

    def _get(self, path: str, query: Query | None = None, timeout: float | None = None) -> dict[str, Any]:
        limit = self._timeout if timeout is None else timeout
        return self._ask(lambda endpoint: endpoint.request("GET", path, query, timeout=limit), limit)

    def _post(self, path: str, body: bytes) -> dict[str, Any]:
        return self._ask(lambda endpoint: endpoint.request("POST", path, None, body, _OCTETS), self._timeout)

    def _ask(self, exchange: Callable[[Endpoint], Answer], timeout: float) -> dict[str, Any]:
        """Asks one gateway after the other, until one answers or the time is over."""
        deadline = time.monotonic() + timeout
        pause = _PAUSE_SECONDS
        while True:
            endpoint = self._endpoint()
            after: float | None = None
            try:
                self._check(endpoint)
                return exchange(endpoint).value()
            except LinkBroken as broken:
                error: MillraceError = ConnectionFailed(str(broken))
            except (Unavailable, Behind, TooMany) as failure:
                error, after = failure, failure.retry_after
            self._next_endpoint(endpoint)
            if time.monotonic() + (pause if after is None else after) >= deadline:
                raise error
            self._rest(pause if after is None else after, deadline)
            pause = min(2 * pause, _PAUSE_MAX_SECONDS)

    def _check(self, endpoint: Endpoint) -> None:
        """Whether a gateway is one of this network; asked of each once."""
        if endpoint in self._known:
            return
        status = member(endpoint.request("GET", "/v1/status").value(), "status")
        told = network_id(str(member(status, "network")))
        with self._lock:
            if self._network is None:
                self._network = told
            if told != self._network:
                raise WrongNetwork(f"{endpoint.url} is of network {told.hex()}, and not of {self._network.hex()}")
            self._known.add(endpoint)


def _bytes(transaction: Signed | bytes) -> bytes:
    return transaction.bytes if isinstance(transaction, Signed) else transaction


def _of_it(receipt: Receipt, transaction: bytes, id: str) -> Receipt:
    if receipt.id != id:
        raise WrongReceipt(transaction, id, receipt.id)
    return receipt


def _hex(fingerprint: bytes | str) -> str:
    found = bytes.fromhex(fingerprint) if isinstance(fingerprint, str) else bytes(fingerprint)
    if len(found) != 32:
        raise ValueError(f"a fingerprint has 32 bytes, and this one {len(found)}")
    return found.hex()
