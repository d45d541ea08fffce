"""Releases: refused if anything is wrong with them, published whole or not at all."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.errors import ReleaseError
from models.forecast import Moments
from models.release import (
    champions,
    load_champion,
    load_release,
    publish_release,
    save_release,
    set_champion,
    uncrown,
)
from tests.worlds import ROOT


@pytest.fixture
def release(integers, tmp_path) -> Path:
    """A release's folder, to be spoilt."""
    return Path(shutil.copytree(integers.releases / integers.release, tmp_path / integers.release))


@pytest.fixture
def releases(tmp_path) -> Path:
    return tmp_path / "releases"


def edited(release: Path, edit) -> Path:
    path = release / "release.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    edit(about)
    path.write_text(json.dumps(about), encoding="utf-8")
    return release


def renamed(release: Path, name: str) -> Path:
    """Return a copy under another name, as another run would have it."""
    copy = Path(shutil.copytree(release, release.with_name(name)))
    return edited(copy, lambda about: about.update(name=name))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_a_release_is_text_and_json_and_no_code(release):
    assert names_in(release) == {
        "release.json", "cells.json", "brands.json", "context.json", "stages.toml",
        "baselines.json", "purchase.txt", "lapse.txt", "move.txt", "where.txt", "stage_held.txt",
        "value.txt", "order_value.txt",
    }  # fmt: skip
    for file in release.iterdir():
        file.read_text(encoding="utf-8")


def test_a_release_that_was_saved_comes_back_and_forecasts_the_same(release, tmp_path):
    first = load_release(release)
    save_release(first, tmp_path / "again")
    for file in release.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name
    second = load_release(tmp_path / "again")
    rng = np.random.default_rng(0)
    moments = Moments(
        rng.normal(size=(20, len(first.features))), rng.integers(0, 6, 20),
        ["2"] * 20, ["c0"] * 20, rng.random(20) < 0.7, rng.random(20) < 0.8,
    )  # fmt: skip
    one, two = (found.model.predict(moments, (1, 30, 90)) for found in (first, second))
    np.testing.assert_array_equal(one.p_purchase, two.p_purchase)
    np.testing.assert_array_equal(one.p_outcome, two.p_outcome)
    np.testing.assert_array_equal(one.p_at, two.p_at)


# --- law 7 -------------------------------------------------------------------------------------


def test_a_release_with_a_feature_that_is_not_here_is_refused_by_the_features_name(release):
    edited(release, lambda about: about["features"][3].update(name="phase_of_the_moon"))
    with pytest.raises(ReleaseError) as error:
        load_release(release)
    assert "was trained on other features" in str(error.value)
    assert "not in the catalogue: ['phase_of_the_moon']" in str(error.value)
    assert "Train again" in str(error.value)


def test_a_release_whose_feature_is_declared_otherwise_is_refused_by_the_features_name(release):
    names = []

    def widen(about):
        row = next(r for r in about["features"] if r.get("aggregate"))
        row["aggregate"]["window"]["days"] -= 1
        names.append(row["name"])

    edited(release, widen)
    with pytest.raises(ReleaseError, match=rf"declared otherwise: \['{names[0]}'\]"):
        load_release(release)


def test_a_release_that_looks_at_fewer_features_is_its_own_and_loads(release):
    edited(release, lambda about: about["features"].pop())
    assert len(load_release(release).features) > 10


def test_a_release_of_another_format_is_refused(release):
    edited(release, lambda about: about.update(format=99))
    with pytest.raises(ReleaseError, match="has format 99, this version reads"):
        load_release(release)


# --- broken ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["baselines.json", "cells.json", "stages.toml", "brands.json"])
def test_a_file_that_was_altered_or_cut_off_is_named(release, name):
    text = (release / name).read_text(encoding="utf-8")
    for broken in (text[: len(text) // 2], text + "\n"):
        (release / name).write_text(broken, encoding="utf-8")
        with pytest.raises(ReleaseError, match=f"{name} was altered or cut off"):
            load_release(release)


def test_a_release_without_one_of_its_files_is_no_whole_release(release):
    (release / "where.txt").unlink()
    with pytest.raises(ReleaseError, match="holds no whole release"):
        load_release(release)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "{}", '{"sha256": 3}'])
def test_a_description_that_is_none_is_no_whole_release(release, text):
    (release / "release.json").write_text(text, encoding="utf-8")
    with pytest.raises(ReleaseError, match="holds no whole release"):
        load_release(release)


def test_a_description_that_was_cut_off_is_no_whole_release(release):
    path = release / "release.json"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ReleaseError, match="holds no whole release"):
        load_release(release)


