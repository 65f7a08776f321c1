"""Dutch addresses: postcode, house number, house letter and addition, from one field or several (BAG parts).

Rule: `12 A-3` is number 12, letter A, addition 3; `bis`, `2e`, `hs` and `II` are additions, a single letter is a house
letter. A street may hold digits itself (`Plein 1944 12`, `2e Dwarsstraat 5`).
Reason: an address is what signals are matched by; the same door must come out the same from every partner.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LARGEST_HOUSE_NUMBER = 99_999

_POSTCODE = re.compile(r"([1-9]\d{3})\s?(?!SA|SD|SS)([A-Z]{2})", re.IGNORECASE)
_POSTCODE_AND_CITY = re.compile(r"([1-9]\d{3}\s?[A-Z]{2})(?:[\s,]+(.*))?", re.IGNORECASE)
_HOUSE_NUMBER = re.compile(r"(\d{1,5})(?!\d)(.*)")
_ADDITION = re.compile(r"[\s\-/.,]*(?:([^\W\d_])(?![^\W\d_]))?[\s\-/.,]*(.*)")
# an addition is at most two short words or numbers; longer words only when they are known ones
_ADDITION_WORD = r"(?:\d{1,4}[A-Za-z]{0,2}|[A-Za-z]{1,4}\d{0,4}|beneden|boven|achter|zwart|parterre|souterrain|kelder)"
_ADDRESS = re.compile(
    # a year in the name of a street is not its number: 1944 when another number follows
    r"(?P<street>.*?[^\W\d_].*?)[\s,]+(?!(?:18|19|20)\d\d\b.*\s\d)(?:nr\.?\s*)?(?P<number>\d{1,5})"
    rf"(?P<rest>(?:[\s\-/.,]*{_ADDITION_WORD}){{0,2}})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class HouseNumber:
    """The three BAG parts of a house number."""

    number: int
    letter: str | None
    addition: str | None


@dataclass(frozen=True)
class AddressLine:
    street: str
    house_number: HouseNumber


def read_postcode(text: str) -> str | None:
    """`2712 ab` → `2712AB`; None when it is no postcode (SA, SD and SS are never used)."""
    match = _POSTCODE.fullmatch(text)
    return f"{match[1]}{match[2].upper()}" if match else None


def read_postcode_and_city(text: str) -> tuple[str | None, str | None]:
    """`2712 AB Zoetermeer` → postcode and town; the postcode is None when there is none."""
    match = _POSTCODE_AND_CITY.fullmatch(text)
    if not match:
        return None, None
    return read_postcode(match[1]), match[2] or None


def read_addition(text: str) -> tuple[str | None, str | None]:
    """What is written after a house number, as house letter and addition: `A-3` → `A`, `3`; `bis` → none, `bis`."""
    match = _ADDITION.fullmatch(text)
    letter, addition = match[1], match[2].strip(" -/.,")
    return letter.upper() if letter else None, addition or None


def read_house_number(text: str) -> HouseNumber | None:
    """`12`, `12A`, `12 bis` → the parts; None when it does not begin with a number from 1 up."""
    match = _HOUSE_NUMBER.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= LARGEST_HOUSE_NUMBER:
        return None
    return HouseNumber(int(match[1]), *read_addition(match[2]))


def read_address_line(text: str) -> AddressLine | None:
    """`Dorpsstraat 12 A-3` → street and house number; None when no house number can be told from the street."""
    match = _ADDRESS.fullmatch(text)
    if not match:
        return None
    house_number = read_house_number(match["number"] + match["rest"])
    return AddressLine(match["street"].strip(" ,"), house_number) if house_number else None
