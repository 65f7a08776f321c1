"""The exchange in its three kinds of place, each a real one on this machine: a folder, an SFTP server, an S3 server."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from include.exchange.folders import Exchange
from include.exchange.sftp_server import Accounts, host_key, listen, public_line

PLATFORM, PARTNER = "platform", "zorgplus"
BUCKET = "vroegsignalering"


@dataclass(frozen=True)
class SftpServer:
    """A running server: its port, its folder, its host key, and the files with which accounts come in."""

    port: int
    root: Path
    host_key: str
    passwords: dict[str, str]
    key_file: Path

    @property
    def url(self) -> str:
        return f"sftp://127.0.0.1:{self.port}/"

    def connection(self, name: str = PLATFORM, **instead: str) -> str:
        """AIRFLOW_CONN_EXCHANGE for an account with its password."""
        extra = {"host_key": instead.get("host_key", self.host_key)}
        return json.dumps(
            {"login": name, "password": instead.get("password", self.passwords[name]), "extra": extra}
        )

    def connection_with_key(self) -> str:
        return json.dumps({"login": PLATFORM, "extra": {"key_file": str(self.key_file), "host_key": self.host_key}})


@contextmanager
def sftp_server(home: Path, root: Path) -> Iterator[SftpServer]:
    """The platform's own SFTP service over `root`, in a thread, with an account of the platform and of one partner."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    home.mkdir(parents=True, exist_ok=True)
    key_file = home / "platform_key"
    key_file.touch(mode=0o600)
    key_file.write_bytes(key.export_private_key())
    passwords = {name: secrets.token_urlsafe(16) for name in (PLATFORM, PARTNER)}
    users = {
        PLATFORM: {
            "password": passwords[PLATFORM],
            "public_keys": [key.export_public_key().decode()],
            "folders": {"/": ["", "everything"]},
        },
        PARTNER: {
            "password": passwords[PARTNER],
            "folders": {
                "/": [f"inbox/{PARTNER}", "deliver"],
                "/receipts": [f"outbox/partners/{PARTNER}", "read"],
            },
        },
    }
    (home / "users.json").write_text(json.dumps(users), encoding="utf-8")
    root.mkdir(parents=True, exist_ok=True)
    accounts, own = Accounts(home / "users.json", root), host_key(home / "host_key")
    assert accounts.checked() == sorted(users)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sftp", daemon=True)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(listen(accounts, own, "127.0.0.1", 0), loop).result(20)
    try:
        yield SftpServer(listening.port, root, public_line(own), passwords, key_file)
    finally:
        asyncio.run_coroutine_threadsafe(listening.end(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


@dataclass(frozen=True)
class S3Server:
    """A running server with one bucket."""

    endpoint: str
    access_key: str = "test"
    url: str = f"s3://{BUCKET}/exchange"

    @property
    def connection(self) -> str:
        extra = {"endpoint_url": self.endpoint, "region_name": "eu-west-1"}
        return json.dumps({"login": self.access_key, "password": "test", "extra": extra})

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.url, self.connection)

    def uploaded_at(self, path: str, moment: datetime) -> None:
        """Say that a file of the exchange came in at `moment`: S3 knows only now, and played months lie in the past."""
        from moto.backends import get_backend
        from moto.core import DEFAULT_ACCOUNT_ID

        bucket = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET]
        key = f"{self.url}/{path}".removeprefix(f"s3://{BUCKET}/")
        bucket.keys[key].last_modified = moment.astimezone(UTC).replace(tzinfo=None)


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """moto's server in a thread, with an empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        # requests to this machine go to this machine, whatever proxy it has
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            running = S3Server(f"http://127.0.0.1:{server.get_host_and_port()[1]}")
            boto3.client(
                "s3", endpoint_url=running.endpoint, region_name="eu-west-1", aws_access_key_id="test",
                aws_secret_access_key="test",
            ).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})  # fmt: skip
            yield running
        finally:
            server.stop()
