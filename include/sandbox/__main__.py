"""The sandbox on the command line; see `python -m include.sandbox --help`."""

from __future__ import annotations

import argparse
import logging
import sys

from include.months import Month
from include.sandbox.settings import SandboxPlaces, SandboxSettingMissing, SandboxSettings


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code says whether it worked."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    parsed = _parser().parse_args(arguments)
    try:
        return parsed.run(parsed, SandboxSettings.from_environment(), SandboxPlaces.from_environment())
    except (SandboxSettingMissing, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True)
    deliver = commands.add_parser("deliver", help="write the partners' files of a month into the inbox")
    deliver.add_argument("months", help="YYYY-MM, or YYYY-MM..YYYY-MM")
    deliver.set_defaults(run=_deliver)
    serve = commands.add_parser("serve", help="be the enrichment provider, Certin and RIS until stopped")
    serve.set_defaults(run=_serve)
    files = commands.add_parser("ris-files", help="RIS by files: export a month and acknowledge closure files")
    files.add_argument("months", help="YYYY-MM, or YYYY-MM..YYYY-MM")
    files.set_defaults(run=_ris_files)
    enrich = commands.add_parser("enrich", help="answer the waiting enrichment requests once, without serving")
    enrich.set_defaults(run=_enrich)
    return parser


def _deliver(parsed: argparse.Namespace, settings: SandboxSettings, places: SandboxPlaces) -> int:
    from include.sandbox.partners import deliver

    for month in Month.parse_range(parsed.months):
        for file in deliver(month, places.exchange_root, settings):
            print(f"{file.path.name}: {file.rows} rows")
    return 0


def _serve(parsed: argparse.Namespace, settings: SandboxSettings, places: SandboxPlaces) -> int:
    from include.sandbox.serving import serve

    serve(settings, places)
    return 0


def _ris_files(parsed: argparse.Namespace, settings: SandboxSettings, places: SandboxPlaces) -> int:
    from include.sandbox.ris import Ris
    from include.sandbox.ris_files import RisFiles

    files = RisFiles(Ris(settings, places.exchange_root, places.state))
    for month in Month.parse_range(parsed.months):
        for path in files.export(month):
            print(path.name)
    for path in files.acknowledge():
        print(path.name)
    return 0


def _enrich(parsed: argparse.Namespace, settings: SandboxSettings, places: SandboxPlaces) -> int:
    from include.sandbox.enrichment import Provider

    for path in Provider(settings, places.exchange_root, places.state).answer_all():
        print(path.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
