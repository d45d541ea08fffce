"""The champion, watched: whoever is crowned answers, once it is whole, compiled and warm."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from features.errors import StagecastError
from models.release import Release, champions, load_champion
from serving.bids import Bidder
from serving.history_store import HistoryStore
from serving.scorer import Scorer

__all__ = ["Champion", "Crowned"]

LOOK_SECONDS: Final = 0.5

_logger = logging.getLogger("stagecast.serving")


@dataclass(frozen=True)
class Champion:
    """What answers for one release."""

    scorer: Scorer
    bidder: Bidder

    @property
    def release(self) -> Release:
        """The release."""
        return self.scorer.release


Warm = Callable[[Champion], None]


class Crowned:
    """The release that answers; another takes over in one step.

    A context manager, whose thread looks for a new champion. One that is broken is refused and
    said in the log, and the old one goes on.

    Parameters
    ----------
    releases : the folder of releases.
    warm : called with a champion before it takes over: it should ask all that callers do.

    Attributes
    ----------
    champion : of the release that answers. Read it once for each request.

    Raises
    ------
    ReleaseError
        There is no champion to begin with, or it is broken.
    """

    def __init__(self, releases: Path, store: HistoryStore, warm: Warm) -> None:
        self._releases, self._store, self._warm = releases, store, warm
        self._crowned = champions(releases)
        self.champion = self._loaded()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Let a new champion take over, if there is one."""
        crowned = champions(self._releases)
        if crowned == self._crowned:
            return
        self._crowned = crowned
        # Without any, nobody was there to take over: whoever answers goes on.
        if crowned and crowned[-1] != self.champion.release.name:
            self.champion = self._loaded()

    def _loaded(self) -> Champion:
        release = load_champion(self._releases)
        found = Champion(Scorer(release, self._store), Bidder(release))
        self._warm(found)
        return found

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except StagecastError as error:
                _logger.error("A new champion is refused, the old one goes on: %s", error)
            except Exception as error:  # The watch outlives it; its text may say anything.
                _logger.error("A new champion is refused: %s", type(error).__name__)
