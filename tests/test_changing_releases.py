"""Releases change under load: every answer names one release, and is that one's alone."""

import json
import threading
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest

from models.cells import CellMeans
from models.release import load_release, save_release, set_champion, uncrown
from tests.services import serving
from tests.worlds import stagecast

PAIRS = [["a stranger", "b01"], ["u0000001", "b01"], ["u0000002", "b02"], ["another", "b02"]]
SECONDS = 2.0


def other_of(releases, name):
    """Publish a release beside one, whose priors are twice as high."""
    found = load_release(releases / name)
    cells = found.model.priors.to_dict()
    cells["overall"] = (np.asarray(cells["overall"]) * 0.5).tolist()
    for key in ("categories", "brands"):
        cells[key] = {k: (np.asarray(v) * 0.5).tolist() for k, v in cells[key].items()}
    model = replace(found.model, priors=CellMeans.from_dict(cells))
    save_release(replace(found, name="other", model=model), releases / "other")


@pytest.mark.fault
def test_a_change_of_releases_drops_no_answer_mixes_none_and_takes_two_seconds(
    world, tmp_path_factory
):
    mine = world.copied_to(tmp_path_factory.mktemp("changing") / "a copy")
    other_of(mine.releases, mine.release)
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    asked = {"pairs": PAIRS, "as_of": mine.as_of}
    answers, changes, stop = [], [(0.0, mine.release)], threading.Event()

    with serving(mine.config, "workers = 2\ndeadline_ms = 5000\n") as running:

        def ask():
            with httpx.Client(base_url=running.client.base_url, timeout=30) as client:
                while not stop.is_set():
                    # Each time a new connection, so that both workers are asked.
                    began = time.monotonic()
                    path = "/v1/score" if len(answers) % 2 else "/fast/v1/score"
                    found = client.post(path, json=asked, headers={"connection": "close"})
                    answers.append((began, found.status_code, found.text))

        callers = [threading.Thread(target=ask) for _ in range(3)]
        for caller in callers:
            caller.start()
        for _ in range(3):
            set_champion(mine.releases, "other")
            changes.append((time.monotonic(), "other"))
            time.sleep(SECONDS + 1)
            uncrown(mine.releases)
            changes.append((time.monotonic(), mine.release))
            time.sleep(SECONDS + 1)
        stop.set()
        for caller in callers:
            caller.join()
        # Two pure answers to compare with.
        pure = {running.client.post("/v1/score", json=asked).text}
        set_champion(mine.releases, "other")
        time.sleep(SECONDS)
        pure.add(running.client.post("/v1/score", json=asked).text)

    pure_of = {json.loads(text)["release"]: text for text in pure}
    assert set(pure_of) == {mine.release, "other"}
    first, second = (json.loads(text)["p_purchase"] for text in pure)
    assert first != second
    assert len(answers) > 200
    assert {status for _, status, _ in answers} == {200}
    for began, _, text in answers:
        named = json.loads(text)["release"]
        assert text == pure_of[named]
        settled = [name for at, name in changes if at + SECONDS <= began]
        recent = [name for at, name in changes if at + SECONDS > began]
        assert named in {settled[-1], *recent}
