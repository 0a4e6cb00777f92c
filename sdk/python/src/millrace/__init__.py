"""Pay, register fingerprints, follow streams and check proofs of a Millrace network.

client = Client("http://127.0.0.1:7401")
payer = Payer(client, Key.from_file("alice.pem"), chain=1, account=9)
print(payer.pay(8, 25, reference="invoice 17").require_committed())
"""

from .answers import Account, Attested, Block, Cursor, Found, Happening, Page, Receipt
from .client import Client
from .errors import (
    CODES,
    AnswerUnreadable,
    ApiError,
    Behind,
    BelowRetention,
    ConnectionFailed,
    Forbidden,
    InternalError,
    InvalidRequest,
    MillraceError,
    NonceWindowFull,
    NotFound,
    ProofError,
    Refused,
    TooMany,
    TransactionFailed,
    Unauthorized,
    Unavailable,
    Unheard,
    WrongHost,
    WrongNetwork,
    words_of,
)
from .keys import Key
from .payer import Payer
from .proof import (
    AccountFact,
    AttestationFact,
    History,
    NeverFact,
    NotRegisteredFact,
    Statement,
    TransactionFact,
    verify,
    verify_history,
)
from .transactions import (
    Envelope,
    Registration,
    Signed,
    Transfer,
    linked,
    parse,
    register,
    revoke,
    transaction_id,
)

__version__ = "0.1.0"

__all__ = [
    "CODES",
    "Account",
    "AccountFact",
    "AnswerUnreadable",
    "ApiError",
    "AttestationFact",
    "Attested",
    "Behind",
    "BelowRetention",
    "Block",
    "Client",
    "ConnectionFailed",
    "Cursor",
    "Envelope",
    "Forbidden",
    "Found",
    "Happening",
    "History",
    "InternalError",
    "InvalidRequest",
    "Key",
    "MillraceError",
    "NeverFact",
    "NonceWindowFull",
    "NotFound",
    "NotRegisteredFact",
    "Page",
    "Payer",
    "ProofError",
    "Receipt",
    "Refused",
    "Registration",
    "Signed",
    "Statement",
    "TooMany",
    "TransactionFact",
    "TransactionFailed",
    "Transfer",
    "Unauthorized",
    "Unavailable",
    "Unheard",
    "WrongHost",
    "WrongNetwork",
    "linked",
    "parse",
    "register",
    "revoke",
    "transaction_id",
    "verify",
    "verify_history",
    "words_of",
]
