"""Features and stages of many moments: the engine brings the rows, user by user, to the kernel.

Moments and the events that they look at become one table of codes. The engine sorts it by user,
and streams it through `MomentWork`: in this process on one machine, in the executors of a cluster.
Nothing has to fit into memory but the rows of one user.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.aggregates import LOOKBACK_DAYS
from features.attributes import with_attributes
from features.brands import Brands
from features.engine import Engine
from features.history import RECORD, UNKNOWN, Histories
from features.online import MomentBatch, OnlineFeatures
from features.streams import whole_users
from features.users import UserTable
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY

__all__ = [
    "MomentValues",
    "MomentWork",
    "moment_stream",
    "moment_values",
    "resolve_moments",
    "with_categories",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_IDS: Final = ("user_id", "brand_id", "as_of")
_ROWS_AT_ONCE: Final = 200_000
_MOMENT: Final = -1
"""The kind of a row that is a moment."""


class MomentValues(NamedTuple):
    """Moments in the order of user, brand and instant, and what is known of them.

    Attributes
    ----------
    rows : ``user_id, brand_id, as_of``, and the columns that the moments carried along.
    X : (n, n_features) float64, NaN unknown; column by column in memory.
    stage : (n,) index of the stage.
    """

    rows: pa.Table
    X: Floats
    stage: npt.NDArray[np.int8]


def with_categories(engine: Engine, events: Any, brands: Brands) -> Any:
    """Return the events, each in its own category, else its brand's."""
    known = engine.load(brands.as_table()).select("brand_id", "brand_category")
    joined = events.left_join(known, "brand_id")
    resolved = ibis.coalesce(joined.category_id, joined.brand_category)
    return joined.mutate(category_id=resolved).select(*events.columns)


def resolve_moments(engine: Engine, moments: Any, brands: Brands) -> Any:
    """Add ``category_id`` and ``decision_cycle_days`` of the brand to the moments."""
    known = engine.load(brands.as_table())
    joined = moments.left_join(known, "brand_id")
    cycle = ibis.coalesce(joined.decision_cycle_days, brands.default_cycle).cast("int32")
    return engine.keep(
        joined.mutate(category_id=joined.brand_category, decision_cycle_days=cycle).select(
            *moments.columns, "category_id", "decision_cycle_days"
        ),
        "moments",
    )


def moment_values(
    engine: Engine, events: Any, moments: Any, view: View, users: UserTable | None = None
) -> Iterator[MomentValues]:
    """Yield what is known at the moments, in the order of user, brand and instant.

    Parameters
    ----------
    events : a log's table; what lies at or after a moment's ``as_of`` is not looked at.
    moments : ``user_id, brand_id, as_of``, and columns to carry along; repeats are kept.
    users : the attributes of users; unknown without it.
    """
    rows, work = moment_stream(engine, events, moments, view, users)
    names = [feature.name for feature in view.features]
    for batch in engine.map_users(rows, work, work.schema, work.order):
        X = np.empty((len(names), len(batch))).T
        for column, name in enumerate(names):
            X[:, column] = batch[name].to_numpy()
        table = pa.Table.from_batches([batch.select(work.carried)])
        yield MomentValues(table, X, batch["stage"].to_numpy())


def moment_stream(
    engine: Engine, events: Any, moments: Any, view: View, users: UserTable | None = None
) -> tuple[Any, "MomentWork"]:
    """Return rows for `Engine.map_users`, sorted by `MomentWork.order`, and what to do with them.

    The parameters are those of `moment_values`.
    """
    coding = _Coding.of(view.brands, _brands_of(moments))
    carried = [name for name in moments.columns if name not in _IDS]
    kept = pa.schema([(name, moments[name].type().to_pyarrow()) for name in carried])
    attributes = view.context.attributes
    asked = with_attributes(engine, moments, users, attributes)
    kinds = asked.schema()
    extra = [*carried, *attributes.columns]
    of_brand = engine.load(_codes("brand_id", coding.brands, "brand"))
    asked = asked.left_join(of_brand, "brand_id").select(
        "user_id",
        at="as_of",
        kind=ibis.literal(_MOMENT, "int8"),
        brand="brand",
        category=ibis.literal(UNKNOWN, "int32"),
        channel=ibis.literal(UNKNOWN, "int16"),
        local_day=ibis.literal(0, "int32"),
        value_micros=ibis.literal(0, "int64"),
        **{name: name for name in extra},
    )
    seen = _coded(engine, _looked_at(events, moments), of_brand, coding, view.context.channels)
    seen = seen.mutate(**{name: ibis.null(kinds[name]) for name in extra})
    work = MomentWork(view, coding, kept, engine.threads)
    return ibis.union(seen.select(*asked.columns), asked), work


