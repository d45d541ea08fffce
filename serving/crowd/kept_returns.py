"""Returns of campaigns that were kept, and are still true."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from serving.crowd.file_states import State
from serving.crowd.kept_answers import Answer, answer_path, kept_answer

__all__ = ["RETURNS", "ReturnQuestion", "kept_returns"]

RETURNS: Final = "roi"
"""What names of their files begin with."""


@dataclass(frozen=True)
class ReturnQuestion:
    """What a return depends on, beside the log.

    Attributes
    ----------
    horizon : x in days; None is the decision cycle.
    cost : what the campaign cost in all; None where it is not known.
    """

    campaign: str
    horizon: int | None
    cost: float | None
    release: str
    opted_out: State

    def path(self, folder: Path) -> Path:
        """Return where its answer lies in the folder of a census."""
        return answer_path(folder, RETURNS, asdict(self))


def kept_returns(folder: Path, release: str, opted_out: State) -> list[Answer]:
    """Return the returns that are kept in the folder of a census, the newest campaign first.

    What was asked before another release was crowned, or somebody opted out, is left out: its file
    has another name than the same question has now. Of one campaign at one x, the answer that
    knows the cost is taken, and the newest of those.
    """
    found: dict[tuple[str, int], tuple[bool, int, Answer]] = {}
    for path in folder.glob(f"{RETURNS}-*.json"):
        answer = kept_answer(path)
        if answer is None or path not in _paths(answer, folder, release, opted_out):
            continue
        known = answer["all"]["cost"] is not None, path.stat().st_mtime_ns, answer
        key = answer["campaign"], answer["horizon_days"]
        found[key] = max(found.get(key, known), known, key=lambda one: one[:2])
    answers = [answer for _, _, answer in found.values()]
    return sorted(answers, key=lambda one: (one["begun"], one["campaign"]), reverse=True)


def _paths(answer: Answer, folder: Path, release: str, opted_out: State) -> Iterator[Path]:
    """Yield where an answer may lie by what it says: x may have been left to the cycle."""
    try:
        name, x, cost = answer["campaign"], answer["horizon_days"], answer["all"]["cost"]
    except (KeyError, TypeError):
        return
    for horizon in (None, x):
        yield ReturnQuestion(name, horizon, cost, release, opted_out).path(folder)
