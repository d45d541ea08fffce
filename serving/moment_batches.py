"""Moment batches: pairs of the service as the online engine takes them, in the store's codes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.brands import Brands
from features.context import Context
from features.history import UNKNOWN
from features.online import MomentBatch
from serving.attributes import AttributeColumns
from serving.dictionaries import Dictionary
from serving.history_store import HistoryStore

__all__ = ["MomentBatches"]

Ints = npt.NDArray[np.int64]
_MadeFor = tuple[tuple[Dictionary, int], ...]


@dataclass(frozen=True)
class _BrandCodes:
    """What the store and a release know of each brand.

    Attributes
    ----------
    place : the place in `rows` of each brand that either knows.
    rows : shape (3, n + 1); brand's code, category's code and decision cycle; the last of all are
        those of a brand that neither knows.
    brand_category : shape (n_brands,); the category's code of each of the store's brand codes.
    channel_slot : shape (n_channels,); the place in the context of each of the store's channels.
    """

    place: Mapping[str, int]
    rows: Ints
    brand_category: Ints
    channel_slot: Ints


class MomentBatches:
    """Builds the moments of pairs from a store's histories and a release's brands.

    A brand that the release does not know has no category and the default decision cycle, as in
    the offline engine; its events are the store's if it has any.
    """

    def __init__(self, store: HistoryStore, brands: Brands, context: Context) -> None:
        self.store = store
        self.brands = brands
        self.context = context
        self._attributes = AttributeColumns(context.attributes)
        # One value, so that threads see both or neither.
        nothing = np.empty(0, dtype=np.int64)
        self._made: tuple[_MadeFor, _BrandCodes] = (), _BrandCodes({}, nothing, nothing, nothing)

    @contextmanager
    def reading(self, pairs: Sequence[tuple[str, str]], as_of: int | Ints) -> Iterator[MomentBatch]:
        """Give the pairs' moments, in their order; they must not be looked at once this is left.

        Parameters
        ----------
        as_of : microseconds since 1970, UTC: one, or one for each pair. `check_as_of` is the
            caller's to ask.
        """
        instants = np.empty(len(pairs), dtype=np.int64)
        instants[:] = as_of
        calendar = self.context.calendar.columns(instants) if self.context.seasons else {}
        with self.store.reading([user for user, _ in pairs]) as (histories, attributes):
            # After the histories: what they hold has codes by now.
            codes = self._brand_codes()
            nowhere = len(codes.place)
            at = [codes.place.get(brand, nowhere) for _, brand in pairs]
            brand, category, cycle = codes.rows[:, at]
            yield MomentBatch(
                histories,
                brand,
                category,
                cycle,
                instants,
                codes.brand_category,
                codes.channel_slot,
                calendar | self._attributes.columns(attributes, instants),
            )

    def _brand_codes(self) -> _BrandCodes:
        # The dictionaries only grow, unless others have taken their place.
        now = tuple((dictionary, len(dictionary)) for dictionary in self.store.dictionaries)
        made_for, codes = self._made
        if now != made_for:
            codes = self._made_codes()
            self._made = now, codes
        return codes

    def _made_codes(self) -> _BrandCodes:
        stored = list(self.store.brands.texts)
        category = self._category_codes()
        release = {
            brand: (category[named] if named else UNKNOWN, cycle)
            for brand, named, cycle in zip(
                self.brands.brand_ids, self.brands.categories, self.brands.cycles, strict=True
            )
        }
        code = {brand: i for i, brand in enumerate(stored)}
        unknown = (UNKNOWN, self.brands.default_cycle)
        known = dict.fromkeys([*self.brands.brand_ids, *stored])
        rows = [(code.get(b, UNKNOWN), *release.get(b, unknown)) for b in known]
        slot = {text: place for place, text in enumerate(self.context.channels)}
        return _BrandCodes(
            {b: i for i, b in enumerate(known)},
            np.array([*rows, (UNKNOWN, *unknown)], dtype=np.int64).T.copy(),
            np.array([release.get(brand, unknown)[0] for brand in stored], dtype=np.int64),
            np.array([slot.get(text, UNKNOWN) for text in self.store.channels.texts], np.int64),
        )

    def _category_codes(self) -> dict[str, int]:
        """Return the store's codes, and for the release's other categories the next numbers.

        No event of the store can bear one of those; the brands' category may.
        """
        texts = dict.fromkeys([*self.store.categories.texts, *filter(None, self.brands.categories)])
        return {text: i for i, text in enumerate(texts)}
