"""The contracts as typed objects: every exchange of the platform is one ODCS file below this folder.

Rule: code asks the contract, never the partner. What a delivery looks like, what fills which field, which column is
personal and how long it is kept stands in the file; a new partner is a new file in `inbound/` and nothing else.
Reason: a list of partners in code is forgotten in one place; a folder cannot be.
How to change: write `<name>-v<N>.odcs.yaml` (a breaking change is a new N beside the old one) in `inbound/`,
`outbound/`, `landing/` or `marts/`. `load_contract("woonbedrijf")` gives the highest version that is active.
A file that cannot be read is nobody's problem but its own: it is left out, logged, and told by `unreadable_contracts`.

Only the YAML parser is imported here: DAG files and light steps may read contracts without paying for pandas.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from include.months import Month
from include.settings import Settings

log = logging.getLogger(__name__)

CONTRACT_FILE = re.compile(r"(?P<name>[a-z0-9_]+)-v(?P<major>\d+)\.odcs\.yaml")
PARTNER_DELIVERY = "partner_delivery"
ACTIVE = "active"
_SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ContractProblem(ValueError):
    """A contract cannot be used; the message names the file, the place in it and what is expected there."""


@dataclass(frozen=True)
class RowRule:
    """A rule over the fields of one row; `reason` is the code a row that breaks it gets, `limits` are its numbers."""

    name: str
    rule: str
    fields: tuple[str, ...]
    reason: str
    severity: str
    limits: Mapping[str, int]


@dataclass(frozen=True)
class Column:
    """One column of an exchange: `name` in our words, `label` as it stands in the file's header."""

    name: str
    label: str
    logical_type: str
    classification: str
    description: str
    is_required: bool
    is_key: bool
    max_length: int | None
    options: Mapping[str, Any]
    #: how the warehouse keeps it, when the logical type does not say it: `numeric(12, 2)`
    physical_type: str | None = None
    #: ODCS logicalTypeOptions: minimum, maximum, pattern, maxLength
    type_options: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    #: rules over this column alone, as written (ODCS quality)
    quality: tuple[Mapping[str, Any], ...] = ()

    def option(self, name: str, default: Any = None) -> Any:
        return self.options.get(name, default)

    @property
    def fills(self) -> tuple[str, ...]:
        """The canonical fields this column fills; a column without any is kept in the raw row only."""
        filled = self.option("fills", [self.name])
        return (filled,) if isinstance(filled, str) else tuple(filled)

    @property
    def reader(self) -> str:
        return self.option("reader", "text")

    @property
    def may_be_absent(self) -> bool:
        """True when a file without this column is still a file of this contract."""
        return bool(self.option("mayBeAbsent", False))

    @property
    def reason_name(self) -> str:
        """What the field is called in reason codes: `<reason_name>_missing`."""
        return self.option("reasonName", self.name)

    @property
    def is_flagged_when_invalid(self) -> bool:
        """True when an unusable value is left out and flagged, not a reason to keep the whole row out."""
        return self.option("whenInvalid", "quarantine") == "flag"


@dataclass(frozen=True)
class Table:
    """One schema object: a file, a sheet of a workbook, or a table. `label` is its name there."""

    name: str
    label: str
    description: str
    columns: tuple[Column, ...]
    rules: tuple[RowRule, ...]
    #: file, sheet, table or view
    physical_type: str = ""
    #: what one row is, in words
    grain: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    #: rules over the rows, as written (ODCS quality)
    quality: tuple[Mapping[str, Any], ...] = ()
    #: columns the warehouse keeps beside those of the exchange: the month, lineage
    carried: tuple[Column, ...] = ()

    def option(self, name: str, default: Any = None) -> Any:
        return self.options.get(name, default)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.is_key)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise ContractProblem(f"table {self.name} has no column {name!r}")


@dataclass(frozen=True)
class FileFormat:
    """How the bytes of a file become rows and columns."""

    kind: str
    delimiter: str
    encodings: tuple[str, ...]
    sheet: str | None
    title_rows: int
    total_row_label: str | None
    max_bytes: int


