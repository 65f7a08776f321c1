"""The DDAS delivery to CBS (interfaces §9): the month's signals, cases and attempts, valid against DDAS v1.2.

Rule: the file is checked against the published schema and against stricter rules of our own (ddas_rules.py) before it
leaves; a delivery that is not valid, or contradicts itself, does not leave. An open month is checked and not delivered.
BSN xor address: our BSNs never leave landing, so every client is told by address. What was said is not told.
The times in the file are those of the ledger, so the same content makes the same file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from include.contracts.registry import load_contract
from include.exchange.folders import Exchange
from include.months import Month
from include.outbound.ddas_rules import CHECKS, ERROR, contradictions
from include.outbound.delivery import DeliverySummary, Draft, Product, deliver, sha256, whole_content
from include.settings import Role, Settings
from include.warehouse.connection import connect

CONTRACT = "ddas_vroegsignalering"
VERSION = "1.2"
RECIPIENT = "cbs"
SCHEMA = Path(__file__).with_name("ddas_v1_2.schema.json")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class DdasNotValid(RuntimeError):
    """The delivery breaks the published schema, or contradicts itself."""


@dataclass(frozen=True)
class CheckedDelivery:
    """What a delivery holds, counted, and what is remarkable about it."""

    signals: int
    cases: int
    cases_with_result: int
    attempts: int
    rules: int
    warnings: tuple[str, ...]


def delivered_path(month: Month) -> str:
    """Where the month's delivery lies in the exchange folders."""
    contract = load_contract(CONTRACT)
    return f"{contract.folder}/{contract.file_name(month, 1)}"


def check_delivered(month: Month) -> CheckedDelivery:
    """Read the file that was delivered and check it once more, as it lies there."""
    return require_valid(json.loads(Exchange.from_settings().read(delivered_path(month))))


def check_open_month(month: Month) -> CheckedDelivery:
    """What the delivery would be now; nothing leaves."""
    with connect(Role.EXPORTER) as connection:
        (now,) = connection.execute("select now()").fetchone()
        draft = _contents(connection, month)
    return require_valid(json.loads(draft.render(1, now)))


def deliver_ddas(month: Month) -> DeliverySummary:
    """Write `ddas_vroegsignalering_<YYYYMM>.json` when it says something new."""
    contract = load_contract(CONTRACT)
    draft, again = whole_content(lambda connection: _contents(connection, month))
    return deliver(
        Product(
            contract=contract.name,
            contract_version=contract.version,
            recipient=RECIPIENT,
            folder=contract.folder,
            month=month,
            # one name a month: what the delivery says anew replaces what it said before
            file_name=lambda sequence: contract.file_name(month, 1),
            draft=draft,
            again=again,
        )
    )


def _contents(connection: psycopg.Connection, month: Month) -> Draft:
    settings = Settings.from_environment()
    signals, cases = _signals(connection, month), _cases(connection, month)

    def render(sequence: int, prepared_at: datetime) -> bytes:
        document = {
            "startdatumLevering": month.first_day.isoformat(),
            "einddatumLevering": month.last_day.isoformat(),
            "aanleverdatumEnTijd": prepared_at.astimezone(AMSTERDAM).isoformat(timespec="seconds"),
            # the municipality delivers its own data; CBS knows it by its municipality code
            "codeGegevensleverancier": settings.municipality_code,
            "leveringen": [
                {
                    "teller": sequence,
                    "gemeentecode": settings.municipality_code,
                    "aanleverendeOrganisatie": {"naam": f"Gemeente {settings.municipality_name}"},
                    "vroegsignalen": signals,
                    "vroegsignaalzaken": cases,
                }
            ],
        }
        require_valid(document)
        return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()

    content = json.dumps([signals, cases], sort_keys=True, ensure_ascii=False).encode()
    about = connection.execute(
        "select distinct signal_id from outbound.out_ddas_signals where signal_month = %s", (str(month),)
    )
    return Draft(len(signals), sha256(content), render, about=[signal_id for (signal_id,) in about])


