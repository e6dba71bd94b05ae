"""Pages that need nothing from elsewhere, and say what people need to know."""

from __future__ import annotations

import pytest

from sgseg.dataset.data_docs import index_page, offline

FINDING = {
    "image_id": "a",
    "file": "data/raw/few/masks/a <1>.tif",
    "check": "foreground",
    "what": "granules cover 66.0% of the image",
    "expected": "at most 50.0%",
    "remedy": "Is it inverted?",
}
PAGES = {"images.html": False, "dataset.html": True}


def page(findings: list[dict[str, str]], *, stops: bool) -> str:
    report = {"on_failure": "stop", "findings": findings, "quarantined": []}
    return index_page(report, PAGES, source="data/raw/few", n_images=9, n_accepted=8, stops=stops)


@pytest.mark.parametrize(
    ("findings", "stops", "said"),
    [
        ([FINDING], True, "The line stops here."),
        ([FINDING], False, "Going on without 1 image<"),
        ([], False, "All is well."),
    ],
)
def test_verdict(findings: list[dict[str, str]], stops: bool, said: str) -> None:
    text = page(findings, stops=stops)
    assert said in text
    assert "8 of 9 images are usable" in text
    assert '<a href="images.html">' in text
    assert '<a href="dataset.html">' in text


def test_names_of_files_are_text_and_relative_to_the_data_set() -> None:
    text = page([FINDING], stops=True)
    assert "<td>masks/a &lt;1&gt;.tif</td>" in text
    assert "<td>granules cover 66.0% of the image</td><td>at most 50.0%</td>" in text


def test_what_a_page_loads_from_elsewhere_is_cut_out_and_its_content_kept() -> None:
    before = (
        "<html><head><link rel='x' href='https://a.b/c.css'><style>a { color: red;"
        " background: url('https://a.b/d.png') 0 0; }</style>"
        "<script src='https://a.b/e.js'></script></head>"
        "<body class='x'><nav>logo <a href='/'>home</a></nav><table><tr><td>kept "
        "<a href='../suite.html'>suite</a></td></tr></table>"
        "<script>call()</script><footer><a href='https://a.b'>news</a></footer></body></html>"
    )
    after = offline(before)
    assert "https:" not in after
    assert "<script" not in after
    assert "<td>kept suite</td>" in after
    assert "color: red" in after
    assert "news" not in after
    assert "<body class='x'><p><a href=\"index.html\">Summary</a></p>" in after
