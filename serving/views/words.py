"""The words of the pages, by language: data in modules beside this one, looked up by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from features.stage_rules import NO_STAGE, StageModel
from serving.crowd.playbook import Language
from serving.views import words_en, words_en_subjects, words_zh, words_zh_subjects

__all__ = ["LANGUAGES", "Words", "words_in"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)

_ALL: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {**words_en.WORDS, **words_en_subjects.WORDS},
    "zh": {**words_zh.WORDS, **words_zh_subjects.WORDS},
}


@dataclass(frozen=True)
class Words:
    """The words of a language."""

    language: Language

    def __call__(self, name: str, /, **values: Any) -> str:
        """Return a text, with values in its places."""
        return _ALL[self.language][name].format(**values)

    def stage(self, name: str, title: str | None = None) -> str:
        """Return what people call a stage: its word, else its title, else its name."""
        return _ALL[self.language].get(f"stage_{name}", title or name)

    def stages(self, model: StageModel) -> dict[str, str]:
        """Return what people call each stage of a stage model, `none` first."""
        titles = {stage.name: stage.title for stage in model.stages}
        return {name: self.stage(name, titles.get(name)) for name in (NO_STAGE, *titles)}


def words_in(language: Language) -> Words:
    """Return the words of a language.

    Examples
    --------
    >>> words_in("en")("days", x=30), words_in("zh").stage("interest")
    ('30 days', '兴趣')
    """
    return Words(language)
