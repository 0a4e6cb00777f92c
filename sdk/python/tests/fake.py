"""A gateway for tests that answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

NETWORK = "11" * 32


class Request:
    """What was asked."""

    def __init__(self, method: str, target: str, headers: Any, body: bytes) -> None:
        parts = urlsplit(target)
        self.method, self.path, self.headers, self.body = method, parts.path, headers, body
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}


#: A status with JSON; or a text, which is sent as a stream of events; or nothing: the connection is cut.
Reply = tuple[int, dict[str, Any]] | str | None


def refusal(code: int, status: int, name: str = "", **more: Any) -> Reply:
    return status, {"error": {"code": code, "name": name, "message": f"no: {code}", **more}}


class Gateway:
    """A gateway; all that it was asked, without questions for the status, is in `asked`."""

    def __init__(self, answer: Callable[[Request], Reply], network: str = NETWORK) -> None:
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, self.headers, body)
                reply: Reply = (200, {"as_of": {"height": 7}, "status": {"network": network}})
                if request.path != "/v1/status":
                    gateway.asked.append(request)
                    reply = answer(request)
                if reply is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                if isinstance(reply, str):
                    self.send_response(200)
                    self.send_header("Content-Type", "text/event-stream")
                    self.send_header("Connection", "close")
                    self.end_headers()
                    self.wfile.write(reply.encode())
                    self.close_connection = True
                    return
                status, value = reply
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.asked: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def script(*replies: Reply) -> Callable[[Request], Reply]:
    """These answers, one after the other; the last one from then on."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
