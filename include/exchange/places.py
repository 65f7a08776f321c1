"""Where the exchange folders live: this machine, an SFTP server or S3; what differs between them, and nothing else.

The root says where (`/srv/exchange`, `sftp://host:2022/exchange`, `s3://bucket/exchange`), the Airflow connection
`exchange` (AIRFLOW_CONN_EXCHANGE, JSON) says who we are, in the words Airflow's own SFTP and S3 connections use:

    {"login": "platform", "password": "…", "extra": {"host_key": "ssh-ed25519 AAAA…"}}
    {"login": "platform", "extra": {"key_file": "/run/secrets/exchange_key", "known_hosts": "/run/secrets/known_hosts"}}
    {"login": "<access key id>", "password": "<secret access key>", "extra": {"endpoint_url": "https://…"}}

Rule: an SFTP server is spoken to only when its key is the one we were told; without one the platform refuses to connect
(the client library would accept any). S3 without the connection uses the machine's own identity in the cloud.
Rule: a place that cannot be reached is a ConnectionError, so the task is tried again; one that refuses us is not.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from include.settings import SettingMissing

CONNECTION_VARIABLE = "AIRFLOW_CONN_EXCHANGE"
KEEPALIVE_SECONDS = 15
CONNECT_SECONDS = 30


class ExchangeUnreachable(ConnectionError):
    """The place of the exchange does not answer; it passes by itself, or the message says where to look."""


class ExchangeRefused(RuntimeError):
    """The place of the exchange is not the one we know, or does not know us; a person has to look."""


@dataclass(frozen=True)
class Place:
    """The folders below `root` in an fsspec file system; as it is, a folder of this machine."""

    filesystem: Any
    root: str
    #: what a person calls it; never holds a secret
    name: str
    #: the time a file carries is by our own clock, so a file that changed long ago is not being written any more
    clock_is_ours: bool = True
    #: False for an object store: there a folder is only the beginning of names
    has_folders: bool = True

    def make_folder(self, folder: str) -> None:
        self.filesystem.makedirs(folder, exist_ok=True)

    def write(self, path: str, data: bytes) -> None:
        """The file appears at once and whole."""
        draft = f"{path}.part"
        self.filesystem.pipe_file(draft, data)
        self._settle(draft)
        self.rename(draft, path)

    def rename(self, source: str, target: str) -> None:
        """In one step; an existing target is replaced."""
        self.filesystem.mv(source, target)
        self._settle(target.rpartition("/")[0])

    def _settle(self, path: str) -> None:
        """On disk and not only on its way there: what a ledger in PostgreSQL says must outlive a power cut as well."""
        if "file" not in self.filesystem.protocol:
            return  # a server settles its own files
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def reached(self) -> Iterator[None]:
        """What the place's client throws, in our words."""
        yield


@dataclass(frozen=True)
class SftpPlace(Place):
    """Folders on an SFTP server."""

    clock_is_ours: bool = False

    @property
    def is_closed(self) -> bool:
        return self.filesystem.client.is_closed()

    @contextmanager
    def reached(self) -> Iterator[None]:
        import asyncssh

        with _answered(self.name, ConnectionError, TimeoutError, asyncssh.Error):
            yield


