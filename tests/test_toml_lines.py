"""The lines of a TOML text: every value that tomllib finds has one, and it is the right one."""

import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.stages import shipped_stage_models
from features.toml_lines import toml_lines


def places(value, place=()):
    """The way to every value, as tomllib found it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*place, key)
        if isinstance(item, dict | list):
            yield from places(item, (*place, key))


HARD = r'''
# stages = [[ not this
name = "a # no comment, [no] table, x = 1"   # a comment: "
'quoted key' = 'single \'   # "
text = """
[[stages]] "quoted" \""" x = 1
""" # done
raw = """"two quotes at the end"""""
literal = \'\'\'
any = ["
\'\'\'
when = 1979-05-27 07:32:00
deep.er = { a.b = [1, [2, 3.5]], "c" = {} }

[[stages]]
any = [   # first
    { kinds = ["like", "search"], n = 1 },

    { all = [
        { kinds = [] },
    ] },
]
[[stages]]
[[stages.any]]
kinds = ["like"]
[[stages.any]]
kinds = [
    "search",
    "follow" ]
[table . "in" . table]
x = -1e3
'''.replace("\\'\\'\\'", "'''")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_hard_text_has_the_line_of_each_of_its_values(ends):
    text = HARD.replace("\n", ends)
    lines, rows = toml_lines(text), text.splitlines()
    for place in places(tomllib.loads(text)):
        if place not in {("deep",), ("deep", "er", "a"), ("table",), ("table", "in"),
                         ("stages",), ("stages", 1, "any")}:  # fmt: skip
            assert place in lines
    for place, line in lines.items():
        key = place[-1] if isinstance(place[-1], str) else next(
            part for part in reversed(place) if isinstance(part, str)
        )  # fmt: skip
        if isinstance(place[-1], str):
            assert key in rows[line - 1], place
    assert rows[lines["stages", 0, "any", 1, "all", 0, "kinds"] - 1] == "        { kinds = [] },"
    assert rows[lines["stages", 1, "any", 1, "kinds", 1] - 1] == '    "follow" ]'
    assert rows[lines["stages", 1] - 1] == "[[stages]]"


@pytest.mark.parametrize("name", shipped_stage_models())
def test_every_value_of_a_shipped_model_has_a_line(name):
    text = (resources.files("features") / "stage_models" / f"{name}.toml").read_text("utf-8")
    lines = toml_lines(text)
    assert set(places(tomllib.loads(text))) - set(lines) == {("stages",)}


blanks = st.sampled_from(["", " ", "\n", " # ] }\n", "\n\n"])
texts = st.sampled_from(['"x"', "'#'", "1.5", "true", '"""\n]\n"""', '"\\""', "[]", "{}"])
lists = st.recursive(texts, lambda inner: st.tuples(blanks, st.lists(inner, max_size=3)).map(
    lambda made: f"[{made[0]}" + ",".join(f"{item}{made[0]}" for item in made[1]) + "]"
))  # fmt: skip


@given(st.lists(lists, max_size=6))
def test_any_list_of_lists_is_walked_to_its_end(values):
    text = "".join(f"k{number} = {value}\n" for number, value in enumerate(values))
    lines = toml_lines(text)
    assert set(places(tomllib.loads(text))) <= set(lines)
    for number, _ in enumerate(values):
        assert text.splitlines()[lines[f"k{number}",] - 1].startswith(f"k{number} = ")
