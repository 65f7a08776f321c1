"""The readable page of every contract, in `docs/contracts/`, and an index of them.

Rule: a page says nothing of its own. What a partner must deliver, when, in which form and what happens with a bad row
is read from its contract, from the contract of the table it lands in, and from the Dutch words beside the readers
(`partner_page.nl.yaml`); the sentences around them stand in `page_templates/`. Pages a partner reads are in Dutch, the
others in English.
How to change: the contract, the words or the template; then `vs contract generate`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from include.contracts.gate_suites import rules_of
from include.contracts.registry import ACTIVE, PARTNER_DELIVERY, Column, Contract, Table, all_contracts, load_contract
from include.contracts.relations import data_type, relation_of
from include.months import Month

_HERE = Path(__file__).parent
_EXAMPLE_MONTH = Month(2024, 6)
_MONTHS_NL = ("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober",
              "november", "december")  # fmt: skip
_ENCODINGS = {"utf-8": "UTF-8", "windows-1252": "Windows-1252", "cp1252": "Windows-1252"}
#: Folder of the contracts → what the index says of them.
_GROUPS = {
    "inbound": ("What else comes in", "Answers of the enrichment provider and of RIS, as files or by API."),
    "outbound": ("What goes out", "Lists, answers and deliveries. What the contract does not name cannot go out."),
    "marts": ("Public tables", "Schema `marts`: what BI tools and reports read. No personal data."),
    "landing": ("Landing tables", "What came in, as it is kept: personal data, short retention."),
}


@dataclass(frozen=True)
class PageColumn:
    """A column as a page shows it."""

    label: str
    meaning: str
    required: str
    form: str = ""
    example: str = ""
    type: str = ""
    limits: str = ""
    classification: str = ""


@dataclass(frozen=True)
class PageRule:
    name: str
    severity: str
    says: str


@dataclass(frozen=True)
class PageTable:
    title: str
    description: str
    grain: str
    columns: tuple[PageColumn, ...]
    relation: str
    carried: str
    rules: tuple[PageRule, ...]
    judged_by: str


def page_files() -> dict[str, str]:
    """Path below `docs/contracts/` → text."""
    active = [contract for contract in all_contracts() if contract.status == ACTIVE]
    return {_page_of(contract): _page(contract) for contract in active} | {"README.md": _index(active)}


def _page_of(contract: Contract) -> str:
    return f"{contract.path.parent.name}/{contract.reference}.md"


def _page(contract: Contract) -> str:
    if contract.kind == PARTNER_DELIVERY:
        return _rendered("partner.nl.md.j2", contract=contract, **_partner_words(contract))
    if contract.option("language") == "nl":
        return _rendered("outgoing.nl.md.j2", contract=contract, **_outgoing_words(contract))
    return _rendered("exchange.md.j2", contract=contract, **_exchange_words(contract))


def _rendered(template: str, **words: Any) -> str:
    import jinja2

    # Markdown, not HTML: what could break a table is escaped in _cell
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "page_templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**words).rstrip() + "\n"


def _cell(text: object) -> str:
    """Text that can stand in a cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


# -- pages for partners, in Dutch --------------------------------------------------------------------------------------


@cache
def _dutch() -> Mapping[str, Any]:
    return yaml.safe_load((_HERE / "partner_page.nl.yaml").read_text(encoding="utf-8"))


def _partner_words(contract: Contract) -> dict[str, Any]:
    landing = load_contract(contract.lands_in or "").table
    fields = {field.name: field for field in landing.columns}
    columns = [_partner_column(column, fields) for column in contract.columns]
    threshold = f"{contract.quarantine_threshold:.0%}".replace("%", " %")
    refused = {code: text.format(threshold=threshold) for code, text in _dutch()["refused"].items()}
    return {
        "conditions": contract.option("conditionsNl"),
        "file_name": f"`{contract.file_name(_EXAMPLE_MONTH, 1)}` voor signaalmaand {_month_nl(_EXAMPLE_MONTH)}",
        "second_file_name": f"`{contract.file_name(_EXAMPLE_MONTH, 2)}`",
        "form": _form_of_file(contract),
        "megabytes": contract.format.max_bytes // 1024**2,
        "valid": _valid(contract),
        "columns": columns,
        "sample": _sample(contract, columns),
        "refused": refused.items(),
        "set_aside": list(_set_aside(contract, landing)),
        "remarked": [*_dutch()["remarked"].items(), *_left_out(contract, landing)],
        "short_retention": contract.sla.get("retentionNotPickedUp", contract.retention_months),
        "personal": _personal(contract),
    }


