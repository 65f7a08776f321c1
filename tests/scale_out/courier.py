"""The outside world of an exchange on S3: a courier between the bucket and the folder the sandbox sees."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from include.sandbox.exchange_folder import write_atomically
from tests.exchange_places import S3Server

LOOK_EVERY_SECONDS = 0.2


@contextmanager
def courier(folder: Path, server: S3Server) -> Iterator[None]:
    """Bring what partners and RIS lay in `folder`'s inbox to the bucket, and what goes out from the bucket to them."""
    exchange, stop, failed = server.exchange, threading.Event(), []

    def go() -> None:
        brought: set[str] = set()
        try:
            while not stop.wait(LOOK_EVERY_SECONDS):
                for path in sorted((folder / "inbox").rglob("*")):
                    name = str(path.relative_to(folder))
                    if path.is_file() and not name.endswith(".part") and name not in brought:
                        exchange.write(name, path.read_bytes())
                        server.uploaded_at(name, datetime.fromtimestamp(path.stat().st_mtime, UTC))
                        brought.add(name)
                for name in exchange.all_files("outbox"):
                    if not name.endswith(".part") and not (folder / name).exists():
                        write_atomically(folder / name, exchange.read(name))
        except Exception as error:
            failed.append(error)
            raise

    walking = threading.Thread(target=go, name="courier")
    walking.start()
    try:
        yield
    finally:
        stop.set()
        walking.join()
    assert not failed, "the courier fell"
