"""What a partner's administration says about customers in arrears: the truth after dirt, still without a file format.

`entries` gives one `Entry` per true signal of a sector. `partners.py` writes them the way each partner does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from include.months import Month
from include.sandbox import dirt as spoil
from include.sandbox.addresses import Address
from include.sandbox.arrears import Arrears, TrueSignals
from include.sandbox.dirt import Dirt
from include.sandbox.names import Surname, initial_of, without_diacritics
from include.sandbox.population import Index, Person, Population, Sector, month_number

# shares of customers whose administration never asked for it; part of the partner, not dirt
NO_BIRTH_DATE = {Sector.ZORG: 0.004, Sector.HUUR: 0.06, Sector.ENERGIE: 0.12, Sector.WATER: 1.0}
NO_EMAIL = {Sector.ZORG: 0.30, Sector.HUUR: 0.40, Sector.ENERGIE: 0.25, Sector.WATER: 1.0}
NO_BSN = 0.08


class Accident(StrEnum):
    """What an export did to a row that makes it unusable: such a row belongs in quarantine."""

    SURNAME_MISSING = "surname_missing"
    POSTCODE_MISSING = "postcode_missing"
    POSTCODE_INVALID = "postcode_invalid"
    HOUSE_NUMBER_MISSING = "house_number_missing"
    AMOUNT_MISSING = "amount_missing"
    AMOUNT_INVALID = "amount_invalid"
    AMOUNT_ZERO = "amount_zero"
    AMOUNT_NEGATIVE = "amount_negative"
    SINCE_MISSING = "since_missing"
    SINCE_INVALID = "since_invalid"
    SIGNAL_DATE_MISSING = "signal_date_missing"
    DATES_OUT_OF_ORDER = "dates_out_of_order"


@dataclass(frozen=True, slots=True)
class Entry:
    """One customer in arrears as one partner sees him or her."""

    reference: str
    person: Person
    address_index: int
    initials: str
    surname: Surname
    birth_on: np.datetime64 | None
    gender: str
    address: Address
    house_style: int
    phone: str  # E.164, empty, or a text nobody can call
    second_phone: str
    phone_style: int
    phone_is_usable: bool
    email: str
    bsn: str
    amount_cents: int
    since_on: np.datetime64
    signal_on: np.datetime64
    is_crisis: bool
    supply_ends_on: np.datetime64
    accident: Accident | None
    is_repeated: bool  # the same reference comes twice in the file


@dataclass(frozen=True)
class Administration:
    """All administrations of one municipality."""

    population: Population

    def entries(self, month: Month, sector: Sector) -> list[Entry]:
        """In the order of the partner's customer numbers."""
        signals = Arrears(self.population).signals(month, sector)
        return sorted(self._entries(signals, sector), key=lambda entry: entry.reference)

    def _entries(self, signals: TrueSignals, sector: Sector) -> list[Entry]:
        population, dice = self.population, self.population.dice
        account = signals.account
        dirt = Dirt(dice, population.settings.dirt, account.id, month_number(signals.month))
        on = {kind: dirt.on(kind).tolist() for kind in spoil.RATES if kind not in ("accident", "reference twice")}
        accident, twice = dirt.this_month("accident").tolist(), dirt.this_month("reference twice").tolist()
        pick, pick_now = dirt.pick.tolist(), dirt.pick_this_month.tolist()
        other_person = self._other_phone_owner(account.holder)
        persons = population.persons(np.concatenate([account.holder, other_person]))
        addresses = population.addresses(signals.address)
        references = _references(sector, account.id, signals.address)
        no_phone = (dice.uniform("no phone", account.id) < population.settings.missing_phone).tolist()
        no_birth = (dice.uniform("no birth date", account.id) < NO_BIRTH_DATE[sector]).tolist()
        no_email = (dice.uniform("no e-mail", account.id) < NO_EMAIL[sector]).tolist()
        no_bsn = (dice.uniform("no bsn", account.id) < NO_BSN).tolist()
        accidents = list(Accident)
        entries = []
        for i, holder in enumerate(account.holder.tolist()):
            mine = {kind: flags[i] for kind, flags in on.items()}
            person = persons[holder]
            phone, second, usable = _phones(person, persons[int(other_person[i])], mine, pick[i])
            surname = _surname(person, mine, pick[i], prefix_has_a_field=sector in (Sector.HUUR, Sector.ZORG))
            entries.append(
                Entry(
                    reference=references[i],
                    person=person,
                    address_index=int(signals.address[i]),
                    initials=_initials(person, mine, pick[i], first_name_fits=sector in (Sector.HUUR, Sector.ZORG)),
                    surname=surname,
                    birth_on=None if no_birth[i] else _birth_date(person, mine, pick[i]),
                    gender=person.gender,
                    address=_address(addresses[int(signals.address[i])], mine, pick[i]),
                    house_style=pick[i] if mine["addition written otherwise"] else 0,
                    phone="" if no_phone[i] else phone,
                    second_phone="" if no_phone[i] else second,
                    phone_style=pick[i] // 7,
                    phone_is_usable=usable,
                    email="" if no_email[i] else _email(person, mine, pick[i]),
                    bsn="" if no_bsn[i] else _bsn(person, mine),
                    amount_cents=int(signals.amount_cents[i]),
                    since_on=signals.since_on[i],
                    signal_on=signals.signal_on[i],
                    is_crisis=bool(signals.is_crisis[i]),
                    supply_ends_on=signals.supply_ends_on[i],
                    accident=accidents[pick_now[i] % len(accidents)] if accident[i] else None,
                    is_repeated=twice[i] and not accident[i],
                )
            )
        return entries

    def _other_phone_owner(self, holder: Index) -> Index:
        """Somebody of the same household (a partner, a parent), or a former neighbour."""
        household = self.population.household_of_person[holder]
        first, adults = self.population.first_person[household], self.population.adults[household]
        housemate = first + (holder - first + 1) % adults
        stranger = (holder * 31 + 7) % self.population.size
        return np.where(adults > 1, housemate, stranger)


