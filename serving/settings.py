"""The sections `[serving]` and `[privacy]`, and what a worker is told of the others."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from serving.store_settings import StoreSettings

__all__ = ["PrivacySettings", "ServiceSettings", "ServingSettings"]


class ServingSettings(BaseModel):
    """The section `[serving]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=3000, ge=1, le=65_535)
    workers: int = Field(default=1, ge=1, le=64)
    deadline_ms: int = Field(default=50, ge=1, le=60_000)
    keys: str = "keys.toml"
    decisions: str | None = None


class PrivacySettings(BaseModel):
    """The section `[privacy]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opt_outs: str = "opt_outs.txt"


class ServiceSettings(BaseModel):
    """All that a worker of the service needs; paths are absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    releases: str
    time_zone: str
    horizons: tuple[int, ...]
    store: StoreSettings
    serving: ServingSettings
    privacy: PrivacySettings

    @property
    def keys(self) -> Path:
        """The file of keys."""
        return Path(self.folder) / self.serving.keys
