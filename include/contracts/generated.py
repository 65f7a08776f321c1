"""Everything that is written from the contracts and committed: dbt's model files, gate suites, the readable pages.

Rule: a generated file is never edited; its first lines say what it was made from. `vs contract generate` writes them
all and deletes those whose contract is gone; `vs contract generate --check` and the tests say what differs.
How to change: the contract, or for another form the module that makes the kind of file; then generate again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from include.contracts import dbt_models, gate_suites, pages
from include.settings import PROJECT_ROOT

#: Where generated files of each kind lie, below the project.
PATTERNS = ("dbt_project/models/**/*.generated.yml", "expectations/contracts/*.json", "docs/contracts/**/*.md")


@dataclass(frozen=True)
class Drift:
    """A committed file that is not what the contracts say."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def generated_files(project: Path = PROJECT_ROOT) -> dict[str, str]:
    """Path below the project → text, of every generated file."""
    models = dbt_models.model_files(project / "dbt_project" / "models")
    return {
        **{str(path.relative_to(project)): text for path, text in models.items()},
        **{f"expectations/contracts/{name}": text for name, text in gate_suites.suite_files().items()},
        **{f"docs/contracts/{name}": text for name, text in pages.page_files().items()},
    }


def write_generated(target: Path, project: Path = PROJECT_ROOT) -> list[Drift]:
    """Write what differs below `target` and delete what nothing makes any more; returns what was done."""
    changed = drift(target, project)
    files = generated_files(project)
    for one in changed:
        path = target / one.path
        if one.path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[one.path], encoding="utf-8")
        else:
            path.unlink()
    return changed


def drift(target: Path = PROJECT_ROOT, project: Path = PROJECT_ROOT) -> list[Drift]:
    """Where the files below `target` differ from what the contracts say, by path."""
    files = generated_files(project)
    found = [
        Drift(path, "is missing" if not (target / path).exists() else "differs from its contract")
        for path, text in files.items()
        if not (target / path).exists() or (target / path).read_text(encoding="utf-8") != text
    ]
    found += [Drift(path, "has no contract any more") for path in _present(target) if path not in files]
    return sorted(found, key=lambda one: one.path)


def _present(target: Path) -> Iterator[str]:
    for pattern in PATTERNS:
        for path in target.glob(pattern):
            yield str(path.relative_to(target))
