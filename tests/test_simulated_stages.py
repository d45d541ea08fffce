"""The simulated world's own stages are those that the product finds in its log."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.brands import Brands
from features.vocabulary import KIND_CODE
from stagecast.simulation import simulate
from stagecast.simulation import stages_of_world as stages
from stagecast.simulation.calendar import TIME_ZONE
from tests.engines import offline_values, online_values, stage_model
from tests.random_logs import micros

DAY = 86_400_000_000
AGES = [days * DAY + us for days in (0, 1, 30, 180) for us in (0, 1)]


class SimulatedWorld:
    """A log, its brands, and its first midnight."""

    def __init__(self, folder: Path) -> None:
        summary = simulate(folder, 300, 120, seed=3)
        self.start = int(summary.first_midnight.timestamp()) * 1_000_000
        self.log = pq.read_table(folder / "events.parquet").to_pandas()
        rows = pq.read_table(folder / "brands.parquet").to_pandas().sort_values("brand_id")
        columns = (tuple(rows[name]) for name in ("brand_id", "category_id", "decision_cycle_days"))
        self.brands = Brands(*columns, 30)

    def stages(self, moments: pd.DataFrame) -> list[int]:
        """Return the stages by the world's own reckoning."""
        log = list(zip(micros(self.log.occurred_at).tolist(), self.log.kind.map(KIND_CODE),
                       self.log.brand_id, self.log.category_id, strict=True))  # fmt: skip
        of_user = self.log.groupby("user_id").indices
        category, cycle = self.brands.category(), self.brands.cycle()
        found = []
        for user, brand, as_of in moments.itertuples(index=False):
            marks = stages.blank_marks()
            for at, kind, of, about in (log[row] for row in of_user.get(user, ())):
                branded = isinstance(of, str)
                mine = of == brand if branded else about == category[brand]
                if mine and at < as_of:
                    stages.folded(marks, kind, at, branded, self.start)
            found.append(stages.stage_at(marks, as_of, stages.purchase_days(cycle[brand])))
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SimulatedWorld:
    return SimulatedWorld(tmp_path_factory.mktemp("world") / "small")


def random_moments(world: SimulatedWorld, n: int = 3_000) -> pd.DataFrame:
    """Return moments of pairs that met and of others, at any instant and just around the acts."""
    rng = np.random.default_rng(8)
    log = world.log[world.log.brand_id.notna()]
    rows = log.iloc[rng.integers(0, len(log), n)]
    met = rows.user_id.to_numpy(object), rows.brand_id.to_numpy(object)
    users = np.where(rng.random(n) < 0.1, rng.choice(log.user_id.unique(), n), met[0])
    around = micros(rows.occurred_at) + rng.choice(AGES, n)
    instants = world.start + rng.integers(0, 150 * DAY, n)
    midnights = world.start + rng.integers(0, 150, n) * DAY
    as_of = np.select([rng.random(n) < 0.4, rng.random(n) < 0.5], [around, midnights], instants)
    return pd.DataFrame({"user_id": users, "brand_id": met[1], "as_of": as_of})


def test_the_product_and_the_world_see_everybody_at_the_same_stage(world: SimulatedWorld) -> None:
    moments = random_moments(world)
    asked = {"zone": TIME_ZONE, "features": (), "stages": stage_model("aips")}
    reckoned = np.array(world.stages(moments))
    online = online_values(world.log, moments, world.brands, **asked)["stage"].to_numpy()
    offline = offline_values(world.log, moments, world.brands, **asked)["stage"].to_numpy()
    for found in (online, offline):
        differing = found != reckoned
        assert not differing.any(), moments[differing].assign(
            found=found[differing], reckoned=reckoned[differing]
        )
    assert set(reckoned) == {0, 1, 2, 3, 4, 5}


def test_the_stages_have_the_same_names_in_the_same_order() -> None:
    assert stage_model("aips").names[1:] == stages.STAGES
