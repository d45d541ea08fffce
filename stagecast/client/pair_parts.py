"""Pairs in parts that the service takes at once, and their answers joined to one."""

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import index
from typing import Any

from serving.score_requests import MOST_PAIRS
from stagecast.client.answers import ScoreAnswer
from stagecast.client.errors import ChangedReleaseError

__all__ = ["Id", "Pair", "joined", "pair_parts", "read_id", "read_pair"]

Id = str | int
Pair = tuple[Id, Id]


def read_pair(pair: Pair) -> tuple[str, str]:
    """Return the ids as text; a whole number is its digits.

    >>> read_pair((7, "b1"))
    ('7', 'b1')
    >>> read_pair("ub")
    Traceback (most recent call last):
    TypeError: pairs: a text is no pair; give (user, brand), as [("u1", "b1")].
    """
    if isinstance(pair, str):
        raise TypeError('pairs: a text is no pair; give (user, brand), as [("u1", "b1")].')
    user, brand = pair
    return read_id(user), read_id(brand)


def read_id(found: Id) -> str:
    """Return an id as text; `TypeError` where it is neither text nor a whole number."""
    # NumPy's whole numbers are some too; None and fractions are none.
    return str(found) if isinstance(found, str) else str(index(found))


def pair_parts(pairs: Iterable[Pair]) -> list[list[tuple[str, str]]]:
    """Return the pairs in their order, in parts; the last one may be smaller, and the only one.

    Without any pair it is one empty part, which the service refuses in its words.
    """
    found = [read_pair(pair) for pair in pairs]
    starts = range(0, max(len(found), 1), MOST_PAIRS)
    return [found[start : start + MOST_PAIRS] for start in starts]


def joined(answers: Sequence[ScoreAnswer]) -> ScoreAnswer:
    """Return the answers to parts as one.

    Raises
    ------
    ChangedReleaseError
        They are not of one release.
    """
    releases = sorted({answer.release for answer in answers})
    if len(releases) > 1:
        raise ChangedReleaseError(
            f"The parts were answered by different releases ({', '.join(releases)}), "
            "also when asked again; ask once more when the champion has settled."
        )
    if len(answers) == 1:
        return answers[0]
    return ScoreAnswer.model_construct(**_joined([dict(answer) for answer in answers]))


def _joined(values: Sequence[Any]) -> Any:
    """Return columns put end to end, in whatever they lie; all have the same keys."""
    first = values[0]
    if isinstance(first, list):
        return [*chain.from_iterable(values)]
    if isinstance(first, dict):
        return {key: _joined([value[key] for value in values]) for key in first}
    return first