# --- law 8: publishing ---------------------------------------------------------------------------


def test_a_release_that_is_published_is_the_same_files(release, releases):
    name = publish_release(release, releases)
    assert names_in(releases) == {name}
    for file in release.iterdir():
        assert (releases / name / file.name).read_bytes() == file.read_bytes()
    assert publish_release(release, releases) == name


@pytest.mark.parametrize("step", ["rename", "copytree", "fsync"])
def test_a_publication_that_fails_at_any_step_leaves_nothing(release, releases, monkeypatch, step):
    def fails(*_, **__):
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(shutil if step == "copytree" else os, step, fails)
        with pytest.raises(OSError, match="the disk is full"):
            publish_release(release, releases)
    assert names_in(releases) == set()
    publish_release(release, releases)
    assert names_in(releases) == {release.name}


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_coronation_that_fails_leaves_the_champion_as_it_was(
    release, releases, monkeypatch, step
):
    set_champion(releases, publish_release(release, releases))
    before = names_in(releases)
    other = publish_release(renamed(release, "other"), releases)

    def fails(*_, **__):
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(os, step, fails)
        with pytest.raises(OSError, match="the disk is full"):
            set_champion(releases, other)
    assert champions(releases) == [release.name]
    assert names_in(releases) == before | {"other"}


def test_what_is_broken_is_never_published(release, releases):
    (release / "purchase.txt").write_text("nonsense", encoding="utf-8")
    with pytest.raises(ReleaseError):
        publish_release(release, releases)
    assert names_in(releases) == set()


def test_publishing_again_mends_a_release_that_was_altered(release, releases):
    name = publish_release(release, releases)
    (releases / name / "cells.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ReleaseError, match="promote the run again"):
        load_release(releases / name)
    publish_release(release, releases)
    load_release(releases / name)
    assert names_in(releases) == {name}


def test_the_champion_is_who_was_crowned_last_and_rollback_goes_back_one(release, releases):
    for name in ("a", "b", "b", "c"):
        set_champion(releases, publish_release(renamed_once(release, name), releases))
    assert champions(releases) == ["a", "b", "c"]
    assert uncrown(releases) == "b"
    assert load_champion(releases).name == "b"
    assert uncrown(releases) == "a"
    with pytest.raises(ReleaseError, match=r"no earlier champion to go back to \(there is a\)"):
        uncrown(releases)
    assert load_champion(releases).name == "a"


def renamed_once(release: Path, name: str) -> Path:
    target = release.with_name(name)
    return target if target.exists() else renamed(release, name)


def test_going_back_to_what_is_broken_is_refused_and_changes_nothing(release, releases):
    for name in ("a", "b"):
        set_champion(releases, publish_release(renamed(release, name), releases))
    (releases / "a" / "purchase.txt").unlink()
    with pytest.raises(ReleaseError, match="holds no whole release"):
        uncrown(releases)
    assert champions(releases) == ["a", "b"]


def test_without_a_champion_it_is_said_what_makes_one(releases):
    assert champions(releases) == []
    with pytest.raises(ReleaseError, match=r"has no champion yet.*stagecast promote"):
        load_champion(releases)
    with pytest.raises(ReleaseError, match="there is none at all"):
        uncrown(releases)


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from models.release import champions, load_release, publish_release, set_champion

sources, releases = [Path(path) for path in sys.argv[1:3]], Path(sys.argv[3])
load_release(sources[0])  # So that no child spends its short life on imports and compiled code.

def publish_for_ever():
    while True:
        for source in sources:
            # Taken away by one rename: whatever stands under a name was put there whole.
            if (releases / source.name).exists():
                os.rename(releases / source.name, releases / f".gone.{time.monotonic_ns()}")
            set_champion(releases, publish_release(source, releases))

whole = 0
for attempt in range(12):
    child = os.fork()
    if child == 0:
        publish_for_ever()
    random.seed(attempt)
    time.sleep(random.uniform(0.0, 1.0))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for source in sources:
        if (releases / source.name).exists():
            load_release(releases / source.name)
            whole += 1
    crowned = champions(releases)
    if crowned:
        text = (releases / "champion").read_text()
        assert text == "".join(f"{name}\\n" for name in crowned), text
        assert set(crowned) <= {source.name for source in sources}, crowned
print(whole)
"""


@pytest.mark.fault
def test_a_kill_at_any_instant_leaves_whole_releases_and_a_whole_champion(release, releases):
    sources = [str(renamed(release, name)) for name in ("a", "b")]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *sources, str(releases)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3
