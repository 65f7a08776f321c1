"""Which version of a partner's contract a delivery is under: `<partner>-v1` and `<partner>-v2` stand side by side.

Rule, in this order:
  1. the signal month in the file's name: only versions whose validFrom/validTo (customProperties; a signal month,
     inclusive, open when absent) hold that month;
  2. the name itself: of those, the versions whose fileName it is;
  3. the header: of those, the versions whose every required column is there; of these the one that leaves the fewest
     columns of the file unread, then misses the fewest optional ones, then the newest.
A file that fits none is judged by the newest of them, and told what each lacks.
Reason: a partner changes its export on a day of its own, and corrects an old month in the shape of the old one.
How to change: the dates are in the contract files; the order above stands here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from include.contracts.checking import BrokenContract, broken_contracts, is_usable
from include.contracts.headers import HeaderMatch, match_header
from include.contracts.registry import ACTIVE, PARTNER_DELIVERY, Contract, all_contracts
from include.months import Month

HeaderOf = Callable[[Contract], Sequence[str] | None]


@dataclass(frozen=True)
class Choice:
    """The version a file is judged by; `besides` says why it is none of the others, when it is not that one either."""

    contract: Contract
    besides: str = ""


def usable_versions(folder: str | None = None) -> list[Contract]:
    """Every active version of every partner (or of the one with this folder) with nothing wrong in it, newest first."""
    active = [
        contract
        for contract in all_contracts()
        if contract.kind == PARTNER_DELIVERY and contract.status == ACTIVE and folder in (None, contract.folder)
    ]
    usable = [contract for contract in active if is_usable(contract)]
    return sorted(usable, key=lambda contract: (contract.name, -contract.major))


def contracts_in(month: Month) -> list[Contract]:
    """One contract for each partner that may deliver the month: the newest version that holds it."""
    newest: dict[str, Contract] = {}
    for contract in usable_versions():
        if contract.covers(month):
            newest.setdefault(contract.name, contract)
    return list(newest.values())


def partners_without_contract() -> dict[str, BrokenContract]:
    """Partners whose every contract file is broken: nobody can take in what they deliver until one is mended."""
    usable = {contract.name for contract in usable_versions()}
    return {
        broken.partner: broken
        for broken in broken_contracts()
        if broken.partner is not None and broken.name not in usable
    }


def choose_version(versions: Sequence[Contract], header_of: HeaderOf) -> Choice:
    """The version whose header the file has; `versions` are newest first and at least one.

    `header_of` reads the header as a version's format says it stands there; None when that cannot be done.
    """
    if len(versions) == 1:
        return Choice(versions[0])
    found = [(contract, match_header(contract, header_of(contract) or ())) for contract in versions]
    fitting = [(contract, match) for contract, match in found if match.fits]
    if fitting:
        contract, _ = min(fitting, key=lambda one: (len(one[1].unknown), len(one[1].absent), -one[0].major))
        return Choice(contract)
    besides = "; ".join(f"nor is it {contract.reference}: {_lack(match)}" for contract, match in found[1:])
    return Choice(versions[0], besides)


def _lack(match: HeaderMatch) -> str:
    """Why the header is not this version's: labels of the contract only, nothing from the file."""
    kinds = (("missing", match.missing), ("twice", match.twice))
    return ", ".join(f"{word} {', '.join(column.label for column in columns)}" for word, columns in kinds if columns)
