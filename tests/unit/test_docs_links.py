"""Every link between the pages leads somewhere: files are there, and so are the headings after `#`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.alerts.kinds import KINDS
from include.settings import PROJECT_ROOT

PAGES = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md"))]
DAGS = sorted((PROJECT_ROOT / "dags").glob("*.py"))


def anchors(page: Path) -> set[str]:
    """The headings of a page as they stand after `#`."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(link: str, folder: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve()
    return not target.exists() or bool(anchor) and anchor not in anchors(target)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [
        link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not link.startswith("mailto:")
    ]
    broken = [
        link for link in links if leads_nowhere(link if not link.startswith("#") else page.name + link, page.parent)
    ]
    assert broken == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_alert_leads_to_its_runbook(kind) -> None:
    assert kind.runbook.startswith("docs/runbooks/")
    assert not leads_nowhere(kind.runbook, PROJECT_ROOT), kind.runbook
    assert kind.what_to_do("2024-06", "zorgplus")


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.stem)
def test_a_dag_leads_to_its_runbook_and_the_runbook_names_the_dag(dag: Path) -> None:
    (runbook,) = re.findall(r"^Runbook: (docs/runbooks/\S+\.md)$", dag.read_text(encoding="utf-8"), re.MULTILINE)
    assert f"`{dag.stem}`" in (PROJECT_ROOT / runbook).read_text(encoding="utf-8")


def test_every_kind_that_can_be_raised_stands_in_the_runbook() -> None:
    page = (PROJECT_ROOT / "docs/runbooks/tell-somebody.md").read_text(encoding="utf-8")
    raised = {name for name, kind in KINDS.items() if kind.limit} | {
        "gate_stop", "task_failed", "deadline", "missing_delivery",
    }  # fmt: skip
    assert {name for name in raised if f"| `{name}` |" in page} == raised
