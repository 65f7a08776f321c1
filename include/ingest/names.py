"""Dutch names: initials, prefix (tussenvoegsel) and surname, from one field or several.

Rule: `J.P. van den Berg` and `Berg, J.P. van den` become initials `J.P.`, prefix `van den`, surname `Berg`. A surname
needs a letter; nothing else about names is judged, because unusual names are names. An abbreviated prefix (`v.d.`,
`v/d`, `vd`, `v.`) stays one. In lower case it is always a prefix; in capitals, or where all is in lower case, only
`V.D.` behind other initials (`F. V.D. BERG`), and a lone `V.` is an initial.
How to change: the words below are prefixes (most of BRP table 36, by their words) and forms of address.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
# `J.P.van` and `F.v.d.Berg` before the first letter of a longer word; `F.v.d.` before a lower-case prefix
_GLUED = re.compile(r"((?:[^\W\d_]{1,3}\.)+)(?![^\W\d_]{1,3}\.)(?=[^\W\d_])")
_GLUED_PREFIX = re.compile(r"((?:[A-ZÀ-Þ][^\W\d_]{0,2}\.)+)(?=[vd][./])")
_ABBREVIATED = re.compile(r"(?:v|d|v[./]?(?:'?t|d|de|den|der|h|het)|[aio]/(?:'?t|d|h))\.?")


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
    is_prefix = _prefixes_in(text)
    if surname_first and "," in text:
        surname, _, behind = text.partition(",")
        initials: list[str] = []
        prefix: list[str] = []
        for at, word in enumerate(_without_address(_words(behind))):
            (prefix if is_prefix(word, at > 0) else initials).append(word)
        before, surname_words = _split_prefix(_words(surname), is_prefix)
        return _name(initials, prefix or before, surname_words)
    words = _without_address(_words(text))
    are_initials = [_is_initials(word, text.isupper()) and not is_prefix(word, at > 0) for at, word in enumerate(words)]
    first = 0
    while first < len(words) - 1 and are_initials[first]:
        first += 1
    initials, rest = words[:first], words[first:]
    prefix_at = next((at for at, word in enumerate(rest[:-1]) if is_prefix(word, at > 0)), None)
    if not initials and prefix_at:
        # given names written in full before a prefix: Jan Peter van den Berg
        initials, rest = rest[:prefix_at], rest[prefix_at:]
    return _name(initials, *_split_prefix(rest, is_prefix))


def _words(text: str) -> list[str]:
    return _GLUED_PREFIX.sub(r"\1 ", _GLUED.sub(r"\1 ", text)).split()


def _prefixes_in(text: str) -> Callable[[str, bool], bool]:
    """What tells whether a word of this name is a prefix, given whether other words stand before it."""
    in_capitals = text.isupper()
    case_tells = not in_capitals and not text.islower()

    def is_prefix(word: str, is_behind: bool) -> bool:
        folded = word.casefold()
        if folded in PREFIX_WORDS:  # DE in a name that is not all in capitals are initials
            return in_capitals or len(word) > 2 or not word.isupper()
        if not _ABBREVIATED.fullmatch(folded):
            return False
        if case_tells and word.islower() or "/" in word or "'" in word:
            return True
        return is_behind and folded.replace(".", "") == "vd"

    return is_prefix


def _is_initials(word: str, in_capitals: bool) -> bool:
    """True for `J.P.`; `JP` without points only in a name that is not all in capitals (JAN BAKKER)."""
    if in_capitals and "." not in word and len(word) > 1:
        return False
    return bool(_INITIALS.fullmatch(word))


def _split_prefix(words: list[str], is_prefix: Callable[[str, bool], bool]) -> tuple[list[str], list[str]]:
    """The prefix words a surname begins with, and the rest (never nothing)."""
    length = 0
    while length < len(words) - 1 and is_prefix(words[length], True):
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
