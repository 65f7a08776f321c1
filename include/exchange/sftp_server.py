"""The exchange over SFTP: `python -m include.exchange.sftp_server`, the service `sftp` of docker-compose.yml.

asyncssh speaks SSH and SFTP; this says who may see what. A partner's account sees its own inbox as `/`, where it may
put, rename and list files, and its receipts and feedback as `/receipts`, which it may read. An account of the platform
itself (workers on another machine) sees the whole exchange. The users file, JSON, one account a name:

    {"<partner>": {"password": "…", "public_keys": ["ssh-ed25519 AAAA…"],
                  "folders": {"/": ["inbox/<partner>", "deliver"], "/receipts": ["outbox/partners/<partner>", "read"]}}}

Settings: VS_SFTP_USERS (that file, read again at every login), VS_EXCHANGE_ROOT, VS_SFTP_HOST, VS_SFTP_PORT, and
VS_SFTP_HOST_KEY_FILE (made when it is not there; its public half is logged, for the known_hosts of others).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import posixpath
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import asyncssh

logger = logging.getLogger(__name__)

LOGIN_SECONDS = 30
WRONG_PASSWORD_COSTS_SECONDS = 1.0
PASSWORDS_A_CONNECTION = 3
OWNER_ONLY = 0o600


class Rights(StrEnum):
    """What an account may do in a folder."""

    READ = "read"
    DELIVER = "deliver"
    EVERYTHING = "everything"


class SftpMisconfigured(RuntimeError):
    """A setting or the users file is not as it should be; the message names it."""


@dataclass(frozen=True)
class Folder:
    """One folder as an account sees it: `at` in its own tree, `place` on this machine."""

    at: str
    place: Path
    rights: Rights

    def holds(self, path: str) -> bool:
        return self.at == "/" or path == self.at or path.startswith(f"{self.at}/")


@dataclass(frozen=True)
class Account:
    """One user; `folders` with the deepest first."""

    name: str
    password: str | None
    public_keys: tuple[str, ...]
    folders: tuple[Folder, ...]

    def folder_of(self, path: str) -> Folder:
        found = next((folder for folder in self.folders if folder.holds(path)), None)
        if found is None:
            raise asyncssh.SFTPNoSuchFile("There is nothing here")
        return found


@dataclass(frozen=True)
class Accounts:
    """Who may come in, as the users file says now."""

    users_file: Path
    root: Path

    def account(self, name: str) -> Account | None:
        given = self._read().get(name)
        if given is None:
            return None
        folders = sorted(
            (Folder(at, self._inside(place), Rights(rights)) for at, (place, rights) in given["folders"].items()),
            key=lambda folder: -len(folder.at),
        )
        return Account(name, given.get("password"), tuple(given.get("public_keys", ())), tuple(folders))

    def checked(self) -> list[str]:
        """The names of all accounts; SftpMisconfigured when one of them cannot be used."""
        try:
            names = sorted(self._read())
            for name in names:
                for folder in self.account(name).folders:
                    folder.place.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SftpMisconfigured(
                f"{self.users_file} cannot be used ({type(error).__name__}: {error}). Its form stands at the top of "
                "include/exchange/sftp_server.py; docker/new_secrets.py writes one."
            ) from error
        return names

    def _read(self) -> Mapping[str, Any]:
        return json.loads(self.users_file.read_text(encoding="utf-8"))

    def _inside(self, place: str) -> Path:
        found = (self.root / place).resolve()
        if not found.is_relative_to(self.root.resolve()):
            raise ValueError(f"{place} lies outside the exchange")
        return found


class Login(asyncssh.SSHServer):
    """One connection, until it is somebody's."""

    def __init__(self, accounts: Accounts, open_now: set[asyncssh.SSHServerConnection]) -> None:
        self._accounts = accounts
        self._open_now = open_now
        self._wrong = 0

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connection = connection
        self._open_now.add(connection)

    def connection_lost(self, reason: Exception | None) -> None:
        self._open_now.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        account = self._accounts.account(username)
        expected = (account.password if account else None) or ""
        if hmac.compare_digest(expected.encode(), password.encode()) and expected:
            return self._is_in(account)
        self._wrong += 1
        logger.warning("a login was refused")
        await asyncio.sleep(WRONG_PASSWORD_COSTS_SECONDS)
        if self._wrong >= PASSWORDS_A_CONNECTION:
            raise asyncssh.PermissionDenied("too many attempts")
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        account = self._accounts.account(username)
        known = [asyncssh.import_public_key(text) for text in account.public_keys] if account else []
        return key in known and self._is_in(account)

    def _is_in(self, account: Account) -> bool:
        self._connection.set_extra_info(account=account)
        logger.info("%s is in", account.name)
        return True


