"""The template of a report: one HTML page without scripts, for screens, telephones and paper."""

from collections.abc import Iterable
from typing import Final

from training.markup import text

__all__ = ["page"]

_STYLE: Final = """
:root { color-scheme: light; --ink: #1c1c1c; --quiet: #5b5b5b; --line: #dcdcdc; --blue: #0072b2;
  --red: #a83c00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 72rem; background: #fff;
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", "Noto Sans", sans-serif; font-variant-numeric: tabular-nums; }
h1 { margin: 0 0 .5rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 2.25rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--line);
  font-size: 1.35rem; line-height: 1.3; }
h3 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
p, dl { max-width: 44rem; margin: 0 0 1rem; }
.asked { color: var(--quiet); }
.summary { font-size: 1.15rem; line-height: 1.6; }
.note { color: var(--quiet); font-size: .92rem; }
.warning { max-width: none; padding: .75rem 1rem; border-left: .3rem solid var(--red);
  background: #fdf3ec; color: #6f2700; font-weight: 600; overflow-wrap: anywhere; }
nav { margin: 1.5rem 0 0; font-size: .92rem; }
nav a { display: inline-block; margin: 0 1.1rem .3rem 0; color: var(--blue); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr));
  gap: 1rem 2rem; max-width: none; margin: 1.75rem 0 1.5rem; }
.tiles > div { padding-top: .6rem; border-top: .2rem solid var(--blue); }
.tiles dt { font-weight: 600; }
.tiles dd { margin: 0; color: var(--quiet); font-size: .92rem; line-height: 1.45; }
.tiles dd.value { margin: .1rem 0 .2rem; color: var(--ink); font-size: 2.1rem; line-height: 1.15;
  font-weight: 600; }
.day { white-space: nowrap; }
.wide { max-width: 100%; overflow-x: auto; }
.wide:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
table { margin: 0 0 1.75rem; border-collapse: collapse; font-size: .88rem; line-height: 1.4; }
caption { padding: 0 0 .5rem; text-align: left; color: var(--quiet); }
th, td { padding: .3rem .62rem; text-align: right; vertical-align: baseline; white-space: nowrap;
  font-weight: 400; }
th:first-child, td:first-child { padding-left: 0; }
.left, .group th { text-align: left; }
th[scope=row] { min-width: 9rem; white-space: normal; }
.group span { position: sticky; left: 0; }
thead th { border-bottom: 1px solid var(--ink); color: var(--quiet); vertical-align: bottom;
  white-space: normal; }
tbody tr { border-bottom: 1px solid #efefef; }
tbody tr:last-child { border-bottom-color: var(--line); }
.group th { padding-top: .9rem; font-weight: 600; }
.wrong strong { color: var(--red); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr));
  gap: 2rem 2.5rem; align-items: start; margin: 1rem 0; }
figure { margin: 0; min-width: 0; }
img { display: block; width: 100%; max-width: 40rem; height: auto; }
dt { font-weight: 600; }
dd { margin: 0 0 .6rem; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.6rem; }
  .summary { font-size: 1.05rem; }
  .tiles { gap: 1.1rem; }
  th, td { padding: .3rem .5rem; }
  th[scope=row], thead th:first-child { position: sticky; left: 0; background: #fff; }
  th[scope=row] { min-width: 6.5rem; box-shadow: inset 0 -1px #efefef; }
  thead th:first-child { box-shadow: inset 0 -1px var(--ink); }
  .group span, caption > span { position: sticky; left: 0; display: inline-block;
    max-width: calc(100vw - 2rem); white-space: normal; }
  figure { margin: 0 -1rem; }
}
@media print {
  @page { margin: 14mm; }
  body { padding: 0; max-width: none; font-size: 9.5pt; }
  h1 { font-size: 18pt; }
  h2 { margin-top: 1.5rem; font-size: 13pt; }
  h2, h3, caption, thead { break-after: avoid; }
  nav { display: none; }
  .wide { overflow: visible; }
  table { font-size: 7.2pt; }
  th, td { padding: .15rem .35rem; white-space: normal; }
  figure, tr, .tiles, .warning, dt { break-inside: avoid; }
  .pictures { display: block; }
  figure { margin-bottom: 1rem; }
  img { width: auto; max-width: 100%; max-height: 175mm; }
}
"""


def page(title: str, top: str, sections: Iterable[tuple[str, str, str]]) -> str:
    """Return the whole page.

    Parameters
    ----------
    top : markup of what stands under the title
    sections : of each part its anchor, its short name, and its markup
    """
    parts = list(sections)
    links = "".join(f'<a href="#{text(name)}">{text(called)}</a>\n' for name, called, _ in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{text(title)}</h1>\n{top}"
        f'<nav aria-label="Contents">\n{links}</nav>\n</header>\n'
        f"<main>\n{''.join(markup for _, _, markup in parts)}</main>\n</body>\n</html>\n"
    )
