"""Which paths BentoML's metrics tell apart."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["count_only"]

Scope = MutableMapping[str, Any]
Call = Callable[..., Awaitable[None]]


def count_only(paths: frozenset[str]) -> None:
    """Let BentoML count the requests of these paths, and of no others.

    It keeps counts for each path that is ever asked for, in files, and counts outside of any
    middleware of ours: whoever asks for enough paths would fill the disk, without any key.
    """
    from bentoml._internal.server.http import instruments

    counted: Any = instruments.RunnerTrafficMetricsMiddleware
    if getattr(counted, "paths", None) == paths:
        return

    class CountedPaths(counted):  # type: ignore[misc]
        """BentoML's own, but for paths that nobody serves."""

        async def __call__(self, scope: Scope, receive: Call, send: Call) -> None:
            call = super().__call__ if scope.get("path") in paths else self.app
            await call(scope, receive, send)

    CountedPaths.paths = paths
    instruments.RunnerTrafficMetricsMiddleware = CountedPaths
