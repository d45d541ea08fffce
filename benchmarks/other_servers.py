"""The service beside LightGBM in a bare FastAPI app, and beside ``mlflow models serve``.

``python -m benchmarks.other_servers`` writes its part of docs/benchmarks.md; with fewer users or
repeats (``--users N``, ``--repeats N``) it leaves the page alone. ``--world FOLDER --users N``
takes a world that was made already.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import fastapi
import mlflow
import numpy as np
import numpy.typing as npt

from benchmarks._booster_servers import BoosterServers
from benchmarks._given_world import given_world, on_the_clients_core, size_of
from benchmarks._in_turn import CALLS, Side, Times, in_turn
from benchmarks._page import table, write_part
from benchmarks._served_world import REFERENCE, ServedWorld
from benchmarks.service import bodies
from models.release import Release, load_release
from serving.scorer import Scorer
from serving.stores import open_store

__all__ = ["main"]

Floats = npt.NDArray[np.float64]

_HORIZON: Final = 30
# With time enough, none is answered from the priors.
_ASKED: Final = {"horizons": [_HORIZON], "outputs": ["purchase"], "deadline_ms": 60_000}
_OURS_ALONE: Final = "1 user x 512"
_DOORS: Final = {"raw echo": "/echo/raw", "fast door": "/fast/v1/score", "typed": "/v1/score"}


def finished_features(
    world: ServedWorld, release: Release, asked: Mapping[str, Sequence[bytes]]
) -> dict[str, list[Floats]]:
    """Return what the trees of the release look at, (n, n_columns), for the pairs of each body."""
    service = world.configuration.service
    as_of = world.configuration.instant(world.last_instant())
    store = open_store(service.store, Path(service.folder), service.time_zone, write=False)
    scorer = Scorer(release, store)

    def matrix(body: bytes) -> Floats:
        return release.model.matrix(scorer._moments(json.loads(body)["pairs"], as_of))

    try:
        return {
            shape: [matrix(body) for body in several]
            for shape, several in asked.items()
            if shape != _OURS_ALONE
        }
    finally:
        store.close()


def check_ours(doors: Sequence[Side]) -> None:
    """Refuse answers that differ between the doors, or that are not from the trees."""
    _, fast, typed = doors
    for shape in CALLS:
        said: Any = json.loads(fast.first_answer(shape))
        if set(said["status"]) != {"ok"} or said != json.loads(typed.first_answer(shape)):
            raise RuntimeError(f"{shape}: not all pairs are known, or the doors disagree.")


def rows(sides: Sequence[Side], found: Mapping[tuple[str, str], Times]) -> Iterator[list[str]]:
    """Yield the rows of the table, by shape."""
    for shape in CALLS:
        for side in sides:
            times = found.get((side.name, shape))
            if times is not None:
                echo = found["raw echo", shape].p50
                yield [shape, side.name, f"{side.bytes_sent(shape):,}", f"{times.p50:.2f}",
                       f"{times.p99:.2f}", f"{times.p50 / echo:.1f}"]  # fmt: skip


def what_each_does(others: BoosterServers, columns: int) -> list[str]:
    """Return the table of what each does, and does not do, for a pair."""
    every = f"{others.trees * others.bins}"
    head = ("", "reads the history", "computes features", "numbers sent a pair", "trees a pair")
    return table(
        head,
        [
            ["raw echo", "no", "no", "2 names", "none"],
            ["fast door, typed", "yes", "yes", "2 names", every],
            ["FastAPI", "no", "no", str(columns), every],
            ["MLflow", "no", "no", str(columns + 1), str(others.trees)],
        ],
    )


def lines(world: ServedWorld, repeats: int) -> list[str]:
    """Measure, and return the part of the page."""
    release = load_release(world.configuration.releases / REFERENCE)
    asked = bodies(world, _ASKED)
    matrices = finished_features(world, release, asked)
    columns = matrices["1 pair"][0].shape[1]
    others = BoosterServers(release, world.folder / "others", world.port + 1, _HORIZON)
    doors = [Side(name, world.port, path, asked) for name, path in _DOORS.items()]
    theirs = others.sides(matrices)
    with world.served(), others.running(), on_the_clients_core():
        check_ours(doors)
        others.check(theirs, matrices)
        found = in_turn([*doors, *theirs], repeats)
    return [
        "## Beside other servers",
        "",
        f"The chance of a purchase within {_HORIZON} days by the same trees, those of the "
        f"reference release, in five servers. All run on one core, with one worker and one thread "
        "each, the client on the other core; one connection, one call after the other. "
        f"{size_of(world)}, in LMDB.",
        "",
        "- *raw echo* gives our own request back, in the process of the service.",
        "- *fast door* and *typed* are the service, as in [the part above](#the-service): they get "
        "names, read the users' histories, compute the features and ask the trees.",
        f"- *FastAPI* {fastapi.__version__} is a bare app around `Booster.predict` on uvicorn, "
        "without a store: somebody else has read the histories and computed the features, and "
        f"sends the {len(release.features)} of them with the {columns - len(release.features)} "
        "columns of stage and brand that the trees look at, as JSON. It asks the trees in each of "
        f"the {others.bins} bins, as the service does.",
        f"- *MLflow* {mlflow.__version__} is `mlflow models serve --env-manager local` with the "
        "booster saved by `mlflow.lightgbm`, and no more: it gets the same numbers in its own "
        "format, as `inputs`, and the bin. It can ask the booster only for rows that it is sent, "
        f"so that it is asked in one bin of {others.bins}: the lesser work, and a smaller body.",
        "",
        *what_each_does(others, columns),
        "Neither of the two keeps events, knows who opted out, checks keys, or holds a deadline. "
        "Before the clock ran, each answer was compared with what our compiled trees say of the "
        f"same rows. The median of {repeats} medians, in turn; p99 of all calls. The echo beside "
        "which all stand is that of our own request.",
        "",
        *table(
            ("shape", "server", "bytes sent", "p50, ms", "p99, ms", "times the echo"),
            list(rows([*doors, *theirs], found)),
        ),
    ]


def main() -> None:
    """Measure, and write the page where the world is of the usual size."""
    asked = given_world(__doc__)
    with asked.copied() as world:
        part = lines(world, asked.repeats)
    print(*part, sep="\n")
    if asked.usual:
        write_part("other_servers", part)


if __name__ == "__main__":
    main()
