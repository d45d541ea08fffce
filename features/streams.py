"""Streams: rows that come sorted by user, cut where one user ends and the next begins."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["whole_users"]


def whole_users(stream: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield the rows in tables of about `rows`; no user stands in two of them."""
    waiting: list[pa.RecordBatch] = []
    for batch in stream:
        waiting.append(batch)
        if sum(map(len, waiting)) < rows:
            continue
        table = pa.Table.from_batches(waiting)
        cut = pc.index(table["user_id"], table["user_id"][-1]).as_py()
        if cut:
            yield table[:cut]
            waiting = table[cut:].to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting)
