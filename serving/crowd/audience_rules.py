"""Audience rules: whom to choose, and how many of them."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import ConfigError

__all__ = ["AudienceRules", "audience_rules"]


class AudienceRules(BaseModel):
    """Who is chosen for a brand, looking `horizon` days ahead.

    All of `stages` to `where` must hold. Of those who meet them, the likeliest are taken: the first
    `size`, all from `threshold` on, or as many as `budget` pays for; all where none is given. Who
    is as likely as another comes by the text of the id.

    Parameters
    ----------
    horizon : days.
    stages : names, any of which will do; none asks for no stage.
    min_probability : of a purchase within the horizon.
    min_value : of the expected value within the horizon.
    where : pairs of a user's attribute and a value; of one attribute, any value will do.
    cost_per_user : what it costs to reach one of them, in the money of the log's values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    brand: str
    horizon: int = Field(ge=1)
    stages: tuple[str, ...] = ()
    min_probability: float | None = Field(default=None, ge=0, le=1)
    min_value: float | None = None
    where: tuple[tuple[str, str], ...] = ()
    size: int | None = Field(default=None, ge=1)
    threshold: float | None = Field(default=None, ge=0, le=1)
    budget: float | None = Field(default=None, gt=0)
    cost_per_user: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one_cut(self) -> Self:
        cuts = [name for name in ("size", "threshold", "budget") if getattr(self, name) is not None]
        if len(cuts) > 1:
            raise ValueError(f"{_option(cuts[0])} and {_option(cuts[1])}: give one of them")
        if self.budget is not None and self.cost_per_user is None:
            raise ValueError(
                "--budget: how many it pays for takes --cost-per-user, what it costs to reach one"
            )
        return self

    @property
    def cut(self) -> Literal["size", "threshold", "budget"] | None:
        """What says how many are taken; None takes all."""
        if self.threshold is not None:
            return "threshold"
        return "size" if self.size is not None else "budget" if self.budget is not None else None

    @property
    def most(self) -> int | None:
        """How many are taken at most; None is no limit."""
        if self.budget is not None and self.cost_per_user is not None:
            # Whole users only; a hundred of 0.01 are paid by 1, which floats alone would miss.
            return int(self.budget / self.cost_per_user * (1 + 1e-12))
        return self.size


def audience_rules(**values: Any) -> AudienceRules:
    """Return the rules that the options of a command say.

    Raises
    ------
    ConfigError
        What is wrong, by the name of the option.
    """
    try:
        return AudienceRules(**values)
    except ValidationError as error:
        first = error.errors()[0]
        said = str(first["msg"]).removeprefix("Value error, ")
        if not first["loc"]:
            raise ConfigError(f"{said}.") from error
        option = _option(str(first["loc"][0]))
        raise ConfigError(f"{option}: found {first['input']!r}. {said}.") from error


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
