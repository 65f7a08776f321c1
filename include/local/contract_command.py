"""`vs contract`: check a contract before it goes live, compare versions and release them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Check, compare, release and compile the data contracts.")

ContractArgument = Annotated[
    str | None,
    typer.Argument(metavar="FILE", help="a contract file, wherever it lies, or the name of one (zorgplus-v1)"),
]


@app.command()
def check(
    file: ContractArgument = None,
    sample: Annotated[
        Path | None, typer.Option(metavar="DELIVERY", help="a file of the partner, to see what becomes of it")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="how many good rows to show as they would be loaded")] = 3,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="show personal values instead of their form (Xxxxx, 9999XX)")
    ] = False,
) -> None:
    """Show what is wrong with a contract, and what it makes of a sample; without FILE, all contracts of the platform.

    Writes nothing. The exit code is 1 when the contract or the sample will not do.
    """
    from include.contracts.checking import problems_in
    from include.local.contract_report import show_problems, show_trial

    if file is None:
        _check_folder()
        return
    path, out = _contract_file(file), _console()
    problems = problems_in(path)
    show_problems(out, path, problems)
    is_usable = all(problem.is_advice for problem in problems)
    if sample is None:
        if not is_usable:
            raise typer.Exit(1)
        return
    trial = _tried(path, sample)
    if trial is None:
        out.print("The sample was not judged: the contract has to be mended first.", markup=False)
        raise typer.Exit(1)
    show_trial(out, trial, rows, masked=not show_values)
    if not is_usable:
        out.print("[red]✗ The contract would not be used[/] before its problems (above) are mended.")
    if not is_usable or not trial.would_be_loaded:
        raise typer.Exit(1)


def _check_folder() -> None:
    from include.contracts.checking import problems_in
    from include.contracts.registry import contracts_folder
    from include.local.contract_report import show_folder, show_problems

    checked = [(path, problems_in(path)) for path in sorted(contracts_folder().glob("*/*.odcs.yaml"))]
    show_folder(_console(), checked)
    for path, problems in checked:
        if problems:
            show_problems(_console(), path, problems)
    if any(not problem.is_advice for _, problems in checked for problem in problems):
        raise typer.Exit(1)


def _tried(path: Path, sample: Path):
    """The sample judged; None when the contract does not allow that."""
    import os
    import secrets

    from include.contracts.registry import ContractProblem, as_contract, read_yaml
    from include.ingest.trial import try_sample

    if not sample.is_file():
        raise typer.BadParameter(f"there is no file {sample}")
    # the hash of a BSN is only looked at here: any key will do
    os.environ.setdefault("VS_BSN_KEY", secrets.token_hex())
    try:
        return try_sample(as_contract(read_yaml(path), path), sample.name, sample.read_bytes())
    except ContractProblem:
        return None


def _contract_file(named: str) -> Path:
    """The file that is meant: a path, or the name of a contract of the platform."""
    from include.contracts.registry import ContractProblem, load_contract

    path = Path(named)
    if path.is_file():
        return path
    try:
        return load_contract(named).path
    except (ContractProblem, ValueError) as problem:
        raise typer.BadParameter(f"there is no file {named}, and no contract of that name") from problem


def _console():
    from include.local.progress import console

    return console()
