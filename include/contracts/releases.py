"""What was promised so far: `released/<name>-v<N>.json` holds every released contract as the other party knows it.

Rule: an active contract file and its released content are the same; `vs contract release` makes them so. It compares
(include/contracts/comparison.py), refuses a breaking change (write `-v<N+1>` beside it), and otherwise raises the
version in the file: minor for a compatible change, patch for documentation. A draft is nobody's promise and is left
out; a released contract stays, its status says when it is retired.
Reason: a promise must not depend on which commit somebody has at hand; the tests compare with this folder and fail on a
change that was not released, so a breaking one cannot slip through.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.contracts.checking import errors_in
from include.contracts.comparison import Change, Level, compare, heaviest
from include.contracts.registry import CONTRACT_FILE, ContractProblem, contracts_folder, read_yaml

FOLDER = "released"
LONGEST_LINE = 160
_DRAFTS = ("draft", "proposed")
_VERSION = re.compile(r"^version:.*$", re.MULTILINE)


@dataclass(frozen=True)
class Standing:
    """A contract file beside what was released of it: `version` is None for a file that is gone."""

    reference: str
    path: Path
    version: str | None
    released: str | None
    changes: tuple[Change, ...]

    @property
    def level(self) -> Level:
        return heaviest(self.changes)

    @property
    def is_settled(self) -> bool:
        return self.released is not None and not self.changes and self.version == self.released

    @property
    def is_breaking(self) -> bool:
        return self.version is None or self.level is Level.BREAKING

    @property
    def next_version(self) -> str:
        """The version the file has after its release: the one in it when that is high enough."""
        if self.released is None or self.version is None:
            return self.version or "—"
        major, minor, patch = _numbers(self.released)
        wanted = (major, minor + 1, 0) if self.level is Level.COMPATIBLE else (major, minor, patch + 1)
        return self.version if _numbers(self.version) >= wanted else ".".join(map(str, wanted))

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.reference}: released as {self.released}, and its file is gone; set status: retired instead"
        if self.released is None:
            return f"{self.reference}: not released yet; run `vs contract release {self.reference}`"
        if self.is_breaking:
            told = "; ".join(
                f"{change.place}: {change.says}" for change in self.changes if change.level is Level.BREAKING
            )
            major = _numbers(self.released)[0]
            name = self.reference.removesuffix(f"-v{major}")
            return (
                f"{self.reference}: breaking ({told}); put {self.released} back and write {name}-v{major + 1} beside it"
            )
        return f"{self.reference}: {self.level.word or 'new version'}; run `vs contract release {self.reference}`"


def released_path(reference: str) -> Path:
    return contracts_folder() / FOLDER / f"{reference}.json"


def released_document(reference: str) -> dict[str, Any] | None:
    """The contract as it was released; None when it was not."""
    path = released_path(reference)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def standings() -> list[Standing]:
    """Every contract that is or was more than a draft."""
    folder = contracts_folder()
    files = {
        path.name.removesuffix(".odcs.yaml"): path
        for path in sorted(folder.glob("*/*.odcs.yaml"))
        if CONTRACT_FILE.fullmatch(path.name)
    }
    gone = {path.stem: path for path in sorted((folder / FOLDER).glob("*.json")) if path.stem not in files}
    found = [standing_of(path) for path in files.values()]
    return [one for one in found if one is not None] + [
        Standing(reference, path, None, str((released_document(reference) or {}).get("version")), ())
        for reference, path in gone.items()
    ]


def standing_of(path: Path) -> Standing | None:
    """How the file stands to its release; None for a draft that was never released."""
    reference = path.name.removesuffix(".odcs.yaml")
    document, released = document_in(path), released_document(reference)
    if released is None:
        if document.get("status") in _DRAFTS:
            return None
        return Standing(reference, path, str(document.get("version")), None, ())
    changes = tuple(compare(released, document))
    return Standing(reference, path, str(document.get("version")), str(released["version"]), changes)


def document_in(path: Path) -> dict[str, Any]:
    """The document in the file, in plain JSON values."""
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ContractProblem(f"{path.name} is no contract; `vs contract check {path}` says what is wrong.")
    return json.loads(json.dumps(document, default=str))


def unsettled() -> list[Standing]:
    """The contracts whose file is not what was released."""
    return [standing for standing in standings() if not standing.is_settled]


def release(wanted: Sequence[str] = ()) -> list[Standing]:
    """Release what changed, of these references or of all: everything, or a ContractProblem that says why not."""
    todo = [standing for standing in unsettled() if not wanted or standing.reference in wanted]
    refused = [str(standing) for standing in todo if standing.is_breaking]
    refused += [
        f"{standing.reference}: {len(errors)} problem(s); `vs contract check {standing.reference}` shows them"
        for standing in todo
        if standing.version is not None and (errors := errors_in(standing.path))
    ]
    if refused:
        raise ContractProblem("Nothing was released.\n" + "\n".join(refused))
    for standing in todo:
        text = standing.path.read_text(encoding="utf-8")
        standing.path.write_text(_VERSION.sub(f"version: {standing.next_version}", text, count=1), encoding="utf-8")
        target = released_path(standing.reference)
        target.parent.mkdir(exist_ok=True)
        target.write_text(as_text(document_in(standing.path)) + "\n", encoding="utf-8")
    return todo


def as_text(value: Any, depth: int = 0) -> str:
    """JSON in which what fits on a line stands on one line: a column, a property, a rule."""
    line = json.dumps(value, ensure_ascii=False)
    if depth and len(line) + depth <= LONGEST_LINE or not isinstance(value, dict | list):
        return line
    inner, outer = " " * (depth + 1), " " * depth
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name)}: {as_text(part, depth + 1)}" for name, part in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{outer}}}"
    return "[\n" + ",\n".join(f"{inner}{as_text(part, depth + 1)}" for part in value) + f"\n{outer}]"


def _numbers(version: str) -> tuple[int, int, int]:
    try:
        major, minor, patch = map(int, version.split("."))
    except ValueError as error:
        raise ContractProblem(f"version {version!r} is not <major>.<minor>.<patch>") from error
    return major, minor, patch
