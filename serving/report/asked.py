"""What a report is of, in which language, and where its numbers lie."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from features.dataset import Dataset
from serving.crowd.census_scope import Scope
from serving.crowd.playbook import PlaybookSettings
from serving.views.day_text import day_text
from serving.views.words import Words

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """A report to come.

    Attributes
    ----------
    config : the configuration's name, for the commands that the report tells people to run.
    scope : whose crowd; where there is no census to look it up in, as it was asked.
    day : at whose midnight the crowd is looked at; None leaves it to what was scored.
    """

    config: str
    dataset: Dataset
    scores: Path
    releases: Path
    opt_outs: Path
    playbook: PlaybookSettings
    words: Words
    scope: Scope
    day: date | None

    @property
    def zone(self) -> str:
        """The time zone of days."""
        return self.dataset.events.time_zone

    @property
    def title(self) -> str:
        """What people call the scope."""
        scope = self.scope
        name = scope.brand if scope.level == "brand" else scope.category
        return self.words(f"scope_{scope.level}", name=name)

    def stage_names(self) -> dict[str, str]:
        """Return what people call each stage of the configured stage model, `none` first."""
        return self.words.stages(self.dataset.stage_model()[0])

    def day_text(self, micros: int) -> str:
        """Return an instant as its local day."""
        return day_text(micros, self.zone)
