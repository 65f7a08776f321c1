"""Two versions of a contract, compared: every change with its class, seen by both ends of the exchange.

Rule: a *breaking* change needs a new major (a new file beside the old one), a *compatible* one a new minor,
*documentation* a new patch. What comes in is seen by its sender (must it change what it sends?) and by us (do we lose
something?); what goes out, marts included, by its reader. CHANGES is the whole law: every kind of change with its class
in both directions. The ASPECTS below it say which part of an ODCS file shows which kind of change, and what is meant
when it is not there. A part that nobody classified is breaking until somebody does: add it to the aspects.
Reason: a sender that must change is told before, not by a refused file; a reader finds out from a version number.
How to change: add a kind to CHANGES and an aspect that yields it; tests/contracts/test_comparison.py holds one case of
every kind in every direction and fails when one is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from include.contracts.checking import CLASSIFICATIONS
from include.contracts.headers import comparable


class Level(IntEnum):
    """How much a change asks of the other party; the highest of a comparison decides the version."""

    NONE = 0
    DOCUMENTATION = 1
    COMPATIBLE = 2
    BREAKING = 3

    @property
    def word(self) -> str:
        return self.name.lower()


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True)
class Kind:
    """One kind of change: what it is, its class when the data comes in and when it goes out, and for whom."""

    says: str
    inbound: Level
    outbound: Level
    inbound_for: str = "sender"

    def level(self, direction: Direction) -> Level:
        return self.inbound if direction is Direction.INBOUND else self.outbound

    def whom(self, direction: Direction) -> str:
        return self.inbound_for if direction is Direction.INBOUND else "reader"


@dataclass(frozen=True)
class Change:
    """One difference between two versions."""

    kind: str
    place: str
    old: str
    new: str
    level: Level
    whom: str

    @property
    def says(self) -> str:
        return CHANGES[self.kind].says


DOC, COMPATIBLE, BREAKING = Level.DOCUMENTATION, Level.COMPATIBLE, Level.BREAKING
US, BOTH = "us", "sender and us"

# kind → in words, class when it comes in, class when it goes out, for whom when it comes in
CHANGES: dict[str, Kind] = {
    # columns
    "column_removed": Kind("a column is gone", BREAKING, BREAKING, US),
    "column_not_kept": Kind("a column that filled nothing is gone", COMPATIBLE, BREAKING),
    "column_added": Kind("a new column that must be there", BREAKING, COMPATIBLE),
    "column_added_optional": Kind("a new column that may be absent", COMPATIBLE, COMPATIBLE),
    "column_added_between": Kind("a new column before others in a file", BREAKING, BREAKING),
    "columns_reordered": Kind("the columns of a file stand in another order", COMPATIBLE, BREAKING),
    "columns_rearranged": Kind("the columns of a table stand in another order", COMPATIBLE, COMPATIBLE),
    "label_changed": Kind("a column is called differently", BREAKING, BREAKING),
    "name_changed": Kind("our word for a column, its label is the same", COMPATIBLE, COMPATIBLE),
    "type_changed": Kind("another type", BREAKING, BREAKING),
    "type_widened": Kind("a type that holds the old one", COMPATIBLE, BREAKING),
    "stored_type_changed": Kind("another type in the warehouse", COMPATIBLE, BREAKING, US),
    "nullability_tightened": Kind("a value must be there now", BREAKING, COMPATIBLE),
    "nullability_loosened": Kind("a value may be missing now", COMPATIBLE, BREAKING, US),
    "absence_refused": Kind("a column may no longer be absent", BREAKING, BREAKING),
    "absence_allowed": Kind("a column may be absent now", COMPATIBLE, BREAKING, US),
    "key_changed": Kind("another key: other rows are the same row", BREAKING, BREAKING, BOTH),
    "uniqueness_demanded": Kind("values must be unique now", BREAKING, COMPATIBLE),
    "uniqueness_dropped": Kind("values may repeat now", COMPATIBLE, BREAKING, US),
    "value_added": Kind("a value that may stand there now", COMPATIBLE, BREAKING, US),
    "value_removed": Kind("a value that may no longer stand there", BREAKING, COMPATIBLE),
    "value_means_other": Kind("a value with another meaning", BREAKING, BREAKING, BOTH),
    "bound_narrowed": Kind("a narrower range or length", BREAKING, COMPATIBLE),
    "bound_widened": Kind("a wider range or length", COMPATIBLE, BREAKING, US),
    "pattern_changed": Kind("another pattern for the values", BREAKING, BREAKING),
    "format_refused": Kind("a way of writing that is no longer read", BREAKING, BREAKING),
    "format_accepted": Kind("one more way of writing", COMPATIBLE, BREAKING),
    "reading_changed": Kind("the values are read in another way", BREAKING, BREAKING, BOTH),
    "field_unfilled": Kind("a field that is no longer filled", BREAKING, BREAKING, US),
    "field_filled": Kind("a field that is filled now", COMPATIBLE, COMPATIBLE, US),
    "default_changed": Kind("what an empty value means", BREAKING, BREAKING, US),
    "faults_quarantine_now": Kind("an unusable value keeps its row out now", BREAKING, COMPATIBLE),
    "faults_are_flagged_now": Kind("an unusable value is left out, its row comes in", COMPATIBLE, BREAKING, US),
    "reason_renamed": Kind("the reason in receipts is called differently", BREAKING, BREAKING),
    # classification
    "classification_raised": Kind("more confidential than it was", COMPATIBLE, BREAKING),
    "classification_lowered": Kind("less confidential than was promised", BREAKING, BREAKING),
    # tables and sheets
    "table_removed": Kind("a sheet or table is gone", BREAKING, BREAKING, BOTH),
    "table_added": Kind("a new sheet or table", BREAKING, COMPATIBLE),
    "table_label_changed": Kind("a sheet or table is called differently", BREAKING, BREAKING),
    "table_kind_changed": Kind("a table has become a view, or a file a sheet", BREAKING, BREAKING),
    # quality
    "rule_added": Kind("one more rule that rows must keep", BREAKING, COMPATIBLE),
    "rule_removed": Kind("a rule that rows had to keep is gone", COMPATIBLE, BREAKING, US),
    "rule_changed": Kind("a rule asks something else", BREAKING, BREAKING, BOTH),
    "warning_added": Kind("one more thing that is warned about", COMPATIBLE, COMPATIBLE),
    "warning_removed": Kind("a thing that is no longer warned about", COMPATIBLE, COMPATIBLE, US),
    "warning_changed": Kind("a warning asks something else", COMPATIBLE, COMPATIBLE, US),
    # the file
    "file_name_changed": Kind("files are called differently", BREAKING, BREAKING),
    "folder_changed": Kind("files lie in another folder", BREAKING, BREAKING),
    "file_format_changed": Kind("another kind of file", BREAKING, BREAKING),
    "delimiter_changed": Kind("another separator", BREAKING, BREAKING),
    "encoding_refused": Kind("an encoding that is no longer read or written", BREAKING, BREAKING),
    "encoding_accepted": Kind("one more encoding", COMPATIBLE, BREAKING),
    "sheet_changed": Kind("another sheet", BREAKING, BREAKING),
    "layout_changed": Kind("other rows above the header or below the list", BREAKING, BREAKING),
    "size_lowered": Kind("files may be less large", BREAKING, COMPATIBLE),
    "size_raised": Kind("files may be larger", COMPATIBLE, BREAKING, US),
    "manifest_changed": Kind("with or without a manifest", BREAKING, BREAKING),
    "companion_changed": Kind("comes with another file", BREAKING, BREAKING),
    "interface_changed": Kind("another address or way to exchange without files", BREAKING, BREAKING),
    "standard_changed": Kind("follows another standard or version of it", BREAKING, BREAKING),
    "language_changed": Kind("written in another language", BREAKING, BREAKING),
    # promises
    "threshold_lowered": Kind("fewer bad rows are allowed in a file", BREAKING, COMPATIBLE),
    "threshold_raised": Kind("more bad rows are allowed in a file", COMPATIBLE, BREAKING, US),
    "delivery_day_earlier": Kind("delivered earlier in the month", BREAKING, COMPATIBLE),
    "delivery_day_later": Kind("delivered later in the month", COMPATIBLE, BREAKING, US),
    "kept_longer": Kind("kept longer than was promised", BREAKING, COMPATIBLE),
    "kept_shorter": Kind("kept for a shorter time", COMPATIBLE, BREAKING, US),
    "promise_added": Kind("one more promise", COMPATIBLE, COMPATIBLE, US),
    "promise_removed": Kind("a promise is gone", COMPATIBLE, BREAKING, US),
    "promise_changed": Kind("another promise", BREAKING, BREAKING),
    "reader_added": Kind("one more role may read it", COMPATIBLE, COMPATIBLE, US),
    "reader_removed": Kind("a role may no longer read it", COMPATIBLE, BREAKING, US),
    "ground_changed": Kind("for whom and on which ground", COMPATIBLE, COMPATIBLE, BOTH),
    "version_begins_later": Kind("months that were accepted are not any more", BREAKING, BREAKING),
    "version_begins_earlier": Kind("earlier months are accepted too", COMPATIBLE, COMPATIBLE),
    "version_ends": Kind("the last month of this version; a newer one follows it", COMPATIBLE, COMPATIBLE),
    "status_changed": Kind("where it is in its life", COMPATIBLE, COMPATIBLE, BOTH),
    # what it lands in, who delivers
    "sender_changed": Kind("another partner", BREAKING, BREAKING, BOTH),
    "sector_changed": Kind("another sector, so other rules", BREAKING, BREAKING, US),
    "landing_changed": Kind("rows become rows of another table", BREAKING, BREAKING, US),
    # the rest
    "text_changed": Kind("words for people", DOC, DOC, BOTH),
    "work_changed": Kind("how we make or check it; nobody outside sees it", DOC, DOC, US),
    "unclassified": Kind("nobody has said yet what this change means", BREAKING, BREAKING, BOTH),
}

Compare = Callable[[Any, Any], Iterator[str]]
ABSENT = object()


# -- how a part is compared --------------------------------------------------------------------------------------------


def _changed(kind: str, default: Any = None) -> Compare:
    def compare(old: Any, new: Any) -> Iterator[str]:
        if _or(old, default) != _or(new, default):
            yield kind

    return compare


def _ranked(raised: str, lowered: str, default: Any = None, ranks: Sequence[str] = ()) -> Compare:
    """Values with an order: numbers, or words with a place in `ranks`."""

    def rank(value: Any) -> Any:
        value = _or(value, default)
        return ranks.index(value) if value in ranks else value

    def compare(old: Any, new: Any) -> Iterator[str]:
        before, after = rank(old), rank(new)
        if type(before) is not type(after) and (isinstance(before, str) or isinstance(after, str)):
            yield "unclassified"
        elif before != after:
            yield raised if after > before else lowered

    return compare


def _members(
    added: str, removed: str, default: Sequence[Any] | Mapping[Any, Any] = (), changed: str = "value_means_other"
) -> Compare:
    """Lists (without order) and maps from a member to what it means."""

    def compare(old: Any, new: Any) -> Iterator[str]:
        before, after = _or(old, default), _or(new, default)
        before, after = ([one] if isinstance(one, str) else one for one in (before, after))
        if set(after) - set(before):
            yield added
        if set(before) - set(after):
            yield removed
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            if any(before[key] != after[key] for key in set(before) & set(after)):
                yield changed

    return compare


def _switch(on: str, off: str, default: bool = False) -> Compare:
    def compare(old: Any, new: Any) -> Iterator[str]:
        before, after = bool(_or(old, default)), bool(_or(new, default))
        if before != after:
            yield on if after else off

    return compare


def _type(old: Any, new: Any) -> Iterator[str]:
    if old != new:
        yield "type_widened" if (old, new) in {("integer", "number"), ("date", "timestamp")} else "type_changed"


def _begin(old: Any, new: Any) -> Iterator[str]:
    before, after = ("" if value in (ABSENT, None) else str(value) for value in (old, new))
    if before != after:
        yield "version_begins_later" if after > before else "version_begins_earlier"


def _promise(old: Any, new: Any) -> Iterator[str]:
    if old != new:
        yield "promise_added" if old is ABSENT else "promise_removed" if new is ABSENT else "promise_changed"


def _roles(old: Any, new: Any) -> Iterator[str]:
    before, after = ({json.dumps(role, sort_keys=True) for role in _or(roles, [])} for roles in (old, new))
    if after - before:
        yield "reader_added"
    if before - after:
        yield "reader_removed"


def _or(value: Any, default: Any) -> Any:
    return default if value is ABSENT or value is None else value


def _aspect(aspects: Mapping[str, Compare], path: str) -> Compare:
    """How the part is compared: as itself, as words in Dutch, or as what it is a part of."""
    if path in aspects:
        return aspects[path]
    return _TEXT if path.endswith("Nl") else aspects.get(path.split(".")[0], _changed("unclassified"))


def _same(_: Any, __: Any) -> Iterator[str]:
    """The identity of a version: it says nothing about what changed."""
    return iter(())


_TEXT, _WORK = _changed("text_changed"), _changed("work_changed")

CONTRACT_ASPECTS: dict[str, Compare] = {
    "id": _same,
    "version": _same,
    "apiVersion": _TEXT,
    "kind": _changed("unclassified"),
    "name": _TEXT,
    "domain": _TEXT,
    "dataProduct": _TEXT,
    "tenant": _TEXT,
    "tags": _TEXT,
    "description": _TEXT,
    "team": _TEXT,
    "support": _TEXT,
    "authoritativeDefinitions": _TEXT,
    "contractCreatedTs": _TEXT,
    "roles": _roles,
    "status": _changed("status_changed"),
    "slaProperties.deliveryDay": _ranked("delivery_day_later", "delivery_day_earlier", math.inf),
    "slaProperties.retention": _ranked("kept_longer", "kept_shorter", 0),
    "slaProperties.retentionNotPickedUp": _ranked("kept_longer", "kept_shorter", 0),
    "slaProperties": _promise,
    "customProperties.exchange": _changed("unclassified"),
    "customProperties.partner": _changed("sender_changed"),
    "customProperties.partnerName": _TEXT,
    "customProperties.sector": _changed("sector_changed"),
    "customProperties.consumer": _changed("ground_changed"),
    "customProperties.legalGround": _changed("ground_changed"),
    "customProperties.landsIn": _changed("landing_changed"),
    "customProperties.folder": _changed("folder_changed"),
    "customProperties.fileName": _changed("file_name_changed"),
    "customProperties.format": _changed("file_format_changed", "csv"),
    "customProperties.delimiter": _changed("delimiter_changed", ","),
    "customProperties.encodings": _members("encoding_accepted", "encoding_refused", ["utf-8"]),
    "customProperties.sheet": _changed("sheet_changed"),
    "customProperties.titleRows": _changed("layout_changed", 0),
    "customProperties.totalRowLabel": _changed("layout_changed"),
    "customProperties.maxFileMegabytes": _ranked("size_raised", "size_lowered", 64),
    "customProperties.quarantineThreshold": _ranked("threshold_raised", "threshold_lowered", 0.1),
    "customProperties.manifest": _changed("manifest_changed", False),
    "customProperties.validFrom": _begin,
    "customProperties.validTo": _changed("version_ends"),
    "customProperties.accompanies": _changed("companion_changed"),
    "customProperties.api": _changed("interface_changed"),
    "customProperties.standard": _changed("standard_changed"),
    "customProperties.language": _changed("language_changed"),
}
TABLE_ASPECTS: dict[str, Compare] = {
    "physicalName": _changed("table_label_changed"),
    "physicalType": _changed("table_kind_changed"),
    "logicalType": _changed("table_kind_changed", "object"),
    "name": _TEXT,
    "description": _TEXT,
    "businessName": _TEXT,
    "dataGranularityDescription": _TEXT,
    "tags": _TEXT,
    "authoritativeDefinitions": _TEXT,
    "customProperties.carried": _WORK,
    "customProperties.gate": _WORK,
    "customProperties.model": _WORK,
    "customProperties.modelKind": _WORK,
    "customProperties.rowsOfTheMonth": _WORK,
}
COLUMN_ASPECTS: dict[str, Compare] = {
    "name": _changed("name_changed"),
    "physicalName": _changed("label_changed"),
    "logicalType": _type,
    "physicalType": _changed("stored_type_changed"),
    "required": _switch("nullability_tightened", "nullability_loosened"),
    "unique": _switch("uniqueness_demanded", "uniqueness_dropped"),
    "primaryKey": _changed("key_changed", False),
    "primaryKeyPosition": _changed("key_changed"),
    "classification": _ranked("classification_raised", "classification_lowered", "internal", CLASSIFICATIONS),
    "description": _TEXT,
    "businessName": _TEXT,
    "examples": _TEXT,
    "tags": _TEXT,
    "authoritativeDefinitions": _TEXT,
    "logicalTypeOptions.maxLength": _ranked("bound_widened", "bound_narrowed", math.inf),
    "logicalTypeOptions.minLength": _ranked("bound_narrowed", "bound_widened", 0),
    "logicalTypeOptions.maximum": _ranked("bound_widened", "bound_narrowed", math.inf),
    "logicalTypeOptions.minimum": _ranked("bound_narrowed", "bound_widened", -math.inf),
    "logicalTypeOptions.pattern": _changed("pattern_changed"),
    "customProperties.reader": _changed("reading_changed", "text"),
    "customProperties.notation": _changed("reading_changed", "nl"),
    "customProperties.pattern": _changed("reading_changed"),
    "customProperties.formats": _members("format_accepted", "format_refused", ["jjjj-mm-dd"]),
    "customProperties.trueWhen": _members("value_added", "value_removed", ["J", "Ja"]),
    "customProperties.falseWhen": _members("value_added", "value_removed", ["N", "Nee"]),
    "customProperties.codes": _members("value_added", "value_removed", {}),
    "customProperties.minimum": _ranked("bound_narrowed", "bound_widened", -math.inf),
    "customProperties.maximum": _ranked("bound_widened", "bound_narrowed", math.inf),
    "customProperties.fills": _members("field_filled", "field_unfilled"),
    "customProperties.mayBeAbsent": _switch("absence_allowed", "absence_refused"),
    "customProperties.whenEmpty": _changed("default_changed"),
    "customProperties.whenInvalid": _ranked(
        "faults_are_flagged_now", "faults_quarantine_now", "quarantine", ("quarantine", "flag")
    ),
    "customProperties.reasonName": _changed("reason_renamed"),
    "customProperties.filledBy": _WORK,
}
_WORDS_OF_A_RULE = ("description", "dimension", "businessImpact", "tags", "name")
_STRICT = ("critical", "error")


# -- the comparison ----------------------------------------------------------------------------------------------------


def direction_of(document: Mapping[str, Any]) -> Direction:
    """Whether what the contract describes comes in or goes out."""
    exchange = _options(document).get("exchange")
    return Direction.INBOUND if exchange in ("partner_delivery", "inbound") else Direction.OUTBOUND


def compare(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Every change from `old` to `new` (ODCS documents), the heaviest first."""
    found = _Found(direction_of(new))
    found.parts((), _parts(old, ("schema",)), _parts(new, ("schema",)), CONTRACT_ASPECTS)
    _compare_tables(found, old.get("schema", []), new.get("schema", []))
    return sorted(found.changes, key=lambda change: -change.level)


