"""The exchange folders of interfaces §1, wherever they live.

Rule: everything that comes in or goes out as a file passes through `Exchange`; paths are relative to its root
(`inbox/zorgplus/…`). The root is a setting: a local folder, `sftp://…` or `s3://…` (fsspec; credentials through its own
environment variables, `FSSPEC_SFTP_…`, or the machine's cloud identity).
Reason: half a file read, or half a file seen by the other party, is a wrong month. A file is read only when it is
complete, and written under a name nobody reads before it gets its own. And a network folder that is not mounted looks
like an exchange to which nobody delivered, and takes files that nobody will ever find: where a folder is missing, the
exchange itself must be there, which is seen by its `inbox` (`lay_out` makes it, once, at set-up).
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from include.settings import Settings

INBOX = "inbox"
# Names of files that are still being written, by us or by a partner's upload program.
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
SETTLED_AFTER_SECONDS = 5.0
SECOND_LOOK_AFTER_SECONDS = 0.5
PIECE_BYTES = 4 * 1024 * 1024
MOST_IN_MEMORY_BYTES = 32 * 1024 * 1024


class OutsideTheExchange(ValueError):
    """A path leads out of the exchange root."""


class ExchangeUnreachable(ConnectionError):
    """The exchange folders are not where they should be; a task tries again (include/orchestration/retries.py)."""


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
    """The exchange folders below `root`."""

    root: str

    @classmethod
    def from_settings(cls) -> Exchange:
        return cls(Settings.from_environment().exchange_root)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        import fsspec

        filesystem, path = fsspec.core.url_to_fs(self.root)
        # a listing that is remembered would miss what a partner delivered since
        filesystem.use_listings_cache = False
        return filesystem, path.rstrip("/")

    def _at(self, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts:
            raise OutsideTheExchange(f"{path!r} does not lie in the exchange; give a path such as inbox/zorgplus/…")
        return f"{self._place[1]}/{'/'.join(parts)}"

    def lay_out(self) -> None:
        """Make the exchange: what every later look takes as the sign that it is reached."""
        self._place[0].makedirs(self._at(INBOX), exist_ok=True)

    def _require(self) -> None:
        """ExchangeUnreachable unless the exchange is there; object stores have no folders to lose."""
        filesystem, _ = self._place
        if has_folders(filesystem) and not filesystem.isdir(self._at(INBOX)):
            raise ExchangeUnreachable(
                f"The exchange folders are not reachable: there is no {INBOX}/ in {self._shown_root()}. Nothing was "
                "read or written there. Mount the folder again (or mend the connection), then run this task again; "
                "Airflow does so by itself for a while. A new exchange gets its folders from `vs up`."
            )

    def _shown_root(self) -> str:
        """The root without the password a URL can hold."""
        scheme, separator, rest = self.root.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if separator else self.root

    def _make_folder_of(self, target: str) -> None:
        filesystem, folder = self._place[0], target.rpartition("/")[0]
        if not filesystem.isdir(folder):
            self._require()
        filesystem.makedirs(folder, exist_ok=True)

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in `folder`."""
        return sorted(
            PurePosixPath(entry["name"]).name for entry in self._listing(folder) if entry["type"] == "directory"
        )

    def files(self, *folders: str) -> list[ExchangeFile]:
        """The complete files in `folders`, by name: no unfinished names, nothing whose size still changes."""
        first = self._looks(folders)
        unsettled = {path for path, (_, changed_at) in first.items() if not _is_settled(changed_at)}
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
        filesystem, _ = self._place
        try:
            return filesystem.ls(self._at(folder), detail=True)
        except FileNotFoundError:
            self._require()
            return []

    def all_files(self, folder: str) -> list[str]:
        """The paths of all files in `folder` and below it, finished or not."""
        filesystem, root = self._place
        try:
            found = filesystem.find(self._at(folder))
        except FileNotFoundError:
            found = []
        if not found:
            self._require()
        return sorted(path.split(f"{root}/", 1)[-1] for path in found)

    def delete(self, path: str) -> None:
        self._place[0].rm_file(self._at(path))

    def exists(self, path: str) -> bool:
        is_there = self._place[0].isfile(self._at(path))
        if not is_there:
            self._require()
        return is_there

    def size(self, path: str) -> int:
        return int(self._place[0].size(self._at(path)) or 0)

    def changed_at(self, path: str) -> datetime | None:
        """When the file was last written, by the clock of the folder; None when the folder does not tell."""
        changed = _changed_at(self._place[0].info(self._at(path)))
        return None if changed is None else datetime.fromtimestamp(changed, UTC)

    def read(self, path: str) -> bytes:
        return self._place[0].cat_file(self._at(path))

    def beginning(self, path: str, size: int) -> bytes:
        """The first `size` bytes, or the whole file when it is smaller."""
        with self._place[0].open(self._at(path), "rb") as file:
            return file.read(size)

    def digests(self, path: str, salt: bytes) -> tuple[str, str]:
        """SHA-256 of the file, and of `salt` followed by the file; read in pieces, whatever its size."""
        plain, salted = hashlib.sha256(), hashlib.sha256(salt)
        with self._place[0].open(self._at(path), "rb") as file:
            while piece := file.read(PIECE_BYTES):
                plain.update(piece)
                salted.update(piece)
        return plain.hexdigest(), salted.hexdigest()

    @contextmanager
    def copy_at_hand(self, path: str, salt: bytes) -> Iterator[tuple[BinaryIO, str, str]]:
        """A copy of the file that nobody else can change or see, with its digests as `digests` gives them.

        It is fetched once, however often it is read, and lies in memory or, when it is large, in a file without name.
        """
        plain, salted = hashlib.sha256(), hashlib.sha256(salt)
        with tempfile.SpooledTemporaryFile(MOST_IN_MEMORY_BYTES) as copy:
            with self._place[0].open(self._at(path), "rb") as file:
                while piece := file.read(PIECE_BYTES):
                    plain.update(piece)
                    salted.update(piece)
                    copy.write(piece)
            copy.seek(0)
            yield cast("BinaryIO", copy), plain.hexdigest(), salted.hexdigest()

    def write(self, path: str, data: bytes) -> None:
        """Write the file so that it appears at once and whole."""
        filesystem, target = self._place[0], self._at(path)
        self._make_folder_of(target)
        draft = f"{target}.part"
        filesystem.pipe_file(draft, data)
        self._rename(draft, target)

    def move(self, source: str, target: str) -> None:
        """Move a file; an existing target is replaced."""
        to = self._at(target)
        self._make_folder_of(to)
        self._rename(self._at(source), to)

    def _rename(self, source: str, target: str) -> None:
        filesystem = self._place[0]
        if not _is_local(filesystem) and filesystem.exists(target):
            filesystem.rm_file(target)  # SFTP does not rename onto an existing file
        filesystem.mv(source, target)


def has_folders(filesystem: Any) -> bool:
    """False for an object store: there a folder is only the beginning of names."""
    protocols = filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
    return not {"s3", "s3a", "gcs", "gs", "abfs", "memory"} & set(protocols)


def _is_local(filesystem: Any) -> bool:
    return "file" in (filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,))


def _changed_at(entry: dict[str, Any]) -> float | None:
    """When the file last changed, as far as this kind of folder tells."""
    changed = entry.get("mtime") or entry.get("LastModified") or entry.get("last_modified")
    return changed.timestamp() if hasattr(changed, "timestamp") else changed


def _is_settled(changed_at: float | None) -> bool:
    return changed_at is not None and time.time() - changed_at > SETTLED_AFTER_SECONDS
