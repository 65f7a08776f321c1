"""Dutch telephone numbers: from what partners write to a callable number in E.164, or to nothing.

Rule: callable is a Dutch mobile number, a fixed line or an 085 number. Never premium, toll-free, service (084, 087,
088, 14xxx), pager (066) or machine numbers (0970), and no placeholder such as 0612345678.
Reason: a call costs money and attention; a number that cannot be the resident's is worse than none.
How to change: numbering plans come from libphonenumber (`phonenumbers`); placeholders are the numbers below.
"""

from __future__ import annotations

import re
from functools import cache

# What stands for "unknown" in partners' systems: 06 12345678, and nothing but zeros (06 00000000).
PLACEHOLDERS = frozenset({"612345678", *(f"{first}00000000" for first in range(10))})
# 097 machine numbers are in the plan as mobile, 091 as internet telephony; nine digits leave the long ones out.
NEVER_CALLED = "97|91"
NATIONAL_DIGITS = 9

_SEVERAL = re.compile(r"\s*[/;|]\s*|\s+(?:of|en|or|and)\s+", re.IGNORECASE)
_WRITTEN = re.compile(r"[0-9 ()+./\-\u2010-\u2015]+")
_NOT_DIGITS = re.compile(r"\D")


@cache
def callable_numbers() -> str:
    """The pattern of the national numbers that may be called, from the numbering plan of the library."""
    from phonenumbers import PhoneMetadata

    netherlands = PhoneMetadata.metadata_for_region("NL")
    patterns = (netherlands.mobile, netherlands.fixed_line, netherlands.voip)
    return "|".join(f"(?:{description.national_number_pattern})" for description in patterns)


@cache
def _callable_plan() -> re.Pattern[str]:
    refused = rf"(?!{NEVER_CALLED})(?!(?:{'|'.join(sorted(PLACEHOLDERS))})$)"
    return re.compile(rf"{refused}(?=[0-9]{{{NATIONAL_DIGITS}}}$)(?:{callable_numbers()})")


def read_phone(text: str) -> str | None:
    """One number in E.164, or None when `text` is not exactly one callable Dutch number."""
    if not _WRITTEN.fullmatch(text):
        return None
    national = _national_number(text)
    if national is None or not _callable_plan().fullmatch(national):
        return None
    return f"+31{national}"


def read_phones(text: str) -> tuple[list[str], bool]:
    """The callable numbers in a field that may hold several, and whether anything in it was unusable."""
    whole = read_phone(text)
    if whole:
        return [whole], False
    parts = [part for part in _SEVERAL.split(text) if part]
    found = [read_phone(part) for part in parts]
    usable = list(dict.fromkeys(number for number in found if number))
    return usable, None in found or not found


def _national_number(text: str) -> str | None:
    """The number without country code and trunk zero; a lost leading zero (a number cell) is understood."""
    is_international = text.strip().startswith("+")
    digits = _NOT_DIGITS.sub("", text)
    if digits.startswith("00"):
        is_international, digits = True, digits[2:]
    if is_international:
        return digits[2:].removeprefix("0") if digits.startswith("31") else None
    if digits.startswith("31") and len(digits) in (11, 12):
        return digits[2:].removeprefix("0")
    if digits.startswith("0"):
        return digits[1:]
    return digits if len(digits) == 9 else None