def heaviest(changes: Sequence[Change]) -> Level:
    return max((change.level for change in changes), default=Level.NONE)


class _Found:
    """Collects changes with their class."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.changes: list[Change] = []

    def add(self, kind: str, place: Sequence[str], old: Any = ABSENT, new: Any = ABSENT) -> None:
        law = CHANGES[kind]
        self.changes.append(
            Change(
                kind=kind,
                place=" › ".join(place) or "the contract",
                old=_shown(old),
                new=_shown(new),
                level=law.level(self.direction),
                whom=law.whom(self.direction),
            )
        )

    def parts(
        self,
        place: Sequence[str],
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        aspects: Mapping[str, Compare],
    ) -> None:
        for path in dict.fromkeys([*old, *new]):
            promise = path.removesuffix(".unit")
            if promise != path and (promise not in old or promise not in new):
                continue  # the unit of a promise that came or went says nothing more
            before, after = old.get(path, ABSENT), new.get(path, ABSENT)
            for kind in _aspect(aspects, path)(before, after):
                self.add(kind, (*place, *path.split(".")), before, after)

    def labelled(self, parts: dict[str, Any], item: Mapping[str, Any]) -> dict[str, Any]:
        """Without a physicalName it is called by its name; capitals and spaces in what comes in mean nothing."""
        label = str(item.get("physicalName", item.get("name", "")))
        return parts | {"physicalName": comparable(label) if self.direction is Direction.INBOUND else label}

    def filling(self, parts: dict[str, Any], column: Mapping[str, Any]) -> dict[str, Any]:
        """A column that comes in and does not say what it fills, fills the field of its name."""
        if self.direction is Direction.OUTBOUND:
            return parts
        return {"customProperties.fills": [column["name"]]} | parts


def _compare_tables(found: _Found, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> None:
    before, after = _by_name(old), _by_name(new)
    for name in before.keys() - after.keys():
        found.add("table_removed", ("schema", name), name)
    for name in after.keys() - before.keys():
        found.add("table_added", ("schema", name), new=name)
    for name in (name for name in before if name in after):
        place = ("schema", name)
        was, is_now = (
            found.labelled(_parts(one[name], ("properties", "quality")), one[name]) for one in (before, after)
        )
        found.parts(place, was, is_now, TABLE_ASPECTS)
        _compare_rules(found, place, before[name].get("quality", []), after[name].get("quality", []))
        _compare_columns(found, place, before[name], after[name])


def _compare_columns(found: _Found, place: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    before, after = _by_name(old.get("properties", [])), _by_name(new.get("properties", []))
    paired = {name: name for name in before if name in after}
    gone, come = [name for name in before if name not in after], [name for name in after if name not in before]
    for name in list(gone):
        if same := next((other for other in come if _label(before[name]) == _label(after[other])), None):
            paired[name] = same
            gone.remove(name)
            come.remove(same)
    for name in gone:
        kind = "column_removed" if _fills(before[name]) else "column_not_kept"
        found.add(kind, (*place, f"column {name}"), name)
    is_file = new.get("physicalType") in ("file", "sheet")
    last_kept = max((list(after).index(name) for name in paired.values()), default=-1)
    for name in come:
        found.add(
            _added(found, after[name], is_file, list(after).index(name) < last_kept),
            (*place, f"column {name}"),
            new=name,
        )
    order = [name for name in after if name in paired.values()]
    if order != [paired[name] for name in before if name in paired]:
        found.add("columns_reordered" if is_file else "columns_rearranged", place)
    for name, other in paired.items():
        at = (*place, f"column {other}")
        columns = (before[name], after[other])
        was, is_now = (found.filling(found.labelled(_parts(one, ("quality",)), one), one) for one in columns)
        found.parts(at, was, is_now, COLUMN_ASPECTS)
        _compare_rules(found, at, before[name].get("quality", []), after[other].get("quality", []))


def _added(found: _Found, column: Mapping[str, Any], is_file: bool, is_between: bool) -> str:
    if found.direction is Direction.INBOUND:
        return "column_added_optional" if _options(column).get("mayBeAbsent") else "column_added"
    return "column_added_between" if is_file and is_between else "column_added"


def _compare_rules(
    found: _Found, place: Sequence[str], old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> None:
    before, after = _by_name(old), _by_name(new)
    for name in dict.fromkeys([*before, *after]):
        at = (*place, f"rule {name}")
        was, is_now = before.get(name), after.get(name)
        if was is None or is_now is None or _is_strict(was) != _is_strict(is_now):
            # a rule that becomes a warning is a rule less and a warning more; only the rule counts
            if was is not None and (is_now is None or _is_strict(was)):
                found.add(
                    "rule_removed" if _is_strict(was) else "warning_removed", at, _severity(was), _severity(is_now)
                )
            else:
                found.add(
                    "rule_added" if _is_strict(is_now) else "warning_added", at, _severity(was), _severity(is_now)
                )
            continue
        _compare_rule(found, at, was, is_now)


def _compare_rule(found: _Found, at: Sequence[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    strict = _is_strict(old)
    if any(old.get(word) != new.get(word) for word in _WORDS_OF_A_RULE):
        found.add("text_changed", at, old.get("description"), new.get("description"))
    asks_old, asks_new = _asks(old), _asks(new)
    if asks_old == asks_new:
        return
    values = [asks.get("arguments", {}).pop("validValues", None) for asks in (asks_old, asks_new)]
    if asks_old != asks_new or None in values:
        found.add("rule_changed" if strict else "warning_changed", at, _asks(old), _asks(new))
        return
    for kind in _members("value_added", "value_removed")(*values):
        found.add(kind if strict else "warning_changed", at, *values)


def _asks(rule: Mapping[str, Any]) -> dict[str, Any]:
    """What the rule demands, without its words and without how hard it is (ours to change)."""
    asked = {name: value for name, value in rule.items() if name not in (*_WORDS_OF_A_RULE, "severity")}
    return json.loads(json.dumps(asked, default=str))


def _is_strict(rule: Mapping[str, Any] | None) -> bool:
    return rule is not None and _severity(rule) in _STRICT


def _severity(rule: Mapping[str, Any] | None) -> Any:
    return rule.get("severity", "error") if rule is not None else ABSENT


# -- the parts of a document -------------------------------------------------------------------------------------------


def _parts(item: Mapping[str, Any], without: Sequence[str]) -> dict[str, Any]:
    """Every part by its path: `customProperties.folder`, `description.purpose`, `slaProperties.retention`."""
    parts: dict[str, Any] = {}
    for name, value in item.items():
        if name in without:
            continue
        if name in ("customProperties", "slaProperties"):
            parts |= {f"{name}.{entry['property']}": entry.get("value") for entry in value}
            words = {entry["property"]: {k: v for k, v in entry.items() if k not in ("property", "value", "unit")}
                     for entry in value}  # fmt: skip
            parts |= {f"description.{name}.{one}": said for one, said in words.items() if said}
            parts |= {f"{name}.{entry['property']}.unit": entry["unit"] for entry in value if "unit" in entry}
        elif isinstance(value, Mapping):
            parts |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            parts[name] = value
    return parts


def _label(column: Mapping[str, Any]) -> str:
    return comparable(str(column.get("physicalName", column["name"])))


def _fills(column: Mapping[str, Any]) -> bool:
    return _options(column).get("fills", [column["name"]]) != []


def _options(item: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["property"]: entry.get("value") for entry in item.get("customProperties", [])}


def _by_name(items: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(item.get("name", number)): item for number, item in enumerate(items, start=1)}


def _shown(value: Any) -> str:
    if value is ABSENT or value is None:
        return "—"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}…"
