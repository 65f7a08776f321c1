"""Dutch names: initials, prefix (tussenvoegsel) and surname, from one field or several.

Rule: `J.P. van den Berg` and `Berg, J.P. van den` become initials `J.P.`, prefix `van den`, surname `Berg`. A surname
needs a letter; nothing else about names is judged, because unusual names are names.
How to change: the words below are prefixes (most of BRP table 36, by their words) and forms of address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX_WORDS = frozenset(
    """
    van von vom de den der des het 't 's 'd d' l' la le les lo los las li du do da das dos di del della dal dalla dello
    degli dei el al ten ter te in op aan bij onder over uit uijt uit'n voor tot zu zum zur auf aus am im vor unter ver
    af bin ben ibn abu abi bint onder't over't op't in't voor't aan't
    """.split()
)
FORMS_OF_ADDRESS = frozenset("dhr mevr mw mevrouw heer fam familie erven hr mej drs dr ir ing mr prof".split())

_HAS_LETTER = re.compile(r"[^\W\d_]")
_INITIALS = re.compile(r"(?:[^\W\d_]{1,4}\.-?)+|[A-ZÀ-Þ]{1,4}")
_GLUED = re.compile(r"((?:[^\W\d_]{1,3}\.)+)([^\W\d_].*)")


@dataclass(frozen=True)
class PersonName:
    """A name in its three parts; initials and prefix may be absent."""

    initials: str | None
    name_prefix: str | None
    surname: str


def read_surname(text: str) -> str | None:
    """A surname, or None when there is no letter in it."""
    return text if _HAS_LETTER.search(text) else None


def read_initials(text: str) -> str | None:
    """`JP`, `j.p.`, `J P` and `Jan Peter` become `J.P.`; longer abbreviations (`Th.`, `Chr.`) stay."""
    initials = []
    for word in text.replace(".", ". ").replace("-", " ").split():
        letters = word.rstrip(".")
        if not _HAS_LETTER.search(letters):
            continue
        if word.endswith(".") and len(letters) <= 4:
            initials.append(letters[0].upper() + letters[1:])
        elif letters.isupper() and len(letters) <= 5:
            initials.extend(letters)
        else:
            initials.append(letters[0].upper())
    return "".join(f"{letter}." for letter in initials) or None


def read_person_name(text: str, *, surname_first: bool) -> PersonName | None:
    """The parts of a whole name, in the order the contract's pattern says; None when there is no surname in it."""
    in_capitals = text.isupper()
    if surname_first and "," in text:
        surname, _, rest = text.partition(",")
        words = _without_address(rest.split())
        behind = [word for word in words if _is_prefix(word, in_capitals)]
        initials = [word for word in words if word not in behind]
        before, surname_words = _split_prefix(surname.split(), in_capitals)
        return _name(initials, behind or before, surname_words)
    words = _without_address(_GLUED.sub(r"\1 \2", text).split())
    first = 0
    while first < len(words) - 1 and _is_initials(words[first], in_capitals):
        first += 1
    initials, rest = words[:first], words[first:]
    prefix_at = next((i for i, word in enumerate(rest[:-1]) if _is_prefix(word, in_capitals)), None)
    if not initials and prefix_at:
        # given names written in full before a prefix: Jan Peter van den Berg
        initials, rest = rest[:prefix_at], rest[prefix_at:]
    return _name(initials, *_split_prefix(rest, in_capitals))


def _is_prefix(word: str, in_capitals: bool) -> bool:
    """True for a prefix word; DE in a name that is not all in capitals are initials."""
    return word.casefold() in PREFIX_WORDS and (in_capitals or len(word) > 2 or not word.isupper())


def _is_initials(word: str, in_capitals: bool) -> bool:
    """True for `J.P.`; `JP` without points only in a name that is not all in capitals (JAN BAKKER)."""
    if in_capitals and "." not in word and len(word) > 1:
        return False
    return bool(_INITIALS.fullmatch(word)) and not _is_prefix(word, in_capitals)


def _split_prefix(words: list[str], in_capitals: bool) -> tuple[list[str], list[str]]:
    """The prefix words a surname begins with, and the rest (never nothing)."""
    length = 0
    while length < len(words) - 1 and _is_prefix(words[length], in_capitals):
        length += 1
    return words[:length], words[length:]


def _name(initials: list[str], prefix: list[str], surname: list[str]) -> PersonName | None:
    name = read_surname(" ".join(surname))
    if name is None:
        return None
    return PersonName(read_initials(" ".join(initials)), " ".join(prefix).lower() or None, name)


def _without_address(words: list[str]) -> list[str]:
    while len(words) > 1 and words[0].casefold().rstrip(".") in FORMS_OF_ADDRESS:
        words = words[1:]
    return words
