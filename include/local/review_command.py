"""`vs review`: are these two the same person? What the platform would not decide, and what a person answered."""

from __future__ import annotations

from typing import Annotated

import typer

from include.local.terminal import console, month_of, running_instance

app = typer.Typer(no_args_is_help=True, help="Uncertain matches: are these two one person? A person decides.")

ReviewArgument = Annotated[
    str, typer.Argument(metavar="QUESTION", help="from `vs review list` or the sheet Beoordelen")
]
ByOption = Annotated[str, typer.Option(help="who decides: a function, not a name")]
ReasonOption = Annotated[str, typer.Option(help="why, without names")]


@app.command("list")
def list_questions(
    month: Annotated[str | None, typer.Argument(metavar="[YYYY-MM]", help="only of this signal month")] = None,
    with_answered: Annotated[bool, typer.Option("--all", help="also what was answered")] = False,
) -> None:
    """Show the questions; names and addresses are on Kwadraad's work list, sheet Beoordelen."""
    from rich.table import Table

    from include.outbound.match_reviews import questions

    running_instance()
    wanted, out = month_of(month) if month else None, console()
    found = questions(wanted, with_answered=with_answered)
    if not found:
        out.print(f"There are no questions{f' in {wanted}' if wanted else ''}.", markup=False)
        return
    table = Table(title="Are these two one person?", title_justify="left")
    for heading in ("month", "question", "place", "evidence", "score", "answer", "by", "reason"):
        table.add_column(heading, overflow="fold")
    for one in found:
        known = " ".join(part for part in one.evidence.split() if not part.endswith("=unknown"))
        table.add_row(
            one.signal_month, one.review_id, one.place, known, str(one.score), one.state, one.decided_by or "",
            one.reason or "",
        )  # fmt: skip
    out.print(table)


@app.command("accept")
def accept(question: ReviewArgument, by: ByOption, reason: ReasonOption) -> None:
    """They are one person."""
    _answer(question, True, by, reason)


@app.command("reject")
def reject(question: ReviewArgument, by: ByOption, reason: ReasonOption) -> None:
    """They are two persons; never link them or ask again."""
    _answer(question, False, by, reason)


def _answer(question: str, is_same_person: bool, by: str, reason: str) -> None:
    from include.months import Month
    from include.outbound.match_reviews import answer
    from include.warehouse.closure_ledger import month_is_closed

    running_instance()
    answered = answer(question, is_same_person=is_same_person, decided_by=by, reason=reason)
    month = Month.parse(answered.signal_month)
    console().print(
        f"{answered.review_id} of {month}: {'one person' if is_same_person else 'two persons'}. Recorded; it counts "
        + (
            f"from the next month on, because {month} is closed."
            if month_is_closed(month)
            else f"from the next build: vs month {month} --from build."
        ),
        markup=False,
    )
