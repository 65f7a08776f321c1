"""RIS as a real HTTP server (interfaces §6): bearer token, two feeds, closures.

Normally the token is fixed. With `token_lasts` it is the secret with which a client asks `POST /token` (OAuth 2 client
credentials) for tokens that serve so many requests.

The standard library's threading server: one small process, nothing to configure. Log lines hold method, path and
status, never a parameter or a body.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
import socket
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from include.sandbox.faults import FOR_CLOSURES, FOR_READING, FOR_TOKENS, Fault, Faults
from include.sandbox.ris import DEFAULT_PAGE, InvalidRequest, KeyReused, Page, Ris

logger = logging.getLogger(__name__)

BASE_PATH = "/ris/v1"
FEEDS = ("outcomes", "followups")
MAX_BODY = 16 * 1024 * 1024
RETRY_AFTER_SECONDS = 1


class RisServer(ThreadingHTTPServer):
    """Serves one `Ris` on 127.0.0.1 (or the host given) until `shutdown()`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, ris: Ris, host: str, port: int, token: str) -> None:
        self.ris = ris
        self.token = token
        self.faults = Faults(ris.settings.seed, ris.settings.faults)
        self.tokens_issued = 0
        self._requests_left: dict[str, int] = {}
        self._slipped: set[str] = set()
        self._lock = Lock()
        super().__init__((host, port), _Handler)

    def issue_token(self) -> str:
        """A token for so many requests."""
        with self._lock:
            self.tokens_issued += 1
            token = secrets.token_urlsafe(24)
            self._requests_left[token] = self.ris.settings.token_lasts
            return token

    def takes(self, token: str) -> bool:
        """Whether this token is accepted once more."""
        if not self.ris.settings.token_lasts:
            return hmac.compare_digest(token.encode(), self.token.encode())
        with self._lock:
            left = self._requests_left.get(token, 0)
            self._requests_left[token] = left - 1
            return left > 0

    def slips(self, item: Mapping[str, Any]) -> bool:
        """An item slips away once: who reads again finds it."""
        key = f"{item.get('outcome_id') or item.get('followup_id')}|{item['updated_at']}"
        with self._lock:
            is_new = key not in self._slipped
            self._slipped.add(key)
            return is_new

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no event; anything else is logged with its traceback."""
        logger.debug("a connection ended early", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: RisServer
    protocol_version = "HTTP/1.1"
    server_version = "RIS-sandbox"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True  # headers and body are two writes; a keep-alive client would wait 40 ms between them

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        path = urlsplit(self.path).path
        try:
            body = self._body()
            if path == f"{BASE_PATH}/health" and method == "GET":
                return self._answer(HTTPStatus.OK, {"status": "ok"})
            if path == f"{BASE_PATH}/token" and method == "POST" and self.server.ris.settings.token_lasts:
                return self._token()
            if not self._is_authorised():
                return self._answer(HTTPStatus.UNAUTHORIZED, {"error": "token missing or not accepted"})
            feed = path.removeprefix(f"{BASE_PATH}/")
            if method == "GET" and feed in FEEDS and path.startswith(BASE_PATH):
                return self._feed(feed)
            if method == "POST" and path == f"{BASE_PATH}/closures":
                return self._closures(body)
            known = {f"{BASE_PATH}/{each}" for each in (*FEEDS, "closures")}
            status = HTTPStatus.METHOD_NOT_ALLOWED if path in known else HTTPStatus.NOT_FOUND
            return self._answer(status, {"error": status.phrase})
        except InvalidRequest as error:
            return self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
        except KeyReused as error:
            return self._answer(HTTPStatus.CONFLICT, {"error": str(error)})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception:
            logger.exception("%s %s failed", method, path)
            return self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "internal error"})

    def _feed(self, feed: str) -> None:
        given = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        fault = self.server.faults.next(FOR_READING)
        if self._is_refused(fault):
            return None
        limit = _limit(given.get("limit"))
        cursor = given.get("cursor")
        overlap = min(limit, 3) if fault == Fault.PAGE_SHIFTED else 0
        page = self.server.ris.page(feed, given.get("updated_since"), cursor, limit, overlap)
        if fault == Fault.PAGE_REPEATED and cursor:
            page = Page(page.items, cursor)
        if fault == Fault.PAGE_SKIPS and page.items and self.server.slips(page.items[0]):
            page = Page(page.items[1:], page.next_cursor)
        answer = {"items": page.items, "next_cursor": page.next_cursor}
        return self._answer(HTTPStatus.OK, answer, cut=fault == Fault.CUT_HALFWAY)

    def _token(self) -> None:
        fault = self.server.faults.next(FOR_TOKENS)
        if self._is_refused(fault):
            return None
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        _, _, secret = base64.b64decode(given.encode()).partition(b":")
        if not hmac.compare_digest(secret, self.server.token.encode()):
            return self._answer(HTTPStatus.UNAUTHORIZED, {"error": "invalid_client"})
        answer = {"access_token": self.server.issue_token(), "token_type": "Bearer"}
        return self._answer(HTTPStatus.OK, answer, cut=fault == Fault.CUT_HALFWAY)

    def _closures(self, body: bytes) -> None:
        fault = self.server.faults.next(FOR_CLOSURES)
        if self._is_refused(fault):
            return None
        answer = self.server.ris.close(self.headers.get("Idempotency-Key"), body)
        if fault == Fault.CUT_AFTER:
            return self._hang_up()
        return self._answer(HTTPStatus.OK, answer, cut=fault == Fault.CUT_HALFWAY)

    def _is_refused(self, fault: Fault | None) -> bool:
        """Answer with the fault itself, when it is one that needs no content."""
        match fault:
            case Fault.TOO_MANY:
                self._answer(HTTPStatus.TOO_MANY_REQUESTS, {"error": "too many requests"}, retry_after=True)
            case Fault.SERVER_ERROR:
                self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "internal error"})
            case Fault.UNAVAILABLE:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "maintenance"})
            case Fault.TOKEN_EXPIRED:
                self._answer(HTTPStatus.UNAUTHORIZED, {"error": "token expired"})
            case Fault.CUT_BEFORE:
                self._hang_up()
            case _:
                return False
        return True

    def _is_authorised(self) -> bool:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return kind == "Bearer" and self.server.takes(token)

    def _body(self) -> bytes:
        """Always read, so that the connection can be used again."""
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError as error:
            self.close_connection = True
            raise InvalidRequest("Content-Length is not a number") from error
        if not 0 <= length <= MAX_BODY:
            self.close_connection = True
            raise InvalidRequest("the body is too large")
        return self.rfile.read(length) if length else b""

    def _answer(
        self, status: HTTPStatus, content: Mapping[str, Any], *, retry_after: bool = False, cut: bool = False
    ) -> None:
        payload = json.dumps(content, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(payload)))
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Bearer")
        if retry_after:
            self.send_header("Retry-After", str(RETRY_AFTER_SECONDS))
        self.end_headers()
        if cut:
            self.wfile.write(payload[: len(payload) // 2])
            self.wfile.flush()
            return self._hang_up()
        self.wfile.write(payload)
        return None

    def _hang_up(self) -> None:
        """Close the socket under the client."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            logger.debug("the client was gone already")

    def log_message(self, format: str, *args: Any) -> None:
        return

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        logger.info("%s %s %s", self.command, urlsplit(self.path).path, int(code))


def _limit(text: str | None) -> int:
    try:
        return int(text) if text else DEFAULT_PAGE
    except ValueError as error:
        raise InvalidRequest("limit is not a number") from error
