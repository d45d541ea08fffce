"""Waits: how long pairs took from a beginning to their first purchase, as far as a log knows.

A wait begins at the first contact of a pair, or when the pair first reaches a stage. It ends with
the first purchase, or is cut off where the log ends: not yet is not no.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import numpy as np
import numpy.typing as npt

from features.aggregates import Aggregate
from features.brands import Brands
from features.context import Context
from features.dataset import OpenDataset
from features.offline import moment_values, with_categories
from features.stage_rules import Condition, Stage, StageModel
from features.view import View
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY

__all__ = ["Waits", "first_contacts", "first_reached", "interests_of", "purchase_stage", "waits_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_BOUGHT: Final = KIND_CODE["purchase"]
_NO_CONTACT: Final = (_BOUGHT, KIND_CODE["refund"])
_PAIR: Final = ["user_id", "brand_id"]
_KEYS: Final = {"pair": _PAIR, "category": ["user_id", "category_id"], "user": ["user_id"]}


@dataclass(frozen=True)
class Waits:
    """Waits of n pairs, in no order.

    Attributes
    ----------
    category : (n,) the index in `categories`.
    user : (n,) a number for each user.
    days : (n,) more than 0: to the first purchase or, where there was none, to the end of what
        is known.
    bought : (n,) whether it was a purchase that ended the wait.
    """

    categories: tuple[str, ...]
    category: Ints
    user: Ints
    days: Floats
    bought: Bools

    def __len__(self) -> int:
        return len(self.days)

    def of(self, category: str) -> "Waits":
        """Return the waits in a category, maybe none."""
        known = category in self.categories
        code = self.categories.index(category) if known else -1
        rows = np.flatnonzero(self.category == code)
        return Waits(
            self.categories,
            self.category[rows],
            self.user[rows],
            self.days[rows],
            self.bought[rows],
        )


def purchase_stage(model: StageModel) -> int:
    """Return the index in ``model.names`` of the lowest stage that a purchase leads to.

    Where none does, it is the number of the names: all stages lie below it.
    """
    for level, stage in enumerate(model.stages, 1):
        if any("purchase" in aggregate.kinds for aggregate in stage.aggregates):
            return level
    return len(model.names)


def interests_of(model: StageModel) -> tuple[int, ...]:
    """Return the indices of the stages below the purchase, but for the lowest.

    The lowest is reached at the first contact, or nearly so. AIPS has Interest and True Interest.
    """
    return tuple(range(2, purchase_stage(model)))


def first_contacts(data: OpenDataset, brands: Brands, known_to: int) -> Any:
    """Return each pair's first contact and purchase before `known_to` (microseconds).

    Columns ``i, user_id, brand_id, category_id, user, begun, bought``; ``i`` counts from 0. A
    contact is any event but a purchase and a refund. Pairs are left out whose brand has no
    category, and those without any contact before their purchase: nobody saw them decide.
    """
    engine, events = data.engine, data.log.before(known_to).table
    branded = events.filter(events.brand_id.notnull())
    pairs = branded.group_by(_PAIR).aggregate(
        begun=branded.occurred_at.min(where=branded.kind.notin(_NO_CONTACT)),
        bought=branded.occurred_at.min(where=branded.kind == _BOUGHT),
    )
    known = engine.load(brands.as_table()).select("brand_id", category_id="brand_category")
    pairs = pairs.join(known, "brand_id")
    pairs = pairs.filter(
        pairs.category_id.notnull(),
        pairs.begun.notnull(),
        pairs.bought.isnull() | (pairs.bought > pairs.begun),
    )
    return engine.keep(
        pairs.select(
            "user_id",
            "brand_id",
            "category_id",
            "begun",
            "bought",
            user=engine.text_hash(pairs.user_id),
            i=ibis.row_number().cast("int64"),
        ),
        "first_contacts",
    )


def first_reached(
    data: OpenDataset,
    pairs: Any,
    brands: Brands,
    model: StageModel,
    known_to: int,
    most_moments: int,
) -> tuple[dict[int, Ints], int]:
    """Find when pairs first stood at each of `interests_of`, or higher, before any purchase.

    A stage can only rise right after an event that its rules look at, so a pair is looked at one
    microsecond after each of these, by the rules of the model.

    Parameters
    ----------
    pairs : of `first_contacts`.
    most_moments : where there are more to look at, a sample of users is followed.

    Returns
    -------
    by stage, the instants (n_pairs,) by ``i``, -1 where it was not reached; and of how many users
    one was followed.
    """
    engine, levels = data.engine, interests_of(model)
    events = with_categories(engine, data.log.before(known_to).table, brands)
    n = int(pairs.count().to_pyarrow().as_py())
    found = {level: np.full(n, -1, dtype=np.int64) for level in levels}
    if not levels or not n:
        return found, 1
    # Some rules of a higher stage may hold without those of a lower one.
    turns = [_turns(events, pairs, stage) for stage in model.stages[levels[0] - 1 :]]
    moments = engine.keep(_union(turns).distinct(), "moments")
    every = -(-int(moments.count().to_pyarrow().as_py()) // most_moments) or 1
    followed = pairs.filter(pairs.user % every == 0)
    asked = engine.keep(
        moments.join(followed.select("i", *_PAIR), "i").select("i", *_PAIR, as_of=moments.at + 1),
        "asked",
    )
    view = View((), model, brands, Context())
    for values in moment_values(engine, data.log.table, asked, view):
        _keep_first(found, values.rows["i"].to_numpy(), values.rows["as_of"].to_numpy(), values)
    engine.drop(moments, asked)
    return found, every


def _keep_first(found: dict[int, Ints], i: Ints, as_of: Ints, values: Any) -> None:
    """Write down the first moment at each stage; a pair's moments come in their order."""
    for level, at in found.items():
        there = np.flatnonzero(values.stage >= level)
        pair, first = np.unique(i[there], return_index=True)
        at[pair] = as_of[there][first] - 1


