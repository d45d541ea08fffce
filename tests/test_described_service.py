"""What is described is what is served: a running service, asked at random and by its examples."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.checks import negative_data_rejection
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode

from serving.endpoints import ENDPOINTS
from serving.openapi import openapi_document
from tests.faults import EXAMPLES, record
from tests.services import Service, serving
from tests.worlds import TrainedWorld, stagecast

CHECKS = {
    # What fits is answered, unless the release says no, or its values are too many in all.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "413", "422"]},
    # What does not fit may be too much as well.
    "negative_data_rejection": {"expected-statuses": ["400", "413", "415", "422"]},
}
DESCRIPTION = openapi_document()
SCHEMA = schemathesis.openapi.from_dict(
    DESCRIPTION, config=SchemathesisConfig.from_dict({"checks": CHECKS})
)
POSTED = [path for endpoint in ENDPOINTS for path in endpoint.paths]
READ = [path for path, verbs in DESCRIPTION["paths"].items() if "get" in verbs]
at_random = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def service(world: TrainedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    mine = world.copied_to(tmp_path_factory.mktemp("described") / "a copy")
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    # Nobody is sent away for the sake of time, however busy the machine is.
    with serving(mine.config, "deadline_ms = 20_000\n") as running:
        yield running


def test_the_service_describes_itself(service):
    assert service.client.get("/docs.json").json() == DESCRIPTION


@pytest.mark.fault
@pytest.mark.parametrize("path", POSTED)
def test_whatever_fits_the_description_is_answered_as_described(service, path):
    answers = Counter()

    @at_random
    @given(case=SCHEMA[path]["POST"].as_strategy(GenerationMode.POSITIVE))
    def asked(case):
        low, high = case.body.get("bounds") or (0, None)
        # No schema can say that one number is not above another.
        assume(high is None or low <= high)
        found = case.call_and_validate(base_url=str(service.client.base_url))
        answers[str(found.status_code)] += 1

    asked()
    record("requests", f"what fits, `{path}`", {"answers": answers})


@pytest.mark.fault
@pytest.mark.parametrize("path", POSTED)
def test_whatever_does_not_fit_is_refused_as_described(service, path):
    # Events are judged one by one: what is wrong with them stands in an answer.
    judged = [negative_data_rejection] if path.endswith("/events") else []
    answers = Counter()

    @at_random
    @given(case=SCHEMA[path]["POST"].as_strategy(GenerationMode.NEGATIVE))
    def asked(case):
        url = str(service.client.base_url)
        found = case.call_and_validate(base_url=url, excluded_checks=judged)
        answers[str(found.status_code)] += 1

    asked()
    record("requests", f"what does not fit, `{path}`", {"answers": answers})


@pytest.mark.parametrize("path", READ)
def test_every_page_is_as_described(service, path):
    SCHEMA[path]["GET"].Case().call_and_validate(base_url=str(service.client.base_url))


@pytest.mark.parametrize("path", POSTED)
def test_every_example_is_answered(service, path):
    content = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        found = service.client.post(path, json=example["value"])
        assert found.status_code == 200, found.text


@pytest.mark.parametrize("path", POSTED)
def test_refusals_are_described_in_the_services_own_words(service, path):
    described = {
        int(status): response["content"]["application/problem+json"]["example"]
        for status, response in DESCRIPTION["paths"][path]["post"]["responses"].items()
        if int(status) >= 400
    }
    (endpoint,) = [each for each in ENDPOINTS if path in each.paths]
    example = endpoint.requests[0]
    unfit = {
        "score": example | {"horizons": [400]}, "score_one": example | {"horizons": [400]},
        "bid": example | {"horizon": 400}, "opt_out": {"user_id": " "},
    }  # fmt: skip
    client, sent = service.client, {"content-type": "application/json"}
    found = [
        client.post(path, json={}), client.post(path, content=b" " * 3_000_000, headers=sent),
        client.post(path, content=b"{}", headers={"content-type": "text/plain"}),
        client.post(path, json=example, headers={"host": "elsewhere.example"}),
        *([client.post(path, json=unfit[endpoint.name])] if endpoint.unfit else []),
    ]  # fmt: skip
    for answer in found:
        assert answer.json() == described[answer.status_code]
    # Keys, rates and slow bodies are the doorway's tests.
    told = {answer.status_code for answer in found}
    assert described.keys() - told == {401, 403, 408, 429, 503}


@pytest.mark.needs("chromium")
def test_the_page_shows_every_endpoint_without_anything_from_elsewhere(service, tmp_path):
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        # Whatever is not this machine cannot be found.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--virtual-time-budget=8000", "--dump-dom", str(service.client.base_url),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    for endpoint in ENDPOINTS:
        assert f'id="{endpoint.name}"' in done.stdout
        for path in endpoint.paths:
            assert path in done.stdout
        for field in (*endpoint.takes.model_fields, *endpoint.gives.model_fields):
            assert f"<code>{field}</code>" in done.stdout
        assert all(f"{json.dumps(name)}:" in done.stdout for name in endpoint.requests[0])
