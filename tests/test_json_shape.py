"""The shape of a JSON text from its brackets: as a slow walk sees it, whatever the bytes."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from serving.json_shape import Shape, _sweep, _walk, json_shape

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=[]), max_size=8)
    | st.text(alphabet='[]{},:"\\/\n', max_size=8)
)
KEYS = st.text(alphabet='[]{},:"\\ab', max_size=4)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=30,
)
MARKS = st.lists(st.sampled_from([*'[]{},"\\ax:1', '\\"', "\\\\"]), max_size=60)


def slow_shape(document):
    """The same by walking what the parser made of the text."""
    depths, rows, commas = [0], 0, 0

    def walk(value, depth):
        nonlocal rows, commas
        if not isinstance(value, (list, dict)):
            return
        depths.append(depth)
        rows += depth == 3
        commas += max(len(value) - 1, 0)
        for item in value.values() if isinstance(value, dict) else value:
            walk(item, depth + 1)

    walk(document, 1)
    return Shape(max(depths), rows, commas + 1, True)


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=200)
def test_the_shape_is_what_a_slow_walk_sees(document, escaped, indent):
    text = json.dumps(document, ensure_ascii=escaped, indent=indent)
    assert json_shape(text.encode("utf-8", "surrogatepass")) == slow_shape(document)


@given(st.binary(max_size=200) | MARKS.map(lambda marks: "".join(marks).encode()))
@example(b'"\\ud800"')
@example(b"\xff\xfe[")
@example(b"\xed\xa0\x80")
@example(b'["\\')
@settings(max_examples=300)
def test_no_bytes_raise_and_a_text_that_parses_is_seen_as_the_parser_sees_it(body):
    shape = json_shape(body)
    try:
        document = from_json(body)
    except ValueError:
        return
    expected = slow_shape(document)
    assert shape.balanced
    assert shape.depth >= expected.depth
    assert shape.rows >= expected.rows
    # A key that comes twice is one to the parser.
    assert shape.values >= expected.values


@given(st.lists(st.sampled_from([b"\x01", b"\xff"]), min_size=1, max_size=300).map(b"".join))
@settings(max_examples=100)
def test_few_and_many_brackets_are_counted_alike(steps):
    assert _walk(steps) == _sweep(steps)


@given(MARKS, st.integers(2, 8))
@settings(max_examples=100)
def test_what_follows_a_mistake_cannot_hide_the_depth_before_it(marks, depth):
    """A parser goes as deep as the brackets before the place where it gives up."""
    body = b"[" * depth + "".join(marks).encode()
    assert json_shape(body).depth >= depth


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        (b"", Shape(0, 0, 1, True)),
        (b"7", Shape(0, 0, 1, True)),
        (b'{"events": [{}, {"a": {}}], "x": 1}', Shape(4, 2, 3, True)),
        (b'{"pairs": [["[", "]"], ["\\"[", "\\\\"]]}', Shape(3, 2, 4, True)),
        (b"]", Shape(0, 0, 1, False)),
        (b"[" * 2_000, Shape(2_000, 1, 1, False)),
        (b'{"a": "[[[[', Shape(1, 0, 1, False)),
    ],
)
def test_a_shape(body, shape):
    assert json_shape(body) == shape


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 500_000, b"[" * 1_000_000, b'"' * 1_000_000, b'["a",' * 200_000]
)
def test_the_worst_text_takes_as_long_as_any_other(body):
    start = time.perf_counter()
    json_shape(body)
    assert time.perf_counter() - start < 1
