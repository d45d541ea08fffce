"""Servers asked in turn, one call after another: what each takes of the same work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import httpx
import numpy as np
import numpy.typing as npt

from benchmarks._raw_client import closed_loop, request

__all__ = ["CALLS", "Side", "Times", "in_turn"]

Floats = npt.NDArray[np.float64]

CALLS: Final = {"1 pair": 1_000, "64 users": 400, "512 users x 1 brand": 200, "1 user x 512": 200}
"""How many calls of each shape are one repeat."""


@dataclass(frozen=True)
class Side:
    """A server and what it is sent.

    Attributes
    ----------
    bodies : by shape; a shape that is missing is not asked.
    """

    name: str
    port: int
    path: str
    bodies: Mapping[str, Sequence[bytes]]

    def first_answer(self, shape: str) -> bytes:
        """Return the answer to the first body of a shape."""
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}{self.path}",
            content=self.bodies[shape][0],
            headers={"content-type": "application/json"},
            timeout=60,
        )
        return answer.raise_for_status().content

    def bytes_sent(self, shape: str) -> int:
        """Return the length of a body, without the head of the request."""
        return int(np.median([len(body) for body in self.bodies[shape]]))

    def seconds(self, shape: str) -> Floats:
        """Return the seconds of the calls of one repeat."""
        asked = [request(self.path, body) for body in self.bodies[shape]]
        return closed_loop(self.port, asked, CALLS[shape])


@dataclass(frozen=True)
class Times:
    """The seconds of each call, by repeat."""

    repeats: Sequence[Floats]

    @cached_property
    def p50(self) -> float:
        """The median of the repeats' medians, in milliseconds."""
        return float(np.median([np.median(times) for times in self.repeats])) * 1e3

    @cached_property
    def p99(self) -> float:
        """Of all calls together, in milliseconds: one repeat has too few for it."""
        return float(np.percentile(np.concatenate(self.repeats), 99)) * 1e3


def in_turn(sides: Sequence[Side], repeats: int) -> dict[tuple[str, str], Times]:
    """Return the times by (name, shape): in each repeat each side once, after one to warm up."""
    found: dict[tuple[str, str], list[Floats]] = {}
    for shape in CALLS:
        asked = [side for side in sides if shape in side.bodies]
        for repeat in range(repeats + 1):
            for side in asked:
                seconds = side.seconds(shape)
                if repeat:
                    found.setdefault((side.name, shape), []).append(seconds)
    return {key: Times(times) for key, times in found.items()}
