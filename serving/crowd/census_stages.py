"""The stage model of a census: `none` parted into pairs that met and pairs that never did."""

from dataclasses import replace
from typing import Final

from features.aggregates import Aggregate
from features.stage_rules import NO_STAGE, Condition, Stage, StageModel
from features.vocabulary import KINDS

__all__ = ["LAPSED", "census_model"]

LAPSED: Final = NO_STAGE
"""A pair that met in the 365 days before, and stands at no stage."""

_MET: Final = Condition(Aggregate("count", KINDS), 1)


def census_model(model: StageModel) -> StageModel:
    """Return the model with a stage below all others, for pairs that met.

    Its index 0 is a pair without an event in the 365 days before, whose forecast nobody asks for
    either; 1 is the model's `none`, 2 its first stage.
    """
    lapsed = Stage("met", "Met", ((_MET,),))
    # A rule that looks at the user's other brands may hold for a brand that was never met.
    stages = (
        replace(stage, rules=tuple((_MET, *rule) for rule in stage.rules)) for stage in model.stages
    )
    return replace(model, stages=(lapsed, *stages), returns=())
