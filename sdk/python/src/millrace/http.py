"""One gateway over HTTP/1.1, with TLS and a token where it takes them. Connections are kept and used again."""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from .errors import AnswerUnreadable, ApiError, error_of

#: An answer that is longer is refused: the longest proof has 34 MiB in hexadecimal.
ANSWER_BYTES_MAX = 64 << 20
#: A line of a stream that is longer is refused.
LINE_BYTES_MAX = 4 << 20
#: Connections that are kept open while nothing is asked.
KEPT_MAX = 8

Query = Mapping[str, "str | int | None"]


class LinkBroken(Exception):
    """Nothing was heard of a request. `sent` says whether the gateway may have it."""

    def __init__(self, reason: object, sent: bool) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """An answer that came whole."""

    status: int
    retry_after: float | None
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            shown = self.body[:80]
            raise AnswerUnreadable(f"HTTP {self.status} with {shown!r}: is this a Millrace gateway?") from None

    def value(self) -> dict[str, Any]:
        """What was answered; raises the error that it is."""
        value = self.json()
        if not isinstance(value, dict):
            raise AnswerUnreadable(f"HTTP {self.status} with JSON that is no object")
        if self.status >= 400:
            raise self.error(value)
        return value

    def error(self, value: Any) -> ApiError:
        """The error in an answer."""
        error = value.get("error") if isinstance(value, dict) else None
        if not isinstance(error, dict):
            raise AnswerUnreadable(f"HTTP {self.status} without an error that can be read")
        return error_of(error, self.status, self.retry_after)


class Stream:
    """A stream of events that is open: lines, until it ends or breaks."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response

    def lines(self) -> Iterator[str]:
        """The lines, without their ends."""
        while True:
            try:
                line = self._response.readline(LINE_BYTES_MAX + 1)
            except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
                raise LinkBroken(error, sent=True) from None
            if not line:
                return
            if len(line) > LINE_BYTES_MAX:
                raise AnswerUnreadable("a line of the stream is too long")
            yield line.decode("utf-8", "replace").rstrip("\r\n")

    def close(self) -> None:
        """Ends it."""
        self._connection.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Endpoint:
    """The address of one gateway."""

    def __init__(self, url: str, *, token: str | None, ca_file: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a gateway: write http://HOST:PORT or https://HOST:PORT")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address has neither a name and password nor a query: tokens are given as token=")
        if token is not None and parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError(f"{parts.hostname} is another machine: a token is sent there over https only")
        if token is not None and not all(33 <= ord(letter) <= 126 for letter in token):
            raise ValueError("the token has characters that no token has")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._base = parts.path.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port
        self._token = token
        self._timeout = timeout
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._kept: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Endpoint({self.url})"

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes | None = None,
        content: str | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Asks, and reads the whole answer. Raises `LinkBroken` where none came."""
        with self._lock:
            connection = self._kept.pop() if self._kept else None
        was_sent = False
        if connection is not None:
            try:
                return self._exchange(connection, method, path, query, body, content, timeout)
            except LinkBroken as error:
                # It may have been closed while it was kept: every request here can be sent again.
                if isinstance(error.__cause__, TimeoutError):
                    raise
                was_sent = error.sent
        try:
            return self._exchange(self._fresh(), method, path, query, body, content, timeout)
        except LinkBroken as error:
            # What the first attempt may have brought there is not taken back by the second.
            raise LinkBroken(error, error.sent or was_sent) from error.__cause__

    def stream(self, path: str, query: Query | None, timeout: float) -> Stream:
        """Opens a stream of events, on which something comes at least every `timeout` seconds."""
        connection = self._fresh()
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        try:
            response = self._sent(connection, "GET", path, query, None, headers, timeout)
            if response.status == 200:
                return Stream(connection, response)
            answer = self._read(response)
        except LinkBroken:
            connection.close()
            raise
        connection.close()
        raise answer.error(answer.json())

    def close(self) -> None:
        """Closes the connections that are kept."""
        with self._lock:
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def _fresh(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Query | None,
        body: bytes | None,
        content: str | None,
        timeout: float | None,
    ) -> Answer:
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = content
        try:
            answer = self._read(self._sent(connection, method, path, query, body, headers, timeout))
        except BaseException:
            connection.close()
            raise
        with self._lock:
            if connection.sock is not None and len(self._kept) < KEPT_MAX:
                self._kept.append(connection)
                return answer
        connection.close()
        return answer

    def _sent(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        query: Query | None,
        body: bytes | None,
        headers: dict[str, str],
        timeout: float | None,
    ) -> http.client.HTTPResponse:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._base + path + ("?" + urlencode(given) if given else "")
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        sent = False
        try:
            if connection.sock is None:
                connection.connect()
            connection.sock.settimeout(self._timeout if timeout is None else timeout)
            sent = True
            connection.request(method, target, body, headers)
            return connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise LinkBroken(f"{self.url}: its certificate is not trusted ({error.verify_message})", False) from error
        except (OSError, http.client.HTTPException) as error:
            raise LinkBroken(f"{self.url}: {error or type(error).__name__}", sent) from error

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        try:
            body = response.read(ANSWER_BYTES_MAX + 1)
            if len(body) <= ANSWER_BYTES_MAX and not response.isclosed():
                response.read()
        except (OSError, http.client.HTTPException) as error:
            raise LinkBroken(f"{self.url}: {error or type(error).__name__}", True) from error
        if len(body) > ANSWER_BYTES_MAX:
            raise AnswerUnreadable(f"{self.url}: the answer has more than {ANSWER_BYTES_MAX} bytes")
        after = response.getheader("Retry-After")
        return Answer(response.status, float(after) if after and after.isdigit() else None, body)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
