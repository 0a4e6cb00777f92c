"""What can go wrong, as exceptions, and the codes of docs/ERRORS.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Codes of what is in a block (0 to 31, and from 64 on) and of what a validator did not take (32 to 63), with their
#: words. A newer validator may tell a code that is not here: it is told by its number.
CODES: dict[int, str] = {
    0: "applied",
    1: "expired",
    2: "replayed",
    3: "nonce too far",
    4: "unknown debit account",
    5: "unknown credit account",
    6: "wrong key version",
    7: "insufficient balance",
    8: "credit overflow",
    9: "sent to another chain",
    10: "unknown credit chain",
    11: "another asset",
    12: "role not held",
    13: "debit account frozen",
    14: "credit account frozen",
    15: "issuance cap reached",
    16: "accounts cap reached",
    17: "another kind of chain",
    18: "fingerprint registered already",
    19: "unknown fingerprint",
    20: "another owner",
    21: "not in force",
    22: "chain full",
    23: "debit account closed",
    24: "credit account closed",
    25: "change pending",
    26: "unknown change",
    27: "not a guardian",
    28: "account not empty",
    29: "role held",
    30: "chain paused",
    31: "chain closed",
    32: "malformed",
    33: "wrong chain",
    34: "expired",
    35: "replayed",
    36: "nonce too far",
    37: "unknown account",
    38: "wrong key version",
    39: "bad signature",
    40: "duplicate pending",
    41: "sender full",
    42: "busy",
    43: "stopping",
    44: "unknown credit chain",
    45: "another asset",
    46: "role not held",
    47: "account frozen",
    48: "another kind of chain",
    49: "account closed",
    50: "chain paused",
    51: "chain closed",
    52: "not a member",
    64: "unknown proposal",
    65: "proposed already",
    66: "proposal expired",
    67: "decided already",
    68: "approved already",
    69: "other administrators",
    70: "chain id taken",
    71: "unknown chain",
    72: "another state of the chain",
    73: "too many chains",
    74: "unfit roles",
    75: "too many proposals",
    76: "no such reservation",
    77: "not for this account",
    78: "more than is reserved",
    79: "too many reservations",
    80: "other terms",
    81: "members fixed",
    82: "members changing",
    83: "unfit members",
    84: "fewer than four members",
    85: "too few consents",
    86: "needless consents",
    87: "other rules",
}


def words_of(code: int) -> str:
    """The words of a code of docs/ERRORS.md."""
    return CODES.get(code, f"code {code}")


class MillraceError(Exception):
    """Everything that this package raises of its own."""


class ConnectionFailed(MillraceError):
    """No gateway could be reached, or each broke off. A read can be asked again."""


class WrongNetwork(MillraceError):
    """A gateway answers for another network than the one that was pinned or met first."""


class AnswerUnreadable(MillraceError):
    """A gateway answered with something that is no answer of a Millrace gateway."""


class Unheard(MillraceError):
    """The time is over and nothing was heard of a transaction. It may be in a block.

    Submit the same bytes (`transaction`) again until you hear. Do not sign another one for the same purpose before
    that: both would be paid.
    """

    def __init__(self, transaction: bytes, id: str, reason: str) -> None:
        super().__init__(f"nothing was heard of transaction {id} ({reason}): submit the same bytes again")
        self.transaction = transaction
        self.id = id


class WrongReceipt(MillraceError):
    """A gateway answered a submission with the receipt of another transaction. What was submitted may be in a block.

    Either the gateway is wrong, or `network` of the client is: the id of a transaction covers it. Ask another gateway
    about `id`, and do not sign another transaction for the same purpose before you know.
    """

    def __init__(self, transaction: bytes, id: str, told: str) -> None:
        super().__init__(
            f"the gateway answers for transaction {told}, and {id} was submitted: ask another gateway what became of it"
        )
        self.transaction = transaction
        self.id = id
        self.told = told


class TransactionFailed(MillraceError):
    """The transaction is in a block and had no effect but on the nonce."""

    def __init__(self, id: str, code: int) -> None:
        super().__init__(f"transaction {id} failed: {words_of(code)} ({code})")
        self.id = id
        self.code = code


class NonceWindowFull(MillraceError):
    """The account has 64 transactions under way: wait for their verdicts."""


class ProofError(MillraceError):
    """A proof does not hold, or is of a kind that this package does not read. Nothing is proved then."""


class ApiError(MillraceError):
    """A gateway or its node says no. `code` and `name` are those of docs/ERRORS.md."""

    def __init__(
        self,
        code: int,
        name: str,
        message: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(f"{message} ({name}, {code})")
        self.code = code
        self.name = name
        self.message = message
        #: The status of HTTP.
        self.status = status
        #: After so many seconds the same may be asked again.
        self.retry_after = retry_after
        self.data = data


class Refused(ApiError):
    """A validator did not take a transaction: it is in no block because of this submission (codes 32 to 63)."""


class InvalidRequest(ApiError):
    """The request itself is wrong: -32700, -32600 to -32602, 1009, 1011 or 1013."""


class InternalError(ApiError):
    """A defect of the gateway, or a node whose answers it cannot read (-32603)."""


class NotFound(ApiError):
    """The committed ledger has no such thing, as of `data["as_of"]` (1001)."""


class BelowRetention(ApiError):
    """It is older than what the node keeps: ask one that keeps more (1002, 1014)."""


class Unavailable(ApiError):
    """The node cannot be reached or has no room: ask again (1003)."""


class Behind(ApiError):
    """The node has not reached `min_height` within five seconds (1004)."""


class Unauthorized(ApiError):
    """No token was shown, or it is unknown, revoked or over (1005)."""


class Forbidden(ApiError):
    """The token lacks the scope, or a page of another origin asks (1006, 1008)."""


class WrongHost(ApiError):
    """The gateway is not called under this name: it has to be named in its configuration (1007)."""


class TooMany(ApiError):
    """Too many of the caller's signatures were bad (1010)."""


_CLASSES: dict[int, type[ApiError]] = {
    -32700: InvalidRequest,
    -32600: InvalidRequest,
    -32601: InvalidRequest,
    -32602: InvalidRequest,
    -32603: InternalError,
    1001: NotFound,
    1002: BelowRetention,
    1003: Unavailable,
    1004: Behind,
    1005: Unauthorized,
    1006: Forbidden,
    1007: WrongHost,
    1008: Forbidden,
    1009: InvalidRequest,
    1010: TooMany,
    1011: InvalidRequest,
    1012: Unavailable,
    1013: InvalidRequest,
    1014: BelowRetention,
}


def error_of(error: Mapping[str, Any], status: int = 0, retry_after: float | None = None) -> ApiError:
    """The exception for the member `error` of an answer."""
    code = error.get("code")
    if not isinstance(code, int):
        raise AnswerUnreadable(f"HTTP {status} with an error that has no code: is this a Millrace gateway?")
    kind = Refused if 32 <= code <= 63 else _CLASSES.get(code, ApiError)
    seconds = error.get("retry_after_seconds", retry_after)
    return kind(
        code,
        str(error.get("name", words_of(code))),
        str(error.get("message", "")),
        status=status,
        retry_after=seconds if isinstance(seconds, (int, float)) else None,
        data=error.get("data"),
    )
