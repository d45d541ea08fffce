"""What to show users at each stage: rules of thumb."""

import html

from serving.crowd.playbook import RULE_OF_THUMB, Advice, load_playbook
from serving.crowd.playbook_text import PARTS
from serving.report.asked import Asked
from serving.report.markup import element
from serving.report.part import Part
from serving.views.stage_colours import stage_colours
from serving.views.words import Words

__all__ = ["playbook_part"]


def playbook_part(asked: Asked) -> Part:
    """Return the playbook's advice for each stage of the configured stage model."""
    words, names = asked.words, asked.stage_names()
    book = load_playbook(asked.playbook, asked.dataset.folder)
    model = asked.dataset.stage_model()[0].name
    colours = stage_colours(tuple(names))
    advice = {stage: book.of(model, stage) for stage in names}
    cards = [_card(words, names[stage], one, colours[stage]) for stage, one in advice.items()]
    data = {stage: one and one.as_data() for stage, one in advice.items()}
    body = f'<div class="cards">{"".join(cards)}</div>'
    return Part("page_playbook", body, RULE_OF_THUMB[words.language], data)


def _card(words: Words, title: str, advice: Advice | None, colour: str) -> str:
    if advice is None:
        told = element("p", words("no_advice"))
    else:
        parts = advice.told(words.language)
        rows = (element("dt", words(f"part_{name}")) + element("dd", parts[name]) for name in PARTS)
        told = f"<dl>{''.join(rows)}</dl>"
    return (
        f'<div class="card" style="border-top-color: {colour}">'
        f"<h3>{html.escape(title)}</h3>{told}</div>"
    )
