"""Why a pair: the reasons of its forecast, in groups and words, and its stage receipt."""

from dataclasses import dataclass
from typing import Any, Final

from features.dataset import OpenDataset
from features.receipts import Receipt
from models.reasons import Explainer
from models.release import Release
from models.told_reasons import Teller
from serving.crowd.why_receipt import pair_receipt
from serving.crowd.why_words import GroupReason, group_reasons, moments_at, words_of

__all__ = ["PairWhy", "pair_why"]

_TOLD: Final = 5


@dataclass(frozen=True)
class PairWhy:
    """Why a pair's forecast is what it is, and why the pair stands where it stands.

    Attributes
    ----------
    status : as the service's.
    groups : the strongest first; those that say nothing are left out. They add up to the log-odds
        of the forecast less those of a typical pair.
    facts : the strongest single reasons, in words.
    """

    user: str
    brand: str
    as_of: int
    release: str
    status: str
    horizon: int
    forecast: float
    typical: float
    groups: tuple[GroupReason, ...]
    facts: tuple[str, ...]
    receipt: Receipt

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        data = {name: value for name, value in vars(self).items() if name != "receipt"}
        return data | {
            "groups": [vars(one) for one in self.groups],
            "facts": list(self.facts),
            "receipt": self.receipt.as_data(),
        }


def pair_why(
    data: OpenDataset, release: Release, user: str, brand: str, as_of: int, horizon: int | None
) -> PairWhy:
    """Return the reasons of a pair's forecast and its stage receipt.

    Parameters
    ----------
    as_of : microseconds.
    horizon : days; the decision cycle, as far as the release answers, where left out.
    """
    cycle = release.brands.cycle().get(brand, release.brands.default_cycle)
    x = min(cycle, release.max_horizon) if horizon is None else horizon
    moments = moments_at(data, release, [user], brand, as_of)
    found, words = Explainer(release.model, x, release.features).of(moments), words_of(release)
    titles = ("none", *(stage.title for stage in release.stages.stages))
    told = Teller(release.features, titles, words).strongest(found, 0, _TOLD)
    sums = {name: float(odds[0]) for name, odds in found.by_group().items()}
    unknown = "unknown_user" if brand in release.brands.category() else "unknown_brand"
    return PairWhy(
        user,
        brand,
        as_of,
        release.name,
        "ok" if moments.known[0] else unknown,
        x,
        float(found.forecast[0]),
        found.typical,
        group_reasons(sums, words),
        tuple(reason.sentence for reason in told),
        pair_receipt(data, release, user, brand, as_of),
    )
