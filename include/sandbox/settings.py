"""What the sandbox can be told: seed, size and how dirty the partners' administrations are.

Everything else follows from these. To make a bigger or dirtier municipality pass another `SandboxSettings` or set
the variables named in `from_environment`; the same settings always give the same world.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SandboxSettingMissing(RuntimeError):
    """A setting of the sandbox is absent; the message names the variable."""


@dataclass(frozen=True)
class SandboxSettings:
    """The synthetic municipality. Shares lie between 0 and 1."""

    seed: int = 2711
    # Only households that can get into arrears are modelled, about one in six of a town the size of Zoetermeer.
    households: int = 10_000
    # 1.0 is a normal administration, 0.0 a spotless one; multiplies every share of dirt.
    dirt: float = 1.0
    signals_per_household: float = 0.0445  # a month; 10,000 households give about 450 signals
    missing_phone: float = 0.40
    closures_rejected: float = 0.01
    late: float = 0.0  # share of the outcomes that RIS knows only after their month was closed
    corrected: float = 0.0  # share of the outcomes that RIS corrects after their month was closed
    faults: float = 0.0  # share of RIS requests that go wrong
    token_lasts: int = 0  # requests a token lasts, then another is asked for with the client's secret; 0: for ever
    unknown_codes: float = 0.0  # share of outcomes that first carry a code nobody agreed on
    codes_corrected: bool = False  # those got their right code since

    def __post_init__(self) -> None:
        if self.households < 50:
            raise ValueError("the sandbox needs at least 50 households to be a municipality")
        for name in ("missing_phone", "closures_rejected", "late", "corrected", "faults", "unknown_codes"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share between 0 and 1")
        if self.dirt < 0:
            raise ValueError("dirt cannot be negative")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> SandboxSettings:
        """The defaults, changed by VS_SANDBOX_SEED, …_HOUSEHOLDS, …_DIRT, …_REJECTED, …_LATE, …_CORRECTED, and
        VS_RIS_FAULTS, …_TOKEN_LASTS, …_UNKNOWN_CODES, …_CODES_CORRECTED (yes)."""
        found = os.environ if environment is None else environment
        return cls(
            seed=int(found.get("VS_SANDBOX_SEED") or cls.seed),
            households=int(found.get("VS_SANDBOX_HOUSEHOLDS") or cls.households),
            dirt=float(found.get("VS_SANDBOX_DIRT") or cls.dirt),
            closures_rejected=float(found.get("VS_SANDBOX_REJECTED") or cls.closures_rejected),
            late=float(found.get("VS_SANDBOX_LATE") or cls.late),
            corrected=float(found.get("VS_SANDBOX_CORRECTED") or cls.corrected),
            faults=float(found.get("VS_RIS_FAULTS") or cls.faults),
            token_lasts=int(found.get("VS_RIS_TOKEN_LASTS") or cls.token_lasts),
            unknown_codes=float(found.get("VS_RIS_UNKNOWN_CODES") or cls.unknown_codes),
            codes_corrected=found.get("VS_RIS_CODES_CORRECTED") == "yes",
        )


@dataclass(frozen=True)
class SandboxPlaces:
    """Where the sandbox reads and writes, and how RIS is reached."""

    environment: Mapping[str, str]

    @classmethod
    def from_environment(cls) -> SandboxPlaces:
        return cls(dict(os.environ))

    def _required(self, name: str) -> str:
        value = self.environment.get(name, "")
        if not value:
            raise SandboxSettingMissing(f"{name} is not set; `vs up` sets it for the sandbox, or export it yourself")
        return value

    @property
    def exchange_root(self) -> Path:
        """The exchange folders of interfaces §1; the sandbox always sees them as a local folder."""
        return Path(self._required("VS_EXCHANGE_ROOT").removeprefix("file://"))

    @property
    def state(self) -> Path:
        """The sandbox's own memory: closures it accepted, requests it answered."""
        return Path(self._required("VS_SANDBOX_STATE"))

    @property
    def ris_host(self) -> str:
        """127.0.0.1, unless the sandbox runs in its own container."""
        return self.environment.get("VS_RIS_HOST") or "127.0.0.1"

    @property
    def ris_port(self) -> int:
        return int(self._required("VS_RIS_PORT"))

    @property
    def ris_token(self) -> str:
        return self._required("VS_RIS_TOKEN")

    @property
    def ris_by_files(self) -> bool:
        """True when RIS exchanges files: `serve` then also writes inbox/ris by itself."""
        return self.environment.get("VS_RIS_BY", "api") == "files"
