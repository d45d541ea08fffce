"""The description: made from the types and refusals, whole, and valid."""

import asyncio
import json
import re
from http import HTTPStatus

import httpx
import pytest
import schemathesis

from features.vocabulary import COLUMNS
from serving import turns
from serving.api_pages import api_pages
from serving.endpoints import ENDPOINTS, UNREAD
from serving.openapi import openapi_document
from serving.problems import Problem
from serving.ways import OPEN_PATHS, WAYS

DESCRIPTION = openapi_document()


def page(path):
    async def asked():
        transport = httpx.ASGITransport(api_pages())
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get(path)

    return asyncio.run(asked())


def test_it_is_valid_openapi():
    schemathesis.openapi.from_dict(DESCRIPTION).validate()


def test_every_path_is_described_and_no_other():
    described = DESCRIPTION["paths"]
    posted = {path for path, verbs in described.items() if "post" in verbs}
    assert posted == set(WAYS)
    assert set(described) - posted == (OPEN_PATHS | {"/metrics"}) - {"/"}


def test_every_reference_leads_somewhere():
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DESCRIPTION)))
    assert named == set(DESCRIPTION["components"]["schemas"])


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_example_is_what_it_should_be(endpoint):
    assert endpoint.requests
    for example in endpoint.requests:
        endpoint.takes.model_validate_json(json.dumps(example))
    for example in endpoint.answers:
        assert set(example) == set(endpoint.gives.model_fields)


def test_every_operation_says_what_it_takes_gives_and_refuses():
    for path, way in WAYS.items():
        operation = DESCRIPTION["paths"][path]["post"]
        assert operation["security"] == [{"bearer": [way.scope]}, {"header": [way.scope]}, {}]
        statuses = set(operation["responses"])
        assert {"200", "400", "401", "403", "408", "413", "415", "421", "429", "503"} <= statuses
        for status in ("429", "503"):
            assert "Retry-After" in operation["responses"][status]["headers"]


def test_fields_are_told_what_they_mean():
    for endpoint in ENDPOINTS:
        for model in (endpoint.takes, endpoint.gives):
            untold = [name for name, field in model.model_fields.items() if not field.description]
            assert untold == [], model


def test_the_columns_of_an_event_are_those_of_the_log():
    (event,) = [DESCRIPTION["components"]["schemas"]["EventsRequest"]["properties"]["events"]]
    assert set(event["items"]["properties"]) == set(COLUMNS)


def test_the_words_for_being_late_are_those_of_the_turns():
    assert str(turns._busy()) == UNREAD


def test_a_problem_is_described_as_it_is_sent():
    problem = DESCRIPTION["components"]["schemas"]["Problem"]
    assert (
        set(problem["required"])
        == set(problem["properties"])
        == set(Problem(HTTPStatus.OK, "").as_json)
    )


def test_the_page_may_do_nothing_but_run_its_script_and_ask_this_service():
    answer = page("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert len(re.findall(r"'sha256-[\w+/]{43}='", policy)) == 2
    # What a browser would fetch, and where a key could stay behind.
    text = answer.text
    assert not re.search(r"""https?://|\bsrc=|@import|url\(|innerHTML|Storage|cookie""", text)


def test_the_description_is_served_as_it_is():
    assert page("/docs.json").json() == DESCRIPTION
