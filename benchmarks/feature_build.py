"""Building features of weekly moments: the product, the plain plan and featuretools.

``python -m benchmarks.feature_build`` measures logs of 7, 28 and 70 million events and writes its
part of docs/benchmarks.md. With ``--sizes tiny``, or others, it prints its tables and leaves the
page alone.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks._agreement import disagreements
from benchmarks._big_log import build_log, build_moments
from benchmarks._chosen import NAMES, chosen_features
from benchmarks._environment import build_environment, version_of
from benchmarks._measured import Run, free_gb, measured
from benchmarks._page import table, write_part
from features.aggregates import Aggregate

__all__ = ["main"]

_SIZES: Final = ("7M", "28M", "70M")
_TINY: Final = 60_000
_TWICE: Final = 7_000_000
"""Up to so many events, each side runs twice, in turn; the better time of each is shown."""

_BOTH: Final = 28_000_000
"""Up to so many events, the plain plan runs too."""

_DISK_GB: Final = 0.5
"""Room on the disk that a million events need, with what the sides write."""

_HEAD: Final = ("events", "moments", "side", "features", "time", "CPU", "memory", "on the disk")


@dataclass(frozen=True)
class Log:
    """A log and its moments in a folder of its own."""

    folder: Path
    events: int
    moments: int

    @classmethod
    def build(cls, scratch: Path, events: int) -> "Log":
        """Write both."""
        folder = scratch / f"log-{events}"
        build_log(folder, events)
        return cls(folder, events, build_moments(folder))

    def run(self, side: str, *options: str, limit: float = 3600.0) -> Run:
        """Build the features by one side, into a file of its name."""
        module = [sys.executable, "-m", f"benchmarks._{side}"]
        places = [self.folder, self.folder / "moments.parquet", self.out(side)]
        return measured([*module, *map(str, places), *options], limit)

    def out(self, side: str) -> Path:
        """Return where a side writes."""
        return self.folder / f"{side}.parquet"

    def row(self, side: str, features: int, run: Run) -> list[str]:
        """Return a row of the table."""
        return [
            f"{self.events:,}",
            f"{self.moments:,}",
            side,
            str(features),
            f"{run.seconds:.1f} s",
            f"{run.cpu_seconds:.0f} s",
            f"{run.peak_gb:.1f} GB",
            f"{run.scratch_gb:.1f} GB",
        ]


def check_agreement(log: Log, left: str, right: str, one_of: int) -> None:
    """Stop where two sides differ by more than 1e-9 at a moment of the sample."""
    found = disagreements(log.out(left), log.out(right), one_of)
    if found:
        raise SystemExit(f"{left} and {right} differ at {log.events:,} events: {found}")


def better(runs: Sequence[Run]) -> Run:
    """Return the quickest run."""
    return min(runs, key=lambda run: run.seconds)


@dataclass(frozen=True)
class Measured:
    """What was measured at one size."""

    log: Log
    product: Run
    plain: Run | None
    everything: Run | None
    n_everything: int = 0

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows of the table."""
        yield self.log.row("product", len(NAMES), self.product)
        if self.plain:
            yield self.log.row("plain plan", len(NAMES), self.plain)
        if self.everything:
            yield self.log.row("product, whole catalogue", self.n_everything, self.everything)


def measure(log: Log, whole_catalogue: bool) -> Measured:
    """Run the sides in turn, and check that they agree."""
    times = 2 if _TINY < log.events <= _TWICE else 1
    products, plains = [], []
    for _ in range(times):
        products.append(log.run("product"))
        if log.events <= _BOTH:
            plains.append(log.run("plain_plan"))
    if plains:
        check_agreement(log, "product", "plain_plan", 1 if log.events <= _TINY else 50)
    everything, count = None, 0
    if whole_catalogue:
        everything = log.run("product", "--all")
        count = int(everything.said["features"])
    return Measured(log, better(products), better(plains) if plains else None, everything, count)


def wanted_of_featuretools() -> list[dict[str, Any]]:
    """Return what featuretools has a primitive for: no decayed counts, and no ratios."""
    return [
        {
            "name": feature.name,
            "how": feature.source.how,
            "kinds": feature.source.kinds,
            "scope": feature.source.scope,
            "days": feature.source.window.days,
            "unbranded": feature.source.unbranded,
        }
        for feature in chosen_features()
        if isinstance(feature.source, Aggregate) and feature.source.how != "decayed"
    ]


def run_featuretools(log: Log, python: Path, limit: float) -> Run:
    """Build what it can by featuretools, and check it."""
    wanted = log.folder / "wanted.json"
    wanted.write_text(json.dumps(wanted_of_featuretools()), encoding="utf-8")
    script = Path(__file__).parent / "_featuretools.py"
    places = [log.folder, log.folder / "moments.parquet", log.out("featuretools"), wanted]
    return measured([str(python), str(script), *map(str, places)], limit)


