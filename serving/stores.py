"""The history stores that there are: which one a url names, opened."""

from pathlib import Path

from features.errors import StoreError
from serving.history_store import HistoryStore
from serving.lmdb_store import LmdbStore
from serving.store_settings import FOLDER_SCHEME, StoreSettings

__all__ = ["open_store"]


def open_store(settings: StoreSettings, folder: Path, time_zone: str, write: bool) -> HistoryStore:
    """Open the store of the settings, a path in it relative to `folder`; a writer may make it.

    Raises
    ------
    StoreError
        There is none, it cannot be read, or it was written in another format or time zone.
    """
    if settings.url.startswith(FOLDER_SCHEME):
        path = folder / settings.url.removeprefix(FOLDER_SCHEME)
        return LmdbStore(path, time_zone, settings.keep_days, write)
    try:
        from serving.redis_store import RedisStore
    except ImportError as error:
        raise StoreError(
            f'[store] url: {settings.shown}: {error.name} is missing; install the extra "redis".'
        ) from error
    return RedisStore(settings, time_zone, write)
