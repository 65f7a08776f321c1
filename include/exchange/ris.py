"""RIS over HTTP (interfaces §6): outcomes and follow-ups in, closures out.

What can go wrong on the way is dealt with here and nowhere else: busy (429, with its Retry-After), broken (5xx), cut
connections and half answers are tried again a bounded number of times; everything RIS really refuses becomes an error
that says what to do. Paging by cursor over data that changes can skip an item when the pages shift, so a pull is
repeated until a whole pass brings nothing new.

Where RIS is and which token it takes: include/exchange/ris_connection.py.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from include.exchange.ris_connection import CONNECTION_VARIABLE, RisConnection, TokenRefused, Tokens

logger = logging.getLogger(__name__)

# How often a request is tried in all, by the answer it gets. What is not listed is final at once.
TRIES = {
    401: 3,  # in a row: a token expires while we run and is renewed, by us or in the connection; then give up
    408: 10,
    409: 3,  # the same batch is being handled right now
    425: 10,
    429: 10,
    **dict.fromkeys(range(500, 600), 10),
}
TRIES_CUT = 10
LONGEST_WAIT = 120.0
MOST_PASSES = 6
MOST_PAGES = 20_000
SAME_CURSOR_AT_MOST = 5


class RisError(RuntimeError):
    """RIS could not be asked; the message says what to do."""


class RisUnauthorized(RisError):
    """RIS does not accept the token."""


class RisUnavailable(RisError):
    """RIS stayed busy, broken or out of reach."""


class RisRefused(RisError):
    """RIS understood the request and refuses it (409, 422, …): trying again does not help."""


class _Cut(Exception):
    """The connection was cut or the answer is not whole: try again."""


@dataclass(frozen=True)
class ClosureAnswer:
    """RIS's acknowledgement of one batch, case by case."""

    accepted: frozenset[str]
    rejected: Mapping[str, str]


