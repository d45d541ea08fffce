"""The description of the service as OpenAPI 3.1, made from the types and refusals themselves."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from serving.endpoints import ENDPOINTS, Endpoint, problems_of, way_in
from serving.problems import Problem
from serving.ways import ELSEWHERE, WAYS, Way

__all__ = ["openapi_document"]

_REF: Final = "#/components/schemas/{model}"
_JSON: Final = "application/json"
_TOLD: Final = "application/problem+json"
_ABOUT: Final = """\
Forecasts where each user stands with a brand, and when they will buy.

Where there is a file of keys, each request needs one, as `Authorization: Bearer KEY` or as \
`X-API-Key: KEY`. Without one, this machine alone is answered. Fields that an endpoint does not \
know are refused. Every refusal is a problem of RFC 9457."""
_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "A refusal, as RFC 9457 has it: what is wrong, and what would do.",
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "title": {"type": "string", "description": "The usual phrase of the status."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is wrong, and what would do."},
    },
    "additionalProperties": False,
}
_WAYS_IN: Final[dict[str, Any]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key, made by: stagecast keys CONFIG add NAME --scope SCOPE.",
    },
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, where something else needs the other header.",
    },
}
_HEADERS: Final[Mapping[bytes, tuple[str, dict[str, Any]]]] = {
    b"retry-after": (
        "Retry-After",
        {
            "description": "Seconds to wait before asking again.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        },
    ),
    b"www-authenticate": (
        "WWW-Authenticate",
        {
            "description": "What kind of key is asked for.",
            "required": True,
            "schema": {"type": "string"},
        },
    ),
}
_PAGES: Final = {
    "/livez": ("livez", "Whether the process lives", "text/plain"),
    "/healthz": ("healthz", "The same, under another name", "text/plain"),
    "/readyz": ("readyz", "Whether it can answer", "text/plain"),
    "/metrics": ("metrics", "Counts and times of requests, for Prometheus", "text/plain"),
    "/docs.json": ("description", "This description", _JSON),
}
_GUARDED_PAGES: Final = frozenset({"/metrics"})
_MEANINGS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "The JSON is broken, or a field has not the form that it should.",
    HTTPStatus.UNAUTHORIZED: "There is no key, or one that is not known, was revoked or expired.",
    HTTPStatus.FORBIDDEN: "The key lacks the scope.",
    HTTPStatus.REQUEST_TIMEOUT: "The body took too long to come; the connection is closed.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too long, or holds too much.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "It is not sent as JSON.",
    HTTPStatus.MISDIRECTED_REQUEST: "Without keys: asked by a name that is not this machine's.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "It is well formed, and cannot be answered.",
    HTTPStatus.TOO_MANY_REQUESTS: "The client asks more than it may.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The answer would come too late, or nothing can be written.",
}


class _Untitled(GenerateJsonSchema):
    """JSON schemas without titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return that none should."""
        return False


def openapi_document() -> dict[str, Any]:
    """Return the description; it holds nothing of a release, a configuration or a user."""
    paths: dict[str, Any] = {}
    for endpoint in ENDPOINTS:
        for path in endpoint.paths:
            paths[path] = {"post": _operation(endpoint, path)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Stagecast", "version": version("stagecast"), "description": _ABOUT},
        "servers": [{"url": "/", "description": "This service."}],
        "tags": [
            {"name": "Forecasts", "description": "What is to be expected of users."},
            {"name": "Events", "description": "What users do, and who wants no forecasts."},
            {"name": "Fast door", "description": "The same answers, byte for byte, sooner."},
            {"name": "Pages", "description": "How the service fares."},
        ],
        "paths": paths | {path: {"get": _page(path)} for path in _PAGES},
        "components": {"schemas": _schemas(), "securitySchemes": _WAYS_IN},
    }


def _operation(endpoint: Endpoint, path: str) -> dict[str, Any]:
    way, fast = WAYS[path], path != endpoint.path
    return {
        "operationId": f"fast_{endpoint.name}" if fast else endpoint.name,
        "tags": ["Fast door" if fast else _tag(way)],
        "summary": f"{endpoint.summary}, by the fast door" if fast else endpoint.summary,
        "description": f"{endpoint.about} Scope of the key: `{way.scope}`. {_limits(way)}",
        "security": _security(way),
        "requestBody": {"required": True, "content": _content(endpoint.takes, endpoint.requests)},
        "responses": {
            "200": {
                "description": _line(endpoint.gives),
                "content": _content(endpoint.gives, endpoint.answers),
            },
            **_refusals(problems_of(endpoint, path).values()),
        },
    }


def _page(path: str) -> dict[str, Any]:
    name, summary, kind = _PAGES[path]
    guarded = path in _GUARDED_PAGES
    schema = {"type": "object"} if kind == _JSON else {"type": "string"}
    return {
        "operationId": name,
        "tags": ["Pages"],
        "summary": summary,
        "description": "Scope of the key: `admin`." if guarded else "Open: it needs no key.",
        "security": _security(ELSEWHERE) if guarded else [],
        "responses": {
            "200": {"description": f"{summary}.", "content": {kind: {"schema": schema}}},
            **(_refusals(way_in(ELSEWHERE.scope)) if guarded else {}),
        },
    }


def _refusals(problems: Iterable[Problem]) -> dict[str, Any]:
    return {str(problem.status.value): _refusal(problem) for problem in problems}


def _refusal(problem: Problem) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _MEANINGS[problem.status],
        "content": {
            _TOLD: {
                "schema": {"$ref": _REF.format(model="Problem")},
                "example": problem.as_json,
            }
        },
    }
    headers = dict(_HEADERS[name] for name, _ in problem.headers)
    return found | ({"headers": headers} if headers else {})


def _content(model: type[BaseModel], examples: Iterable[Any]) -> dict[str, Any]:
    named = {f"example_{place}": {"value": one} for place, one in enumerate(examples, start=1)}
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {_JSON: {"schema": schema, "examples": named}}


def _schemas() -> dict[str, Any]:
    models = {model for endpoint in ENDPOINTS for model in (endpoint.takes, endpoint.gives)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, _mode(model)) for model in ordered], ref_template=_REF)
    return {**found["$defs"], "Problem": _PROBLEM}


def _mode(model: type[BaseModel]) -> JsonSchemaMode:
    """Return how a type is described: an answer has all of its fields."""
    given = any(endpoint.gives is model for endpoint in ENDPOINTS)
    return "serialization" if given else "validation"


def _security(way: Way) -> list[dict[str, list[str]]]:
    # The empty one: without a file of keys, this machine is answered without one.
    return [{"bearer": [str(way.scope)]}, {"header": [str(way.scope)]}, {}]


def _limits(way: Way) -> str:
    return f"At most {way.most_bytes:,} bytes, and about {way.most_values:,} values."


def _tag(way: Way) -> str:
    return {"score": "Forecasts", "ingest": "Events"}[way.scope]


def _line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").partition("\n")[0]
