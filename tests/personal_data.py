"""Where personal data stands: every personal value a platform took in, looked for wherever none may be.

Rule: personal data stands in the warehouse's own schemas, in the exchange folders and nowhere else (design §8). The
values looked for are those of the months that ran: e-mail addresses, telephone numbers in every spelling, BSNs, the
partners' references, birth dates and postcodes in both spellings, and surnames and streets that no line of this
repository holds. Reason: a list of planted values
proves what somebody thought of; a whole month proves the rest. The same search over the places where they do belong
shows that it finds what is there. Every field with a mark of its own, by the contracts: tests/planted.py.
"""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from include.settings import PROJECT_ROOT

_WORD = re.compile(r"[\w@.+-]{5,}")
_ENDS = ".+-"
SHORTEST_NAME, SHORTEST_NUMBER = 6, 8
SAMPLED_EVERY_SECONDS = 1.0


@dataclass
class Words:
    """What was read, word by word, and where each word was seen first."""

    places: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, text: str) -> None:
        for word in _WORD.findall(text):
            self.places.setdefault(word.strip(_ENDS), place)

    def found(self, wanted: Iterable[str]) -> dict[str, str]:
        """Of the wanted words those that were read, with the place."""
        return {word: self.places[word] for word in wanted if word in self.places}


def personal_values(connection: psycopg.Connection) -> dict[str, set[str]]:
    """Every personal value in landing, by kind, as a word; `connection` is a superuser's."""

    def column(statement: str) -> set[str]:
        return {value for (value,) in connection.execute(statement) if value}

    phones = column("select phone_1 from landing.signals union select phone_2 from landing.signals")
    known_words = _words_of_the_repository()

    def names(statement: str) -> set[str]:
        parts = {part for name in column(statement) for part in re.split(r"[^\w]+", name)}
        return {part for part in parts if len(part) >= SHORTEST_NAME and part.lower() not in known_words}

    return {
        "email": column("select email from landing.signals"),
        "phone": phones | {f"0{phone[3:]}" for phone in phones} | {phone[1:] for phone in phones},
        "bsn": column(
            "select value from landing.raw_rows, jsonb_each_text(raw) where key ilike 'bsn' and value ~ '^[0-9]{8,9}$'"
        ),
        "reference": {
            reference
            for reference in column("select partner_reference from landing.signals")
            if len(reference) >= SHORTEST_NUMBER
        },
        # nobody is born after it, and no rule is as old as they are
        "birth date": column(
            "select to_char(birth_on, spelling) from landing.signals,"
            " (values ('YYYY-MM-DD'), ('DD-MM-YYYY')) as spellings (spelling)"
            " where birth_on between '1920-01-02' and '2009-12-31'"
        ),
        "postcode": {
            postcode
            for postcode in column("select postcode from landing.signals")
            if postcode.lower() not in known_words
        },
        "surname": names("select surname from landing.signals"),
        "street": names("select street from landing.signals"),
    }


def _words_of_the_repository() -> set[str]:
    """Every word of the files under version control, in small letters: a name among them proves nothing."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout
    words: set[str] = set()
    for name in listed.splitlines():
        path = PROJECT_ROOT / name
        if path.is_file() and path.suffix not in {".png", ".lock"}:
            text = path.read_text(encoding="utf-8", errors="replace").lower()
            words.update(part for part in re.split(r"[^\w]+", text) if len(part) >= SHORTEST_NAME)
    return words


def read_tables(words: Words, connection: psycopg.Connection, wanted: Callable[[str, str], bool]) -> None:
    """Every row of every table and view for which `wanted(schema, name)` holds."""
    tables = connection.execute(
        "select table_schema, table_name from information_schema.tables"
        " where table_schema not in ('pg_catalog', 'information_schema') order by 1, 2"
    ).fetchall()
    for schema, name in tables:
        if wanted(schema, name):
            statement = sql.SQL("select t::text from {} as t").format(sql.Identifier(schema, name))
            with connection.cursor() as cursor:
                words.add(f"{schema}.{name}", "\n".join(row for (row,) in cursor.execute(statement)))


def read_files(words: Words, root: Path, left_out: Iterable[Path] = ()) -> None:
    """Every file under `root`, but for the folders left out."""
    closed = {path.resolve() for path in left_out}
    for path in _files(root.resolve(), closed):
        words.add(str(path.relative_to(root.resolve())), path.read_bytes().decode("utf-8", errors="replace"))


def _files(folder: Path, closed: set[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path in closed or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path, closed)
        elif path.is_file():
            yield path


class Arguments:
    """The arguments of every process on this machine, looked at again and again while something runs."""

    def __init__(self) -> None:
        self.words = Words()
        self._is_over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Arguments:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._looking.join()

    def _look(self) -> None:
        seen: set[int] = set()
        while not self._is_over.wait(SAMPLED_EVERY_SECONDS):
            for process in psutil.process_iter(["cmdline"]):
                arguments = process.info["cmdline"]
                text = "\n".join(arguments or ())
                if text and hash(text) not in seen:
                    seen.add(hash(text))
                    self.words.add(f"process {arguments[0]}", text)