@dataclass
class RisClient:
    """Speaks to RIS; `sleep` is a parameter so that tests need not wait."""

    connection_source: Callable[[], RisConnection] = RisConnection.from_settings
    sleep: Callable[[float], None] = time.sleep
    page_size: int = 200
    timeout_seconds: float = 30.0
    first_wait_seconds: float = 0.2
    tokens: Tokens = field(default_factory=Tokens)

    def outcomes(self, updated_since: datetime | None) -> list[dict[str, Any]]:
        """Every version of every outcome RIS shows that was updated since then."""
        return self._pull("outcomes", "outcome_id", updated_since)

    def followups(self, updated_since: datetime | None) -> list[dict[str, Any]]:
        """Likewise for the follow-ups Kwadraad records in RIS."""
        return self._pull("followups", "followup_id", updated_since)

    def close(self, batch_id: str, month: str, items: Sequence[Mapping[str, str]]) -> ClosureAnswer:
        """Hand over one closure batch; the same batch again gets the same answer and changes nothing."""
        body = {"batch_id": batch_id, "month": month, "items": list(items)}
        with self._session() as session:
            answer = self._ask(session, "POST", "/closures", json=body, headers={"Idempotency-Key": batch_id})
        if answer.get("batch_id") != batch_id:
            raise RisRefused(
                "RIS acknowledged another closure batch than the one sent; ask RIS's supplier before trying again."
            )
        rejected = {
            str(one["case_id"]): str(one.get("reason") or "no_reason_given") for one in answer.get("rejected", [])
        }
        return ClosureAnswer(frozenset(map(str, answer.get("accepted", []))), rejected)

    # -- paging -----------------------------------------------------------------------------------------------------

    def _pull(self, kind: str, key: str, updated_since: datetime | None) -> list[dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        with self._session() as session:
            for number in range(1, MOST_PASSES + 1):
                before, pages, is_whole = len(found), 0, True
                try:
                    for page in self._pages(session, kind, updated_since):
                        pages += 1
                        for item in page:
                            # an item without its key is kept as well: it is judged, not lost, when it is loaded
                            name = str(item.get(key)) if item.get(key) else json.dumps(item, sort_keys=True)
                            found.setdefault((name, str(item.get("updated_at"))), item)
                except RisRefused:
                    # a cursor can expire between two pages: start over; a refused first page is no such thing
                    if pages == 0 or number == MOST_PASSES:
                        raise
                    is_whole = False
                logger.info(
                    "RIS %s pass %s: %s pages, %s items new in this pull", kind, number, pages, len(found) - before
                )
                if is_whole and len(found) == before:
                    break
        return list(found.values())

    def _pages(
        self, session: httpx.Client, kind: str, updated_since: datetime | None
    ) -> Iterator[list[dict[str, Any]]]:
        since = (updated_since or datetime(2000, 1, 1, tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        cursor: str | None = None
        seen: dict[str, int] = {}
        for _ in range(MOST_PAGES):
            parameters = {"updated_since": since, "limit": str(self.page_size)} | ({"cursor": cursor} if cursor else {})
            answer = self._ask(session, "GET", f"/{kind}", params=parameters)
            items = answer.get("items")
            yield [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
            cursor = answer.get("next_cursor")
            if not cursor:
                return
            seen[cursor] = seen.get(cursor, 0) + 1
            if seen[cursor] > SAME_CURSOR_AT_MOST:
                raise RisUnavailable(
                    f"RIS keeps answering the same page of {kind}; report it to RIS's supplier and run this task again."
                )
        raise RisUnavailable(f"RIS shows more than {MOST_PAGES} pages of {kind}; report it to RIS's supplier.")

    # -- one request, with its retries --------------------------------------------------------------------------------

    def _session(self) -> httpx.Client:
        return httpx.Client(timeout=self.timeout_seconds, follow_redirects=False)

    def _ask(self, session: httpx.Client, method: str, path: str, **request: Any) -> dict[str, Any]:
        tries: dict[int, int] = {}
        tried = 0
        while True:
            connection = self.connection_source()
            retry_after: str | None = None
            try:
                response = self._send(session, connection, method, path, dict(request))
                if response.status_code == httpx.codes.OK:
                    return _whole_object(response)
                status, most = response.status_code, TRIES.get(response.status_code, 1)
                retry_after = response.headers.get("Retry-After")
            except TokenRefused as refused:
                status, most = refused.status, TRIES.get(refused.status, 1)
            except (httpx.TransportError, _Cut) as cut:
                status, most = 0, TRIES_CUT
                logger.info("RIS %s %s was cut (%s)", method, path, type(cut).__name__)
            tried += 1
            if status == httpx.codes.UNAUTHORIZED:
                self.tokens.forget(connection)
            else:
                tries.pop(httpx.codes.UNAUTHORIZED, None)
            tries[status] = tries.get(status, 0) + 1
            if tries[status] >= most or tried >= 3 * TRIES_CUT:
                raise _final(method, path, status, tried, connection)
            self.sleep(self._wait(tried, retry_after, path))

    def _send(
        self, session: httpx.Client, connection: RisConnection, method: str, path: str, request: dict[str, Any]
    ) -> httpx.Response:
        token = self.tokens.token(connection, session)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"} | request.pop("headers", {})
        return session.request(method, connection.base_url + path, headers=headers, **request)

    def _wait(self, tried: int, retry_after: str | None, path: str) -> float:
        asked = _seconds(retry_after)
        if asked is None:
            return min(self.first_wait_seconds * 2 ** (tried - 1), 30.0)
        if asked > LONGEST_WAIT:
            raise RisUnavailable(
                f"RIS asks to wait {asked:.0f} seconds before {path} is asked again; run this task again after that."
            )
        return asked


def _whole_object(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError as error:
        raise _Cut from error
    if not isinstance(answer, dict):
        raise _Cut
    return answer


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After holds seconds or an HTTP date."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None


def _final(method: str, path: str, status: int, tried: int, connection: RisConnection) -> RisError:
    where = f"{method} {connection.base_url}{path}"
    if status in (401, 403):
        return RisUnauthorized(
            f"RIS does not accept our token ({status} on {where}). Put a valid {_credential(connection)} in the "
            f"connection `ris` ({CONNECTION_VARIABLE}) and run this task again; nothing was lost."
        )
    if status == 0:
        return RisUnavailable(
            f"RIS is out of reach: {where} was cut {tried} times. Check the address and RIS, then run this task again."
        )
    if status in TRIES and status != httpx.codes.CONFLICT:
        return RisUnavailable(
            f"RIS stays unavailable: {where} answered {status} after {tried} tries. Run this task again later."
        )
    return RisRefused(
        f"RIS refuses {where} with {status}. It does not pass by itself: compare it with the interface and ask "
        "RIS's supplier."
    )


def _credential(connection: RisConnection) -> str:
    return "token (password)" if connection.token_url is None else "client id and secret (login, password)"
