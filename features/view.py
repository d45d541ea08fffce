"""A view: everything that decides what is seen of a moment, frozen with a release."""

from dataclasses import dataclass, field

from features.brands import Brands
from features.context import Context
from features.feature import Feature
from features.stages import StageModel

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """Features and stages, and the brands and the context that they are computed in."""

    features: tuple[Feature, ...]
    stages: StageModel
    brands: Brands
    context: Context = field(default_factory=Context)