class Files(asyncssh.SFTPServer):
    """What one account sees and may do."""

    def __init__(self, channel: asyncssh.SSHServerChannel) -> None:
        super().__init__(channel)
        self._account: Account = channel.get_connection().get_extra_info("account")

    def map_path(self, path: bytes) -> bytes:
        folder, wanted = self._of(path)
        return os.fsencode(folder.place / posixpath.relpath(wanted, folder.at))

    def reverse_map_path(self, path: bytes) -> bytes:
        real = Path(os.fsdecode(path))
        for folder in self._account.folders:
            if real.is_relative_to(folder.place):
                return os.fsencode(posixpath.normpath(posixpath.join(folder.at, real.relative_to(folder.place))))
        raise asyncssh.SFTPNoSuchFile("There is nothing here")

    def realpath(self, path: bytes) -> bytes:
        """The name in the account's own tree; nothing in it is a link."""
        return posixpath.normpath(posixpath.join(b"/", path))

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        writes = bool(pflags & (asyncssh.FXF_WRITE | asyncssh.FXF_APPEND | asyncssh.FXF_CREAT | asyncssh.FXF_TRUNC))
        if writes:
            self._needs(path, Rights.DELIVER, Rights.EVERYTHING)
        if pflags & asyncssh.FXF_READ:
            self._needs(path, Rights.READ, Rights.EVERYTHING)
        return super().open(path, pflags, attrs)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._both(oldpath, newpath)
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._both(oldpath, newpath)
        return super().posix_rename(oldpath, newpath)

    def remove(self, path: bytes) -> Any:
        self._needs(path, Rights.EVERYTHING)
        return super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        if not Path(os.fsdecode(self.map_path(path))).is_dir():  # of one that is there, the client is told just that
            self._needs(path, Rights.EVERYTHING)
        return super().mkdir(path, attrs)

    def rmdir(self, path: bytes) -> Any:
        self._needs(path, Rights.EVERYTHING)
        return super().rmdir(path)

    def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self._needs(path, Rights.DELIVER, Rights.EVERYTHING)
        return super().setstat(path, attrs)

    def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        self._needs(path, Rights.DELIVER, Rights.EVERYTHING)
        return super().lsetstat(path, attrs)

    def readlink(self, path: bytes) -> Any:
        raise asyncssh.SFTPPermissionDenied("There are no links here")

    def symlink(self, oldpath: bytes, newpath: bytes) -> Any:
        raise asyncssh.SFTPPermissionDenied("There are no links here")

    def link(self, oldpath: bytes, newpath: bytes) -> Any:
        raise asyncssh.SFTPPermissionDenied("There are no links here")

    def _of(self, path: bytes) -> tuple[Folder, str]:
        wanted = posixpath.normpath(posixpath.join("/", os.fsdecode(path)))
        return self._account.folder_of(wanted), wanted

    def _needs(self, path: bytes, *rights: Rights) -> None:
        if self._of(path)[0].rights not in rights:
            raise asyncssh.SFTPPermissionDenied("This account may not do that here")

    def _both(self, oldpath: bytes, newpath: bytes) -> None:
        for path in (oldpath, newpath):
            self._needs(path, Rights.DELIVER, Rights.EVERYTHING)


def host_key(file: Path) -> asyncssh.SSHKey:
    """The server's key, made when there is none yet."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=OWNER_ONLY)
        file.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    return asyncssh.read_private_key(str(file))


@dataclass(frozen=True)
class Listening:
    """The running server."""

    acceptor: asyncssh.SSHAcceptor
    open_now: set[asyncssh.SSHServerConnection]

    @property
    def port(self) -> int:
        return self.acceptor.get_port()

    async def end(self) -> None:
        """Take nobody in any more and show everybody out."""
        self.acceptor.close()
        await self.acceptor.wait_closed()
        leaving = list(self.open_now)
        for connection in leaving:
            connection.close()
        await asyncio.gather(*(connection.wait_closed() for connection in leaving))


async def listen(accounts: Accounts, key: asyncssh.SSHKey, host: str, port: int) -> Listening:
    """Serve from now on, until it is told to `end`; only SFTP, no shell and no forwarding."""
    open_now: set[asyncssh.SSHServerConnection] = set()
    acceptor = await asyncssh.create_server(
        lambda: Login(accounts, open_now), host, port, server_host_keys=[key], sftp_factory=Files, allow_scp=False,
        login_timeout=LOGIN_SECONDS, x11_forwarding=False, agent_forwarding=False, process_factory=None,
    )  # fmt: skip
    return Listening(acceptor, open_now)


async def serve(environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT."""
    accounts = Accounts(Path(_required(environment, "VS_SFTP_USERS")), Path(_required(environment, "VS_EXCHANGE_ROOT")))
    names, key = accounts.checked(), host_key(Path(_required(environment, "VS_SFTP_HOST_KEY_FILE")))
    port = int(_required(environment, "VS_SFTP_PORT"))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    listening = await listen(accounts, key, environment.get("VS_SFTP_HOST") or "127.0.0.1", port)
    logger.info("SFTP serves %s accounts on port %s; host key %s", len(names), port, public_line(key))
    await stopping.wait()
    await listening.end()


def public_line(key: asyncssh.SSHKey) -> str:
    """The host key as known_hosts and AIRFLOW_CONN_EXCHANGE want it."""
    return key.export_public_key().decode().strip()


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SftpMisconfigured(f"{name} is not set; docker-compose.yml shows what the service `sftp` needs")
    return value


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    try:
        asyncio.run(serve(os.environ))
    except SftpMisconfigured as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