def _looked_at(events: Any, moments: Any) -> Any:
    """Return the events of the moments' users in the look-back of any of them."""
    span = moments.aggregate(first=moments.as_of.min(), last=moments.as_of.max())
    first, last = (int(value or 0) for value in span.to_pyarrow().to_pylist()[0].values())
    since = first - LOOKBACK_DAYS * MICROSECONDS_PER_DAY
    seen = events.filter(events.occurred_at >= since, events.occurred_at < last)
    return seen.semi_join(moments.select("user_id").distinct(), "user_id")


def _brands_of(moments: Any) -> list[str]:
    found: list[str] = moments.select("brand_id").distinct().to_pyarrow()["brand_id"].to_pylist()
    return found


@dataclass(frozen=True)
class _Coding:
    """Codes of brands and categories, in the order of their texts.

    A brand or a category beyond these, which no moment can be about, has the next code.
    """

    brands: tuple[str, ...]
    categories: tuple[str, ...]
    category: Ints
    cycle: Ints

    @classmethod
    def of(cls, known: Brands, asked: Iterable[str]) -> "_Coding":
        brands = tuple(sorted({*known.brand_ids, *asked}))
        categories = tuple(sorted({text for text in known.categories if text is not None}))
        code = {text: i for i, text in enumerate(categories)}
        of_brand, cycle = known.category(), known.cycle()
        owned = [code.get(of_brand.get(brand) or "", UNKNOWN) for brand in brands]
        cycles = [cycle.get(brand, known.default_cycle) for brand in brands]
        return cls(
            brands,
            categories,
            np.array([*owned, UNKNOWN], dtype=np.int64),
            np.array([*cycles, known.default_cycle], dtype=np.int64),
        )


def _codes(name: str, texts: Sequence[str], code: str) -> pa.Table:
    numbers = np.arange(len(texts), dtype=np.int32)
    return pa.table({name: pa.array(texts, pa.string()), code: numbers})


def _coded(
    engine: Engine, events: Any, of_brand: Any, coding: _Coding, channels: Sequence[str]
) -> Any:
    """Return the events with codes in place of texts."""
    of_category = engine.load(_codes("category_id", coding.categories, "category"))
    joined = events.left_join(of_brand, "brand_id")
    joined = joined.select(*events.columns, "brand").left_join(of_category, "category_id")
    slots = [(text, slot) for slot, text in enumerate(channels)]
    slot = joined.channel.cases(*slots, else_=UNKNOWN) if slots else ibis.literal(UNKNOWN)
    return joined.select(
        "user_id",
        at=joined.occurred_at,
        kind=joined.kind.cast("int8"),
        brand=_code(joined.brand_id, joined.brand, len(coding.brands)),
        category=_code(joined.category_id, joined.category, len(coding.categories)),
        channel=slot.cast("int16"),
        local_day=joined.local_day.cast("int32"),
        value_micros=joined.value_micros.fill_null(0).cast("int64"),
    )


def _code(text: Any, code: Any, beyond: int) -> Any:
    return ibis.ifelse(text.isnull(), UNKNOWN, ibis.coalesce(code, beyond)).cast("int32")


