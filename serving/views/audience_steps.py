"""The conditions of an audience in words, one after the other."""

from collections.abc import Mapping

from serving.crowd.audience import Audience
from serving.crowd.audience_choice import EXCLUDED
from serving.views.words import Words

__all__ = ["step_rows"]


def step_rows(words: Words, stages: Mapping[str, str], audience: Audience) -> dict[str, list[str]]:
    """Return how many users are left after each condition, by the heads of columns.

    Parameters
    ----------
    stages : what people call each stage.
    """
    told = zip(_conditions(words, stages, audience), audience.left.values(), strict=True)
    rows = [(condition, f"{n:,}") for condition, n in told]
    return {
        words("step"): [condition for condition, _ in rows],
        words("left"): [n for _, n in rows],
    }


def _conditions(words: Words, stages: Mapping[str, str], audience: Audience) -> list[str]:
    """Return the conditions in the order in which they were asked."""
    rules, found = audience.rules, [words("everyone_scored")]
    if rules.stages:
        names = " / ".join(stages.get(name, name) for name in rules.stages)
        found.append(words("step_stages", stages=names))
    if rules.min_probability is not None:
        found.append(words("step_probability", percent=f"{100 * rules.min_probability:g}"))
    if rules.min_value is not None:
        found.append(words("step_value", value=f"{rules.min_value:,g}"))
    wanted: dict[str, list[str]] = {}
    for name, value in rules.where:
        wanted.setdefault(name, []).append(value)
    found += [
        words("step_attribute", name=name, values=" / ".join(values))
        for name, values in wanted.items()
    ]
    if EXCLUDED in audience.left:
        found.append(words("step_excluded"))
    if rules.threshold is not None:
        found.append(words("step_probability", percent=f"{100 * rules.threshold:g}"))
    if rules.most is not None:
        found.append(words("step_most", n=f"{rules.most:,}"))
    return found
