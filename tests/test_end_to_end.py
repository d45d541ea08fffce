"""From a log to answers over HTTP: a real service, whose numbers are those of the batch."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.release import champions, set_champion, uncrown
from tests.random_logs import micros
from tests.services import Service, gone, is_ready, living, members, serving, until
from tests.worlds import TrainedWorld, stagecast

HORIZONS = (1, 7, 30, 60, 90)
STAGES = ("awareness", "interest", "true_interest", "purchase", "share")


@dataclass(frozen=True)
class Served(Service):
    """A running service of a world."""

    world: TrainedWorld


@pytest.fixture(scope="module")
def service(world: TrainedWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    mine = world.copied_to(tmp_path_factory.mktemp("served") / "a copy")
    ingested = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert ingested.code == 0, ingested.err
    (mine.folder / "opt_outs.txt").write_text("u0000003\n", encoding="utf-8")
    with serving(mine.config) as running:
        yield Served(running.process, running.log, running.client, mine)


@pytest.fixture(scope="module")
def pairs(service: Served) -> list[list[str]]:
    """Known pairs, pairs that never met, strangers, and some of them twice, in no order."""
    log = pd.read_parquet(service.world.folder / "events.parquet")
    log = log[micros(log.occurred_at) < service.world.instant()]
    met = log[["user_id", "brand_id"]].dropna().drop_duplicates().sample(230, random_state=2)
    met = met[met.user_id != "u0000003"]
    never = pd.DataFrame({"user_id": met.user_id[:40], "brand_id": met.brand_id[40:80].to_numpy()})
    strangers = pd.DataFrame(
        {"user_id": ["a stranger", "a stranger", *met.user_id[:8], "ü\U0001f9f4"],
         "brand_id": ["b01", "unheard of", *["unheard of"] * 8, "b01"]}
    )  # fmt: skip
    every = pd.concat([met, never, strangers, met[:20], strangers[:2]])
    return every.sample(frac=1, random_state=5).to_numpy().tolist()


def flat(answer: dict[str, Any]) -> pd.DataFrame:
    """Return the columnar answer by the columns of the scores."""
    columns: dict[str, Any] = {"stage": answer["stage"], "status": answer["status"]}
    for x in map(str, HORIZONS):
        columns[f"p_purchase_{x}d"] = answer["p_purchase"][x]
        columns |= {f"p_next_{s}_{x}d": v for s, v in answer["p_next"][x].items()}
        columns |= {f"p_at_{s}_{x}d": v for s, v in answer["p_at"][x].items()}
        for name in ("p_lapse", "p_stay", "expected_value"):
            columns[f"{name}_{x}d"] = answer[name][x]
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def answered(service: Service, pairs: list[list[str]]) -> pd.DataFrame:
    answer = service.answer(
        pairs, horizons=HORIZONS, as_of=service.world.as_of, request_id="a request"
    )
    assert answer["release"] == service.world.release
    assert answer["request_id"] == "a request"
    assert pd.Timestamp(answer["as_of"]).value // 1_000 == service.world.instant()
    assert set(answer["p_next"]["7"]) == set(STAGES)
    assert set(answer["p_at"]["7"]) == {"none", *STAGES}
    keys = pd.DataFrame(pairs, columns=["user_id", "brand_id"])
    return pd.concat([keys, flat(answer)], axis=1)


def test_the_service_says_what_the_batch_says(service, pairs, answered, tmp_path):
    pd.DataFrame(pairs, columns=["user_id", "brand_id"]).to_parquet(tmp_path / "pairs.parquet")
    done = stagecast(
        "score", service.world.config, "--as-of", service.world.as_of,
        "--horizons", ",".join(map(str, HORIZONS)), "--pairs", tmp_path / "pairs.parquet",
        "--out", tmp_path / "scores.parquet",
    )  # fmt: skip
    assert done.code == 0, done.err
    batch = pd.read_parquet(tmp_path / "scores.parquet")
    keys = ["user_id", "brand_id"]
    expected = answered[keys].merge(batch, on=keys, how="left", validate="many_to_one")
    assert expected.stage.tolist() == answered.stage.tolist()
    numbers = [name for name in answered if name.startswith(("p_", "expected_value"))]
    assert set(numbers) == set(batch.columns) - {*keys, "as_of", "stage", "release"}
    np.testing.assert_allclose(
        answered[numbers].to_numpy(dtype=float), expected[numbers].to_numpy(), rtol=1e-9, atol=1e-12
    )
    assert answered.stage.nunique() >= 5


def test_each_row_says_how_it_came_about(answered):
    unheard, strange = answered.brand_id == "unheard of", answered.user_id.str.len() != 8
    assert set(answered.status[unheard]) == {"unknown_brand"}
    assert set(answered.status[strange & ~unheard]) == {"unknown_user"}
    assert set(answered.status[~strange & ~unheard]) == {"ok"}
    never_met = answered[(answered.stage == "none") & (answered.status == "ok")]
    assert len(never_met) > 10


def test_a_repeated_pair_gets_the_same_answer_twice(answered):
    repeated = answered[answered.duplicated(["user_id", "brand_id"], keep=False)]
    assert len(repeated) >= 40
    assert (repeated.groupby(["user_id", "brand_id"]).nunique() == 1).all(axis=None)


def test_a_pair_is_answered_alike_alone_and_in_company(service, pairs, answered):
    for i in (0, 11, 97):
        alone = flat(service.answer([pairs[i]], horizons=HORIZONS, as_of=service.world.as_of))
        pd.testing.assert_frame_equal(
            alone, answered.drop(columns=["user_id", "brand_id"]).iloc[[i]].reset_index(drop=True)
        )


def test_without_an_instant_it_is_now_and_the_configured_horizons_answer(service, pairs):
    before = pd.Timestamp.now(tz="UTC")
    answer = service.answer(pairs[:2])
    assert before <= pd.Timestamp(answer["as_of"]) <= pd.Timestamp.now(tz="UTC")
    assert list(answer["p_purchase"]) == ["7", "14", "30", "60", "90"]
    assert answer["request_id"] is None


def test_only_the_outputs_that_are_asked_for_come(service, pairs):
    answer = service.answer(pairs[:2], outputs=["purchase"], horizons=[7])
    assert list(answer["p_purchase"]) == ["7"]
    assert all(answer.get(name) is None for name in ("p_next", "p_lapse", "p_at", "expected_value"))


def test_who_opted_out_gets_nulls_and_takes_effect_at_once(service):
    answer = service.answer([["u0000003", "b01"], ["u0000004", "b01"]], as_of=service.world.as_of)
    assert answer["status"][0] == "opted_out"
    assert answer["stage"][0] is None
    assert answer["p_purchase"]["7"][0] is None
    assert answer["p_at"]["7"]["none"][0] is None
    assert answer["p_purchase"]["7"][1] > 0
    with (service.world.folder / "opt_outs.txt").open("a", encoding="utf-8") as file:
        file.write("u0000004\n")
    again = service.answer([["u0000004", "b01"]], as_of=service.world.as_of)
    assert again["status"] == ["opted_out"]


def test_512_pairs_are_answered_in_the_order_of_the_request(service, pairs, answered):
    many = [pairs[i % len(pairs)] for i in range(512)]
    found = service.answer(many, horizons=[30], as_of=service.world.as_of)
    expected = answered.p_purchase_30d.iloc[[i % len(pairs) for i in range(512)]]
    np.testing.assert_array_equal(found["p_purchase"]["30"], expected)


PAIR = [["u1", "b1"]]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"pairs": []}, "at least 1"),
        ({"pairs": PAIR * 513}, "at most 512"),
        ({}, "pairs"),
        ({"pairs": PAIR, "horizons": [0]}, "horizons: 0; the release answers 1 to 90 days"),
        ({"pairs": PAIR, "horizons": [7, 91]}, "horizons: 91; the release answers 1 to 90 days"),
        ({"pairs": PAIR, "horizons": [-7]}, "horizons: -7"),
        ({"pairs": PAIR, "horizons": []}, "horizons"),
        ({"pairs": PAIR, "horizons": ["soon"]}, "valid integer"),
        ({"pairs": PAIR, "horizons": [7.5]}, "valid integer"),
        ({"pairs": PAIR, "horizons": 7}, "horizons"),
        ({"pairs": PAIR, "as_of": "soon"}, "as_of: this is no instant; write one like"),
        ({"pairs": PAIR, "as_of": "2025-02-30"}, "as_of: this is no instant"),
        ({"pairs": PAIR, "as_of": "0001-01-01"}, "as_of"),
        ({"pairs": PAIR, "as_of": "1999-01-01"}, "as_of"),
        ({"pairs": PAIR, "as_of": 5}, "as_of"),
        ({"pairs": PAIR, "outputs": ["weather"]}, "outputs"),
        ({"pairs": PAIR, "request_id": "x" * 257}, "request_id"),
        ({"pairs": PAIR, "request_id": 7}, "request_id"),
        ({"pairs": [["u1"]]}, "pairs"),
        ({"pairs": [["u1", "b1", "c1"]]}, "pairs"),
        ({"pairs": [["u1", ""]]}, "pairs"),
        ({"pairs": [["", "b1"]]}, "pairs"),
        ({"pairs": [[1, 2]]}, "pairs"),
        ({"pairs": [["u1", None]]}, "pairs"),
        ({"pairs": "u1"}, "pairs"),
        ({"pairs": [{"user_id": "u1", "brand_id": "b1"}]}, "pairs"),
        ([1, 2], ""),
        ("text", ""),
        (None, ""),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_is_refused_with_a_reason(service, body, said):
    response = service.client.post("/v1/score", json=body)
    assert 400 <= response.status_code < 500, response.text
    assert said in response.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b'{"pairs": [["u1", "\\ud800"]]}', b'{"pairs": NaN}',
     b'{"pairs": [["u1", "b1"]], "request_id": "\\udfff"}',
     b'{"pairs": [["u1", "b1"]], "horizons": [1e99]}',
     b'{"pairs": [["u1", "b1"]], "horizons": [99999999999999999999999]}',
     b"[" * 2_000],
)  # fmt: skip
def test_what_is_no_json_of_ours_is_never_the_services_fault(service, content):
    response = service.client.post(
        "/v1/score", content=content, headers={"content-type": "application/json"}
    )
    assert 400 <= response.status_code < 500, response.text


def test_the_far_future_is_an_instant_of_which_nothing_is_known(service):
    answer = service.answer([["u0000001", "b01"]], as_of="9999-12-31")
    assert (answer["status"], answer["stage"]) == (["unknown_user"], ["none"])


def test_odd_ids_are_strangers_like_any_other(service):
    odd = ["x" * 5_000, "\x00", "'; drop table", "\n", "𝔲" * 40, "u0000003 "]
    answer = service.answer([[text, text] for text in odd])
    assert answer["status"] == ["unknown_brand"] * len(odd)
    assert all(0 < p < 1 for p in answer["p_purchase"]["7"])


def test_health_metrics_and_schema_answer(service):
    for path in ("/livez", "/readyz", "/healthz", "/metrics", "/schema.json"):
        assert service.client.get(path).status_code == 200, path


def test_a_new_champion_answers_soon_and_so_does_the_former_after_a_rollback(service):
    releases, release = service.world.releases, service.world.release

    def named() -> str:
        return str(service.answer(PAIR)["release"])

    other = shutil.copytree(releases / release, releases / "other")
    about = (other / "release.json").read_text(encoding="utf-8")
    (other / "release.json").write_text(
        about.replace(f'"name": "{release}"', '"name": "other"', 1), encoding="utf-8"
    )

    assert named() == release
    set_champion(releases, "other")
    assert until(lambda: named() == "other")
    assert uncrown(releases) == release
    assert until(lambda: named() == release)
    # One that is broken does not take over, and stops nobody.
    (other / "purchase.txt").write_text("cut", encoding="utf-8")
    set_champion(releases, "other")
    time.sleep(1.5)
    assert named() == release
    assert champions(releases) == [release, "other"]
    uncrown(releases)
    assert named() == release


def test_a_stopped_service_ends_with_all_its_processes(service):
    """The last one here: the service is gone after it."""
    whole = members(service.process.pid)
    assert len(whole) > 1
    service.process.terminate()
    service.process.wait(20)
    assert gone(whole, 10), living(whole)
    assert not is_ready(service.client)
