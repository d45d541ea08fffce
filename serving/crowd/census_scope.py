"""Scope: whose crowd is looked at, that of a brand, of a category, or of all."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from features.errors import ConfigError

__all__ = ["Scope"]


@dataclass(frozen=True)
class Scope:
    """A brand or a category, or all where both are None."""

    brand: str | None = None
    category: str | None = None

    @classmethod
    def chosen(
        cls, brand: str | None, category: str | None, categories: Mapping[str, str | None]
    ) -> "Scope":
        """Return the scope of two options; `categories` gives those of the log's brands.

        Raises
        ------
        ConfigError
            Where both are given, or one is not in the log.
        """
        if brand is not None and category is not None:
            raise ConfigError("--brand and --category: give one of them, or none for all.")
        if brand is not None and brand not in categories:
            raise _unknown("--brand", brand, list(categories))
        known = sorted({name for name in categories.values() if name is not None})
        if category is not None and category not in known:
            raise _unknown("--category", category, known)
        return cls(brand, category)

    def holds(self, brand: str, category: str | None) -> bool:
        """Return whether a brand belongs to it."""
        if self.brand is not None:
            return brand == self.brand
        return self.category is None or category == self.category

    @property
    def level(self) -> str:
        """What it is: "brand", "category" or "all"."""
        if self.brand is not None:
            return "brand"
        return "all" if self.category is None else "category"

    @property
    def title(self) -> str:
        """What people call it."""
        if self.brand is not None:
            return f"brand {self.brand}"
        return "all brands" if self.category is None else f"category {self.category}"


def _unknown(option: str, name: str, known: list[str]) -> ConfigError:
    close = difflib.get_close_matches(name, known, 1) or known[:1]
    hint = f"; there is {close[0]!r}, for example" if close else ""
    return ConfigError(f"{option}: {name!r} is not in the log{hint}.")
