"""The partners' files: the same bytes every time, the formats of interfaces §2, and the volumes and dirt we promise."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import openpyxl
import phonenumbers
import pytest

from include.months import Month
from include.sandbox.addresses import MUNICIPALITY_PC4
from include.sandbox.administration import Administration
from include.sandbox.arrears import Arrears
from include.sandbox.partners import PARTNERS, deliver
from include.sandbox.population import Kind, Population, Sector, month_number
from include.sandbox.settings import SandboxSettings
from include.sandbox.truth import true_signals
from include.settings import PROJECT_ROOT

JUNE = Month.parse("2024-06")
SEEDS = (2711, 1, 20)
PARTNER = {partner.name: partner for partner in PARTNERS}


def delivered(folder: Path, month: Month = JUNE, settings: SandboxSettings | None = None) -> dict[str, bytes]:
    files = deliver(month, folder, settings or SandboxSettings())
    return {file.path.name: file.path.read_bytes() for file in files}


def test_the_same_month_gives_the_same_bytes_in_another_process_and_at_another_time(tmp_path: Path) -> None:
    here = delivered(tmp_path / "one")
    command = [sys.executable, "-m", "include.sandbox", "deliver", "2024-06"]
    environment = {
        "VS_EXCHANGE_ROOT": str(tmp_path / "two"),
        "PATH": "",
        "PYTHONHASHSEED": "7",
        "TZ": "Pacific/Auckland",
    }
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=True)
    there = {path.name: path.read_bytes() for path in (tmp_path / "two").rglob("*.*")}
    assert sorted(here) == [
        "drinkwater_zh_202406.csv", "stadsenergie_202406.xlsx", "woonbedrijf_202406.csv", "zorgplus_202406.csv",
    ]  # fmt: skip
    assert here == there
    assert "woonbedrijf_202406.csv" in done.stdout


def test_a_month_does_not_depend_on_months_made_before(tmp_path: Path) -> None:
    alone = delivered(tmp_path / "alone")
    for month in Month.parse_range("2024-01..2024-05"):
        deliver(month, tmp_path / "after", SandboxSettings())
    assert delivered(tmp_path / "after") == alone


def test_another_seed_is_another_town(tmp_path: Path) -> None:
    assert (
        delivered(tmp_path / "a")["zorgplus_202406.csv"]
        != delivered(tmp_path / "b", settings=SandboxSettings(seed=3))["zorgplus_202406.csv"]
    )


def test_no_unfinished_file_stays_behind(tmp_path: Path) -> None:
    deliver(JUNE, tmp_path, SandboxSettings())
    assert {path.parent.name for path in tmp_path.rglob("*.*")} == {partner.name for partner in PARTNERS}
    assert not list(tmp_path.rglob("*.part"))


def test_woonbedrijf_writes_semicolons_windows_text_and_dutch_notation(tmp_path: Path) -> None:
    raw = delivered(tmp_path)["woonbedrijf_202406.csv"]
    lines = raw.decode("cp1252").split("\r\n")
    assert lines[0] == (
        "Relatienummer;Naam;Voorletters;Tussenvoegsel;Geboortedatum;Straat;Huisnummer;Toevoeging;Postcode;Woonplaats;"
        "Telefoon;Mobiel;E-mail;Achterstand;Achterstand sinds;Signaaldatum"
    )
    assert lines[-1] == ""
    assert not any("\n" in line for line in lines)
    rows = list(csv.DictReader(lines[:-1], delimiter=";"))
    amounts = [row["Achterstand"] for row in rows]
    written = [amount for amount in amounts if re.fullmatch(r"(€ )?\d{1,3}(\.\d{3})*,\d\d", amount)]
    assert len(written) >= 0.95 * len(rows)
    assert any(amount.startswith("€ ") for amount in amounts)
    assert any("." in amount for amount in amounts)
    assert all(re.fullmatch(r"\d\d-06-2024", row["Signaaldatum"]) for row in rows if row["Signaaldatum"])


def test_zorgplus_writes_commas_utf8_and_iso(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(delivered(tmp_path)["zorgplus_202406.csv"].decode("utf-8"))))
    assert list(rows[0]) == [
        "client_ref", "bsn", "initials", "name_prefix", "surname", "birth_date", "gender", "postcode", "house_number",
        "house_letter", "house_number_addition", "city", "phone", "email", "arrears_amount", "arrears_since",
        "signal_date",
    ]  # fmt: skip
    assert {row["gender"] for row in rows} <= {"M", "V", "O", ""}
    assert sum(bool(re.fullmatch(r"\d+\.\d\d", row["arrears_amount"])) for row in rows) >= 0.95 * len(rows)
    numbers = [row["bsn"] for row in rows if row["bsn"]]
    assert 0.85 < len(numbers) / len(rows) < 0.98
    assert sum(_passes_eleven_test(number) for number in numbers) >= 0.95 * len(numbers)


def _passes_eleven_test(bsn: str) -> bool:
    weights = (9, 8, 7, 6, 5, 4, 3, 2, -1)
    return sum(int(digit) * weight for digit, weight in zip(bsn, weights, strict=True)) % 11 == 0


def test_stadsenergie_writes_a_workbook_with_titles_real_dates_and_a_total(tmp_path: Path) -> None:
    book = openpyxl.load_workbook(io.BytesIO(delivered(tmp_path)["stadsenergie_202406.xlsx"]))
    assert book.sheetnames == ["Signalen"]
    rows = list(book["Signalen"].iter_rows(values_only=True))
    header, body, total = rows[2], rows[3:-1], rows[-1]
    assert header == PARTNER["stadsenergie"].columns
    assert rows[0][1:] == (None,) * 12
    assert rows[1][1:] == (None,) * 12
    place = {name: number for number, name in enumerate(header)}
    amounts = [
        row[place["Openstaand bedrag"]] for row in body if isinstance(row[place["Openstaand bedrag"]], int | float)
    ]
    assert total[0] == "Totaal"
    assert total[place["Openstaand bedrag"]] == pytest.approx(sum(amounts), abs=0.01)
    assert all(row[place["Datum signaal"]].year == 2024 for row in body if row[place["Datum signaal"]])
    phones = [row[place["Telefoonnummer"]] for row in body]
    assert any(isinstance(phone, int) and len(str(phone)) == 9 for phone in phones)
    assert any(isinstance(phone, str) for phone in phones)
    ends = {row[place["Eindelevering"]]: row[place["Datum einde levering"]] is not None for row in body}
    assert ends == {"J": True, "N": False}


def test_drinkwater_writes_a_byte_order_mark_sorted_names_and_no_birth_dates(tmp_path: Path) -> None:
    raw = delivered(tmp_path)["drinkwater_zh_202406.csv"]
    assert raw.startswith(
        b"\xef\xbb\xbfAansluitnummer;Aanschrijfnaam;Adres;Postcode en plaats;Tel;Saldo;Oudste vervaldatum;Datum"
    )
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig")), delimiter=";"))
    assert sum(bool(re.fullmatch(r"\d{4} [A-Za-z]{2} .+", row["Postcode en plaats"])) for row in rows) >= 0.9 * len(
        rows
    )
    assert sum(bool(re.fullmatch(r"\d+(,\d{1,2})?", row["Saldo"])) for row in rows) >= 0.95 * len(rows)
    assert any("," not in row["Saldo"] for month in "1234" for row in _water(f"2024-0{month}"))
    assert sum(", " in row["Aanschrijfnaam"] for row in rows) >= 0.9 * len(rows)
    assert all(re.fullmatch(r"\d\d/06/2024", row["Datum"]) for row in rows if row["Datum"])


def _water(month: str) -> list[dict[str, str]]:
    partner = PARTNER["drinkwater_zh"]
    entries = Administration(Population(SandboxSettings())).entries(Month.parse(month), Sector.WATER)
    return [dict(zip(partner.columns, row, strict=True)) for row in partner.rows(entries)]


@pytest.mark.parametrize("seed", SEEDS)
def test_volumes_lie_in_the_bands_of_a_real_town(seed: int) -> None:
    arrears = Arrears(Population(SandboxSettings(seed=seed)))
    months = [arrears.signals(month) for month in Month.parse_range("2024-01..2024-12")]
    counts = np.array([len(month) for month in months])
    shares = np.bincount(np.concatenate([month.account.sector for month in months]), minlength=4) / counts.sum()
    assert 420 <= counts.mean() <= 490
    assert counts.min() >= 360
    assert counts.max() <= 560
    assert np.allclose(shares, (0.41, 0.20, 0.20, 0.18), atol=0.035)
    amounts = np.concatenate([month.amount_cents for month in months])
    assert 0.015 <= (amounts > 200_000).mean() <= 0.05
    assert 0.03 <= np.concatenate([month.is_crisis for month in months]).mean() <= 0.075
    assert 0.01 <= np.concatenate([_out_of_window(month) for month in months]).mean() <= 0.04


def _out_of_window(signals) -> np.ndarray:
    days = (signals.signal_on - signals.since_on).astype(int)
    return (days < 30) | ((signals.account.sector == Sector.ZORG) & (days > 100))


@pytest.mark.parametrize("seed", SEEDS)
def test_arrears_come_together_and_come_back(seed: int) -> None:
    arrears = Arrears(Population(SandboxSettings(seed=seed)))
    months = [Counter(arrears.signals(month).address.tolist()) for month in Month.parse_range("2024-01..2024-12")]
    multiple = [sum(count > 1 for count in month.values()) / len(month) for month in months]
    consecutive = [
        sum(address in set().union(*months[at - 6 : at]) for address in months[at]) / len(months[at])
        for at in range(6, 12)
    ]
    assert 0.07 <= np.mean(multiple) <= 0.13
    assert 0.38 <= np.mean(consecutive) <= 0.56


def test_a_running_arrear_comes_back_higher_equal_and_lower() -> None:
    arrears = Arrears(Population(SandboxSettings()))
    ways: Counter[int] = Counter()
    for month in Month.parse_range("2024-02..2024-07"):
        now, before = arrears.signals(month), arrears.signals(month.previous)
        earlier = dict(
            zip(
                before.account.id.tolist(), zip(before.amount_cents.tolist(), before.since_on, strict=True), strict=True
            )
        )
        for account, amount, since in zip(
            now.account.id.tolist(), now.amount_cents.tolist(), now.since_on, strict=True
        ):
            if account in earlier and earlier[account][1] == since:
                ways[(amount > earlier[account][0]) - (amount < earlier[account][0])] += 1
    assert ways[1] > ways[0] > 20
    assert ways[-1] > 20


@pytest.mark.parametrize("seed", SEEDS)
def test_dirt_lies_in_its_bands(seed: int) -> None:
    administration = Administration(Population(SandboxSettings(seed=seed)))
    entries = [
        (partner, entry)
        for month in Month.parse_range("2024-01..2024-06")
        for partner in PARTNERS
        for entry in administration.entries(month, partner.sector)
    ]

    def share(of) -> float:
        return sum(bool(of(entry)) for _, entry in entries) / len(entries)

    assert 0.36 <= share(lambda entry: not entry.phone) <= 0.44
    assert 0.01 <= share(lambda entry: entry.phone and not entry.phone_is_usable) <= 0.035
    assert 0.008 <= share(lambda entry: entry.accident) <= 0.024
    assert 0.001 <= share(lambda entry: entry.is_repeated) <= 0.009
    assert 0.10 <= share(lambda entry: entry.initials != entry.person.initials) <= 0.35
    assert 0.005 <= share(lambda entry: entry.address.city != "Zoetermeer") <= 0.035
    by_file = Counter((partner.name, str(entry.signal_on)[:7]) for partner, entry in entries)
    bad = Counter((partner.name, str(entry.signal_on)[:7]) for partner, entry in entries if entry.accident)
    assert all(bad[file] / rows < 0.10 for file, rows in by_file.items())


def test_without_dirt_the_administration_says_the_truth() -> None:
    administration = Administration(Population(SandboxSettings(dirt=0)))
    entries = [entry for partner in PARTNERS for entry in administration.entries(JUNE, partner.sector)]
    assert len(entries) > 350
    assert not any(entry.accident or entry.is_repeated for entry in entries)
    assert all(entry.initials == entry.person.initials for entry in entries)
    assert all(entry.birth_on in (None, entry.person.birth_on) for entry in entries)
    assert all(entry.phone in ("", entry.person.mobile) for entry in entries)


def test_more_dirt_is_more_dirt() -> None:
    def spoiled(dirt: float) -> int:
        administration = Administration(Population(SandboxSettings(dirt=dirt)))
        entries = administration.entries(JUNE, Sector.ZORG)
        return sum(entry.surname != entry.person.surname for entry in entries)

    assert spoiled(0.3) < spoiled(1.0) < spoiled(3.0)


def test_truth_names_every_delivered_reference_once(tmp_path: Path) -> None:
    truth = true_signals([JUNE], SandboxSettings())
    assert not truth.duplicated(["partner", "partner_reference", "signal_month"]).any()
    rows = list(csv.DictReader(io.StringIO(delivered(tmp_path)["zorgplus_202406.csv"].decode())))
    mine = truth[truth["partner"] == "zorgplus"]
    assert {row["client_ref"] for row in rows} == set(mine["partner_reference"])
    assert truth["person_key"].nunique() < len(truth)


def test_a_person_keeps_key_and_reference_over_the_months() -> None:
    truth = true_signals(Month.parse_range("2024-04..2024-06"), SandboxSettings())
    owners = (
        truth[truth["partner"] != "drinkwater_zh"].groupby(["partner", "partner_reference"])["person_key"].nunique()
    )
    assert owners.max() == 1
    assert (truth.groupby("person_key")["signal_month"].nunique() > 1).sum() > 50


def test_shared_houses_have_more_than_four_surnames() -> None:
    population = Population(SandboxSettings())
    persons = population.persons(np.arange(population.size))
    shared = np.flatnonzero(population.is_shared_house)
    assert {Kind(kind) for kind in population.kind[shared]} == {Kind.STUDENT_HOUSE, Kind.CARE_HOME}
    for house in shared:
        residents = range(population.first_person[house], population.first_person[house + 1])
        assert len({persons[index].surname for index in residents}) > 4


def test_some_month_shows_a_shared_house_with_more_than_four_surnames() -> None:
    truth = true_signals(Month.parse_range("2024-04..2024-09"), SandboxSettings())
    assert truth.groupby(["signal_month", "address_key"])["person_key"].nunique().max() > 4


def test_people_move_and_somebody_else_moves_in() -> None:
    population = Population(SandboxSettings())
    homes = [
        population.address_index(population.households, month_number(month))
        for month in Month.parse_range("2024-01..2024-12")
    ]
    assert all(len(np.unique(home)) == len(home) for home in homes)
    moved = (homes[0] != homes[-1]).mean()
    assert 0.03 <= moved <= 0.12


def test_everything_that_identifies_a_person_is_unique_valid_and_fictitious() -> None:
    population = Population(SandboxSettings())
    persons = population.persons(np.arange(population.size)).values()
    assert len({person.bsn for person in persons}) == population.size
    assert len({person.mobile for person in persons}) == population.size
    assert all(person.bsn[0] in "789" and _passes_eleven_test(person.bsn) for person in persons)
    numbers = [person.mobile for person in persons][::25] + [person.landline for person in persons if person.landline][
        ::25
    ]
    parsed = [phonenumbers.parse(number, None) for number in numbers]
    assert all(phonenumbers.is_valid_number(number) for number in parsed)
    assert all(number.startswith(("+316801", "+31680", "+31790", "+31791")) for number in numbers)


def test_addresses_are_distinct_and_mostly_in_the_municipality() -> None:
    population = Population(SandboxSettings())
    book = list(population.addresses(population.households).values())
    inside = [address for address in book if int(address.postcode[:4]) in MUNICIPALITY_PC4]
    assert len({(a.postcode, a.number, a.letter, a.addition) for a in inside}) == len(inside)
    assert 0.97 <= len(inside) / len(book) <= 0.995
    assert {int(address.postcode[:4]) for address in inside} == set(MUNICIPALITY_PC4)
    assert any(address.letter and address.addition for address in inside)
    assert all(re.fullmatch(r"[1-9]\d{3}(?!SA|SD|SS)[A-Z]{2}", address.postcode) for address in book)


def test_the_town_can_be_made_large() -> None:
    settings = SandboxSettings(households=200_000)
    signals = Arrears(Population(settings)).signals(JUNE)
    assert len(signals) == pytest.approx(200_000 * settings.signals_per_household, rel=0.15)


@pytest.mark.parametrize("wrong", [{"households": 3}, {"dirt": -1}, {"faults": 2}, {"missing_phone": -0.1}])
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SandboxSettings(**wrong)


def test_a_reference_comes_once_a_month_but_for_the_rows_repeated_on_purpose() -> None:
    truth = true_signals(Month.parse_range("2024-01..2024-06"), SandboxSettings(households=40_000))
    assert len(truth) > 8_000
    assert not truth.duplicated(["partner", "partner_reference", "signal_month"]).any()
