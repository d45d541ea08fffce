"""The colours of stages: the same on every page, told apart by colour-blind eyes."""

from collections.abc import Sequence
from typing import Final

__all__ = ["NOWHERE", "stage_colours"]

NOWHERE: Final = "#B9C1C7"
"""Of `none`, and of pairs that do not exist yet."""

_STAGES: Final = ("#56B4E9", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#B8AC1E")
"""From the lowest stage on: those of Okabe and Ito (2008), the yellow darker, to be read on white.
"""


def stage_colours(stages: Sequence[str]) -> dict[str, str]:
    """Return a colour for each stage, `none` first.

    Beyond seven stages colours come again: no more can be told apart at a glance.

    Examples
    --------
    >>> stage_colours(["none", "awareness", "interest"])
    {'none': '#B9C1C7', 'awareness': '#56B4E9', 'interest': '#0072B2'}
    """
    below, *above = stages
    return {below: NOWHERE} | {
        name: _STAGES[place % len(_STAGES)] for place, name in enumerate(above)
    }
