"""Other rules to try out: a small file that says which rows of the rule seeds would read otherwise.

Rule: the file has the shape of the seeds (dbt_project/seeds). YAML names the seed and the changed rows:

    name: Ondergrens 75 euro
    changes:
      minimum_amounts:
        - {minimum_eur: 75}
      route_rules:
        - {rule_id: direct_over_threshold, level: signal, valid_from: 2024-05-01}

A CSV file is the changes of the seed it is named after (`minimum_amounts.csv`); an empty cell changes nothing. A row
changes every row of the seed with the same key, or all of them when it names no key, in the days from `valid_from` up
to `valid_to` (none: always). What a file does not name stays what it was in its time. A seed may be changed when
dbt_project.yml calls it `simulated` and its key stands here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

#: what names a rule within its seed
KEYS: Mapping[str, tuple[str, ...]] = {
    "address_rules": (),
    "arrears_windows": ("sector",),
    "minimum_amounts": ("sector",),
    "outcome_consequences": ("result_code", "consequence"),
    "repeat_rules": (),
    "route_rules": ("rule_id",),
}
FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(9999, 12, 31)

Row = dict[str, Any]


class RuleFileWrong(RuntimeError):
    """The rule file cannot be used; the message says what and where."""


@dataclass(frozen=True)
class Change:
    """One changed rule: which, since when, and what it would say."""

    key: Mapping[str, str]
    values: Mapping[str, Any]
    valid_from: date
    valid_to: date

    def concerns(self, row: Row) -> bool:
        return all(str(row[name]) == str(value) for name, value in self.key.items())


@dataclass(frozen=True)
class RuleChanges:
    """A whole rule file."""

    name: str
    by_seed: Mapping[str, Sequence[Change]]


def read_rule_file(path: Path) -> RuleChanges:
    """The file's changes; RuleFileWrong when it names a seed that cannot be changed or is no rule file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RuleFileWrong(f"{path} cannot be read: {error.strerror}.") from error
    if path.suffix.lower() == ".csv":
        name, given = path.stem, {path.stem: _csv_rows(text)}
    else:
        name, given = _yaml_rows(path, text)
    unknown = given.keys() - KEYS.keys()
    if unknown:
        raise RuleFileWrong(
            f"{path}: {', '.join(sorted(unknown))} cannot be changed; what can be is {', '.join(sorted(KEYS))}."
        )
    return RuleChanges(name, {seed: [_change(path, seed, row) for row in rows] for seed, rows in given.items()})


def changed_rows(seed: str, rows: Sequence[Row], changes: Sequence[Change]) -> list[Row]:
    """The seed as it would be: each change cuts the rows it concerns at its days and changes the part within."""
    rows = [dict(row) for row in rows]
    for change in changes:
        strange = change.values.keys() - set(rows[0] if rows else ())
        if strange:
            raise RuleFileWrong(f"{seed} has no column {', '.join(sorted(strange))}; it has {', '.join(rows[0])}.")
        concerned = [row for row in rows if change.concerns(row)]
        if not concerned:
            known = sorted({" ".join(str(row[name]) for name in KEYS[seed]) for row in rows})
            raise RuleFileWrong(f"{seed} has no rule {dict(change.key)}; it has {', '.join(known)}.")
        rows = [part for row in rows for part in (_cut(row, change) if change.concerns(row) else [row])]
    return rows


def _cut(row: Row, change: Change) -> list[Row]:
    since, until = row["valid_from"], row["valid_to"] or LAST_DAY
    begins, ends = max(since, change.valid_from), min(until, change.valid_to)
    if begins > ends:
        return [row]
    one_day = timedelta(days=1)
    parts = [row | dict(change.values) | {"valid_from": begins, "valid_to": None if ends == LAST_DAY else ends}]
    if since < begins:
        parts.append(row | {"valid_to": begins - one_day})
    if ends < until:
        parts.append(row | {"valid_from": ends + one_day})
    return parts


def _change(path: Path, seed: str, row: Any) -> Change:
    if not isinstance(row, Mapping) or not row:
        raise RuleFileWrong(f"{path}: a change of {seed} is a row such as {{minimum_eur: 75}}, not {row!r}.")
    dates = {"valid_from": FIRST_DAY, "valid_to": LAST_DAY}
    for name in dates:
        if row.get(name):
            try:
                dates[name] = date.fromisoformat(str(row[name]))
            except ValueError as error:
                raise RuleFileWrong(f"{path}: {name} of {seed} is no day (YYYY-MM-DD).") from error
    key = {name: str(row[name]) for name in KEYS[seed] if row.get(name)}
    values = {str(name): value for name, value in row.items() if name not in key and name not in dates}
    if not values:
        raise RuleFileWrong(f"{path}: a change of {seed} changes nothing; name a column beside {', '.join(key)}.")
    return Change(key, values, **dates)


def _yaml_rows(path: Path, text: str) -> tuple[str, dict[str, list[Any]]]:
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RuleFileWrong(f"{path} is no YAML: {error}") from error
    if not isinstance(given, Mapping) or not isinstance(given.get("changes", {}), Mapping):
        raise RuleFileWrong(f"{path} is no rule file: it needs `changes:` with rule seeds below it.")
    rows = {str(seed): rows for seed, rows in (given.get("changes") or {}).items()}
    if not all(isinstance(some, list) for some in rows.values()):
        raise RuleFileWrong(f"{path}: below each seed stands a list of changed rows.")
    return str(given.get("name") or path.stem), rows


def _csv_rows(text: str) -> list[Row]:
    return [
        {name: value for name, value in row.items() if name and value and name != "citation"}
        for row in csv.DictReader(io.StringIO(text))
    ]