@dataclass(frozen=True)
class FileName:
    """A file name of this contract, read."""

    month: Month
    sequence: int


@dataclass(frozen=True)
class Contract:
    """One exchange with one other party, as one ODCS file describes it."""

    name: str
    major: int
    version: str
    status: str
    kind: str
    title: str
    description: str
    owner: str
    purpose: str
    legal_ground: str
    tables: tuple[Table, ...]
    options: Mapping[str, Any]
    sla: Mapping[str, Any]
    path: Path
    limitations: str = ""
    #: where to ask, as people write it: `vroegsignalering@gemeente.example`
    contact: str = ""
    #: the roles of the warehouse that may read it
    roles: tuple[str, ...] = ()
    #: what is agreed about delivery and retention, in words
    sla_descriptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The name with its major version, as it stands in ledgers: `woonbedrijf-v1`."""
        return f"{self.name}-v{self.major}"

    @property
    def table(self) -> Table:
        """The only table of a contract with one table."""
        if len(self.tables) != 1:
            raise ContractProblem(f"{self.reference} has {len(self.tables)} tables; ask for one by name")
        return self.tables[0]

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.table.columns

    def table_named(self, name: str) -> Table:
        for table in self.tables:
            if table.name == name:
                return table
        tables = ", ".join(table.name for table in self.tables)
        raise ContractProblem(f"{self.reference} has no table {name!r}; it has {tables}")

    def option(self, name: str, default: Any = None) -> Any:
        return self.options.get(name, default)

    # partner deliveries
    @property
    def partner(self) -> str | None:
        return self.option("partner")

    @property
    def partner_name(self) -> str:
        return self.option("partnerName", self.partner or self.title)

    @property
    def sector(self) -> str | None:
        return self.option("sector")

    @property
    def delivery_day(self) -> int:
        """The last day of the month on which the delivery may arrive."""
        return int(self.sla["deliveryDay"])

    @property
    def valid_from(self) -> Month | None:
        """The first signal month this version describes; None when it always did."""
        return _month(self.option("validFrom"))

    @property
    def valid_to(self) -> Month | None:
        """The last signal month this version describes; None when there is no end in sight."""
        return _month(self.option("validTo"))

    def covers(self, month: Month) -> bool:
        """True when a delivery of this signal month may have this version's shape."""
        first, last = self.valid_from, self.valid_to
        return (first is None or first <= month) and (last is None or month <= last)

    def sla_says(self, name: str) -> str:
        """What is agreed, in words; empty when nothing is."""
        return self.sla_descriptions.get(name, "")

    @property
    def retention_months(self) -> int:
        return int(self.sla["retention"])

    @property
    def quarantine_threshold(self) -> float:
        """The share of quarantined rows above which the file as a whole is refused."""
        return float(self.option("quarantineThreshold", 0.10))

    @property
    def lands_in(self) -> str | None:
        """The contract of the table the rows become; None when the columns are the fields."""
        return self.option("landsIn")

    # files
    @property
    def folder(self) -> str:
        """Where its files come in or go out: `inbox/woonbedrijf`."""
        return self.option("folder", f"inbox/{self.partner}")

    @property
    def format(self) -> FileFormat:
        kind = self.option("format", "csv")
        if kind not in ("csv", "xlsx", "json"):
            raise ContractProblem(f"{self.path.name}: format {kind!r} is not known; write csv, xlsx or json")
        return FileFormat(
            kind=kind,
            delimiter=self.option("delimiter", ","),
            encodings=tuple(self.option("encodings", ["utf-8"])),
            sheet=self.option("sheet"),
            title_rows=int(self.option("titleRows", 0)),
            total_row_label=self.option("totalRowLabel"),
            max_bytes=int(float(self.option("maxFileMegabytes", 64)) * 1024 * 1024),
        )

    @property
    def file_name_template(self) -> str:
        """As written for people: `woonbedrijf_<YYYYMM>[_<seq>].csv`."""
        return self.option("fileName", "")

    def file_name(self, month: Month, sequence: int) -> str:
        """The name of the file with this month and sequence; an optional sequence is left out of the first."""
        template = re.sub(r"\[(.*?)\]", "" if sequence == 1 else r"\1", self.file_name_template)
        return template.replace("<YYYYMM>", month.compact).replace("<seq>", f"{sequence:02d}")

    def read_file_name(self, file_name: str) -> FileName | None:
        """Month and sequence of a file of this contract; None when the name is not one of its names."""
        match = _file_name_pattern(self.file_name_template).fullmatch(file_name)
        if not match:
            return None
        try:
            month = Month.parse(match["month"])
        except ValueError:
            return None
        return FileName(month, int(match.groupdict().get("sequence") or 1))


