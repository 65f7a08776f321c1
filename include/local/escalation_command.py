"""`vs escalation`: who might need more than a telephone call, and what a person decided about it. Never who it is."""

from __future__ import annotations

from typing import Annotated

import typer

from include.local.terminal import console, month_of, running_instance

app = typer.Typer(no_args_is_help=True, help="Candidates for Meldpunt Bezorgd or the crisis team: a person decides.")


@app.command("list")
def list_candidates(
    month: Annotated[str | None, typer.Argument(metavar="[YYYY-MM]", help="only of this signal month")] = None,
) -> None:
    """Show the candidates and what was decided; names are on Kwadraad's work list, sheet Beoordelen."""
    from rich.table import Table

    from include.outbound.escalations import candidates, is_switched_on

    running_instance()
    wanted, out = month_of(month) if month else None, console()
    found = candidates(wanted)
    if not found:
        off = wanted and not is_switched_on(wanted)
        out.print(
            f"There are no candidates{f' in {wanted}' if wanted else ''}"
            f"{': the rule escalation_candidate is off (seed route_rules)' if off else ''}.",
            markup=False,
        )
        return
    table = Table(title="Escalation candidates", title_justify="left")
    for heading in ("month", "call record", "case", "refused on", "arrears then", "arrears now", "decision", "ground"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(
            one.signal_month, one.call_record_id, one.case_id, str(one.refused_on or ""),
            f"€ {one.refused_arrears_eur or 0:,.2f}", f"€ {one.arrears_eur:,.2f}",
            " ".join(part for part in (one.decision, one.recipient) if part) or "undecided", one.ground or "",
        )  # fmt: skip
    out.print(table)


@app.command("decide")
def decide_candidate(
    call_record: Annotated[str, typer.Argument(metavar="CALL_RECORD", help="from `vs escalation list`")],
    ground: Annotated[str, typer.Option(help="a ground of the seed escalation_grounds")],
    by: Annotated[str, typer.Option(help="who decides: a function, not a name")],
    to: Annotated[str | None, typer.Option(help="meldpunt_bezorgd or crisisteam; leave out for nobody")] = None,
) -> None:
    """Record what a person decided about a candidate. Nothing is sent: referring is that person's own act."""
    from include.outbound.escalations import Recipient, decide

    if to is not None and to not in list(Recipient):
        raise typer.BadParameter(f"{to} can not be told; choose one of {', '.join(Recipient)}")
    running_instance()
    decided = decide(call_record, Recipient(to) if to else None, ground, by)
    told = f"refer to {decided.recipient}" if decided.recipient else "no referral"
    console().print(
        f"{decided.call_record_id} of {decided.signal_month}: {told}, on the ground {decided.ground}. Recorded; "
        "nothing was sent. It leaves the work list with its next delivery.",
        markup=False,
    )