def _turns(events: Any, pairs: Any, stage: Stage) -> Any:
    """Return (i, at) of the events at which the stage may first be reached."""
    sure = [rule for rule in stage.rules if len(rule) == 1 and rule[0].at_least == 1]
    found = _union([_turns_of_rule(events, pairs, rule) for rule in stage.rules])
    if not sure:
        return found
    # The first event that suffices alone reaches the stage: nothing later does so first.
    enough = _union([_turns_of_rule(events, pairs, rule) for rule in sure])
    enough = enough.group_by(pair="i").aggregate(enough=enough.at.min())
    both = found.left_join(enough, found.i == enough.pair)
    return both.filter(both.enough.isnull() | (both.at <= both.enough)).select("i", "at")


def _turns_of_rule(events: Any, pairs: Any, rule: Sequence[Condition]) -> Any:
    """Return what the conditions count, from when there is something for each of them."""
    parts = [_counted(events, pairs, condition.aggregate) for condition in rule]
    if len(parts) == 1:
        return parts[0]
    numbered = _union([part.mutate(part=ibis.literal(n)) for n, part in enumerate(parts)])
    firsts = numbered.group_by("i", "part").aggregate(first=numbered.at.min())
    whole = firsts.group_by("i").aggregate(parts=firsts.count(), since=firsts["first"].max())
    joined = numbered.join(whole.filter(whole.parts == len(parts)), "i")
    return joined.filter(joined.at >= joined.since).select("i", "at")


def _union(tables: Sequence[Any]) -> Any:
    return ibis.union(*tables) if tables[1:] else tables[0]


def _counted(events: Any, pairs: Any, aggregate: Aggregate) -> Any:
    keys = _KEYS[aggregate.scope]
    seen = events.filter(events.kind.isin([KIND_CODE[kind] for kind in aggregate.kinds]))
    if aggregate.unbranded:
        seen = seen.filter(seen.brand_id.isnull())
    seen = seen.select(*keys, at="occurred_at").distinct()
    joined = pairs.select("i", "bought", *keys).join(seen, keys)
    return joined.filter(joined.bought.isnull() | (joined.at < joined.bought)).select("i", "at")


def waits_of(pairs: Any, begun: Ints | None, since: int, known_to: int) -> Waits:
    """Return the waits that began in ``[since, known_to)``.

    Parameters
    ----------
    pairs : the table of `first_contacts`.
    begun : (n_pairs,) when each wait began, by ``i``, -1 for never; the first contact without it.
    """
    rows = pairs.order_by("i").select("category_id", "user", "begun", "bought").to_pyarrow()
    begins = rows["begun"].to_numpy() if begun is None else begun
    end = rows["bought"].fill_null(known_to).to_numpy()
    chosen = np.flatnonzero((begins >= since) & (begins < end))
    codes = rows["category_id"].combine_chunks().dictionary_encode()
    return Waits(
        tuple(codes.dictionary.to_pylist()),
        codes.indices.to_numpy().astype(np.int64)[chosen],
        rows["user"].to_numpy()[chosen],
        (end - begins)[chosen] / MICROSECONDS_PER_DAY,
        rows["bought"].is_valid().to_numpy()[chosen],
    )