def _month(text: Any) -> Month | None:
    return Month.parse(str(text)) if text is not None else None


@lru_cache
def _file_name_pattern(template: str) -> re.Pattern[str]:
    """`x_<YYYYMM>[_<seq>].csv` as a pattern; only the extension may be written in capitals."""
    stem, _, extension = template.rpartition(".")
    pattern = re.escape(stem).replace(re.escape("["), "(?:").replace(re.escape("]"), ")?")
    pattern = pattern.replace("<YYYYMM>", r"(?P<month>\d{6})").replace("<seq>", r"(?P<sequence>\d{1,3})")
    return re.compile(rf"{pattern}\.(?i:{re.escape(extension)})")


def contracts_folder() -> Path:
    return Settings.from_environment().contracts_folder


@dataclass(frozen=True)
class UnreadableContract:
    """A file in the folder that is no contract; `problem` says what is wrong with it and where."""

    path: Path
    name: str
    major: int
    problem: str

    @property
    def is_inbound(self) -> bool:
        return self.path.parent.name == "inbound"


def load_contract(name: str) -> Contract:
    """The contract `name` (its newest active version) or `name-v1` (exactly that one)."""
    wanted, _, version = name.partition("-v")
    major = int(version) if version else None
    contracts, unreadable = _folder()
    found = [contract for contract in contracts if contract.name == wanted and major in (None, contract.major)]
    best = max(
        [contract for contract in found if contract.status == ACTIVE] or found,
        key=lambda contract: contract.major, default=None,
    )  # fmt: skip
    # a version that cannot be read may be the one that is meant: an older one in its place would be a guess
    for broken in unreadable:
        if broken.name == wanted and major in (None, broken.major) and (best is None or broken.major > best.major):
            raise ContractProblem(broken.problem)
    if best is None:
        raise ContractProblem(
            f"There is no contract {name!r} in {contracts_folder()}. "
            f"Its file would be called {wanted}-v{major or 1}.odcs.yaml."
        )
    return best


def all_contracts() -> list[Contract]:
    """Every contract in the folder that can be read, by name and version."""
    return list(_folder()[0])


def unreadable_contracts() -> list[UnreadableContract]:
    """The files in the folder that cannot be read."""
    return list(_folder()[1])


def _folder() -> tuple[tuple[Contract, ...], tuple[UnreadableContract, ...]]:
    contracts, unreadable = [], []
    for path in sorted(contracts_folder().glob("*/*.odcs.yaml")):
        try:
            contracts.append(_read(path, path.stat().st_mtime_ns))
        except ContractProblem as problem:
            named = CONTRACT_FILE.fullmatch(path.name)
            name, major = (named["name"], int(named["major"])) if named else (path.name.split("-v")[0], 0)
            unreadable.append(UnreadableContract(path, name, major, str(problem)))
            _tell_once(str(problem), path.stat().st_mtime_ns)
    return tuple(contracts), tuple(unreadable)


@lru_cache(maxsize=256)
def _tell_once(problem: str, _changed_at: int) -> None:
    log.error("%s The other contracts go on without it.", problem)


@lru_cache(maxsize=256)
def _read(path: Path, _changed_at: int) -> Contract:
    """Parse one file; the time of its last change is part of the key, so an edited contract is read again."""
    contract = as_contract(read_yaml(path), path)
    _check(contract)
    return contract