def _signals(connection: psycopg.Connection, month: Month) -> list[dict[str, Any]]:
    return [
        {
            "ID": row["signal_id"],
            "crisissignaal": row["is_crisis"],
            "warmeOverdracht": row["is_warm_handover"],
            "bedrag": row["amount_eur"],
            "ontstaansdatum": _day(row["arrears_since_on"]),
            "signaaldatum": _day(row["signal_on"]),
            "status": row["status"],
            "signaalpartner": {"type": row["partner_type"]},
            "client": _told(
                {
                    "geslachtsaanduiding": row["gender"],
                    "geboortedatum": _day(row["birth_on"]),
                    "postcode": row["postcode"],
                    "huisnummer": row["house_number"],
                    "huisnummertoevoeging": row["house_number_addition"],
                }
            ),
        }
        for row in _rows(connection, "out_ddas_signals", month, "signal_id")
    ]


def _cases(connection: psycopg.Connection, month: Month) -> list[dict[str, Any]]:
    attempts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(connection, "out_ddas_attempts", month, "case_id, attempted_on, part_of_day, is_reached"):
        attempts[row["case_id"]].append(
            {
                "soort": row["contact_kind"],
                "bereikt": row["is_reached"],
                "datum": _day(row["attempted_on"]),
                "dagdeel": row["part_of_day"],
            }
        )
    return [
        _told(
            {
                "resultaat": row["result"],
                "matchingsdatum": _day(row["matched_on"]),
                "startdatumMatchingperiode": _day(row["matching_starts_on"]),
                "datumOpgepakt": _day(row["picked_up_on"]),
                "einddatumMatchingperiode": _day(row["matching_ends_on"]),
                "vroegsignalen": [{"ID": signal_id} for signal_id in row["signal_ids"]],
                "contactpogingen": attempts[row["case_id"]],
            }
        )
        for row in _rows(connection, "out_ddas_cases", month, "case_id")
    ]


def _rows(connection: psycopg.Connection, view: str, month: Month, order: str) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            f"select * from outbound.{view} where signal_month = %s order by {order}", (str(month),)
        ).fetchall()


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    """DDAS leaves out what is not known; it knows no null."""
    return {name: value for name, value in fields.items() if value is not None}


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def require_valid(document: dict[str, Any]) -> CheckedDelivery:
    """The counts of a delivery that may leave; DdasNotValid with the first places that are wrong, never a value."""
    problems = sorted(_validator().iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if problems:
        places = sorted(
            {"/".join(_anonymous(step) for step in error.absolute_path) + f" ({error.validator})" for error in problems}
        )
        raise DdasNotValid(
            f"The DDAS delivery breaks DDAS v{VERSION} in {len(problems)} places: {', '.join(places[:5])}. Nothing was "
            "delivered. The fields come from the models outbound.out_ddas_*; correct them and run this task again."
        )
    found = contradictions(document)
    if errors := [str(finding) for finding in found if finding.check.severity == ERROR]:
        raise DdasNotValid(
            f"The DDAS delivery contradicts itself, which DDAS v{VERSION} does not see: {' '.join(errors)} Nothing was "
            "delivered. The fields come from the models outbound.out_ddas_*; correct them and run this task again."
        )
    deliveries = document.get("leveringen", [])
    cases = [case for delivery in deliveries for case in delivery.get("vroegsignaalzaken", [])]
    return CheckedDelivery(
        signals=sum(len(delivery.get("vroegsignalen", [])) for delivery in deliveries),
        cases=len(cases),
        cases_with_result=sum("resultaat" in case for case in cases),
        attempts=sum(len(case.get("contactpogingen", [])) for case in cases),
        rules=len(CHECKS),
        warnings=tuple(str(finding) for finding in found),
    )


def _anonymous(step: str | int) -> str:
    return "*" if isinstance(step, int) else step


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator, FormatChecker

    checker = FormatChecker(formats=["date"])
    # the published format checkers do not look at moments unless more is installed
    checker.checks("date-time", raises=ValueError)(lambda text: datetime.fromisoformat(text).tzinfo is not None)
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")), format_checker=checker)
