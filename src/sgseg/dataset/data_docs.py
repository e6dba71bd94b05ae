"""The report of `validate` for people: its first page, and Great Expectations' pages, offline.

Text in, HTML out; nothing is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

_TITLES = {"images.html": "Each image and its mask", "dataset.html": "The usable images together"}

# What their pages load from elsewhere: scripts, style sheets, fonts, logos with a time stamp.
_ELSEWHERE = (
    re.compile(r"<script\b.*?</script>", re.DOTALL),
    re.compile(r"<link\b[^>]*>", re.DOTALL),
    re.compile(r"<nav\b.*?</nav>\s*(</div>\s*</nav>)?", re.DOTALL),
    re.compile(r"<footer\b.*?</footer>", re.DOTALL),
    re.compile(r"<img\b[^>]*\bsrc=\"https?:[^>]*>", re.DOTALL),
    re.compile(r"[^;{}]*url\('https?:[^;{}]*;"),
    # Links to pages of a larger site.
    re.compile(r"</?a\b[^>]*>", re.DOTALL),
)

# The few rules of the style sheet those pages expect, and a look of their own for small screens.
_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { border: 1px solid #8885; padding: .35rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } td:first-child { min-width: 6rem; }
.good { color: #18794e; } .bad, .text-danger { color: #cd2b31; } .text-success { color: #18794e; }
.fa-times::before { content: "\\2717"; } .fa-check-circle::before { content: "\\2713"; }
.fa-exclamation-triangle::before { content: "!"; }
.fas { font-style: normal; font-weight: bold; }
.alert { border-left: 4px solid #8888; padding: .3rem .8rem; margin: 1rem 0 .5rem; }
.badge { background: #8883; border-radius: .3rem; padding: 0 .35rem; font-size: .9em; }
.col-lg-2.col-md-2, .cooltip .top, .ge-walkthrough-modal, .carousel, .modal { display: none; }
"""


def offline(page: str) -> str:
    """A page of Great Expectations that needs nothing from elsewhere and runs no script."""
    for pattern in _ELSEWHERE:
        page = pattern.sub("", page)
    back = '<p><a href="index.html">Summary</a></p>'
    page = page.replace("</head>", f"<style>{_STYLE}</style></head>", 1)
    return re.sub(r"(<body[^>]*>)", rf"\1{back}", page, count=1)


def index_page(
    report: Mapping[str, Any],
    pages: Mapping[str, bool],
    *,
    source: str,
    n_images: int,
    n_accepted: int,
    stops: bool,
) -> str:
    """The first page: whether the line goes on, what is wrong with which file, what to do."""
    findings = report["findings"]
    if stops:
        verdict = '<p class="bad"><b>The line stops here.</b> Mend or remove the files below.</p>'
    elif findings:
        left_out = n_images - n_accepted
        verdict = (
            f'<p class="bad"><b>Going on without {left_out} image{"s" * (left_out > 1)}</b> '
            "(validate.on_failure: quarantine).</p>"
        )
    else:
        verdict = '<p class="good"><b>All is well.</b></p>'
    links = "".join(
        f'<li><a href="{name}">{_TITLES[name]}</a>: '
        f"{'all expectations met' if success else '<b class=bad>expectations not met</b>'}</li>"
        for name, success in pages.items()
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Data check: {escape(source)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>Data check of {escape(source)}</h1>{verdict}"
        f"<p>{n_accepted} of {n_images} images are usable.</p>{_table(findings, source)}"
        f"<h2>All expectations, by Great Expectations</h2><ul>{links}</ul></body></html>\n"
    )


def _table(findings: list[dict[str, str]], source: str) -> str:
    if not findings:
        return ""
    titles = ("File", "What is wrong", "Expected", "What to do")
    head = "".join(f"<th>{title}</th>" for title in titles)
    rows = "".join(
        "<tr>"
        f"<td>{escape(finding['file'].removeprefix(f'{source}/'))}</td>"
        + "".join(f"<td>{escape(finding[key])}</td>" for key in ("what", "expected", "remedy"))
        + "</tr>"
        for finding in findings
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
