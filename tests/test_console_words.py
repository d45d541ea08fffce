"""The words of the console: each in both languages, with the same places for values."""

import string
from pathlib import Path

import pytest

from features.stages import load_stage_model, shipped_stage_models
from serving.views import words_en, words_en_subjects, words_zh, words_zh_subjects

ENGLISH = {**words_en.WORDS, **words_en_subjects.WORDS}
CHINESE = {**words_zh.WORDS, **words_zh_subjects.WORDS}


def places(text):
    return sorted({name for _, name, _, _ in string.Formatter().parse(text) if name is not None})


def test_every_word_is_there_in_both_languages():
    assert list(words_en.WORDS) == list(words_zh.WORDS)
    assert list(words_en_subjects.WORDS) == list(words_zh_subjects.WORDS)
    assert all(text.strip() for text in [*ENGLISH.values(), *CHINESE.values()])


def test_no_word_stands_in_two_modules_of_a_language():
    assert not words_en.WORDS.keys() & words_en_subjects.WORDS.keys()


@pytest.mark.parametrize("name", ENGLISH)
def test_a_word_has_the_same_places_in_both_languages(name):
    assert places(ENGLISH[name]) == places(CHINESE[name])


@pytest.mark.parametrize("model", shipped_stage_models())
def test_every_stage_of_a_shipped_stage_model_has_a_word(model):
    for stage in load_stage_model(model, Path())[0].names:
        assert f"stage_{stage}" in CHINESE
