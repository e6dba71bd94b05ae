"""The methods of a run in words, with versions, parameters and references, for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2

from sgseg.quantify.effect import MIN_REPLICATES
from sgseg.quantify.statistics import Statistics

REFERENCES = {
    "unet": "Ronneberger O, Fischer P, Brox T (2015) U-Net: convolutional networks for biomedical"
    " image segmentation. MICCAI 2015, 234-241. doi:10.1007/978-3-319-24574-4_28",
    "watershed": "Meyer F (1994) Topographic distance and watershed lines. Signal Processing 38,"
    " 113-125. doi:10.1016/0165-1684(94)90060-4",
    "otsu": "Otsu N (1979) A threshold selection method from gray-level histograms. IEEE Trans Syst"
    " Man Cybern 9, 62-66. doi:10.1109/TSMC.1979.4310076",
    "crofton": "Legland D, Kieu K, Devaux M-F (2007) Computation of Minkowski measures on 2D and 3D"
    " binary images. Image Anal Stereol 26, 83-92. doi:10.5566/ias.v26.p83-92",
    "manders": "Manders EMM, Verbeek FJ, Aten JA (1993) Measurement of co-localization of objects"
    " in dual-colour confocal images. J Microsc 169, 375-382."
    " doi:10.1111/j.1365-2818.1993.tb03313.x",
    "costes": "Costes SV et al (2004) Automatic and quantitative measurement of protein-protein"
    " colocalization in live cells. Biophys J 86, 3993-4003. doi:10.1529/biophysj.103.038422",
    "lord": "Lord SJ, Velle KB, Mullins RD, Fritz-Laylin LK (2020) SuperPlots: communicating"
    " reproducibility and variability in cell biology. J Cell Biol 219, e202001064."
    " doi:10.1083/jcb.202001064",
    "welch": "Welch BL (1947) The generalization of 'Student's' problem when several different"
    " population variances are involved. Biometrika 34, 28-35. doi:10.1093/biomet/34.1-2.28",
    "holm": "Holm S (1979) A simple sequentially rejective multiple test procedure. Scand J Stat 6,"
    " 65-70.",
    "hedges": "Hedges LV (1981) Distribution theory for Glass's estimator of effect size and"
    " related estimators. J Educ Stat 6, 107-128. doi:10.3102/10769986006002107",
    "cumming": "Cumming G, Finch S (2001) A primer on the understanding, use, and calculation of"
    " confidence intervals that are based on central and noncentral distributions. Educ Psychol"
    " Meas 61, 532-574. doi:10.1177/0013164401614002",
    "numpy": "Harris CR et al (2020) Array programming with NumPy. Nature 585, 357-362."
    " doi:10.1038/s41586-020-2649-2",
    "scipy": "Virtanen P et al (2020) SciPy 1.0: fundamental algorithms for scientific computing in"
    " Python. Nat Methods 17, 261-272. doi:10.1038/s41592-019-0686-2",
    "scikit-image": "van der Walt S et al (2014) scikit-image: image processing in Python. PeerJ 2,"
    " e453. doi:10.7717/peerj.453",
}


@dataclass(frozen=True)
class Methods:
    """Paragraphs in which [n] points to entry n of the references, counted from 1."""

    paragraphs: list[str]
    references: list[str]

    def __str__(self) -> str:
        """As a text to paste."""
        listed = [f"{number}. {text}" for number, text in enumerate(self.references, 1)]
        return "\n\n".join([*self.paragraphs, "\n".join(["References", *listed])]) + "\n"


def methods_of(
    statistics: Statistics,
    *,
    parameters: Mapping[str, Mapping[str, Any]],
    model: Mapping[str, Any],
    versions: Mapping[str, str],
) -> Methods:
    """Say what was done.

    Parameters
    ----------
    parameters
        Sections by name, each an options dataclass as a mapping: `split`, `granules`, `nuclei`,
        `cells`, `per_cell`, `colocalisation`. A section that was not in use is left out, and with
        it its sentences; others are listed at the end.
    model
        {} where masks were given; of its keys `version`, `bundle` (MD5), `members` (how many),
        `threshold` and `min_area_px` are named.
    versions
        Of sgseg and of the packages that shape the numbers, by name.
    """
    cited: list[str] = []

    def cite(name: str) -> str:
        if name not in REFERENCES:
            return ""
        if name not in cited:
            cited.append(name)
        return f" [{cited.index(name) + 1}]"

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sgseg.quantify"),
        # It is plain text.
        autoescape=False,  # nosec B701
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("methods.txt.jinja").render(
        parameters=parameters,
        model=model,
        versions=versions,
        cite=cite,
        percent=lambda share: f"{100 * share:g} %",
        in_um=any(found.name.endswith(("_um", "_um2")) for found in statistics.measures),
        colocalised=any(found.stem.startswith("pearson") for found in statistics.measures),
        listed="; ".join(_listed(parameters)),
        **_of_statistics(statistics),
    )
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    paragraphs = [_joined(part) for part in parts if part]
    return Methods(paragraphs, [REFERENCES[name] for name in cited])


def _of_statistics(statistics: Statistics) -> dict[str, Any]:
    counts = statistics.replicates.groupby("condition", sort=False)["replicate"].size()
    n = [int(count) for count in counts]
    many = ", ".join(
        f"{count} of {name or 'the only condition'}"
        for name, count in zip(counts.index, n, strict=True)
    )
    tests = int(statistics.comparisons["p"].notna().sum())
    unit = "cells" if len(statistics.tables.cells) else "fields"
    return {
        "means": f"values of {unit}"
        + (" and granules" if len(statistics.tables.granules) else "")
        + " were averaged within each replicate, and replicates within each condition.",
        "replicates": many,
        "compared": len(statistics.comparisons) > 0,
        "reference": repr(statistics.design.reference),
        "tests": tests,
        "paired": statistics.design.is_paired,
        "family": {
            "run": f"all {tests} tests of the run",
            "measure": "the comparisons of each measure",
        }[statistics.options.family],
        "minimum": {2: "two", 3: "three"}.get(MIN_REPLICATES, MIN_REPLICATES),
        "confidence": statistics.options.confidence,
    }


def _listed(parameters: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for section, values in parameters.items():
        named = ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)
        if named:
            yield f"{section}: {named}"


def _joined(text: str) -> str:
    """Without the spaces that lines of the template leave before a mark."""
    for mark in (".", ",", ";", ":"):
        text = text.replace(f" {mark} ", f"{mark} ")
    return text.removesuffix(" .") + ("." if text.endswith(" .") else "")
