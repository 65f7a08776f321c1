"""How an outsider puts files into and reads files from the exchange folders: whole files only, atomically."""

from __future__ import annotations

import os
import uuid
from datetime import datetime
from pathlib import Path


def write_atomically(path: Path, content: bytes, at: datetime | None = None) -> None:
    """Write next to the target under a name ending in `.part` (never read by anybody), then rename.

    `at` is when the file is said to be written: the day it would be in the month that is played.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        draft.write_bytes(content)
        if at is not None:
            os.utime(draft, (at.timestamp(), at.timestamp()))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
