"""Cards of the playbook: what to show users at a stage, in HTML, all texts escaped."""

import html

from serving.crowd.playbook import Advice
from serving.views.words import Words

__all__ = ["advice_card"]


def advice_card(words: Words, title: str, advice: Advice | None, colour: str) -> str:
    """Return a stage's advice part by part; without any, that the playbook is silent."""
    if advice is None:
        told = f"<p>{html.escape(words('no_advice'))}</p>"
    else:
        rows = (
            f"<dt>{html.escape(words(f'part_{name}'))}</dt><dd>{html.escape(text)}</dd>"
            for name, text in advice.told(words.language).items()
        )
        told = f"<dl>{''.join(rows)}</dl>"
    return (
        f'<div class="card" style="border-top-color: {colour}">'
        f"<h3>{html.escape(title)}</h3>{told}</div>"
    )
