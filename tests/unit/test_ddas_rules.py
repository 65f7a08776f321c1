"""Every rule of the DDAS delivery beyond the schema: it holds for a good delivery, and finds its own contradiction."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from include.outbound.ddas import require_valid
from include.outbound.ddas_rules import CHECKS, contradictions

Document = dict[str, Any]

GOOD: Document = {
    "startdatumLevering": "2024-06-01", "einddatumLevering": "2024-06-30",
    "aanleverdatumEnTijd": "2024-07-01T09:00:00+02:00", "codeGegevensleverancier": "0637",
    "leveringen": [
        {
            "teller": 1, "gemeentecode": "0637", "aanleverendeOrganisatie": {"naam": "Gemeente Zoetermeer"},
            "vroegsignalen": [
                {
                    "ID": "s1", "bedrag": 451, "ontstaansdatum": "2024-04-01", "signaaldatum": "2024-06-03",
                    "status": "Opgepakt", "signaalpartner": {"type": "Huur"},
                    "client": {"postcode": "2712AB", "huisnummer": "12"},
                },
                {
                    "ID": "s2", "bedrag": 60, "ontstaansdatum": "2024-05-20", "signaaldatum": "2024-06-03",
                    "status": "Niet opgepakt: onterecht signaal", "signaalpartner": {"type": "Zorg"},
                    "client": {"burgerservicenummer": "123456782"},
                },
            ],
            "vroegsignaalzaken": [
                {
                    "resultaat": "Inwoner regelt het zelf/hoeft geen hulp vanuit vroegsignalering",
                    "matchingsdatum": "2024-06-09", "startdatumMatchingperiode": "2024-06-01",
                    "datumOpgepakt": "2024-06-09", "einddatumMatchingperiode": "2024-06-30",
                    "vroegsignalen": [{"ID": "s1"}],
                    "contactpogingen": [
                        {"soort": "Telefoon", "bereikt": False, "datum": "2024-06-10", "dagdeel": "Ochtend"},
                        {"soort": "Telefoon", "bereikt": True, "datum": "2024-06-11", "dagdeel": "Avond"},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


def signal(document: Document, number: int = 0) -> Document:
    return document["leveringen"][0]["vroegsignalen"][number]


def case(document: Document) -> Document:
    return document["leveringen"][0]["vroegsignaalzaken"][0]


BROKEN: dict[str, Callable[[Document], Any]] = {
    "period": lambda d: d.update(startdatumLevering="2024-07-01"),
    "bsn_xor_address": lambda d: signal(d)["client"].update(burgerservicenummer="123456782"),
    "bsn_valid": lambda d: signal(d, 1)["client"].update(burgerservicenummer="123456789"),
    "signal_once": lambda d: signal(d, 1).update(ID="s1"),
    "case_signals_told": lambda d: case(d)["vroegsignalen"].append({"ID": "s9"}),
    "signal_in_one_case": lambda d: d["leveringen"][0]["vroegsignaalzaken"].append(deepcopy(case(d))),
    "status_and_result_agree": lambda d: signal(d, 1).update(status="Opgepakt"),
    "amount_not_negative": lambda d: signal(d).update(bedrag=-1),
    "signal_dates_in_order": lambda d: signal(d).update(ontstaansdatum="2024-06-04"),
    "case_dates_in_order": lambda d: case(d).update(datumOpgepakt="2024-06-08"),
    "attempts_after_picking_up": lambda d: case(d)["contactpogingen"][0].update(datum="2024-06-08"),
    "not_reached_had_no_contact": lambda d: case(d).update(resultaat="Definitief geen contact kunnen krijgen"),
    "conversation_had_contact": lambda d: case(d)["contactpogingen"].pop(),
}


def test_a_good_delivery_has_no_contradiction() -> None:
    assert contradictions(GOOD) == []
    checked = require_valid(GOOD)
    assert (checked.signals, checked.cases_with_result, checked.rules, checked.warnings) == (2, 1, len(CHECKS), ())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_rule_finds_its_contradiction(check) -> None:
    document = deepcopy(GOOD)
    BROKEN[check.name](document)
    found = {finding.check.name: finding for finding in contradictions(document)}
    assert check.name in found
    said = str(found[check.name])
    assert check.says in said
    assert not {"2712AB", "123456782", "123456789", "s1", "2024-06-08"} & set(said.replace(",", " ").split())


@pytest.mark.parametrize(
    ("status", "result", "agrees"),
    [
        ("Opgepakt", "Inwoner is overleden", True),  # found out while calling
        ("Opgepakt", "Niet opgepakt: andere reden", False),
        ("Niet opgepakt: andere reden", "Niet opgepakt: andere reden", True),
        ("Niet opgepakt: andere reden", "Definitief geen contact kunnen krijgen", False),
        ("Nog niet opgepakt", None, False),
    ],
)
def test_status_and_result_agree(status: str, result: str | None, agrees: bool) -> None:
    document = deepcopy(GOOD)
    signal(document)["status"] = status
    case(document)["resultaat"] = result
    names = {finding.check.name for finding in contradictions(document)}
    assert ("status_and_result_agree" not in names) == agrees


def test_a_case_matched_outside_its_period_is_found() -> None:
    document = deepcopy(GOOD)
    case(document)["einddatumMatchingperiode"] = "2024-06-08"
    assert [finding.check.name for finding in contradictions(document)] == ["case_dates_in_order"]
