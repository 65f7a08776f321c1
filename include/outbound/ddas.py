"""The DDAS delivery to CBS (interfaces §9): the month's signals, cases and attempts, valid against DDAS v1.2.

Rule: the file is checked against the published schema before it leaves; a delivery that is not valid does not leave.
BSN xor address: our BSNs never leave landing, so every client is told by address. What was said is not told.
The times in the file are those of the ledger, so the same content makes the same file.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from include.contracts.registry import load_contract
from include.months import Month
from include.outbound.delivery import DeliverySummary, Draft, Product, deliver, sha256, whole_content
from include.settings import Settings

CONTRACT = "ddas_vroegsignalering"
VERSION = "1.2"
RECIPIENT = "cbs"
SCHEMA = Path(__file__).with_name("ddas_v1_2.schema.json")
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class DdasNotValid(RuntimeError):
    """The delivery breaks the published schema."""


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
    return Draft(len(signals), sha256(content), render)


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


def require_valid(document: dict[str, Any]) -> None:
    """DdasNotValid with the first places that break the schema; never a value."""
    problems = sorted(_validator().iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if problems:
        places = sorted(
            {"/".join(_anonymous(step) for step in error.absolute_path) + f" ({error.validator})" for error in problems}
        )
        raise DdasNotValid(
            f"The DDAS delivery breaks DDAS v{VERSION} in {len(problems)} places: {', '.join(places[:5])}. Nothing was "
            "delivered. The fields come from the models outbound.out_ddas_*; correct them and run this task again."
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
