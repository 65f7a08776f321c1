"""`vs contract`: check a contract before it goes live, compare versions and release them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.local.terminal import CommandFailed, console

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
    path, out = _contract_file(file), console()
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
    show_folder(console(), checked)
    for path, problems in checked:
        if problems:
            show_problems(console(), path, problems)
    if any(not problem.is_advice for _, problems in checked for problem in problems):
        raise typer.Exit(1)


@app.command()
def generate(
    is_check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 1 when a file differs")] = False,
) -> None:
    """Write everything that is made from the contracts: dbt's model files, gate rules, readable pages."""
    from include.contracts.generated import drift, generated_files, write_generated
    from include.settings import PROJECT_ROOT

    out = console()
    found = drift() if is_check else write_generated(PROJECT_ROOT)
    for one in found:
        out.print(str(one), markup=False)
    total = len(generated_files())
    if is_check and found:
        out.print(f"{len(found)} files are not what the contracts say. Write them: vs contract generate", markup=False)
        raise typer.Exit(1)
    done = f"{len(found)} written or deleted" if found else "nothing to do"
    out.print(f"{total} files are made from the contracts; {done}.", markup=False)


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


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="a contract file or name")],
    new: Annotated[
        str | None, typer.Argument(metavar="NEW", help="a contract file or name; without it, OLD since its release")
    ] = None,
) -> None:
    """Show every change from OLD to NEW with its class. The exit code is 1 when a breaking one has no new major."""
    from include.contracts.comparison import compare
    from include.contracts.registry import ContractProblem
    from include.contracts.releases import document_in, released_document
    from include.local.contract_report import show_changes

    path = _contract_file(old)
    try:
        if new is None:
            reference = path.name.removesuffix(".odcs.yaml")
            before, after = released_document(reference), document_in(path)
            if before is None:
                raise CommandFailed(f"{reference} was not released yet: there is nothing to compare it with.")
        else:
            before, after = document_in(path), document_in(_contract_file(new))
        changes = compare(before, after)
    except ContractProblem as problem:
        raise CommandFailed(str(problem)) from problem
    if not show_changes(console(), before, after, changes):
        raise typer.Exit(1)


@app.command()
def release(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="default: all that changed")] = None,
    check: Annotated[bool, typer.Option("--check", help="write nothing; exit code 1 when something changed")] = False,
) -> None:
    """Make the changed contracts what is promised from now on, under a new version; refuses a breaking change."""
    from include.contracts.registry import ContractProblem
    from include.contracts.releases import release as make_release
    from include.contracts.releases import unsettled

    out = console()
    try:
        if check:
            waiting = unsettled()
            for standing in waiting:
                out.print(str(standing), markup=False)
            if waiting:
                raise CommandFailed(f"{len(waiting)} contract(s) are not as they were released.")
            out.print("Every contract is as it was released.")
            return
        references = [_contract_file(name).name.removesuffix(".odcs.yaml") for name in names or ()]
        done = make_release(references)
    except ContractProblem as problem:
        raise CommandFailed(str(problem)) from problem
    for standing in done:
        was = f"{standing.released} → " if standing.released else ""
        what = standing.level.word if standing.changes else "new"
        out.print(f"{standing.reference}: released {was}{standing.next_version} ({what})", markup=False)
    told = "Now `vs contract generate`: what is made from them may change." if done else "Nothing changed."
    out.print(told, markup=False)


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
