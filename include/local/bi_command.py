"""`vs bi`: the dashboards of the platform, in Superset. `make bi` installs it first."""

from __future__ import annotations

import typer

from include.local.terminal import CommandFailed, console, existing_instance, running_instance

app = typer.Typer(no_args_is_help=True, help="The dashboards, in Superset (install it with `make bi`).")


@app.command()
def up() -> None:
    """Import the dashboards of bi/ and start Superset; returns when it answers."""
    from include.local.superset import ADMIN, VIEWER, LocalSuperset

    superset, out = LocalSuperset(running_instance()), console()
    superset.instance.create()
    _import(superset)
    superset.start()
    superset.wait_until_healthy()
    out.print(
        f"Superset: healthy on {superset.url}  users {VIEWER} (looks) and {ADMIN} (administers), passwords in "
        f"{superset.passwords_file}",
        markup=False,
    )


@app.command("import")
def import_assets() -> None:
    """Bring Superset to the dashboards of bi/ as they are now; it need not run."""
    from include.local.superset import LocalSuperset

    superset = LocalSuperset(running_instance())
    superset.instance.create()
    _import(superset)


@app.command()
def check() -> None:
    """Check the dashboards of bi/ against the contracts of the marts, without Superset."""
    from include.bi.assets import Assets
    from include.bi.checks import problems_of

    found = problems_of(Assets.read())
    if found:
        raise CommandFailed("\n".join(found))
    console().print("The dashboards of bi/ fit the contracts of the marts.", markup=False)


@app.command()
def down() -> None:
    """Stop Superset; what it knows stays."""
    from include.local.superset import LocalSuperset

    stopped = LocalSuperset(existing_instance()).stop()
    console().print("Stopped: superset" if stopped else "Superset did not run", markup=False)


def _import(superset) -> None:
    out = console()
    check()
    superset.prepare()
    counted = superset.apply_assets()
    removed = sum(count for name, count in counted.items() if name.endswith("_removed"))
    out.print(
        f"Dashboards: {counted['dashboards']} with {counted['charts']} charts on {counted['datasets']} datasets, "
        f"{removed} removed",
        markup=False,
    )