def _month_nl(month: Month) -> str:
    return f"{_MONTHS_NL[month.first_day.month - 1]} {month.year}"


def _valid(contract: Contract) -> str:
    first, last = contract.valid_from, contract.valid_to
    words = [f"vanaf {_month_nl(first)}" if first else "", f"tot en met {_month_nl(last)}" if last else ""]
    return " ".join(word for word in words if word)


def _form_of_file(contract: Contract) -> str:
    form = contract.format
    if form.kind == "json":
        return "JSON, UTF-8"
    if form.kind == "xlsx":
        rows = f", {form.title_rows} titelregels boven de kop" if form.title_rows else ""
        total = f", een laatste regel `{form.total_row_label}` mag" if form.total_row_label else ""
        return f"Excel (xlsx), blad `{form.sheet}`{rows}{total}"
    encodings = " of ".join(_ENCODINGS.get(name, name) for name in form.encodings)
    return f"CSV, scheidingsteken `{form.delimiter}`, tekenset {encodings}, eerste regel is de kop"


def _partner_column(column: Column, fields: Mapping[str, Column]) -> PageColumn:
    words = _dutch()["readers"][column.reader]
    options = _options_of(column)
    filled = [field for field in fields.values() if _fills(column, field)]
    own = column.option("descriptionNl")
    if not filled:
        meaning = own or "Wij bewaren deze kolom, maar gebruiken hem niet."
    else:
        meaning = own or words.get("meaning") or filled[0].option("descriptionNl") or filled[0].description
    example = column.examples[0] if column.examples else words.get("example", "").format(**options)
    longest = f", ten hoogste {filled[0].max_length} tekens" if column.reader == "text" and _has_length(filled) else ""
    if column.is_required:
        required = "**ja**"
    else:
        required = "mag ontbreken" if column.may_be_absent else "mag leeg"
    return PageColumn(
        label=_cell(column.label),
        meaning=_cell(meaning),
        required=required,
        form=_cell(words["form"].format(**options) + longest),
        example=_cell(example or _written(column, filled)),
    )


def _has_length(filled: Sequence[Column]) -> bool:
    return len(filled) == 1 and filled[0].max_length is not None


def _options_of(column: Column) -> dict[str, str]:
    """What a contract says to a reader, in words."""
    notations, formats = _dutch()["notations"], _dutch()["formats"]
    return {
        "codes": ", ".join(f"`{code}`" for code in column.option("codes", {})),
        "yes": column.option("trueWhen", ["J", "Ja"])[0],
        "no": column.option("falseWhen", ["N", "Nee"])[0],
        "formats": " of ".join(formats.get(name, name) for name in column.option("formats", ["jjjj-mm-dd"])),
        "notation": notations[column.option("notation", "nl")]["form"],
        "pattern": column.option("pattern", "J.P. van den Berg"),
    }


def _written(column: Column, filled: Sequence[Column]) -> str:
    """The example of the field, as this column writes it."""
    example = filled[0].examples[0] if filled and filled[0].examples else ""
    match column.reader:
        case "date" if example:
            day, form = date.fromisoformat(example), column.option("formats", ["jjjj-mm-dd"])[0]
            form = "dd-mm-jjjj" if form == "excel" else form
            written = form.replace("dd", f"{day:%d}").replace("mm", f"{day:%m}").replace("jjjj", f"{day:%Y}")
            return written.replace("d", str(day.day)).replace("m", str(day.month))
        case "amount" if example:
            return example.replace(".", _dutch()["notations"][column.option("notation", "nl")]["decimal"])
        case "code":
            codes = column.option("codes", {})
            return next((str(code) for code, value in codes.items() if str(value) == example), "")
    return example


def _sample(contract: Contract, columns: Sequence[PageColumn]) -> str:
    """A header and a row as they stand in the file."""
    if contract.format.kind != "csv":
        header, line = " | ".join(one.label for one in columns), " | ".join(one.example for one in columns)
        return f"| {header} |\n|{'---|' * len(columns)}\n| {line} |"
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=contract.format.delimiter, lineterminator="\n")
    writer.writerow([one.label for one in columns])
    writer.writerow([one.example for one in columns])
    return f"```csv\n{text.getvalue()}```"


