"""How every bench ends: its figures and goals in plain lines, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from include.settings import PROJECT_ROOT

RESULTS = PROJECT_ROOT / "build" / "bench"


def tell(bench: str, figures: Mapping[str, float | int | str], goals: Mapping[str, bool] | None = None) -> None:
    """Print `figure: value` and each goal, met or not; write both to build/bench/<bench>.json."""
    print()
    for name, value in figures.items():
        print(f"{name}: {value}")
    for name, is_met in (goals or {}).items():
        print(f"goal {name}: {'met' if is_met else 'NOT met'}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    told = {"figures": dict(figures), "goals": dict(goals or {})}
    (RESULTS / f"{bench}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
