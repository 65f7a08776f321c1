"""A RIS on real HTTP that keeps its promises badly: busy, broken, cut off, expired, its pages repeated and shifting.

What it holds is its truth; however it misbehaves, a client must end with exactly that.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

FAULTS = (
    "busy",
    "busy_for_a_second",
    "broken",
    "gateway",
    "cut_before",
    "cut_half",
    "half_json",
    "unauthorized",
    "repeat",
)


@dataclass
class FaultyRis:
    """The server's truth, what it does wrong, and what it was asked."""

    token: str = "valid-token"
    fault_share: float = 0.0
    seed: int = 7
    retry_after: str = "0"
    #: faults in this order, before chance decides
    planned: list[str] = field(default_factory=list)
    items: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"outcomes": [], "followups": []})
    #: called before each good page is answered: the truth may change while somebody reads it
    between_pages: Any = None
    rejects: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.lock = threading.Lock()
        self.last_page: dict[str, dict[str, Any]] = {}

    def page(self, kind: str, query: dict[str, list[str]]) -> dict[str, Any]:
        since = datetime.fromisoformat(query["updated_since"][0])
        limit, start = int(query["limit"][0]), int(query.get("cursor", ["0"])[0])
        shown = sorted(
            (item for item in self.items[kind] if _moment(item) >= since),
            key=lambda item: item["updated_at"],
        )
        following = start + limit
        return {"items": shown[start:following], "next_cursor": str(following) if following < len(shown) else None}

    def close(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        if key not in self.batches:
            self.bodies.append(body)
            cases = [item["case_id"] for item in body["items"]]
            self.batches[key] = {
                "batch_id": body["batch_id"],
                "accepted": [case for case in cases if case not in self.rejects],
                "rejected": [{"case_id": case, "reason": self.rejects[case]} for case in cases if case in self.rejects],
            }
        return self.batches[key]


def _moment(item: dict[str, Any]) -> datetime:
    moment = datetime.fromisoformat(item["updated_at"])
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo("Europe/Amsterdam"))


@contextmanager
def faulty_ris(**settings: Any) -> Iterator[FaultyRis]:
    """Serve until the block ends."""
    ris = FaultyRis(**settings)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(ris))
    ris.url = f"http://127.0.0.1:{server.server_port}/ris/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield ris
    finally:
        server.shutdown()
        server.server_close()


def _handler(ris: FaultyRis) -> type[BaseHTTPRequestHandler]:
    def remembered(kind: str, answer: dict[str, Any]) -> dict[str, Any]:
        ris.last_page[kind] = answer
        return answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            kind = parts.path.rsplit("/", 1)[1]

            def good() -> dict[str, Any]:
                answer = ris.page(kind, parse_qs(parts.query))
                if ris.between_pages:
                    ris.between_pages(ris, answer)
                return answer

            self._answer(kind, good)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer("closures", lambda: ris.close(self.headers["Idempotency-Key"], body))

        def _answer(self, kind: str, good: Any) -> None:
            with ris.lock:
                ris.requests.append(self.path)
                if self.headers.get("Authorization") != f"Bearer {ris.token}":
                    self._send(401, {"error": "unauthorized"})
                    return
                if not ris.planned and ris.dice.random() >= ris.fault_share:
                    self._send(200, remembered(kind, good()))
                    return
                fault = ris.planned.pop(0) if ris.planned else ris.dice.choice(FAULTS)
                ris.faults.append(fault)
                self._misbehave(fault, kind, good)

        def _misbehave(self, fault: str, kind: str, good: Any) -> None:
            match fault:
                case "busy":
                    self._send(429, {"error": "busy"}, {"Retry-After": ris.retry_after})
                case "busy_for_a_second":
                    self._send(429, {"error": "busy"}, {"Retry-After": "1"})
                case "broken":
                    self._send(500, {"error": "broken"})
                case "gateway":
                    self._send(503, {"error": "gateway"})
                case "cut_before":
                    self.close_connection = True
                    self.connection.close()
                case "cut_half":
                    # the work is done, the answer is lost on the way
                    data = json.dumps(good()).encode()
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data) + 50))
                    self.end_headers()
                    self.wfile.write(data)
                    self.close_connection = True
                case "half_json":
                    data = json.dumps(good()).encode()[:-3]
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                case "unauthorized":
                    self._send(401, {"error": "token expired"})
                case "repeat":
                    # in the middle of paging, the page before once more
                    is_further = kind != "closures" and "cursor=" in self.path
                    self._send(200, ris.last_page[kind] if is_further else remembered(kind, good()))

        def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler
