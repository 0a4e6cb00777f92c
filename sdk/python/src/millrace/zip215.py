"""Ed25519 verification by the rules of ZIP-215, as validators do it.

The rules: A and R may be written in any way that names a point (y is taken modulo p, and a zero x may have its sign
set); s is below the order of the group; and [8][s]B = [8]R + [8][k]A, where k is the hash over the bytes as they came.
`cryptography` verifies by other rules, so two programs could disagree about a certificate. What is verified is public:
nothing here needs constant time. Signing is not done here.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_M1 = pow(2, (_P - 1) // 4, _P)

#: Extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z.
_Point = tuple[int, int, int, int]
_IDENTITY: _Point = (0, 1, 1, 0)


def _add(a: _Point, b: _Point) -> _Point:
    m = (a[1] - a[0]) * (b[1] - b[0]) % _P
    n = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c = 2 * a[3] * b[3] * _D % _P
    d = 2 * a[2] * b[2] % _P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _double(a: _Point) -> _Point:
    x2, y2 = a[0] * a[0] % _P, a[1] * a[1] % _P
    c = 2 * a[2] * a[2] % _P
    h = x2 + y2
    e = h - (a[0] + a[1]) ** 2 % _P
    g = x2 - y2
    f = c + g
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _negated(a: _Point) -> _Point:
    return -a[0] % _P, a[1], a[2], -a[3] % _P


def _point(encoded: bytes) -> _Point | None:
    """The point that 32 bytes name, if they name one."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % _P
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * v**3 * pow(u * v**7, (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _SQRT_M1 % _P
        if v * x * x % _P != u:
            return None
    if x & 1 != sign:
        x = -x % _P
    return x, y, 1, x * y % _P


def _base() -> _Point:
    found = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    assert found is not None
    return found


_B = _base()


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature is valid."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    r_bytes, s = signature[:32], int.from_bytes(signature[32:], "little")
    a, r = _point(public_key), _point(r_bytes)
    if s >= _L or a is None or r is None:
        return False
    k = int.from_bytes(hashlib.sha512(r_bytes + public_key + message).digest(), "little") % _L
    minus_a = _negated(a)
    both = _add(_B, minus_a)
    # [s]B - [k]A, bit by bit together.
    total = _IDENTITY
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        total = _double(total)
        of_s, of_k = s >> bit & 1, k >> bit & 1
        if of_s or of_k:
            total = _add(total, both if of_s and of_k else _B if of_s else minus_a)
    difference = _add(total, _negated(r))
    for _ in range(3):
        difference = _double(difference)
    return difference[0] % _P == 0 and (difference[1] - difference[2]) % _P == 0
