"""Set-up: uv is pinned like everything else, and what is configured for pip reaches it."""

from __future__ import annotations

import pytest

from include.local.install import requirement, uv_environment
from include.settings import PROJECT_ROOT

LOCK = (PROJECT_ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_uv_is_taken_from_the_lock_with_its_hashes():
    lines = requirement("uv", LOCK).splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 5
    assert all("--hash=sha256:" in line for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_every_package_of_the_lock_has_a_hash_and_no_address():
    pins = [line for line in LOCK.splitlines() if line and not line[0].isspace() and not line.startswith("#")]
    assert len(pins) > 150
    assert all(line.endswith("\\") for line in pins)
    assert "://" not in LOCK


def test_a_mirror_of_pip_is_told_to_uv(monkeypatch: pytest.MonkeyPatch):
    for name in ("UV_DEFAULT_INDEX", "UV_INSECURE_HOST", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    said = (
        "global.index-url='https://mirror.example/simple'\n"
        "global.trusted-host='\\none.example\\ntwo.example'\n"
        ":env:.cert='/etc/ca.pem'\nglobal.timeout='60'\n"
    )
    assert uv_environment(said) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INSECURE_HOST": "one.example two.example",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example/simple")
    assert "UV_DEFAULT_INDEX" not in uv_environment(said)
