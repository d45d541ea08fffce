"""The product's side: the features of moments, from a log in Parquet, to a file in Parquet.

``python -m benchmarks._product FOLDER MOMENTS OUT`` builds the compared features; with ``--all``
the whole catalogue.
"""

import argparse
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._big_log import LAST_DAY
from benchmarks._chosen import chosen_features
from features.catalogue import catalogue
from features.offline import moment_values
from features.sources import read_source
from features.view import View
from stagecast.configuration import load_configuration

__all__ = ["product_build"]

_KEYS = ("user_id", "brand_id", "as_of")


def product_build(folder: Path, moments: Path, out: Path, everything: bool = False) -> int:
    """Write ``user_id, brand_id, as_of`` and the features (float64); return how many features."""
    dataset = load_configuration(folder / "stagecast.toml").dataset
    with dataset.open() as data:
        context = data.context(LAST_DAY)
        features = catalogue(context) if everything else chosen_features()
        view = View(features, dataset.stage_model()[0], data.brands(LAST_DAY), context)
        asked = data.engine.adopt(read_source(data.engine, moments, "moments").select(*_KEYS))
        names = [feature.name for feature in features]
        schema = pa.schema(
            [
                *zip(_KEYS, (pa.string(), pa.string(), pa.int64()), strict=True),
                *((name, pa.float64()) for name in names),
            ]
        )
        with pq.ParquetWriter(out, schema, use_dictionary=list(_KEYS[:2])) as writer:
            for values in moment_values(data.engine, data.log.table, asked, view):
                keys = [values.rows[name].combine_chunks() for name in _KEYS]
                columns = [pa.array(values.X[:, i]) for i in range(len(names))]
                writer.write_batch(pa.record_batch([*keys, *columns], schema=schema))
    return len(names)


def main() -> None:
    """Build the features."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("folder", "moments", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--all", action="store_true")
    asked = parser.parse_args()
    count = product_build(asked.folder, asked.moments, asked.out, asked.all)
    print(json.dumps({"features": count}))


if __name__ == "__main__":
    main()