@dataclass(frozen=True)
class MomentWork:
    """What becomes of a stream of rows of whole users: batches of moments and their values.

    Parameters
    ----------
    view : what is computed.
    coding : of the rows' brands and categories.
    kept : the columns that are carried along.
    threads : how many parts of the stream are worked on at once.
    """

    order: ClassVar[tuple[str, ...]] = ("user_id", "at", "kind")
    """How the rows have to be sorted."""

    view: View
    coding: _Coding
    kept: pa.Schema
    threads: int = 1

    @property
    def carried(self) -> list[str]:
        """The columns of `MomentValues.rows`."""
        return [*_IDS, *self.kept.names]

    @property
    def schema(self) -> pa.Schema:
        """Of the batches: what is carried along, the features, and ``stage``."""
        ids = zip(_IDS, (pa.string(), pa.string(), pa.int64()), strict=True)
        features = [(feature.name, pa.float64()) for feature in self.view.features]
        return pa.schema([*ids, *self.kept, *features, ("stage", pa.int8())])

    def __call__(self, stream: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the values as batches of `schema`."""
        for rows, X, stage in self.values(stream):
            columns = [column.combine_chunks() for column in rows.columns]
            columns += [pa.array(X[:, i]) for i in range(X.shape[1])]
            yield pa.record_batch([*columns, pa.array(stage)], schema=self.schema)

    def values(self, stream: Iterable[pa.RecordBatch]) -> Iterator[MomentValues]:
        """Yield the values of some thousands of moments at a time."""
        online = OnlineFeatures(self.view.features, self.view.stages, self.view.context.channels)
        begun: deque[Future[MomentValues]] = deque()
        # The kernel lets go of Python's lock, so that threads are cores.
        with ThreadPoolExecutor(self.threads) as pool:
            for rows in whole_users(stream, _ROWS_AT_ONCE):
                begun.append(pool.submit(self._values, rows, online))
                if len(begun) > self.threads:
                    yield from _some(begun.popleft().result())
            for future in begun:
                yield from _some(future.result())

    def _values(self, rows: pa.Table, online: OnlineFeatures) -> MomentValues:
        kind = rows["kind"].to_numpy()
        users = pc.run_end_encode(rows["user_id"].combine_chunks())
        ends = users.run_ends.to_numpy().astype(np.int64)
        user = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
        asked = np.flatnonzero(kind == _MOMENT)
        brand = rows["brand"].to_numpy()[asked].astype(np.int64)
        as_of = rows["at"].to_numpy()[asked]
        order = np.lexsort((as_of, brand, user[asked]))
        asked, brand, as_of = asked[order], brand[order], as_of[order]
        stop = np.cumsum(np.bincount(user[kind != _MOMENT], minlength=len(ends)))
        start = np.concatenate([[0], stop[:-1]])
        moments = rows.take(pa.array(asked))
        X, stage = online.values(
            MomentBatch(
                Histories.of(_records(rows, kind), start, stop).rows(user[asked]),
                brand,
                self.coding.category[brand],
                self.coding.cycle[brand],
                as_of,
                self.coding.category,
                np.arange(len(self.view.context.channels)),
                self._columns(moments, as_of),
            )
        )
        ids = {
            "user_id": moments["user_id"],
            "brand_id": pa.array(self.coding.brands, pa.string()).take(pa.array(brand)),
            "as_of": pa.array(as_of),
        }
        kept = {name: moments[name] for name in self.kept.names}
        return MomentValues(pa.table(ids | kept), X, stage)

    def _columns(self, moments: pa.Table, as_of: Ints) -> dict[str, Floats]:
        context = self.view.context
        attributes = {name: moments[name].to_numpy() for name in context.attributes.columns}
        return attributes | (context.calendar.columns(as_of) if context.seasons else {})


def _some(values: MomentValues) -> Iterator[MomentValues]:
    """Yield the values if there are any: some users have events and no moment."""
    if values.rows.num_rows:
        yield values


def _records(rows: pa.Table, kind: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the events among the rows as a history."""
    events = kind != _MOMENT
    records = np.zeros(int(events.sum()), RECORD)
    records["occurred_at"] = rows["at"].to_numpy()[events]
    for name in ("kind", "brand", "category", "channel", "local_day", "value_micros"):
        records[name] = rows[name].to_numpy()[events]
    return records
