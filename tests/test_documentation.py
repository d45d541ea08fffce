"""Whatever exists is documented, and whatever is documented exists."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined
from typer.main import get_command

from features import stages
from features.catalogue import catalogue
from features.vocabulary import COLUMNS, KINDS, REQUIRED_COLUMNS
from stagecast.command_line import app
from stagecast.configuration import Settings
from stagecast.documentation import FEATURE_PAGE, feature_page
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


def source(path, name):
    """The syntax of a class or function of a module that would be slow to import."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    (found,) = (node for node in ast.walk(tree) if getattr(node, "name", None) == name)
    return found


def api_methods():
    """The service's methods, by their route."""
    return {
        keyword.value.value: method
        for method in source("serving/service.py", "Stagecast").body
        if isinstance(method, ast.FunctionDef)
        for decorator in method.decorator_list
        if ast.unparse(decorator).startswith("bentoml.api(")
        for keyword in decorator.keywords
        if keyword.arg == "route"
    }


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
    assert documented == [f"POST {route}" for route in api_methods()]


def test_every_field_of_a_request_and_of_its_answer_is_documented_and_no_other():
    text = section_and_below(page("service.md"), "Endpoints")
    request, answer = text.split("The answer has columns.")
    answer, statuses = answer.split("What was not asked for is null.")
    asked = api_methods()["/v1/score"].args.args[1:]
    given = source("serving/service.py", "ScoreAnswer").body
    assert list(rows(request)) == [argument.arg for argument in asked]
    assert [*rows(answer)] == [
        node.target.id
        for node in given
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    found = ast.walk(source("serving/scorer.py", "_status"))
    constants = {node.value for node in found if isinstance(node, ast.Constant)}
    assert set(rows(statuses)) == constants


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
