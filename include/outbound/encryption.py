"""Outgoing files for the recipient's eyes only: OpenPGP to the key the recipient gave.

Rule: with VS_OPENPGP_KEYS set, every file in a folder of the outbox is encrypted to the public key of that folder:
`outbox/certin` to `<keys>/certin.asc`, `outbox/partners/zorgplus` to `<keys>/partners/zorgplus.asc`. A recipient who
wants files as they are has an empty `<keys>/<recipient>.plain` instead. Neither is an error, never a plain file: a key
that was forgotten or deleted must not put names and numbers in the open. Without the setting nothing is encrypted.

Encryption throws a new session key each time, so the same content gives other bytes; the ledger keeps the hash of both.
Sequoia (pysequoia) does the work: no gpg binary, no key ring, no secret key of ours anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.settings import Settings

SUFFIX = ".pgp"
OUTBOX = "outbox/"


class KeyMissing(RuntimeError):
    """It is not said how files of this recipient go out."""


class KeyUnusable(RuntimeError):
    """The key cannot be encrypted to: no key, a secret one, revoked, or expired."""


@dataclass(frozen=True)
class RecipientKey:
    """The public key of one recipient."""

    path: Path
    certificate: Any

    @property
    def fingerprint(self) -> str:
        return str(self.certificate.fingerprint).upper()

    def encrypted(self, data: bytes) -> bytes:
        """The same for this recipient only; binary, not armoured."""
        from pysequoia import encrypt

        try:
            return encrypt(recipients=[self.certificate], bytes=data, armor=False)
        except Exception as error:  # the library has no exceptions of its own
            raise KeyUnusable(
                f"Nothing can be encrypted to {self.path} ({error}). It may have expired or hold no key for "
                "encryption: ask the recipient for a new one and run this task again. Nothing was sent."
            ) from error


def key_for(folder: str, settings: Settings | None = None) -> RecipientKey | None:
    """The key for files in this folder of the outbox; None when they go out as they are."""
    keys = (settings or Settings.from_environment()).openpgp_keys
    if keys is None:
        return None
    name = folder.removeprefix(OUTBOX).strip("/")
    if (keys / f"{name}.plain").exists():
        return None
    path = keys / f"{name}.asc"
    if not path.exists():
        raise KeyMissing(
            f"There is no key for {folder}: put the recipient's public key in {path}, or an empty file "
            f"{path.with_suffix('.plain').name} beside it when these files may go out as they are. Nothing was sent."
        )
    return RecipientKey(path, _certificate(path))


def _certificate(path: Path) -> Any:
    from pysequoia import Cert

    data = path.read_bytes()
    if b"PRIVATE KEY" in data:
        raise KeyUnusable(f"{path} holds a secret key. Take it away, tell its owner, and ask for the public key.")
    try:
        certificate = Cert.from_bytes(data)
    except Exception as error:  # the library has no exceptions of its own
        raise KeyUnusable(f"{path} holds no OpenPGP key: {error}. Ask the recipient for the key again.") from error
    if certificate.is_revoked:
        raise KeyUnusable(f"The key in {path} is revoked. Ask the recipient for the new one. Nothing was sent.")
    return certificate
