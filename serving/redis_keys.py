"""The names of a history store's keys in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.dictionaries import CODE_LIMITS

__all__ = ["RedisKeys"]


@dataclass(frozen=True)
class RedisKeys:
    """Keys that all begin with the store's prefix.

    Parameters
    ----------
    prefix : without a colon, so that no store's keys are another one's.
    """

    prefix: str

    def named(self, name: str) -> bytes:
        """Return the key of what there is once: ``store``, ``codes``, ``rows`` and others."""
        return f"{self.prefix}:{name}".encode()

    def histories(self, users: Sequence[str]) -> list[bytes]:
        """Return the key of each user's history."""
        start = self.named("user:")
        return [start + user.encode("utf-8", "surrogatepass") for user in users]

    def dictionaries(self) -> list[bytes]:
        """Return the keys of the dictionaries' lists of texts."""
        return [self.named(name) for name in CODE_LIMITS]

    def slot(self, number: int) -> bytes:
        """Return the key of one of the two users tables."""
        return self.named(f"users_{number}")
