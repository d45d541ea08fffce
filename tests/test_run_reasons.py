"""What a run keeps of the reasons of its forecasts: numbers, pictures, and which moments tell."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from models.brand_state import BRAND_COLUMNS
from models.reasons import GROUPS, Summary
from tests.worlds import TrainedWorld
from training import run_reasons
from training.reason_plots import reason_figures
from training.track import Tracking


@pytest.fixture
def kept(world: TrainedWorld, tmp_path):
    """Return a function: a file that the world's run keeps."""
    configuration = world.configuration
    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    return lambda name: tracking.fetch(world.run, name, tmp_path)


def test_a_run_keeps_what_moves_its_forecasts(kept, world):
    found = json.loads(kept("reasons.json").read_text(encoding="utf-8"))
    assert found["horizon"] == world.configuration.settings.forecast.decision_cycle_days
    assert 0 < found["moments"] <= 2_000
    assert 0 < found["typical"] < 1
    features = {feature.name for feature in world.published().features}
    assert set(found["features"]) == {*features, "stage", *BRAND_COLUMNS, "calibration"}
    assert set(found["groups"]) == set(GROUPS)
    for sizes in (list(found["features"].values()), list(found["groups"].values())):
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] > 0
    # The size of a sum is no larger than the sum of sizes.
    assert found["groups"]["stage"] == pytest.approx(found["features"]["stage"])
    assert sum(found["groups"].values()) <= sum(found["features"].values())


@pytest.mark.parametrize("name", ["reason_groups_30d", "reasons_30d"])
def test_a_run_keeps_pictures_of_what_moves_its_forecasts(kept, name):
    pixels = imread(kept(f"plots/{name}.png"))
    assert min(pixels.shape[:2]) > 200
    assert pixels.std() > 0.05


def test_where_nothing_moves_the_forecasts_there_is_no_picture():
    nothing = Summary(30, 5, 0.1, dict.fromkeys(["stage", "f0"], 0.0), {"stage": 0.0})
    assert reason_figures(nothing) == {}
    something = replace(nothing, features={"f0": 0.3, "stage": 0.0}, groups={"search": 0.3})
    assert set(reason_figures(something)) == {"reason_groups_30d", "reasons_30d"}


class Rows:
    """As much of a training table as the draw looks at."""

    def __init__(self, n, order=None):
        rows = pd.DataFrame({"n": np.arange(n)}).iloc[order if order is not None else slice(n)]
        self.users = ("u" + (rows.n % 50).astype(str)).to_numpy(dtype=object)
        self.brands = ("b" + (rows.n % 7).astype(str)).to_numpy(dtype=object)
        self.as_of = rows.n.to_numpy() * 1_000_000


def test_which_moments_tell_follows_from_the_moments_alone():
    n, order = 5_000, np.random.default_rng(0).permutation(5_000)
    here = run_reasons._drawn(Rows(n), 300)
    there = order[run_reasons._drawn(Rows(n, order), 300)]
    assert len(here) == 300
    assert sorted(there) == here.tolist()
    # They come from all of the table, and a few of them are all where there are no more.
    assert np.histogram(here, 5, (0, n))[0].min() > 30
    assert run_reasons._drawn(Rows(20), 300).tolist() == list(range(20))