def _filled_fields(contract: Contract, landing: Table) -> Iterator[tuple[Column, str]]:
    """The fields the file fills, one a name of reason codes, and what can be wrong with a value of it."""
    seen: set[str] = set()
    for field in landing.columns:
        readers = {column.reader for column in contract.columns if _fills(column, field)}
        if readers and field.reason_name not in seen:
            seen.add(field.reason_name)
            wrong = ["niet te lezen"] if any(_can_fail(reader, field) for reader in readers) else []
            wrong += ["te lang"] if field.max_length else []
            yield field, " of ".join(wrong)


def _can_fail(reader: str, field: Column) -> bool:
    """True when the reader can find a text unreadable for this field; of several fields one carries the verdict."""
    carries = _dutch()["readers"][reader].get("fails")
    return reader not in ("text", "free_text", "initials") and carries in (None, field.name)


def _fills(column: Column, field: Column) -> bool:
    from include.ingest.readers import FIELDS

    names = column.fills if column.option("fills") is not None else FIELDS.get(column.reader, column.fills)
    if column.reader == "phone":
        names = ("phone",)
    return field.name in names or field.option("filledBy") in names


def _set_aside(contract: Contract, landing: Table) -> Iterator[tuple[str, str]]:
    for field, wrong in _filled_fields(contract, landing):
        label = _label_nl(field)
        if field.is_required:
            yield f"{field.reason_name}_missing", f"{label} is leeg."
        if wrong and not field.is_flagged_when_invalid:
            yield f"{field.reason_name}_invalid", f"{label} is {wrong}."
    own = (*contract.table.quality, *landing.quality)
    for reason, texts in _by_reason(rule for rule in own if rule.get("engine") == "vroegsignalering").items():
        yield reason, " Of: ".join(texts)
    yield from _dutch()["set_aside"].items()


def _label_nl(field: Column) -> str:
    label = field.option("labelNl", field.name)
    return label[0].upper() + label[1:]