def featuretools_part(scratch: Path, limit: float, most: int) -> list[str]:
    """Return the part about featuretools, at the largest log that it finishes in the time.

    A log of an eighth of `most` says how long the larger ones will take.
    """
    python = build_environment(scratch / "featuretools")
    if python is None:
        return [
            "featuretools: skipped, since it could not be installed (no registry answered).",
            "",
        ]
    probe = Log.build(scratch, most // 8)
    found = run_featuretools(probe, python, limit)
    log = probe
    for events in (most, most // 2, most // 4):
        if found.seconds * events / probe.events < limit:
            larger = Log.build(scratch, events)
            run = run_featuretools(larger, python, limit)
            if run.finished:
                log, found = larger, run
                break
    if not found.finished:
        return [f"featuretools: {log.events:,} events took more than {limit / 60:.0f} minutes.", ""]
    product = log.run("product")
    check_agreement(log, "product", "featuretools", 50)
    count = len(wanted_of_featuretools())
    return [
        f"featuretools {version_of(python, 'featuretools')}, one process, with cutoff times and "
        f"one call for each scope and window, at the largest log of these that it finishes within "
        f"{limit / 60:.0f} minutes. It has no decayed counts, so that it builds {count} of the "
        f"{len(NAMES)} features, with equal values. The product is "
        f"**{found.seconds / product.seconds:.1f} times** as fast.",
        "",
        *table(
            _HEAD,
            [
                log.row("product", len(NAMES), product),
                log.row("featuretools", count, found),
            ],
        ),
    ]


def sizes_part(scratch: Path, sizes: Sequence[int]) -> list[str]:
    """Return the part about the product and the plain plan."""
    rows, found = [], []
    for events in sizes:
        if free_gb(scratch) < events / 1e6 * _DISK_GB:
            rows.append([f"{events:,}", "", "skipped: the disk is too full", *[""] * 5])
            continue
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            found.append(measure(Log.build(Path(folder), events), events == sizes[0]))
        rows += found[-1].rows()
        print(*table(_HEAD, [*found[-1].rows()])[2:], sep="\n", flush=True)
    return [*table(_HEAD, rows), *(f"- {line}" for line in _said(found)), ""]


def _said(found: Sequence[Measured]) -> Iterator[str]:
    for one in found:
        if one.plain:
            ratio = one.plain.seconds / one.product.seconds
            yield f"{one.log.events:,} events: the plain plan takes **{ratio:.1f} times** as long."
    small, large = found[0], found[-1]
    if small is not large:
        times = large.product.seconds / small.product.seconds
        more = large.log.events / small.log.events
        yield (
            f"From {small.log.events:,} to {large.log.events:,} events, {more:.1f} times as many, "
            f"the product takes **{times:.1f} times** as long, with a peak of "
            f"{large.product.peak_gb:.1f} GB."
        )


def lines(scratch: Path, sizes: Sequence[int], featuretools: float) -> list[str]:
    """Measure, and return the part of the page."""
    if min(sizes) > _TINY:
        # Once before all, so that compiled code lies ready, and for equality at every moment.
        measure(Log.build(scratch, _TINY), whole_catalogue=False)
    part = [
        "## Feature build",
        "",
        "Moments: at each of 17 weekly midnights, the pairs with an act before it. All sides read "
        "one Parquet log in no order (50 brands, 10 categories, 260 days, a hundred events a user "
        "on average, one in ten no impression), and write the features as float64 to Parquet; "
        f"each is a process of its own, with 2 threads. The {len(NAMES)} features are counts, "
        "amounts, active days, decayed counts, days since, and ratios, of the pair, its category "
        "and its user. The *plain plan* is DuckDB's SQL: daily sums joined with the moments, each "
        "window a filtered aggregate (`python -m benchmarks._plain_plan --show . . .`); it may "
        "take 12 GB, the product's engine 3 GB. The sides' values are equal within 1e-9 at the "
        f"moments of one user of 50. Up to {_TWICE:,} events: the better of two runs, in turn.",
        "",
        *sizes_part(scratch, sizes),
    ]
    if featuretools:
        part += featuretools_part(scratch, featuretools * 60, _TWICE)
    return part


def _events(text: str) -> int:
    if text == "tiny":
        return _TINY
    return round(float(text.removesuffix("M")) * (1e6 if text.endswith("M") else 1))


def main() -> None:
    """Measure, and write the page where the sizes are the usual ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", help="tiny, 7M, 28M, or a number of events")
    parser.add_argument(
        "--featuretools", type=float, metavar="MINUTES", help="how long it may take; 0: without"
    )
    asked = parser.parse_args()
    usual = asked.sizes is None
    minutes = asked.featuretools if asked.featuretools is not None else 10.0 * usual
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        part = lines(Path(scratch), [_events(s) for s in asked.sizes or _SIZES], minutes)
    print(*part, sep="\n")
    if usual:
        write_part("feature_build", part)


if __name__ == "__main__":
    main()
