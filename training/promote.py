"""Promotion: a run's release answers, if it passes its gate."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from features.dataset import Dataset
from features.errors import ReleaseError, TrainingError
from models.release import (
    Release,
    champions,
    load_release,
    publish_release,
    set_champion,
    uncrown,
)
from training.compare import Comparison, Contender, compare, contender
from training.gate import Gate, gate
from training.judged_file import JUDGED_FILE
from training.track import Tracking

__all__ = ["Promotion", "compare_runs", "contender_of", "promote", "roll_back"]


@dataclass(frozen=True)
class Promotion:
    """What became of a run.

    Attributes
    ----------
    comparison : with the champion, where there was another one.
    """

    run: str
    release: str
    gate: Gate
    promoted: bool
    comparison: Comparison | None = None


def promote(
    dataset: Dataset,
    tracking: Tracking,
    releases: Path,
    run: str,
    force: str | None,
    progress: Callable[[str], None],
) -> Promotion:
    """Publish a run's release as the champion, if it passes its gate.

    Parameters
    ----------
    run : a run's id or name.
    force : who insists, and why; written into the registry.
    """
    run_id = _found(tracking, run)
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        folder = tracking.release_folder(run_id, Path(scratch))
        challenger = contender_of(tracking, run_id, load_release(folder), Path(scratch))
        name = challenger.release.name
        comparison = _with_champion(dataset, tracking, releases, challenger, progress)
        asked = gate(challenger.release.facts["evaluation"], comparison)
        if not asked.passed and force is None:
            return Promotion(run_id, name, asked, False, comparison)
        publish_release(folder, releases)
    tags = {"gate": "passed"} if asked.passed else {"gate": "forced", "forced_by": force or ""}
    tracking.crown(run_id, tags)
    set_champion(releases, name)
    return Promotion(run_id, name, asked, True, comparison)


def _found(tracking: Tracking, run: str) -> str:
    run_id = tracking.find_run(run)
    if run_id is None:
        raise TrainingError(
            f"No run {run!r} is tracked at {tracking.uri.split('@')[-1]}; "
            "`stagecast train` prints the run's id."
        )
    return run_id


def contender_of(tracking: Tracking, run: str, release: Release, scratch: Path) -> Contender:
    """Return a run with what its twin said."""
    return contender(run, release, tracking.fetch(run, JUDGED_FILE, scratch / f"of-{run}"))


def _with_champion(
    dataset: Dataset,
    tracking: Tracking,
    releases: Path,
    challenger: Contender,
    progress: Callable[[str], None],
) -> Comparison | None:
    """Compare with the release that answers, if it can be read and is another one."""
    crowned = champions(releases)
    if not crowned or crowned[-1] == challenger.release.name:
        return None
    try:
        champion = load_release(releases / crowned[-1], dataset.engine.threads)
    except ReleaseError:
        return None  # It cannot answer any more, so that nothing can be worse.
    run = str(champion.facts.get("run", ""))
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        reigning = contender_of(tracking, run, champion, Path(scratch))
        return compare(dataset, reigning, challenger, progress)


def compare_runs(
    dataset: Dataset, tracking: Tracking, a: str, b: str, progress: Callable[[str], None]
) -> Comparison:
    """Set two runs side by side, on the same moments."""
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        sides = []
        for run in (_found(tracking, a), _found(tracking, b)):
            folder = tracking.release_folder(run, Path(scratch) / run)
            sides.append(contender_of(tracking, run, load_release(folder), Path(scratch)))
        return compare(dataset, sides[0], sides[1], progress)


def roll_back(tracking: Tracking, releases: Path) -> tuple[str, str]:
    """Let the former champion answer again; return its name, and whose place it takes."""
    instead_of = champions(releases)[-1:]
    name = uncrown(releases)
    tracking.crown(load_release(releases / name).facts["run"], {})
    return name, instead_of[0]