def _by_reason(rules: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rule in rules:
        words = {entry["property"]: entry["value"] for entry in rule.get("customProperties", [])}
        text = words.get("descriptionNl", rule["description"])
        found.setdefault(rule["implementation"]["reason"], []).append(text)
    return found


def _left_out(contract: Contract, landing: Table) -> Iterator[tuple[str, str]]:
    for field, wrong in _filled_fields(contract, landing):
        if wrong and field.is_flagged_when_invalid:
            says = f"{_label_nl(field)} is onbruikbaar. De regel is ingelezen zonder deze waarde."
            yield f"{field.reason_name}_invalid", says


def _personal(contract: Contract) -> str:
    named = {
        "vertrouwelijk": [column.label for column in contract.columns if column.classification == "confidential"],
        "zeer vertrouwelijk": [column.label for column in contract.columns if column.classification == "restricted"],
    }
    return _cell("; ".join(f"{word}: {', '.join(labels)}" for word, labels in named.items() if labels))


def _outgoing_words(contract: Contract) -> dict[str, Any]:
    columns = [
        PageColumn(
            label=_cell(column.label),
            meaning=_cell(column.option("descriptionNl", column.description)),
            required="ja" if column.is_required else "nee",
            example=f"`{_cell(column.examples[0])}`" if column.examples else "",
        )
        for column in contract.columns
    ]
    allowed = [(column.label, values) for column in contract.columns if (values := _allowed(column))]
    return {"columns": columns, "allowed": allowed, "form": _form_of_file(contract)}


# -- pages for everybody else ------------------------------------------------------------------------------------------


def _exchange_words(contract: Contract) -> dict[str, Any]:
    kinds = {"inbound": "comes in", "outbound": "goes out", "marts": "public table", "landing": "landing table"}
    return {
        "kind": kinds[contract.path.parent.name],
        "facts": [(name, _cell(text)) for name, text in _facts(contract) if text],
        "tables": [_page_table(contract, table) for table in contract.tables],
    }


def _facts(contract: Contract) -> Iterator[tuple[str, str]]:
    yield "From", contract.owner
    yield "For", contract.option("consumer")
    if contract.file_name_template:
        yield "File", f"`{contract.folder}/{contract.file_name_template}`"
        yield "Form", _form_in_english(contract)
    yield "API", f"`{contract.option('api')}`" if contract.option("api") else ""
    yield "Standard", contract.option("standard", "")
    yield "When", contract.sla_says("deliveryDay") or contract.sla_says("frequency")
    if contract.path.parent.name == "inbound":
        yield "Refused", f"as a whole when more than {contract.quarantine_threshold:.0%} of its rows are bad"
    yield "Kept", f"{_months(contract)}. {contract.sla_says('retention')}"
    yield "Legal ground", contract.legal_ground
    yield "Read by", ", ".join(f"`{role}`" for role in contract.roles)
    yield "Questions", contract.contact


def _form_in_english(contract: Contract) -> str:
    form = contract.format
    if form.kind == "csv":
        return f"CSV, separator `{form.delimiter}`, {' or '.join(form.encodings)}"
    return {"xlsx": "Excel workbook, one sheet a table", "json": "JSON"}[form.kind]


def _page_table(contract: Contract, table: Table) -> PageTable:
    relation = relation_of(contract, table)
    judged = relation is not None and relation.gate is not None
    if judged and relation is not None:
        rules = tuple(PageRule(one.name, one.severity, _cell(one.says)) for one in rules_of(relation))
        judged_by = f"Judged every month by gate {relation.gate}, on `{relation.full_name}`."
    else:
        rules = tuple(
            PageRule(rule["name"], rule["severity"], _cell(rule["description"])) for rule in table.quality
        )
        judged_by = {"inbound": "Judged row by row when a file comes in."}.get(contract.path.parent.name, "")
    return PageTable(
        title=table.label,
        description=table.description,
        grain=table.grain,
        columns=tuple(_page_column(column) for column in table.columns),
        relation=relation.full_name if relation else "",
        carried=", ".join(f"`{column.name}` ({column.classification})" for column in table.carried),
        rules=rules,
        judged_by=judged_by,
    )


def _page_column(column: Column) -> PageColumn:
    named = f"`{column.label}`" if column.label == column.name else f"`{column.label}` ({column.name})"
    return PageColumn(
        label=_cell(named + (" 🔑" if column.is_key else "")),
        meaning=_cell(column.description),
        required="yes" if column.is_required else "",
        type=_cell(data_type(column)) if column.physical_type or column.logical_type != "number" else "number",
        limits=_cell(_limits(column)),
        classification=column.classification,
    )


def _limits(column: Column) -> str:
    words = [f"{name} {value}" for name, value in column.type_options.items() if name in ("minimum", "maximum")]
    if longest := column.max_length:
        words.append(f"at most {longest} characters")
    patterns = [rule.get("arguments", {}).get("pattern") for rule in column.quality]
    patterns.append(column.type_options.get("pattern"))
    words += [f"`{pattern}`" for pattern in patterns if pattern]
    if values := _allowed(column):
        words.append(", ".join(values))
    return "; ".join(words)


def _allowed(column: Column) -> list[str]:
    """The values a column may have, when the contract lists them."""
    codes = column.option("codes", {}) if column.option("reader") == "code" else {}
    listed = [value for rule in column.quality for value in rule.get("arguments", {}).get("validValues", [])]
    return [str(value) for value in (*codes, *listed)]


# -- index -------------------------------------------------------------------------------------------------------------


def _index(contracts: Sequence[Contract]) -> str:
    partners = [contract for contract in contracts if contract.kind == PARTNER_DELIVERY]
    groups = [("Partners", "Who delivers signals. Each page can be sent to the partner as it is.", _rows(partners))]
    for folder, (title, intro) in _GROUPS.items():
        of_folder = [one for one in contracts if one.path.parent.name == folder and one not in partners]
        groups.append((title, intro, _rows(of_folder)))
    return _rendered("index.md.j2", groups=groups)


def _rows(contracts: Iterable[Contract]) -> list[dict[str, str]]:
    return [
        {
            "reference": contract.reference,
            "page": _page_of(contract),
            "title": _cell(contract.title),
            "party": _cell(contract.owner if contract.path.parent.name == "inbound" else contract.option("consumer")),
            "when": _cell(_when(contract)),
            "kept": _months(contract),
        }
        for contract in contracts
    ]


def _months(contract: Contract) -> str:
    return f"{contract.retention_months} month{'s' if contract.retention_months != 1 else ''}"


def _when(contract: Contract) -> str:
    if contract.kind == PARTNER_DELIVERY:
        return f"On or before day {contract.delivery_day} of the month."
    return contract.sla_says("deliveryDay") or contract.sla_says("frequency")