def read_yaml(path: Path) -> Any:
    """The document in the file; a ContractProblem when it is not YAML."""
    try:
        # both loaders are safe; the one in C is ten times as fast
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_SAFE_LOADER)  # noqa: S506
    except UnicodeDecodeError as error:
        raise ContractProblem(f"{path.name} is not written in UTF-8 (byte {error.start}); save it as UTF-8.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" on line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise ContractProblem(f"{path.name} is not YAML{place}: {what}.") from error


def as_contract(document: Any, path: Path) -> Contract:
    """The document as a contract; what it says is not judged here (include/contracts/checking.py does)."""
    named = CONTRACT_FILE.fullmatch(path.name)
    if not named:
        raise ContractProblem(f"{path.name}: a contract file is called <name>-v<number>.odcs.yaml.")
    try:
        return _contract(document, named["name"], int(named["major"]), path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"{path.name} is not an ODCS contract: {error!r}; `vs contract check {path.name}` says where."
        raise ContractProblem(message) from error


def _contract(document: Mapping[str, Any], name: str, major: int, path: Path) -> Contract:
    options = _options(document)
    description = document.get("description", {})
    return Contract(
        name=name,
        major=major,
        version=str(document["version"]),
        status=document["status"],
        kind=options.get("exchange", path.parent.name),
        title=document.get("name", name),
        description=description.get("usage", ""),
        owner=document.get("team", {}).get("name", ""),
        purpose=description.get("purpose", ""),
        legal_ground=options.get("legalGround", ""),
        tables=tuple(_table(item) for item in document["schema"]),
        options=MappingProxyType(options),
        sla=MappingProxyType({item["property"]: item["value"] for item in document.get("slaProperties", [])}),
        path=path,
        limitations=description.get("limitations", ""),
        contact=next((channel["url"].removeprefix("mailto:") for channel in document.get("support", [])), ""),
        roles=tuple(role["role"] for role in document.get("roles", [])),
        sla_descriptions=MappingProxyType(
            {item["property"]: item.get("description", "") for item in document.get("slaProperties", [])}
        ),
    )


def _table(item: Mapping[str, Any]) -> Table:
    options = _options(item)
    return Table(
        name=item["name"],
        label=item.get("physicalName", item["name"]),
        description=item.get("description", ""),
        columns=tuple(_column(column) for column in item["properties"]),
        rules=tuple(_rule(rule) for rule in item.get("quality", []) if rule.get("engine") == "vroegsignalering"),
        physical_type=item.get("physicalType", ""),
        grain=item.get("dataGranularityDescription", ""),
        options=MappingProxyType(options),
        quality=tuple(item.get("quality", [])),
        carried=tuple(_column(column) for column in options.get("carried", [])),
    )


def _column(item: Mapping[str, Any]) -> Column:
    type_options = item.get("logicalTypeOptions", {})
    return Column(
        name=item["name"],
        label=item.get("physicalName", item["name"]),
        logical_type=item.get("logicalType", "string"),
        classification=item.get("classification", "internal"),
        description=item.get("description", ""),
        is_required=bool(item.get("required", False)),
        is_key=bool(item.get("primaryKey", False)),
        max_length=type_options.get("maxLength"),
        options=MappingProxyType(_options(item)),
        physical_type=item.get("physicalType"),
        type_options=MappingProxyType(type_options),
        examples=tuple(str(example) for example in item.get("examples", [])),
        quality=tuple(item.get("quality", [])),
    )


def _rule(item: Mapping[str, Any]) -> RowRule:
    rule = item["implementation"]
    limits = MappingProxyType({name: value for name, value in rule.items() if isinstance(value, int)})
    return RowRule(
        item["name"], rule["rule"], tuple(rule["fields"]), rule["reason"], item.get("severity", "error"), limits
    )


def _options(item: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["property"]: entry["value"] for entry in item.get("customProperties", [])}


def _check(contract: Contract) -> None:
    """Without these nobody could tell whose deliveries the contract describes."""
    if contract.kind != PARTNER_DELIVERY:
        return
    absent = [name for name in ("partner", "sector", "fileName", "landsIn", "format") if not contract.option(name)]
    absent += [name for name in ("deliveryDay", "retention") if name not in contract.sla]
    if absent:
        missing = ", ".join(absent)
        raise ContractProblem(f"{contract.path.name} does not say {missing} (customProperties or slaProperties).")
