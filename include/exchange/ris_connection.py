"""Where RIS is and how we say who we are: the Airflow connection `AIRFLOW_CONN_RIS`, and a token that may expire.

Rule: the connection is read again for every try, so what is renewed there counts at once. Three ways to a token, by
what the connection holds (JSON; `extra` as an object or as text):

- `password`: the token itself;
- `extra.token_file`: a file with the token, kept fresh by somebody else (a mounted secret);
- `extra.token_url`: an OAuth 2 token endpoint; `login` and `password` are the client's id and secret (client
  credentials, RFC 6749 §4.4). The token is asked for when there is none, and again when RIS no longer takes it.

Reason: a token that expires in the middle of a month must cost one request, not a month.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from include.settings import SettingMissing, Settings

BASE_PATH = "/ris/v1"
CONNECTION_VARIABLE = "AIRFLOW_CONN_RIS"


class TokenRefused(RuntimeError):
    """The token endpoint does not give us a token; carries its status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the token endpoint answered {status}")
        self.status = status


@dataclass(frozen=True)
class RisConnection:
    """Where RIS is and with which token or client; secrets are never shown."""

    base_url: str
    token: str = field(repr=False)
    token_url: str | None = None
    client_id: str | None = None

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> RisConnection:
        """Read the Airflow connection `ris` (JSON or URI)."""
        text = (settings or Settings.from_environment()).environment.get(CONNECTION_VARIABLE, "")
        if not text:
            raise SettingMissing(
                f"{CONNECTION_VARIABLE} is not set: the connection to RIS is unknown. Set it to "
                '{"conn_type": "http", "host": "https://<ris>/ris/v1", "password": "<token>"}, '
                "or set VS_RIS_BY=files when RIS exchanges files."
            )
        return _from_json(text) if text.lstrip().startswith("{") else _from_uri(text)


@dataclass
class Tokens:
    """The token of this process: kept while RIS takes it, renewed when it does not."""

    _fetched: dict[str, str] = field(default_factory=dict)

    def token(self, connection: RisConnection, session: httpx.Client) -> str:
        """The token to send now; may ask the token endpoint (and raise what httpx raises, or TokenRefused)."""
        if connection.token_url is None:
            return connection.token
        if connection.token_url not in self._fetched:
            self._fetched[connection.token_url] = _fetched(connection, session)
        return self._fetched[connection.token_url]

    def forget(self, connection: RisConnection) -> None:
        """RIS did not take it: the next try gets another."""
        if connection.token_url is not None:
            self._fetched.pop(connection.token_url, None)


def _fetched(connection: RisConnection, session: httpx.Client) -> str:
    answer = session.post(
        str(connection.token_url),
        data={"grant_type": "client_credentials"},
        auth=(connection.client_id or "", connection.token),
    )
    if answer.status_code != httpx.codes.OK:
        raise TokenRefused(answer.status_code)
    try:
        token = answer.json().get("access_token")
    except (ValueError, AttributeError) as error:
        raise httpx.RemoteProtocolError("the token endpoint's answer is not whole") from error
    if not token:
        raise httpx.RemoteProtocolError("the token endpoint's answer holds no token")
    return str(token)


def _from_json(text: str) -> RisConnection:
    given = json.loads(text)
    host = str(given.get("host") or "")
    if "://" not in host:
        host = f"{given.get('schema') or given.get('conn_type') or 'https'}://{host}"
    if given.get("port") and urlsplit(host).port is None:
        parts = urlsplit(host)
        host = parts._replace(netloc=f"{parts.hostname}:{given['port']}").geturl()
    extra = _extra(given.get("extra"))
    return RisConnection(
        base_url=_with_path(host),
        token=_from_file(extra.get("token_file")) or str(given.get("password") or ""),
        token_url=extra.get("token_url"),
        client_id=given.get("login"),
    )


def _extra(given: Any) -> Mapping[str, str]:
    return json.loads(given) if isinstance(given, str) and given else given or {}


def _from_file(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingMissing(
            f"The file with the token of RIS cannot be read ({path}, named in {CONNECTION_VARIABLE}, "
            f"extra.token_file): {error.strerror}. Mount it, or put the token in the connection's password."
        ) from error


def _from_uri(text: str) -> RisConnection:
    parts = urlsplit(text)
    netloc = parts.hostname or ""
    if parts.port:
        netloc += f":{parts.port}"
    return RisConnection(_with_path(f"{parts.scheme}://{netloc}{parts.path}"), unquote(parts.password or ""))


def _with_path(url: str) -> str:
    return (url if urlsplit(url).path.strip("/") else url.rstrip("/") + BASE_PATH).rstrip("/")