def _references(sector: Sector, account: Index, address: Index) -> list[str]:
    """Customer numbers; a water connection belongs to the address and keeps its number when people move."""
    match sector:
        case Sector.ZORG:
            return [f"ZP{number:09d}" for number in ((account * 7_368_787 + 1_234_567) % 1_000_000_000).tolist()]
        case Sector.HUUR:
            return [f"{number + 10_000_000}" for number in ((account * 1_299_709 + 40_961) % 50_000_000).tolist()]
        case Sector.ENERGIE:
            return [
                f"{number + 3_000_000_000}" for number in ((account * 15_485_863 + 99_991) % 1_000_000_000).tolist()
            ]
        case Sector.WATER:
            return [f"DZH-{number:08d}" for number in ((address * 15_485_863 + 7_919) % 100_000_000).tolist()]


def _surname(person: Person, on: dict[str, bool], pick: int, prefix_has_a_field: bool) -> Surname:
    name = person.surname
    if person.partner_surname is not None:
        usage = (person.name_usage + 1 + pick % 2) % 3 if on["other name usage"] else person.name_usage
        if usage == 1:
            name = person.partner_surname
        elif usage == 2:
            name = spoil.capitalised_double(person.partner_surname, person.surname)
    prefix, head = name.prefix, spoil.respelled(name.head, on)
    if on["typo"]:
        head = spoil.typo(head, pick)
    if on["prefix dropped"]:
        prefix = ""
    elif on["prefix in surname"] and prefix_has_a_field and prefix:
        prefix, head = "", f"{prefix} {head}"
    elif on["prefix abbreviated"]:
        prefix = spoil.abbreviated(prefix)
    if on["surname in capitals"]:
        head = head.upper()
    return Surname(prefix, head)


def _initials(person: Person, on: dict[str, bool], pick: int, first_name_fits: bool) -> str:
    letters = [initial_of(name) for name in person.given_names]
    if on["initials missing"]:
        return ""
    if on["first name as initials"] and first_name_fits:
        return person.given_names[0]
    if on["wrong initial"]:
        letters[0] = "ABCDEGHJKLMNPRSTW"[pick % 17]
    if on["fewer initials"]:
        letters = letters[:1]
    return "".join(letters) if on["initials without points"] else "".join(f"{letter}." for letter in letters)


def _birth_date(person: Person, on: dict[str, bool], pick: int) -> np.datetime64:
    if on["day and month swapped"]:
        return spoil.swapped_day_and_month(person.birth_on)
    if on["birth date typo"]:
        return person.birth_on + np.timedelta64((1, -1, 10, -10, 365, -366)[pick % 6], "D")
    return person.birth_on


def _address(address: Address, on: dict[str, bool], pick: int) -> Address:
    changed = address
    if on["letter or addition lost"]:
        changed = replace(
            changed,
            letter="" if address.letter else address.letter,
            addition="" if not address.letter else address.addition,
        )
    if on["wrong house number"]:
        changed = replace(changed, number=address.number + (1, 2, 10)[pick % 3])
    if on["postcode with typo"]:
        last = "ABCDEGHJKLMNPRSTVWXZ"[pick % 20]
        changed = replace(changed, postcode=address.postcode[:5] + (last if address.postcode[4] != "S" else "B"))
    if on["postcode written otherwise"]:
        written = (
            f"{changed.postcode[:4]} {changed.postcode[4:]}",
            changed.postcode.lower(),
            f"{changed.postcode[:4]} {changed.postcode[4:].lower()}",
        )
        changed = replace(changed, postcode=written[pick % 3])
    if on["street written otherwise"]:
        street = address.street.replace("straat", "str.") if "straat" in address.street else address.street.upper()
        changed = replace(changed, street=street)
    return changed


def _phones(person: Person, other: Person, on: dict[str, bool], pick: int) -> tuple[str, str, bool]:
    """The number in the administration, perhaps a second one, and whether these are numbers at all."""
    if on["phone unusable"]:
        return spoil.UNUSABLE_PHONES[pick % len(spoil.UNUSABLE_PHONES)], "", False
    if on["phone of somebody else"]:
        return other.mobile, "", True
    if on["phone is landline"] and person.landline:
        return person.landline, person.mobile if pick % 2 else "", True
    if on["two phones in one field"] and person.landline:
        return person.mobile, person.landline, True
    return person.mobile, "", True


def _email(person: Person, on: dict[str, bool], pick: int) -> str:
    """Addresses under `.example`, which no mail ever leaves for; most people use one address everywhere."""
    if on["email unusable"]:
        return spoil.UNUSABLE_EMAILS[pick % len(spoil.UNUSABLE_EMAILS)]
    head = "".join(char for char in without_diacritics(person.surname.head).lower() if char.isalnum())
    number = int(person.bsn[3:7]) % 89 + 10
    domain = ("post", "mail", "thuis")[(number if pick % 6 else number + 1) % 3]
    return f"{person.initials[0].lower()}.{head}{number}@{domain}.example"


def _bsn(person: Person, on: dict[str, bool]) -> str:
    """A wrong one has two digits swapped or one changed, so that it fails the 11-test."""
    if not on["bsn wrong"]:
        return person.bsn
    last = int(person.bsn[-1])
    return f"{person.bsn[:-1]}{(last + 1) % 10}"
