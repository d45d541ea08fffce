"""A release: a trained and evaluated set of models in a folder of text and JSON, no code.

::

    releases/
      champion            names of the releases that were crowned; the last one answers
      2017-10-01-3f9c2a/
        release.json      what it is, what it was trained on, how good it was
        cells.json        averages by brand, and the priors
        brands.json       categories and decision cycles
        context.json      channels, attributes of users, paydays and campaigns
        purchase.txt lapse.txt move.txt where.txt stage_held.txt value.txt order_value.txt
                            LightGBM's text
        stages.toml       the stage model

`release.json` holds the SHA-256 of every other file, so a folder is whole or refused.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from features.brands import Brands
from features.catalogue import find_features
from features.context import Context
from features.errors import FeatureError, ReleaseError
from features.feature import Feature
from features.stages import StageModel, parse_stage_model
from features.view import View
from models.brand_state import BrandState
from models.calibration import CellCalibration
from models.cells import CellMeans
from models.forecast import ForecastModel
from models.purchase import PurchaseCurve
from models.stage_outcomes import NextStage, StageHeld
from models.tree_check import check_equal
from models.trees import Trees
from models.value import ExpectedValue, OrderValue

__all__ = [
    "Release",
    "ReleasesSettings",
    "champion_as_of",
    "champions",
    "load_champion",
    "load_release",
    "publish_release",
    "save_release",
    "set_champion",
    "uncrown",
]

_FORMAT: Final = 3
_CHAMPION: Final = "champion"


class ReleasesSettings(BaseModel):
    """The section `[releases]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = "releases"


@dataclass(frozen=True)
class Release:
    """A set of models, and all that is needed to ask them.

    Attributes
    ----------
    as_of : microseconds since 1970: it was trained on what came before.
    facts : metrics, counts, and what else is worth knowing; plain data.
    baselines : the plain baselines of the evaluation, plain data by horizon.
    """

    name: str
    as_of: int
    time_zone: str
    max_horizon: int
    id_types: Mapping[str, str]
    features: tuple[Feature, ...]
    stage_text: str
    brands: Brands
    context: Context
    model: ForecastModel
    facts: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stages(self) -> StageModel:
        """The stage model that it was trained with."""
        return parse_stage_model(self.stage_text, f"of release {self.name}")

    @property
    def view(self) -> View:
        """What it looks at."""
        return View(self.features, self.stages, self.brands, self.context)


def save_release(release: Release, folder: Path) -> None:
    """Write the release into `folder`, which must not exist yet."""
    folder.mkdir(parents=True)
    model = release.model
    files = {
        **{name: "" if trees is None else trees.text() for name, trees in _trees(model).items()},
        "stages.toml": release.stage_text,
        "brands.json": _json(release.brands.as_data()),
        "context.json": _json(release.context.as_data()),
        "baselines.json": _json(dict(release.baselines)),
        "cells.json": _json(
            {
                "cells": model.cells.to_dict(),
                "priors": model.priors.to_dict(),
                "brand_state": {
                    "states": {brand: list(row) for brand, row in model.brand_state.states.items()},
                    "others": list(model.brand_state.others),
                },
                "calibration": model.calibration and model.calibration.to_dict(),
            }
        ),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    about = {
        "format": _FORMAT,
        "name": release.name,
        "as_of": release.as_of,
        "time_zone": release.time_zone,
        "max_horizon": release.max_horizon,
        "id_types": dict(release.id_types),
        "features": [feature.as_data() for feature in release.features],
        "models": {
            "purchase": model.purchase.to_dict(),
            "next_stage": model.next_stage.to_dict(),
            "stage_held": model.stage_held.to_dict(),
            "value": model.value and model.value.to_dict(),
            "order_value": model.order_value and model.order_value.to_dict(),
        },
        "facts": dict(release.facts),
        "sha256": {name: _digest(text) for name, text in files.items()},
    }
    (folder / "release.json").write_text(_json(about), encoding="utf-8")


def _trees(model: ForecastModel) -> dict[str, Trees | None]:
    """Return the trees by their file; None where the log taught none."""
    return {
        "purchase.txt": model.purchase.trees_,
        **{f"{name}.txt": trees for name, trees in model.next_stage.trees_.items()},
        "stage_held.txt": model.stage_held.trees_,
        "value.txt": None if model.value is None else model.value.trees_,
        "order_value.txt": None if model.order_value is None else model.order_value.trees_,
    }


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def load_release(folder: Path, threads: int = 1) -> Release:
    """Return the release in `folder`; its trees answer large batches with so many threads.

    Raises
    ------
    ReleaseError
        Where it is missing, incomplete or altered, was trained on features that this version does
        not have, or its compiled trees do not say what LightGBM says of them.
    """
    try:
        about = json.loads((folder / "release.json").read_text(encoding="utf-8"))
        files = {name: (folder / name).read_text(encoding="utf-8") for name in about["sha256"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(
            f"Release {folder.name}: {folder} holds no whole release "
            f"({type(error).__name__}); promote the run again."
        ) from error
    if about.get("format") != _FORMAT:
        raise ReleaseError(
            f"Release {folder.name} has format {about.get('format')}, this version "
            f"reads {_FORMAT}; train and promote again."
        )
    altered = [name for name, text in files.items() if _digest(text) != about["sha256"][name]]
    if altered:
        raise ReleaseError(
            f"Release {folder.name}: {', '.join(altered)} was altered or cut off; "
            "promote the run again, or roll back."
        )
    try:
        context = Context.from_data(json.loads(files["context.json"]))
        features = find_features(about["features"], context)
    except FeatureError as error:
        raise ReleaseError(
            f"Release {folder.name} was trained on other features. {error} "
            "Train again with this version."
        ) from error
    try:
        release = _release(about, files, features, context, threads)
    except (KeyError, TypeError, ValueError) as error:
        raise ReleaseError(
            f"Release {folder.name} was written by another version of Stagecast "
            f"({type(error).__name__}: {error}); train and promote again."
        ) from error
    for name, trees in _trees(release.model).items():
        if trees is not None and trees.booster_ is not None:
            check_equal(trees.booster_, trees.compiled(), f"Release {release.name}, {name}")
    return release


def _release(
    about: Mapping[str, Any],
    files: Mapping[str, str],
    features: tuple[Feature, ...],
    context: Context,
    threads: int,
) -> Release:
    models, cells = about["models"], json.loads(files["cells.json"])
    stages = parse_stage_model(files["stages.toml"], about["name"]).names
    model = ForecastModel(
        stages,
        PurchaseCurve.from_dict(models["purchase"], files["purchase.txt"], threads),
        NextStage.from_dict(
            models["next_stage"],
            {name: files[f"{name}.txt"] for name in ("lapse", "move", "where")},
            threads,
        ),
        StageHeld.from_dict(models["stage_held"], files["stage_held.txt"], threads),
        models["value"] and ExpectedValue.from_dict(models["value"], files["value.txt"], threads),
        CellMeans.from_dict(cells["cells"]),
        CellMeans.from_dict(cells["priors"]),
        BrandState(
            {brand: tuple(row) for brand, row in cells["brand_state"]["states"].items()},
            tuple(cells["brand_state"]["others"]),
        ),
        models["order_value"]
        and OrderValue.from_dict(models["order_value"], files["order_value.txt"], threads),
        cells["calibration"] and CellCalibration.from_dict(cells["calibration"]),
    )
    return Release(
        about["name"],
        about["as_of"],
        about["time_zone"],
        about["max_horizon"],
        about["id_types"],
        features,
        files["stages.toml"],
        Brands.from_data(json.loads(files["brands.json"])),
        context,
        model,
        about["facts"],
        json.loads(files["baselines.json"]),
    )


def publish_release(source: Path, releases: Path) -> str:
    """Copy a release's folder among the published ones, whole or not at all; return its name."""
    release = load_release(source)
    target = releases / release.name
    if target.exists():
        try:
            load_release(target)
        except ReleaseError:
            # Altered or cut off: nobody can use it, and promoting again is the way to mend it.
            shutil.rmtree(target)
        else:
            return release.name
    releases.mkdir(parents=True, exist_ok=True)
    partial = releases / f".{release.name}.{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(source, partial)
        for file in partial.iterdir():
            _sync(file)
        os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    _sync(releases)
    return release.name


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_champions(releases: Path, names: list[str]) -> None:
    partial = releases / f".{_CHAMPION}.{os.getpid()}"
    try:
        partial.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        _sync(partial)
        os.replace(partial, releases / _CHAMPION)
    finally:
        partial.unlink(missing_ok=True)
    _sync(releases)


def champions(releases: Path) -> list[str]:
    """Return the names of the releases that were crowned, the one that answers last."""
    try:
        return (releases / _CHAMPION).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return []


def champion_as_of(releases: Path) -> int | None:
    """Return the T of the release that answers (microseconds), without loading its models."""
    crowned = champions(releases)
    if not crowned:
        return None
    try:
        about = json.loads((releases / crowned[-1] / "release.json").read_text(encoding="utf-8"))
        return int(about["as_of"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def set_champion(releases: Path, name: str) -> None:
    """Let this release answer, in one step that a crash cannot halve."""
    crowned = champions(releases)
    if crowned[-1:] != [name]:
        _write_champions(releases, [*crowned, name])


def uncrown(releases: Path) -> str:
    """Let the champion before this one answer again, and return its name."""
    crowned = champions(releases)
    if len(crowned) < 2:
        raise ReleaseError(
            f"[releases] path: {releases} has no earlier champion to go back to "
            f"(there is {crowned[0] if crowned else 'none at all'})."
        )
    load_release(releases / crowned[-2])
    _write_champions(releases, crowned[:-1])
    return crowned[-2]


def load_champion(releases: Path, threads: int = 1) -> Release:
    """Return the release that answers."""
    crowned = champions(releases)
    if not crowned:
        raise ReleaseError(
            f"[releases] path: {releases} has no champion yet. Train a run with "
            "`stagecast train`, then `stagecast promote`."
        )
    return load_release(releases / crowned[-1], threads)
