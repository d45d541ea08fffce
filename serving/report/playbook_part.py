"""What to show users at each stage: rules of thumb."""

from serving.crowd.playbook import RULE_OF_THUMB, load_playbook
from serving.report.asked import Asked
from serving.report.part import Part
from serving.views.advice_card import advice_card
from serving.views.stage_colours import stage_colours

__all__ = ["playbook_part"]


def playbook_part(asked: Asked) -> Part:
    """Return the playbook's advice for each stage of the configured stage model."""
    words, names = asked.words, asked.stage_names()
    book = load_playbook(asked.playbook, asked.dataset.folder)
    model = asked.dataset.stage_model()[0].name
    colours = stage_colours(tuple(names))
    advice = {stage: book.of(model, stage) for stage in names}
    cards = [advice_card(words, names[stage], one, colours[stage]) for stage, one in advice.items()]
    data = {stage: one and one.as_data() for stage, one in advice.items()}
    body = f'<div class="cards">{"".join(cards)}</div>'
    return Part("page_playbook", body, RULE_OF_THUMB[words.language], data)
