"""Training tables, forecasts and the law of the engines on Spark: what DuckDB gives, to the bit."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.catalogue import catalogue
from features.engine import EngineSettings
from features.feature import Feature
from features.stages import shipped_stage_models
from features.view import View
from models.brand_state import brand_history
from serving.batch import score
from tests.engines import CONTEXT, offline_values, online_values, stage_model
from tests.random_logs import random_world
from tests.worlds import quiet
from training.moments import SamplingSettings
from training.table import build_training_table

pytestmark = [pytest.mark.needs("java"), pytest.mark.usefixtures("spark_runs")]

SPARK = EngineSettings(name="spark", threads=2, memory_gb=1.0)


def test_spark_computes_every_feature_and_every_stage_as_the_service_does():
    world = random_world(7, n_events=300, n_moments=60)
    asked = world.log, world.moments, world.brands
    # A stage follows from what its rules count: as features, one pass shows all models'.
    rules = dict.fromkeys(
        rule for name in shipped_stage_models() for rule in stage_model(name).aggregates
    )
    extra = [Feature(f"rule_{n}", "trend", "count", "", rule) for n, rule in enumerate(rules)]
    there = {"zone": world.zone, "features": [*catalogue(CONTEXT), *extra]}
    on_spark = offline_values(*asked, settings=SPARK, **there)
    pd.testing.assert_frame_equal(on_spark, online_values(*asked, **there), check_exact=True)


def on_both(dataset):
    return dataset, replace(dataset, engine=SPARK)


def test_a_training_table_on_spark_is_the_one_of_a_laptop(world):
    as_of, edges = world.instant(), (7, 30)
    tables = []
    for dataset in on_both(world.configuration.dataset):
        with dataset.open() as data:
            brands, context = data.brands(as_of), data.context(as_of)
            view = View(catalogue(context), dataset.stage_model()[0], brands, context)
            sampling = SamplingSettings(moments=2_000)
            history = brand_history(data.engine, data.log.before(as_of).table)
            tables.append(
                build_training_table(data, view, as_of, as_of, edges, 90, history, sampling, quiet)
            )
    for field in fields(tables[0]):
        here, there = (getattr(table, field.name) for table in tables)
        np.testing.assert_array_equal(here, there, err_msg=field.name)


def test_scores_from_spark_are_the_rows_of_a_laptop(world, tmp_path):
    release, as_of = world.published(), world.instant()
    found = []
    for number, dataset in enumerate(on_both(world.configuration.dataset)):
        out = tmp_path / f"{number}.parquet"
        found.append(score(dataset, release, as_of, (7, 30), out, None, quiet))
    here, there = (pq.read_table(summary.path) for summary in found)
    assert here.schema == there.schema
    assert here.num_rows == found[0].pairs > 1_000
    assert here.equals(there)
    assert found[0].stages == found[1].stages
    assert found[0].expected_buyers == pytest.approx(found[1].expected_buyers, rel=1e-12)
