"""Keys of accounts: Ed25519 (RFC 8032), in the files that `millrace key` writes."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class Key:
    """The secret of an account. It never leaves this process, and is not shown by `repr`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        #: The public key, 32 bytes.
        self.public: bytes = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def generate(cls) -> Key:
        """A fresh one from the operating system."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Key:
        """The key of a secret of 32 bytes."""
        if len(seed) != 32:
            raise ValueError(f"a seed has 32 bytes, and this one {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, pem: bytes | str, passphrase: bytes | str | None = None) -> Key:
        """The key in a PEM text (PKCS#8, RFC 8410), encrypted or not."""
        data = pem.encode() if isinstance(pem, str) else pem
        secret = passphrase.encode() if isinstance(passphrase, str) else passphrase
        private = load_pem_private_key(data, secret)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("this is a key of another kind: accounts sign with Ed25519")
        return cls(private)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], passphrase: bytes | str | None = None) -> Key:
        """The key in a file. One that other users can read is refused, as `millrace` does."""
        file = Path(path)
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise PermissionError(f"{file}: other users of this machine can read this key: chmod 600 it")
        return cls.from_pem(file.read_bytes(), passphrase)

    def to_pem(self) -> bytes:
        """The secret as PEM, not encrypted: keep it where only its owner can read it."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        return self._private.sign(message)

    def made(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made a signature."""
        try:
            self._private.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"Key({self.public.hex()})"
