"""Random numbers of one user: SplitMix64 streams that numba can copy, restart and number.

A stream is one 64-bit word in an array of length 1, so a snapshot of a user needs no more than a
copy of arrays, and what a user does never depends on who is simulated beside them.
Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
"""

import math
from typing import Final

import numpy as np

from stagecast.simulation.compilation import Floats, Words, compiled

__all__ = [
    "exponential",
    "geometric",
    "log_normal",
    "mixed",
    "normal",
    "picked",
    "poisson",
    "share",
    "sigmoid",
    "stream",
    "uniform",
]

STEP: Final = np.uint64(0x9E3779B97F4A7C15)
FIRST_FACTOR: Final = np.uint64(0xBF58476D1CE4E5B9)
SECOND_FACTOR: Final = np.uint64(0x94D049BB133111EB)
R11: Final = np.uint64(11)
R27: Final = np.uint64(27)
R30: Final = np.uint64(30)
R31: Final = np.uint64(31)
UNIT: Final = 1.0 / 9007199254740992.0


@compiled
def mixed(word: np.uint64) -> np.uint64:
    """Return the word with its bits well stirred."""
    word = (word ^ (word >> R30)) * FIRST_FACTOR
    word = (word ^ (word >> R27)) * SECOND_FACTOR
    return word ^ (word >> R31)


@compiled
def stream(seed: int, first: int, second: int, third: int) -> np.uint64:
    """Return the first word of the stream that these four numbers name."""
    word = mixed(np.uint64(seed) + STEP)
    word = mixed(word ^ (np.uint64(first) + STEP))
    word = mixed(word ^ (np.uint64(second) + STEP))
    return mixed(word ^ (np.uint64(third) + STEP))


@compiled
def share(seed: int, first: int, second: int) -> float:
    """Return a number in [0, 1) that only these three numbers decide."""
    return float(stream(seed, first, second, first) >> R11) * UNIT


@compiled
def uniform(rng: Words) -> float:
    """Return the stream's next number in [0, 1)."""
    rng[0] += STEP
    return float(mixed(rng[0]) >> R11) * UNIT


@compiled
def exponential(rng: Words) -> float:
    """Return an exponential draw of mean 1."""
    return -math.log(1.0 - uniform(rng))


@compiled
def normal(rng: Words) -> float:
    """Return a standard normal draw (Box and Muller, 1958; the twin is thrown away)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(rng)))
    return radius * math.cos(2.0 * math.pi * uniform(rng))


@compiled
def log_normal(rng: Words, spread: float) -> float:
    """Return a log-normal draw of median 1."""
    return math.exp(spread * normal(rng))


@compiled
def poisson(rng: Words, mean: float) -> int:
    """Return a Poisson draw, for means below about 50."""
    if mean <= 0.0:
        return 0
    count = 0
    product = 1.0 - uniform(rng)
    edge = math.exp(-mean)
    while product > edge:
        product *= 1.0 - uniform(rng)
        count += 1
    return count


@compiled
def geometric(rng: Words, mean: float) -> int:
    """Return a draw from 0, 1, 2, ... whose mean is ``mean``."""
    return int(exponential(rng) / math.log1p(1.0 / max(mean, 1e-9)))


@compiled
def sigmoid(x: float) -> float:
    """Return the logistic function of x."""
    return 1.0 / (1.0 + math.exp(-x))


@compiled
def picked(rng: Words, weights: Floats) -> int:
    """Return an index drawn with these weights; -1 where all of them are 0."""
    total = 0.0
    for weight in weights:
        total += weight
    point, last = uniform(rng) * total, -1
    for index in range(weights.size):
        if weights[index] > 0.0:
            last = index
            point -= weights[index]
            if point < 0.0:
                break
    return last
