"""What is wrong with a contract file: everything at once, each with its place, what stands there and what is expected.

Rule: a contract is used when nothing is wrong with it. It must be valid ODCS (the published schema) and say what the
platform relies on: who, why, how long, and for incoming files a reader for every column, every field that is required
filled, no field filled by a reader that does not make it. `vs contract check` shows these problems, and the month asks
the same function, so that what passes the check goes live and what does not never stops another partner.
How to change: a new demand is a function that yields findings, added to _DEMANDS. Advice keeps no contract out.
"""

from __future__ import annotations

import codecs
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from include.contracts.headers import comparable
from include.contracts.registry import (
    ACTIVE,
    CONTRACT_FILE,
    PARTNER_DELIVERY,
    Column,
    Contract,
    ContractProblem,
    UnreadableContract,
    all_contracts,
    as_contract,
    contracts_folder,
    load_contract,
    read_yaml,
    unreadable_contracts,
)
from include.months import Month
from include.settings import SettingMissing

CLASSIFICATIONS = ("public", "internal", "confidential", "restricted")
# What the platform reads of customProperties; a name that only nearly is one of these is probably meant to be it.
CONTRACT_PROPERTIES = (
    "exchange", "partner", "partnerName", "sector", "consumer", "legalGround", "landsIn", "folder", "fileName",
    "format", "delimiter", "encodings", "sheet", "titleRows", "totalRowLabel", "maxFileMegabytes",
    "quarantineThreshold", "validFrom", "validTo", "manifest",
)  # fmt: skip
COLUMN_PROPERTIES = (
    "fills", "reader", "formats", "notation", "pattern", "codes", "trueWhen", "falseWhen", "minimum", "maximum",
    "mayBeAbsent", "whenEmpty", "whenInvalid", "reasonName", "filledBy",
)  # fmt: skip
# A field that has a form of its own is made by the readers that know the form; raw text in it would break the month,
# and a BSN that was not hashed would leave the raw rows.
READERS_OF_FIELD: Mapping[str, tuple[str, ...]] = {
    "postcode": ("postcode", "postcode_and_city"),
    "house_number": ("house_number", "address_line"),
    "phone": ("phone",),
    "phone_1": ("phone",),
    "phone_2": ("phone",),
    "email": ("email",),
    "bsn_key": ("bsn",),
}
READERS_OF_TYPE: Mapping[str, tuple[str, ...]] = {
    "date": ("date",),
    "number": ("amount", "decimal"),
    "integer": ("integer",),
    "boolean": ("yes_no",),
}
_SCHEMA = ("open_data_contract_standard", "schema.json")
_UNEXPECTED = re.compile(r"'([^']+)'(?=[^()]*(?:was|were) unexpected)")
_KIND = re.compile(r"property:\s*exchange\s*,?\s*value:\s*(\w+)")

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or (`is_advice`) that looks like a slip."""

    line: int | None
    place: str
    found: str
    expected: str
    is_advice: bool = False

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line else ""
        return f"{line}{self.place}: {self.found}; expected {self.expected}"


@dataclass(frozen=True)
class BrokenContract:
    """A contract file that is not used, and why."""

    path: Path
    name: str
    partner: str | None
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    """The contract that is looked at: the document, what it was read as, and the contract of the table it lands in."""

    document: Mapping[str, Any]
    contract: Contract
    landing: Contract | None


_Finding = tuple[Place, str, str]


def problems_in(path: Path) -> tuple[Problem, ...]:
    """Everything that is wrong with the contract file; a file may lie anywhere."""
    return _problems_in(path, path.stat().st_mtime_ns, contracts_folder(), _landing_changed_at())


def errors_in(path: Path) -> tuple[Problem, ...]:
    """The problems that keep the contract from being used."""
    return tuple(problem for problem in problems_in(path) if not problem.is_advice)


def is_usable(contract: Contract) -> bool:
    return not errors_in(contract.path)


def broken_contracts() -> list[BrokenContract]:
    """The contract files that are left out: those nobody can read, and those of partners that have an error in them."""
    unreadable = [_as_broken(one) for one in unreadable_contracts()]
    faulty = [
        BrokenContract(contract.path, contract.name, contract.partner, tuple(map(str, errors)))
        for contract in all_contracts()
        if contract.kind == PARTNER_DELIVERY and contract.status == ACTIVE and (errors := errors_in(contract.path))
    ]
    return sorted([*unreadable, *faulty], key=lambda broken: broken.path)


def _as_broken(unreadable: UnreadableContract) -> BrokenContract:
    errors = tuple(str(error) for error in errors_in(unreadable.path)) or (unreadable.problem,)
    # whose it is says its name: a partner's contract is called after the partner
    partner = unreadable.name if unreadable.is_inbound and _is_partner(unreadable.path) else None
    return BrokenContract(unreadable.path, unreadable.name, partner, errors)


def _is_partner(path: Path) -> bool:
    """False when another version of it, or what is left of its text, says that it is no delivery of a partner."""
    name = path.name.split("-v")[0]
    kinds = {contract.kind for contract in all_contracts() if contract.name == name}
    kinds |= set(_KIND.findall(path.read_text(encoding="utf-8", errors="replace")))
    return not kinds or PARTNER_DELIVERY in kinds


def _landing_changed_at() -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns for path in sorted(contracts_folder().glob("landing/*.yaml")))


@lru_cache(maxsize=512)
def _problems_in(path: Path, _changed_at: int, _folder: Path, _landing: tuple[int, ...]) -> tuple[Problem, ...]:
    if not CONTRACT_FILE.fullmatch(path.name):
        return (Problem(None, "file name", path.name, "<name>-v<number>.odcs.yaml, in lower case without spaces"),)
    try:
        document = read_yaml(path)
    except ContractProblem as problem:
        return (Problem(None, "file", str(problem), "a YAML file"),)
    if not isinstance(document, Mapping):
        return (Problem(1, "file", "no contract", "apiVersion, kind, id, version, status, schema, … (ODCS)"),)
    found = list(dict.fromkeys([*_against_odcs(document), *_against_our_demands(document, path)]))
    slips = list(_slips(document))
    lines = _lines(path) if found or slips else {}
    problems = [Problem(_line(lines, at), _place(document, at), what, wanted) for at, what, wanted in found]
    advice = [Problem(_line(lines, at), _place(document, at), what, wanted, True) for at, what, wanted in slips]
    return tuple(sorted(problems, key=lambda problem: problem.line or 0)) + tuple(advice)


# -- where -------------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Mapping[Place, int]:
    """The line on which every part of the document begins."""
    found: dict[Place, int] = {}

    def walk(node: yaml.Node, at: Place) -> None:
        found.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[(*at, key.value)] = key.start_mark.line + 1
                walk(value, (*at, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                walk(item, (*at, index))

    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if root is not None:
        walk(root, ())
    return found


def _line(lines: Mapping[Place, int], at: Place) -> int | None:
    """The line of the place, or of the nearest thing around it that is there."""
    while at not in lines and at:
        at = at[:-1]
    return lines.get(at)


def _place(document: Any, at: Place) -> str:
    """`schema › signals › column saldo › reader`."""
    words: list[str] = []
    here: Any = document
    for step in at:
        here = here[step] if _has(here, step) else None
        if isinstance(step, str):
            words.append(step)
        elif isinstance(here, Mapping) and (name := here.get("name") or here.get("property")):
            words.append(f"column {name}" if words[-1:] == ["properties"] else str(name))
        else:
            words.append(str(step + 1))
    return " › ".join(word for word in words if word not in ("properties", "value")) or "the contract"


def _has(here: Any, step: str | int) -> bool:
    if isinstance(here, Mapping):
        return step in here
    return isinstance(here, Sequence) and not isinstance(here, str) and isinstance(step, int) and step < len(here)


def _option_at(item: Any, at: Place, name: str) -> Place:
    """Where the customProperty `name` of the item stands, or would stand."""
    entries = item.get("customProperties", []) if isinstance(item, Mapping) else []
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping) and entry.get("property") == name:
            return (*at, "customProperties", index, "value")
    return (*at, "customProperties", name)


# -- the standard ------------------------------------------------------------------------------------------------------


@lru_cache
def _odcs() -> Any:
    from jsonschema.validators import validator_for

    package, name = _SCHEMA
    schema = json.loads((resources.files(package) / name).read_text(encoding="utf-8"))
    return validator_for(schema)(schema)


def _against_odcs(document: Mapping[str, Any]) -> Iterator[_Finding]:
    from jsonschema.exceptions import best_match

    for error in _odcs().iter_errors(document):
        yield from _in_words(best_match([error]) or error)


def _in_words(error: Any) -> Iterator[_Finding]:
    at, value = tuple(error.absolute_path), error.instance
    if error.validator == "required":
        for name in error.validator_value:
            if name not in value:
                yield (*at, name), "is not there", "a value, for ODCS requires it"
    elif error.validator == "enum":
        yield at, _shown(value), f"one of {', '.join(map(str, error.validator_value))}"
    elif error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        yield at, _shown(value), f"a value of type {' or '.join(kinds)}"
    elif error.validator in ("additionalProperties", "unevaluatedProperties"):
        for name in _UNEXPECTED.findall(error.message):
            yield (*at, name), "is no name of ODCS", "a name of the standard; what is ours goes into customProperties"
    else:
        yield at, _shown(value), f"ODCS: {error.message[:160]}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


# -- what the platform relies on ---------------------------------------------------------------------------------------


def _against_our_demands(document: Mapping[str, Any], path: Path) -> Iterator[_Finding]:
    try:
        # what is missing at the top was told already, and should not hide what is wrong below
        whole = {"version": "0.0.0", "status": ACTIVE, "schema": [], **document}
        contract = as_contract(whole, path)
        landing = load_contract(contract.lands_in) if contract.lands_in else None
    except ContractProblem as problem:
        if not any(True for _ in _against_odcs(document)):
            yield (), str(problem), "a contract that can be read"
        return
    case = _Case(document, contract, landing)
    for demand in _DEMANDS:
        yield from demand(case)


def _named_after_the_file(case: _Case) -> Iterator[_Finding]:
    contract, document = case.contract, case.document
    if document.get("id") not in (None, contract.reference):
        yield ("id",), _shown(document["id"]), contract.reference
    version = str(document.get("version", ""))
    if version and not re.fullmatch(rf"{contract.major}\.\d+\.\d+", version):
        yield (
            ("version",),
            _shown(version),
            f"{contract.major}.<minor>.<patch>, for the file name says -v{contract.major}",
        )


def _says_who_why_and_how_long(case: _Case) -> Iterator[_Finding]:
    contract = case.contract
    for at, value, wanted in (
        (("team", "name"), contract.owner, "who answers for the exchange"),
        (("description", "purpose"), contract.purpose, "why the data is exchanged"),
        (("customProperties", "legalGround"), contract.legal_ground, "the legal ground"),
        (("customProperties", "consumer"), contract.option("consumer"), "who receives the data"),
    ):
        if not value:
            yield at, "is not there", wanted
    yield from _whole_number(case, "retention", range(1, 1_201), "a number of months")


def _whole_number(case: _Case, name: str, within: range, wanted: str) -> Iterator[_Finding]:
    for index, entry in enumerate(case.document.get("slaProperties", [])):
        if isinstance(entry, Mapping) and entry.get("property") == name:
            value = entry.get("value")
            if not isinstance(value, int) or isinstance(value, bool) or value not in within:
                yield ("slaProperties", index, "value"), _shown(value), f"{wanted} ({within[0]} to {within[-1]})"
            return
    yield ("slaProperties", name), "is not there", wanted


def _columns_are_described(case: _Case) -> Iterator[_Finding]:
    for table_index, table in enumerate(case.contract.tables):
        seen: dict[str, str] = {}
        for index, column in enumerate(table.columns):
            at: Place = ("schema", table_index, "properties", index)
            if column.classification not in CLASSIFICATIONS or not _given(case, at, "classification"):
                yield (
                    (*at, "classification"),
                    _shown(_given(case, at, "classification")),
                    (f"one of {', '.join(CLASSIFICATIONS)}"),
                )
            if not column.description:
                yield (*at, "description"), "is not there", "what the column means"
            for kind, name in (("name", column.name), ("label", comparable(column.label))):
                if f"{kind} {name}" in seen:
                    yield at, f"the {kind} {_shown(name)} of {seen[f'{kind} {name}']} again", f"a {kind} of its own"
                seen.setdefault(f"{kind} {name}", f"column {column.name}")


def _given(case: _Case, at: Place, name: str) -> Any:
    here: Any = case.document
    for step in at:
        here = here[step]
    return here.get(name)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_encodings(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    try:
        return all(codecs.lookup(name) for name in value)
    except (LookupError, TypeError):
        return False


def _or_absent(is_good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_good(value)


def _is_file_name(value: Any) -> bool:
    return isinstance(value, str) and "<YYYYMM>" in value and "." in value


# customProperty of a file that comes in, what it must be, and in words
_FILE_OPTIONS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("format", lambda value: value in ("csv", "xlsx"), "csv or xlsx"),
    ("delimiter", _or_absent(lambda value: isinstance(value, str) and len(value) == 1), "one character"),
    ("encodings", _or_absent(_are_encodings), "a list such as [utf-8, cp1252]"),
    ("titleRows", _or_absent(lambda value: _is_whole(value) and value >= 0), "how many rows stand above the header"),
    ("maxFileMegabytes", _or_absent(lambda value: _is_number(value) and value > 0), "a number of megabytes"),
    ("quarantineThreshold", _or_absent(lambda value: _is_number(value) and 0 < value < 1), "a share such as 0.1"),
    ("fileName", _is_file_name, "a name such as partner_<YYYYMM>[_<seq>].csv"),
    ("folder", lambda value: isinstance(value, str) and value.startswith("inbox/"), "a folder below inbox/"),
)


def _file_can_be_read(case: _Case) -> Iterator[_Finding]:
    contract = case.contract
    if not _is_inbound(contract):
        return
    for name, is_good, wanted in _FILE_OPTIONS:
        value = contract.option(name, contract.folder if name == "folder" else None)
        if not is_good(value):
            at = _option_at(case.document, (), name)
            yield at, "is not there" if value is None else _shown(value), wanted


def _is_inbound(contract: Contract) -> bool:
    return contract.kind in (PARTNER_DELIVERY, "inbound")


def _partner_is_known(case: _Case) -> Iterator[_Finding]:
    contract, document = case.contract, case.document
    if contract.kind != PARTNER_DELIVERY:
        return
    for name, wanted in (("sector", "whose arrears: Huur, Zorg, Energie, Water, …"), ("landsIn", "signals-v1")):
        if not contract.option(name):
            yield _option_at(document, (), name), "is not there", wanted
    # its own name and its own folder: so a partner's contract can never come between another partner and its files
    for name, wanted in (("partner", contract.name), ("folder", f"inbox/{contract.name}")):
        if (value := contract.option(name, wanted if name == "folder" else None)) != wanted:
            yield (
                _option_at(document, (), name),
                "is not there" if value is None else _shown(value),
                (f"{wanted}, as the file name says"),
            )
    yield from _whole_number(case, "deliveryDay", range(1, 32), "a day of the month")


def _versions_are_dated(case: _Case) -> Iterator[_Finding]:
    months: dict[str, Month] = {}
    for name in ("validFrom", "validTo"):
        if (value := case.contract.option(name)) is not None:
            try:
                months[name] = Month.parse(str(value))
            except ValueError:
                yield _option_at(case.document, (), name), _shown(value), "a signal month such as 2024-07"
    if len(months) == 2 and months["validTo"] < months["validFrom"]:
        yield _option_at(case.document, (), "validTo"), str(months["validTo"]), "not before validFrom"


def _columns_are_read(case: _Case) -> Iterator[_Finding]:
    if not _is_inbound(case.contract):
        return
    fields = {field.name: field for field in case.landing.columns} if case.landing else {}
    for table_index, table in enumerate(case.contract.tables):
        for index, column in enumerate(table.columns):
            at: Place = ("schema", table_index, "properties", index)
            yield from _reader_is_known(case, column, at)
            if fields:
                yield from _fields_are_made(case, column, at, fields)
    yield from _required_fields_are_filled(case)


def _reader_is_known(case: _Case, column: Column, at: Place) -> Iterator[_Finding]:
    from include.ingest.readers import READERS

    reader_at = _option_at(_item(case, at), at, "reader")
    if column.reader not in READERS:
        near = difflib.get_close_matches(str(column.reader), READERS, 1)
        hint = f"perhaps {near[0]}: " if near else ""
        yield reader_at, _shown(column.reader), f"{hint}one of {', '.join(sorted(READERS))}"
        return
    try:
        READERS[column.reader](column)
    except SettingMissing:
        pass  # a key of this machine is not the contract's business
    except ContractProblem as problem:
        yield reader_at, f"reader {column.reader}", str(problem).removeprefix(f"column {column.name}: ")
    except (TypeError, AttributeError, ValueError) as error:
        yield reader_at, f"reader {column.reader}", f"options it can use ({error})"


def _fields_are_made(case: _Case, column: Column, at: Place, fields: Mapping[str, Column]) -> Iterator[_Finding]:
    from include.ingest.readers import FIELDS, READERS

    fills_at = _option_at(_item(case, at), at, "fills")
    if column.reader not in READERS:
        return
    made = {"phone"} if column.reader == "phone" else set(FIELDS.get(column.reader, ()))
    if made:
        if column.option("fills") is not None and not set(column.fills) <= made:
            yield fills_at, _shown(list(column.fills)), f"{', '.join(sorted(made))}, which reader {column.reader} makes"
        return
    for name in column.fills:
        if name not in fields and name != "phone":
            near = difflib.get_close_matches(name, fields, 1)
            hint = f"perhaps {near[0]}: " if near else ""
            yield fills_at, _shown(name), f"{hint}a field of {case.contract.lands_in}, or [] to keep it in the raw row"
            continue
        kind = fields[name].logical_type if name in fields else "string"
        able = READERS_OF_FIELD.get(name) or READERS_OF_TYPE.get(kind)
        if able and column.reader not in able:
            yield _option_at(_item(case, at), at, "reader"), f"reader {column.reader} for {name}", " or ".join(able)


def _item(case: _Case, at: Place) -> Any:
    here: Any = case.document
    for step in at:
        here = here[step]
    return here


def _required_fields_are_filled(case: _Case) -> Iterator[_Finding]:
    from include.ingest.readers import fields_filled

    if case.landing is None or len(case.contract.tables) != 1:
        return
    filled = {name for column in case.contract.columns for name in (*fields_filled(column), *column.fills)}
    for field in case.landing.columns:
        if field.is_required and field.name not in filled:
            yield (
                ("schema", 0),
                f"no column fills {field.name}",
                (f"one that does: {case.contract.lands_in} requires it ({field.description.rstrip('.')})"),
            )


def _rules_can_be_asked(case: _Case) -> Iterator[_Finding]:
    from include.ingest.reading import ROW_RULES

    fields: set[str] = set()
    if _is_inbound(case.contract):
        fields = {column.name for column in (case.landing or case.contract).columns}
    for table_index, table in enumerate(case.contract.tables):
        for rule in table.rules:
            at: Place = ("schema", table_index, "quality", rule.name)
            if rule.rule not in ROW_RULES:
                yield at, _shown(rule.rule), f"one of {', '.join(sorted(ROW_RULES))}"
            for name in rule.fields:
                if fields and name not in fields:
                    yield at, _shown(name), "a field the rows have"


_DEMANDS: tuple[Callable[[_Case], Iterator[_Finding]], ...] = (
    _named_after_the_file,
    _says_who_why_and_how_long,
    _columns_are_described,
    _file_can_be_read,
    _partner_is_known,
    _versions_are_dated,
    _columns_are_read,
    _rules_can_be_asked,
)


# -- slips -------------------------------------------------------------------------------------------------------------


def _slips(document: Mapping[str, Any]) -> Iterator[_Finding]:
    """Names of customProperties that nearly are one of ours: a misspelt threshold would silently be the default."""
    yield from _nearly(document, (), CONTRACT_PROPERTIES)
    schema = document.get("schema")
    for table_index, table in enumerate(schema if isinstance(schema, list) else []):
        columns = table.get("properties") if isinstance(table, Mapping) else None
        for index, column in enumerate(columns if isinstance(columns, list) else []):
            yield from _nearly(column, ("schema", table_index, "properties", index), COLUMN_PROPERTIES)


def _nearly(item: Any, at: Place, known: Sequence[str]) -> Iterator[_Finding]:
    entries = item.get("customProperties") if isinstance(item, Mapping) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("property") if isinstance(entry, Mapping) else None
        if isinstance(name, str) and name not in known and (near := difflib.get_close_matches(name, known, 1, 0.8)):
            yield (*at, "customProperties", index), "a name the platform does not read", f"perhaps {near[0]}"
