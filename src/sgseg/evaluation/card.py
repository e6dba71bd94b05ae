"""The model card: what a model is, was trained on and is good for, and where it fails.

In the form of Mitchell et al. 2019, doi:10.1145/3287560.3287596. Every number is read from the
files of the bundle, the evaluation and the data set.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sgseg.evaluation.card_facts import UNKNOWN, card_facts
from sgseg.evaluation.card_files import read_files
from sgseg.evaluation.pages import render, to_html
from sgseg.images.write import replacing

SHORT_LENGTH = 1500


def write_card(
    folder: Path,
    *,
    model: Path,
    evaluation: Path,
    dataset: Path,
    name: str = "sgseg",
    stain: str = UNKNOWN,
    data_licence: str = UNKNOWN,
) -> Path:
    """Write card.md, with its pictures beside it, and card.html, which holds them.

    Parameters
    ----------
    folder
        Where to, `evaluation` for example; made if it is missing.
    model
        The bundle.
    evaluation
        What `evaluate` wrote about it: metrics.json, images.csv and, where they are, timing.json,
        run.json and galleries.
    dataset
        The canonical data set it was trained on.
    name
        Of the registered model.
    stain, data_licence
        What no file of a data set says.

    Returns
    -------
    card.html.

    Raises
    ------
    InputError
        A file is missing or unreadable.
    """
    facts = card_facts(read_files(model, evaluation, dataset))
    context = facts | {
        "model_name": name,
        "stain": stain,
        "data_licence": data_licence,
    }
    folder.mkdir(parents=True, exist_ok=True)
    pictures = list(facts["pictures"].values())
    if folder.resolve() != evaluation.resolve():
        for picture in pictures:
            with replacing(folder / picture) as temporary:
                shutil.copyfile(evaluation / picture, temporary)
    text = render("card.md.jinja", context)
    page = to_html(
        text,
        title=f"Model card: {facts['source']}",
        inline={picture: evaluation / picture for picture in pictures},
    )
    for path, content in ((folder / "card.md", text), (folder / "card.html", page)):
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return folder / "card.html"


def summary_text(*, model: Path, evaluation: Path, dataset: Path) -> str:
    """The card in at most 1500 characters of Markdown: the description of a registered version.

    Raises
    ------
    InputError
        A file is missing or unreadable.
    """
    text = render("card_short.md.jinja", card_facts(read_files(model, evaluation, dataset)))
    return text if len(text) <= SHORT_LENGTH else f"{text[: SHORT_LENGTH - 2]} …"
