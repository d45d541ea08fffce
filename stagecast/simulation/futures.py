"""The same past, many futures: kernels that count what comes of a pair in each of them."""

from typing import Any, NamedTuple

import numpy as np

from features.vocabulary import MICROSECONDS_PER_DAY
from stagecast.simulation.compilation import Integers, compiled
from stagecast.simulation.history import Log
from stagecast.simulation.stages_of_world import (
    LONG_AGO,
    MARKS,
    PURCHASE_AT,
    folded,
    stage_at,
)

__all__ = ["Counts", "Question", "count_futures"]


class Question(NamedTuple):
    """What is asked of a user's futures: of these brands, from this instant on.

    ``held_days`` is for how long a purchase of each brand holds its stage; ``start`` is a local
    midnight. All instants are microseconds.
    """

    brands: Integers
    categories: Integers
    held_days: Integers
    as_of: int
    start: int


class Counts(NamedTuple):
    """Over futures: ``bought`` (brands, days + 1), first purchases by the day they fall in.

    ``moved`` (brands, days + 1, stages + 1) are first changes of the stage, by the day at whose
    end they are seen; place 0 counts falls, to whichever lower stage.
    """

    bought: Integers
    moved: Integers


@compiled
def _fold_until(
    rows: Any, number: int, end: int, instant: int, question: Question, place: int, marks: Integers
) -> int:
    """Fold rows from ``number`` on that lie before an instant; return the first that does not."""
    while number < end and rows[number].at < instant:
        row = rows[number]
        branded = row.brand >= 0
        if row.brand == question.brands[place] or (
            not branded and row.category == question.categories[place]
        ):
            folded(marks, int(row.kind), row.at, branded, question.start)
        number += 1
    return number


@compiled
def _count_path(
    rows: Any, first: int, end: int, question: Question, place: int, marks: Integers, counts: Counts
) -> None:
    """Count one future of one pair: the day of its first purchase and of its first new stage."""
    held, as_of = question.held_days[place], question.as_of
    before, number = stage_at(marks, as_of, held), first
    has_bought = has_moved = False
    for ahead in range(1, counts.bought.shape[1]):
        instant = as_of + ahead * MICROSECONDS_PER_DAY
        number = _fold_until(rows, number, end, instant, question, place, marks)
        if not has_bought and marks[PURCHASE_AT] >= as_of:
            counts.bought[place, ahead] += 1
            has_bought = True
        now = stage_at(marks, instant, held)
        if not has_moved and now != before:
            counts.moved[place, ahead, now if now > before else 0] += 1
            has_moved = True


@compiled
def count_futures(
    past: Any, log: Log, first_life: int, end_life: int, question: Question, counts: Counts
) -> None:
    """Add to the counts what comes of each pair in the futures of lives ``[first, end)``.

    Parameters
    ----------
    past : the user's events before the question, in order of time.
    log : the futures' events, future after future; what lies before the question is passed over.
    """
    for place in range(question.brands.size):
        marks = np.full(MARKS, LONG_AGO, np.int64)
        _fold_until(past, 0, past.size, question.as_of, question, place, marks)
        first = 0
        for life in range(first_life, end_life):
            end = first
            while end < log.length[0] and log.rows[end].user == life:
                end += 1
            while first < end and log.rows[first].at < question.as_of:
                first += 1
            _count_path(log.rows, first, end, question, place, marks.copy(), counts)
            first = end
