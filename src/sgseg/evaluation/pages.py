"""Pages for readers: a template filled in as Markdown, and that Markdown as one HTML file."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import mistune

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:80rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;display:block;overflow-x:auto;font-variant-numeric:tabular-nums;
margin:1rem 0}th:empty{padding:0;border:0}
th,td{border-bottom:1px solid #ddd;padding:.3rem .6rem;text-align:right}
td{white-space:nowrap}
th:first-child,td:first-child{text-align:left}img{max-width:100%}code{background:#f3f3f3}
pre{background:#f3f3f3;padding:.6rem;overflow-x:auto}
"""


def render(template: str, context: Mapping[str, Any], *, package: str = "sgseg.evaluation") -> str:
    """A template of a package as Markdown; a name that the context lacks is an error.

    The filters `code` and `plain` keep names from becoming mark-up.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        undefined=jinja2.StrictUndefined,
        # It is Markdown: names go through the two filters.
        autoescape=False,  # nosec B701
        trim_blocks=False,
    )
    environment.filters |= {"code": as_code, "plain": as_plain}
    return environment.get_template(template).render(context)


def to_html(text: str, *, title: str, inline: Mapping[str, Path] | None = None) -> str:
    """Markdown as a page that needs no other file but its pictures.

    Parameters
    ----------
    inline
        PNG files by the name that the text calls them; these become part of the page.
    """
    page = str(mistune.create_markdown(plugins=["table"])(text))
    for name, path in (inline or {}).items():
        content = base64.b64encode(path.read_bytes()).decode("ascii")
        page = page.replace(f'src="{html.escape(name)}"', f'src="data:image/png;base64,{content}"')
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>{page}</html>\n"
    )


def as_code(text: str) -> str:
    """A name as Markdown code: shown letter by letter, whatever it holds."""
    text = " ".join(str(text).split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def as_plain(text: str) -> str:
    """A text in Markdown without any mark-up of its own."""
    return re.sub(r"([\\`*_\[\]<>#|~&])", r"\\\1", " ".join(str(text).split()))
