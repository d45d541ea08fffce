"""Whatever exists is documented, and whatever is documented exists."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pytest
from pydantic_core import PydanticUndefined
from typer.main import get_command

from features import stages
from features.catalogue import catalogue
from features.vocabulary import COLUMNS, KINDS, REQUIRED_COLUMNS
from serving import room
from serving.bid_requests import BidTarget
from serving.decision_log import Decision, DecisionLog
from serving.doorway import BODY_SECONDS
from serving.endpoints import ENDPOINTS, problems_of
from serving.keys import Scope
from serving.score_requests import ScoreOneRequest, ScoreRequest, Status
from serving.ways import WAYS
from stagecast.command_line import app
from stagecast.configuration import Settings
from stagecast.documentation import FEATURE_PAGE, feature_page
from tests.services import serving
from tests.worlds import stagecast
from training.metrics import purchase_scores

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")])
CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def section(text, heading):
    """What stands under a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"no heading {heading!r}"
    return found.group(1)


def section_and_below(text, heading):
    """What stands under a heading of the second level, with its own headings."""
    return re.split(r"^## ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]


def headings(text, level):
    outside = CODE_BLOCK.sub("", text)
    return re.findall(rf"^{'#' * level} `(.+)`$", outside, re.MULTILINE)


def rows(text, head=""):
    """The cells of the rows of tables whose first column has this head, by the name in it."""
    tables = re.findall(rf"^\| {head}.*\n\|[-:| ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    text = "".join(tables)
    lines = re.findall(r"^\| `([^`]+)` \|(.*)\|$", text, re.MULTILINE)
    names = [name for name, _ in lines]
    assert len(set(names)) == len(names), names
    return {name: [cell.strip() for cell in rest.split(" | ")] for name, rest in lines}


def settings():
    return {
        f"[{name}]": field.annotation.model_fields for name, field in Settings.model_fields.items()
    }


def commands():
    """All commands by name; those of a group follow it, under both names."""
    found = {}
    for name, command in get_command(app).commands.items():
        found[name] = command
        inner = getattr(command, "commands", {})
        found |= {f"{name} {second}": inner[second] for second in inner}
    return found


def parameters(command):
    """The options by their long name, the arguments in capitals."""
    return {
        option.opts[0] if option.param_type_name == "option" else option.name.upper(): option
        for option in commands()[command].params
        if option.name != "help"
    }


def endpoint_text(path):
    return section(page("service.md"), f"`POST {path}`")


def calls():
    """The calls of the service's page: what is sent, and the answer that stands below, if any."""
    found = re.findall(
        r"^```sh\n(curl .*?)^```\n(?:\n```json\n(.*?)^```)?", page("service.md"), re.M | re.S
    )
    for line, answer in found:
        words = shlex.split(line)
        url = next(word for word in words if word.startswith("http"))
        body = json.loads(words[words.index("-d") + 1])
        yield urlsplit(url).path, body, json.loads(answer) if answer else None


def shape(value):
    """What an answer is made of: its fields, in order, and the lengths of its lists."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(inner) for inner in value] if isinstance(value, list) else None


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_page_of_features_is_what_the_catalogue_says():
    way_out = "write it anew: python -m stagecast.documentation"
    assert FEATURE_PAGE.read_text(encoding="utf-8") == feature_page(), way_out


def test_every_feature_is_documented_and_no_other():
    groups = dict.fromkeys(feature.group for feature in catalogue())
    text = page("features.md")
    documented = [name for group in groups for name in rows(section(text, group.capitalize()))]
    assert documented == [feature.name for feature in catalogue()]


def test_every_section_of_the_configuration_is_documented_and_no_other():
    assert headings(page("configuration.md"), 3) == list(settings())


@pytest.mark.parametrize("name", settings())
def test_every_setting_is_documented_with_its_default_and_no_other(name):
    documented = rows(section(page("configuration.md"), f"`{name}`"))
    fields = settings()[name]
    assert list(documented) == list(fields)
    for key, field in fields.items():
        default = field.get_default(call_default_factory=True)
        written = documented[key][0]
        if default is PydanticUndefined or default is None:
            assert written == ("none" if default is None else "needed"), key
        else:
            value = tomllib.loads(f"x = {written.strip('`')}")["x"]
            assert value == (list(default) if isinstance(default, tuple) else default), key


def test_every_column_of_the_log_is_documented_and_no_other():
    documented = rows(section(page("configuration.md"), "The event log"))
    assert list(documented) == list(COLUMNS)
    needed = [name for name, cells in documented.items() if cells[0] == "yes"]
    assert needed == list(REQUIRED_COLUMNS)


def test_every_kind_is_documented_in_its_order():
    (line,) = re.findall(r"^(?:`\w+` ?){10,}$", page("configuration.md"), re.MULTILINE)
    assert re.findall(r"\w+", line) == list(KINDS)


def test_every_command_is_documented_and_no_other():
    text = page("command-line.md")
    assert sorted([*headings(text, 2), *headings(text, 3)]) == sorted(commands())


@pytest.mark.parametrize("command", commands())
def test_every_option_is_documented_with_its_default_and_no_other(command):
    documented = rows(section(page("command-line.md"), f"`{command}`"), "option")
    options = parameters(command)
    assert sorted(documented) == sorted(options)
    for name, option in options.items():
        written = documented[name][0].strip("`")
        if option.required:
            assert written == "needed", name
        elif isinstance(option.default, bool):
            assert written == "no", name
        elif option.default is not None:
            assert written == str(getattr(option.default, "value", option.default)), name


def test_every_endpoint_is_documented_and_no_other():
    documented = headings(section_and_below(page("service.md"), "Endpoints"), 3)
    assert documented == [f"POST {endpoint.path}" for endpoint in ENDPOINTS]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_field_of_a_request_and_of_its_answer_is_documented_and_no_other(endpoint):
    # A single call is told of where it differs.
    told = set(ScoreRequest.model_fields) if endpoint.takes is ScoreOneRequest else set()
    asked = {name: field for name, field in endpoint.takes.model_fields.items() if name not in told}
    documented = rows(endpoint_text(endpoint.path), "field")
    assert set(documented) == set(asked)
    for name, field in asked.items():
        written = documented[name][0].strip("`")
        if field.is_required():
            assert written == "needed", name
        elif field.default is not None:
            assert json.loads(written) == json.loads(json.dumps(field.default)), name
    given = [] if told else list(endpoint.gives.model_fields)
    assert list(rows(endpoint_text(endpoint.path), "in the answer")) == given


def test_what_stands_in_a_target_and_in_an_event_is_documented_and_nothing_else():
    assert list(rows(endpoint_text("/v1/bid"), "in the target")) == list(BidTarget.model_fields)
    event = rows(endpoint_text("/v1/events"), "in an event")
    assert list(event) == list(COLUMNS)
    needed = {name for name, cells in event.items() if cells[0] == "yes"}
    assert needed == {"user_id", "kind", "occurred_at"}


def test_every_status_is_documented_and_no_other():
    documented = rows(endpoint_text("/v1/score"), "status")
    assert set(documented) == set(get_args(Status))


def test_every_refusal_is_documented_and_no_other():
    documented = re.findall(
        r"^\| (\d+) \|", section(page("service.md"), "What is refused"), re.MULTILINE
    )
    told = {
        status
        for endpoint in ENDPOINTS
        for path in endpoint.paths
        for status in problems_of(endpoint, path)
    }
    # A path that is not there, and one that is asked in another way, are in no description.
    assert list(map(int, documented)) == sorted({*told, 404, 405})


def test_every_scope_is_documented_with_what_it_opens():
    documented = rows(section(page("service.md"), "Keys"), "scope")
    assert list(documented) == list(Scope)
    for scope, cells in documented.items():
        opened = {path for path, way in WAYS.items() if way.scope == scope}
        assert {path for path in WAYS if f"`{path}`" in cells[0]} == opened


def test_the_limits_of_a_body_are_documented():
    text = section(page("service.md"), "What comes in")
    ways = WAYS["/v1/score"], WAYS["/v1/events"], WAYS["/v1/opt_out"]
    for said, found in {
        "pairs or events": [f"{way.most_rows:,}" for way in ways],
        "values, about": [f"{way.most_values:,}" for way in ways],
        "nesting of its JSON": [f"{way.deepest}" for way in ways],
        "seconds for the whole body to come": [f"{BODY_SECONDS:g}"] * 3,
        "bytes of a body, also in chunks": [
            f"{way.most_bytes >> 20} MiB" if way.most_bytes >> 20 else f"{way.most_bytes >> 10} KiB"
            for way in ways
        ],
    }.items():
        assert f"| {said} | {' | '.join(found)} |" in text


def test_every_column_of_the_decision_log_is_documented_and_no_other(tmp_path):
    columns = {"brand": ["b"], **{name: [0] for name in room._KEPT}}
    decisions = DecisionLog(tmp_path / "decisions", "one")
    decisions.add(Decision(0, None, "r", 0, ["u"], ["ok"], columns))
    assert decisions.close()
    (line,) = (tmp_path / "decisions").glob("*.jsonl")
    documented = rows(section(page("service.md"), "The decision log"), "column")
    assert list(documented) == list(json.loads(line.read_text()))


@pytest.fixture(scope="module")
def service(world, tmp_path_factory):
    mine = world.copied_to(tmp_path_factory.mktemp("documented") / "a copy")
    done = stagecast("ingest", mine.config, mine.folder / "events.parquet")
    assert done.code == 0, done.err
    with serving(mine.config, "deadline_ms = 20_000\n") as running:
        yield running


def test_the_calls_of_the_page_of_the_service_are_answered_as_it_shows(service):
    found = list(calls())
    assert {path for path, *_ in found} >= {endpoint.path for endpoint in ENDPOINTS}
    for path, body, shown in found:
        answer = service.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        if shown is not None:
            assert shape(answer.json()) == shape(shown), path


def test_every_score_of_an_evaluation_is_documented():
    text = page("forecasts.md")
    named = set(re.findall(r"`([a-z0-9_]+?)(?:_\{x\}d)?`", text))
    assert set(purchase_scores([0, 1], [0.1, 0.2])) <= named


def test_every_shipped_stage_model_is_documented_and_no_other():
    assert sorted(headings(page("stages.md"), 3)) == stages.shipped_stage_models()


@pytest.mark.parametrize("name", stages.shipped_stage_models())
def test_every_stage_of_a_shipped_stage_model_is_documented_in_its_order(name):
    model, _ = stages.load_stage_model(name, DOCS)
    assert ["none", *rows(section(page("stages.md"), f"`{name}`"))] == list(model.names)


def test_every_key_of_a_stage_model_is_documented_and_no_other():
    text = section_and_below(page("stages.md"), "Writing your own")
    model, stage, rule = (
        set(rows(part)) for part in re.split(r"^Keys of a (?:stage|rule):$", text, flags=re.M)
    )
    assert model == stages._MODEL_KEYS
    assert stage == stages._STAGE_KEYS
    assert rule == stages._CONDITION_KEYS


def test_the_stage_model_of_the_documentation_can_be_read():
    (text,) = re.findall(r"```toml\n(name = .*?)```", page("stages.md"), re.DOTALL)
    assert stages.parse_stage_model(text, "docs").names == ("none", "seen", "wanted", "bought")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    text = CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists():
            broken.append(link)
        elif anchor:
            outside = CODE_BLOCK.sub("", target.read_text(encoding="utf-8"))
            slugs = {slug(title) for title in re.findall(r"^#+ (.+)$", outside, re.MULTILINE)}
            broken += [link] if anchor not in slugs else []
    assert broken == []


def test_every_page_is_linked_from_the_index():
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)", page("index.md")))
    assert linked == {path.name for path in DOCS.glob("*.md")} - {"index.md"}
