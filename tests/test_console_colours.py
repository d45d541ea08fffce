"""The colours of stages can be told apart, also by eyes that lack a kind of cones."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from features.stages import load_stage_model, shipped_stage_models
from serving.views.stage_colours import stage_colours

# Of linear light, at full severity (Machado, Oliveira and Fernandes, 2009).
EYES = {
    "all": np.eye(3),
    "no red": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "no green": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "no blue": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour, eyes):
    """CIE L*a*b* of a colour as some eyes see it."""
    coded = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(XYZ @ np.clip(np.array(eyes) @ linear, 0, 1) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", EYES)
@pytest.mark.parametrize("model", shipped_stage_models())
def test_no_two_stages_of_a_shipped_model_look_alike(model, eyes):
    colours = stage_colours(load_stage_model(model, Path())[0].names)
    assert len(set(colours.values())) == len(colours)
    for one, other in combinations(colours.values(), 2):
        assert np.linalg.norm(lab(one, EYES[eyes]) - lab(other, EYES[eyes])) > 10, (one, other)