@dataclass(frozen=True)
class S3Place(Place):
    """Folders that are the beginnings of names: an object appears whole, and nothing can be renamed."""

    has_folders: bool = False

    def make_folder(self, folder: str) -> None:
        """There are no folders to make."""

    def write(self, path: str, data: bytes) -> None:
        self.filesystem.pipe_file(path, data)

    def rename(self, source: str, target: str) -> None:
        """The copy appears whole, then the source goes; cut off in between both are there, with the same bytes."""
        self.filesystem.cp_file(source, target)
        self.filesystem.rm_file(source)

    @contextmanager
    def reached(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError

        with _answered(self.name, ConnectionError, TimeoutError, BotoCoreError):
            yield


def place_of(root: str, connection: str) -> Place:
    """The place `root` names, reached as the Airflow connection (JSON text, may be empty) says."""
    # a process that was forked cannot use its parent's connections
    place = _place(root, connection, os.getpid())
    if isinstance(place, SftpPlace) and place.is_closed:
        # a process that lives for weeks (the triggerer) outlives connections
        _place.cache_clear()
        place = _place(root, connection, os.getpid())
    return place


@lru_cache(maxsize=8)
def _place(root: str, connection: str, process: int) -> Place:
    kind = urlsplit(root).scheme if "://" in root else "file"
    if urlsplit(root).password and kind != "file":
        raise ExchangeRefused(
            f"VS_EXCHANGE_ROOT holds a password, and it is shown and logged. Put login and password in "
            f"{CONNECTION_VARIABLE} and only the place in VS_EXCHANGE_ROOT."
        )
    if kind in ("sftp", "ssh"):
        return _sftp(root, _given(connection))
    if kind == "s3":
        return _s3(root, _given(connection))
    import fsspec

    # a listing that is remembered would miss what a partner delivered since
    filesystem, path = fsspec.core.url_to_fs(root, use_listings_cache=False)
    return Place(filesystem, path.rstrip("/"), root)


def _given(connection: str) -> dict[str, Any]:
    try:
        given = json.loads(connection or "{}")
        extra = given.get("extra") or {}
        return given | {"extra": json.loads(extra) if isinstance(extra, str) else extra}
    except (ValueError, AttributeError) as error:
        raise SettingMissing(
            f'{CONNECTION_VARIABLE} is not JSON of the form {{"login": …, "password": …, "extra": {{…}}}}; '
            "docs/how-to/scale-out.md shows one for SFTP and one for S3."
        ) from error


def _sftp(root: str, given: Mapping[str, Any]) -> Place:
    import asyncssh

    from include.exchange.sftp_client import SftpFileSystem

    # it tells every channel and every goodbye
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    parts, extra = urlsplit(root), given["extra"]
    name = f"sftp://{parts.hostname}:{parts.port or 22}"
    who = {
        "username": given.get("login") or parts.username,
        "password": given.get("password"),
        # only the key that is named, and none that happens to lie on this machine
        "client_keys": [extra["key_file"]] if extra.get("key_file") else None,
        "passphrase": extra.get("private_key_passphrase"),
        "agent_path": None,
        "config": None,
    }
    with _answered(name, OSError, asyncssh.ConnectionLost):
        try:
            filesystem = SftpFileSystem(
                parts.hostname, port=parts.port or 22, known_hosts=_known_hosts(name, parts, extra),
                keepalive_interval=KEEPALIVE_SECONDS, connect_timeout=CONNECT_SECONDS, skip_instance_cache=True, **who,
            )  # fmt: skip
        except asyncssh.HostKeyNotVerifiable as error:
            raise ExchangeRefused(
                f"{name} shows another host key than {CONNECTION_VARIABLE} names. Nothing was sent. Ask its owner "
                "whether the key changed; if so, put the new one there, and if not, somebody stands in between."
            ) from error
        except PermissionError as error:
            raise ExchangeRefused(
                f"{name} does not let {who['username']!r} in. Mend the login, password or key_file in "
                f"{CONNECTION_VARIABLE}, then run this task again."
            ) from error
    return SftpPlace(filesystem, parts.path.rstrip("/"), name + parts.path.rstrip("/"))


def _known_hosts(name: str, parts: Any, extra: Mapping[str, str]) -> Any:
    if extra.get("known_hosts"):
        return extra["known_hosts"]
    if extra.get("host_key"):
        return f"* {extra['host_key']}\n".encode()
    raise SettingMissing(
        f"{CONNECTION_VARIABLE} does not say which key {name} has (extra.host_key, or extra.known_hosts for a file). "
        f"Look it up with `ssh-keyscan -p {parts.port or 22} {parts.hostname}` and compare it with what its owner says."
    )


def _s3(root: str, given: Mapping[str, Any]) -> Place:
    import s3fs

    extra = given["extra"]
    filesystem = s3fs.S3FileSystem(
        key=given.get("login"), secret=given.get("password"), endpoint_url=extra.get("endpoint_url"),
        client_kwargs={"region_name": extra["region_name"]} if extra.get("region_name") else {},
        config_kwargs={"retries": {"total_max_attempts": 2}, "connect_timeout": CONNECT_SECONDS},
        use_listings_cache=False, skip_instance_cache=True,
    )  # fmt: skip
    # Airflow tries the task again; a place that is away for long is not asked for minutes within one try
    filesystem.retries = 2
    return S3Place(filesystem, root.removeprefix("s3://").rstrip("/"), root)


@contextmanager
def _answered(name: str, *failures: type[BaseException]) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, FileExistsError, PermissionError, ExchangeUnreachable):
        raise
    except failures as error:
        # its own words can hold an address or a name, never a line of a file
        raise ExchangeUnreachable(
            f"The exchange on {name} does not answer ({type(error).__name__}: {str(error)[:200]}). The task is tried "
            f"again by itself; when it stays so, look at that server and at {CONNECTION_VARIABLE}."
        ) from error
