"""An account that pays and registers: it keeps count of its nonces, and signs what it is told to."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from .answers import Receipt
from .client import Client
from .errors import ApiError, ConnectionFailed, NonceWindowFull, Unheard
from .transactions import (
    LINKED,
    REGISTER,
    REVOKE,
    Envelope,
    Registration,
    Signed,
    Signer,
    Transaction,
    Transfer,
    linked,
    register,
    revoke,
)

#: Nonces that may be under way at a time: any order of execution works as long as they span no more.
WINDOW = 64
#: Codes behind which somebody else may have used nonces of the account.
_OTHERS_NONCES = {2, 3, 35, 36}
#: Codes of blocks that spend no nonce.
_NOT_SPENT = {1, 2, 3, 4, 6}
#: Codes after which the account is asked for again: its nonces or its key are others than they were.
_RELEARN = _OTHERS_NONCES | {6, 38}
_HEIGHT_KEPT_SECONDS = 5.0

_Make = Callable[[int, int], Transaction]


class Payer:
    """An account with its key. Several threads can use one; two processes with the same account get in each other's
    way. `valid_for` is for how many heights what it signs can execute."""

    def __init__(
        self, client: Client, key: Signer, chain: int, account: int, *, valid_for: int = 1_000, patience: float = 60.0
    ) -> None:
        self.client = client
        self.chain = chain
        self.account = account
        self._key = key
        self._valid_for = valid_for
        self._patience = patience
        self._changed = threading.Condition()
        self._is_known = False
        self._next = 0
        self._free: list[int] = []
        self._flying: set[int] = set()
        self._key_version = 1
        self._height = 0
        self._height_at = 0.0

    # What it can do. Each signs one transaction, submits it, and answers its receipt.

    def pay(
        self, credit: int, amount: int, *, reference: bytes | str = b"", credit_chain: int | None = None
    ) -> Receipt:
        """Pays an account of its chain, or of another one."""
        return self._do(
            lambda nonce, expiry: Transfer(
                self.chain, self.account, credit, amount, nonce, expiry, self._key_version, reference, credit_chain
            )
        )

    def pay_all(
        self, payments: Iterable[tuple[int, int]], *, memo: bytes | str = b"", reference: bytes | str = b""
    ) -> Receipt:
        """Pays several accounts (account, amount) of its chain, all or none."""
        return self._seal(LINKED, linked(payments, memo), reference)

    def register(self, registrations: Sequence[Registration], *, reference: bytes | str = b"") -> Receipt:
        """Registers fingerprints, all or none. One with `supersedes` takes the place of an earlier one."""
        return self._seal(REGISTER, register(registrations), reference)

    def revoke(self, fingerprints: Sequence[bytes | str], reason: int = 0, *, reference: bytes | str = b"") -> Receipt:
        """Revokes fingerprints of its own, all or none."""
        return self._seal(REVOKE, revoke(fingerprints, reason), reference)

    def again(self, unheard: Unheard) -> Receipt:
        """Submits once more what nothing was heard of: the same bytes."""
        nonce = int.from_bytes(unheard.transaction[48:56], "little")
        return self._submit(Signed(unheard.transaction, unheard.id), nonce)

    # How

    def _seal(self, kind: int, payload: bytes, reference: bytes | str) -> Receipt:
        return self._do(
            lambda nonce, expiry: Envelope(
                kind, self.chain, self.account, nonce, expiry, payload, self._key_version, reference
            )
        )

    def _do(self, make: _Make) -> Receipt:
        nonce, expiry = self._take()
        try:
            signed = make(nonce, expiry).sign(self._key, self.client.network)
        except BaseException:
            self._give_back(nonce, is_spent=False)
            raise
        return self._submit(signed, nonce)

    def _submit(self, signed: Signed, nonce: int) -> Receipt:
        try:
            receipt = self.client.submit(signed, timeout=self._patience)
        except ApiError as refused:
            self._give_back(nonce, is_spent=refused.code in _OTHERS_NONCES, learn=refused.code in _RELEARN)
            raise
        except ConnectionFailed:
            self._give_back(nonce, is_spent=False)
            raise
        # What is unheard may be executed yet: its nonce stays under way until `again` hears.
        code = receipt.code or 0
        self._give_back(nonce, is_spent=code not in _NOT_SPENT, learn=code in _RELEARN)
        return receipt

    def _take(self) -> tuple[int, int]:
        """A nonce that nothing uses, and the last height at which it is to execute."""
        deadline = time.monotonic() + self._patience
        with self._changed:
            while True:
                if not self._is_known:
                    self._learn()
                nonce = self._candidate()
                if nonce is not None:
                    break
                if not self._changed.wait(deadline - time.monotonic()):
                    raise NonceWindowFull(f"account {self.chain}:{self.account} has {WINDOW} transactions under way")
            self._flying.add(nonce)
            try:
                if time.monotonic() - self._height_at > _HEIGHT_KEPT_SECONDS:
                    self._height, self._height_at = self.client.height(), time.monotonic()
            except BaseException:
                self._give_back(nonce, is_spent=False)
                raise
            return nonce, self._height + self._valid_for

    def _candidate(self) -> int | None:
        lowest, highest = min(self._flying, default=None), max(self._flying, default=None)
        while self._free:
            nonce = heapq.heappop(self._free)
            # What is executed above it would put it out of reach.
            if highest is None or nonce > highest - WINDOW:
                return nonce
        if lowest is not None and self._next >= lowest + WINDOW:
            return None
        self._next += 1
        return self._next - 1

    def _learn(self) -> None:
        account = self.client.account(self.chain, self.account)
        # A node may be behind what was heard already.
        self._next = max(self._next, account.next_nonce)
        gaps = (nonce for nonce in account.free_nonces if nonce < account.next_nonce)
        self._free = [nonce for nonce in gaps if nonce not in self._flying]
        heapq.heapify(self._free)
        self._key_version = account.key_version
        self._height, self._height_at = account.height, time.monotonic()
        self._is_known = True

    def _give_back(self, nonce: int, *, is_spent: bool, learn: bool = False) -> None:
        with self._changed:
            self._flying.discard(nonce)
            if not is_spent:
                heapq.heappush(self._free, nonce)
            if learn:
                self._is_known = False
            self._changed.notify_all()
