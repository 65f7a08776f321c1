"""The exchange folders of interfaces §1, wherever they live.

Rule: everything that comes in or goes out as a file passes through `Exchange`; paths are relative to its root
(`inbox/zorgplus/…`). The root is a setting: a local folder, `sftp://…` or `s3://…`; what differs between those, and how
we say who we are, is in `places.py`.
Reason: half a file read, or half a file seen by the other party, is a wrong month. A file is read only when it is
complete, and written under a name nobody reads before it gets its own. And a network folder that is not mounted looks
like an exchange to which nobody delivered, and takes files that nobody will ever find: where a folder is missing, the
exchange itself must be there, which is seen by its `inbox` (`lay_out` makes it, once, at set-up).
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from include.exchange.places import ExchangeUnreachable, Place, place_of
from include.settings import Settings

INBOX = "inbox"
# Names of files that are still being written, by us or by a partner's upload program.
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
SETTLED_AFTER_SECONDS = 5.0
SECOND_LOOK_AFTER_SECONDS = 0.5
PIECE_BYTES = 4 * 1024 * 1024
MOST_IN_MEMORY_BYTES = 32 * 1024 * 1024
MOST_WAITING_PIECES = 16


class OutsideTheExchange(ValueError):
    """A path leads out of the exchange root."""


@dataclass(frozen=True)
class ExchangeFile:
    """One complete file; `path` is relative to the root."""

    path: str
    size: int

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def folder(self) -> str:
        return str(PurePosixPath(self.path).parent)


@dataclass(frozen=True)
class Exchange:
    """The exchange folders below `root`; `connection` is the Airflow connection that leads there (JSON, or empty)."""

    root: str
    connection: str = field(default="", repr=False)

    @classmethod
    def from_settings(cls) -> Exchange:
        settings = Settings.from_environment()
        return cls(settings.exchange_root, settings.exchange_connection)

    @contextmanager
    def _place(self) -> Iterator[Place]:
        """The place to work in; what goes wrong in reaching it is said in our words."""
        place = place_of(self.root, self.connection)
        with place.reached():
            yield place

    @staticmethod
    def _at(place: Place, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts:
            raise OutsideTheExchange(f"{path!r} does not lie in the exchange; give a path such as inbox/zorgplus/…")
        return f"{place.root}/{'/'.join(parts)}"

    def lay_out(self) -> None:
        """Make the exchange: what every later look takes as the sign that it is reached."""
        with self._place() as place:
            place.make_folder(self._at(place, INBOX))

    def _require(self, place: Place) -> None:
        """ExchangeUnreachable unless the exchange is there; object stores have no folders to lose."""
        if place.has_folders and not place.filesystem.isdir(self._at(place, INBOX)):
            raise ExchangeUnreachable(
                f"The exchange folders are not reachable: there is no {INBOX}/ in {place.name}. Nothing was read or "
                "written there. Mount the folder again (or mend the connection), then run this task again; Airflow "
                "does so by itself for a while. A new exchange gets its folders from `vs up`."
            )

    def _make_folder_of(self, place: Place, target: str) -> None:
        folder = target.rpartition("/")[0]
        if place.has_folders and not place.filesystem.isdir(folder):
            self._require(place)
        place.make_folder(folder)

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in `folder`."""
        return sorted(
            PurePosixPath(entry["name"]).name for entry in self._listing(folder) if entry["type"] == "directory"
        )

    def files(self, *folders: str) -> list[ExchangeFile]:
        """The complete files in `folders`, by name: no unfinished names, nothing whose size still changes."""
        first = self._looks(folders)
        with self._place() as place:
            unsettled = {
                path for path, (_, changed_at) in first.items() if not (place.clock_is_ours and _is_settled(changed_at))
            }
        if unsettled:
            time.sleep(SECOND_LOOK_AFTER_SECONDS)
            second = self._looks(folders)
            first = {path: look for path, look in first.items() if path not in unsettled or second.get(path) == look}
        return [ExchangeFile(path, size) for path, (size, _) in sorted(first.items())]

    def _looks(self, folders: Sequence[str]) -> dict[str, tuple[int, float | None]]:
        """Size and time of change of every file with a finished name."""
        return {
            f"{folder.rstrip('/')}/{name}": (int(entry["size"] or 0), _changed_at(entry))
            for folder in folders
            for entry in self._listing(folder)
            if entry["type"] == "file"
            and not (name := PurePosixPath(entry["name"]).name).startswith(".")
            and not name.lower().endswith(UNFINISHED)
        }

    def _listing(self, folder: str) -> list[dict[str, Any]]:
        with self._place() as place:
            try:
                return place.filesystem.ls(self._at(place, folder), detail=True)
            except FileNotFoundError:
                self._require(place)
                return []

    def all_files(self, folder: str) -> list[str]:
        """The paths of all files in `folder` and below it, finished or not."""
        with self._place() as place:
            try:
                found = place.filesystem.find(self._at(place, folder))
            except FileNotFoundError:
                found = []
            if not found:
                self._require(place)
            return sorted(path.split(f"{place.root}/", 1)[-1] for path in found)

    def delete(self, path: str) -> None:
        with self._place() as place:
            place.filesystem.rm_file(self._at(place, path))

    def exists(self, path: str) -> bool:
        with self._place() as place:
            is_there = place.filesystem.isfile(self._at(place, path))
            if not is_there:
                self._require(place)
            return is_there

    def size(self, path: str) -> int:
        with self._place() as place:
            return int(place.filesystem.size(self._at(place, path)) or 0)

    def changed_at(self, path: str) -> datetime | None:
        """When the file was last written, by the clock of the folder; None when the folder does not tell."""
        with self._place() as place:
            changed = _changed_at(place.filesystem.info(self._at(place, path)))
        return None if changed is None else datetime.fromtimestamp(changed, UTC)

    def read(self, path: str) -> bytes:
        with self._place() as place:
            return place.filesystem.cat_file(self._at(place, path))

    def beginning(self, path: str, size: int) -> bytes:
        """The first `size` bytes, or the whole file when it is smaller."""
        with self._place() as place, place.filesystem.open(self._at(place, path), "rb") as file:
            return file.read(size)

    def digests(self, path: str, salt: bytes) -> tuple[str, str]:
        """SHA-256 of the file, and of `salt` followed by the file; read in pieces, whatever its size."""
        plain, salted = hashlib.sha256(), hashlib.sha256(salt)
        for piece in self._pieces(path):
            plain.update(piece)
            salted.update(piece)
        return plain.hexdigest(), salted.hexdigest()

    @contextmanager
    def copy_at_hand(self, path: str, salt: bytes) -> Iterator[tuple[BinaryIO, Callable[[], tuple[str, str]]]]:
        """A copy of the file that nobody else can change or see, and what waits for its digests (see `digests`).

        It is fetched once, however often it is read, and lies in memory or, when it is large, in a file without name.
        The digests are worked out beside whatever is done with the copy.
        """
        plain, salted = hashlib.sha256(), hashlib.sha256(salt)
        with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY_BYTES) as copy:
            with ThreadPoolExecutor(1, "digest") as one, ThreadPoolExecutor(1, "salted digest") as other:
                waiting: deque[Future[None]] = deque()
                for piece in self._pieces(path):
                    waiting += [one.submit(plain.update, piece), other.submit(salted.update, piece)]
                    while len(waiting) > MOST_WAITING_PIECES:
                        waiting.popleft().result()
                    copy.write(piece)
                copy.seek(0)
                told = one.submit(plain.hexdigest), other.submit(salted.hexdigest)
                yield cast("BinaryIO", copy), lambda: (told[0].result(), told[1].result())

    def _pieces(self, path: str) -> Iterator[bytes]:
        with self._place() as place, place.filesystem.open(self._at(place, path), "rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece

    def write(self, path: str, data: bytes) -> None:
        """Write the file so that it appears at once and whole."""
        with self._place() as place:
            target = self._at(place, path)
            self._make_folder_of(place, target)
            place.write(target, data)

    def move(self, source: str, target: str) -> None:
        """Move a file; an existing target is replaced."""
        with self._place() as place:
            to = self._at(place, target)
            self._make_folder_of(place, to)
            place.rename(self._at(place, source), to)


def _changed_at(entry: dict[str, Any]) -> float | None:
    """When the file last changed, as far as this kind of folder tells."""
    changed = entry.get("mtime") or entry.get("LastModified") or entry.get("last_modified")
    return changed.timestamp() if hasattr(changed, "timestamp") else changed


def _is_settled(changed_at: float | None) -> bool:
    return changed_at is not None and time.time() - changed_at > SETTLED_AFTER_SECONDS
