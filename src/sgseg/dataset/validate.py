"""Great Expectations over the manifest: stops the line, or goes on without what fails, and says so.

The only module that imports great_expectations, which takes seconds: within functions.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sgseg.config import Split, Validate
from sgseg.dataset.checks import (
    Check,
    dataset_checks,
    image_checks,
    with_derived,
)
from sgseg.dataset.data_docs import index_page, offline
from sgseg.dataset.findings import as_problem, findings_of
from sgseg.dataset.folders import replacing_folder
from sgseg.dataset.manifest import read_manifest
from sgseg.errors import InputError

logger = logging.getLogger(__name__)

Finding = dict[str, str]


def validate(dataset: str | Path, out: str | Path, *, settings: Validate, split: Split) -> None:
    """Check every image of a canonical data set, and all of them together.

    Parameters
    ----------
    dataset : folder that `ingest` wrote
    out : folder to write: `accepted.csv` (image_id of the usable images; missing if the line
        stops), `findings.json` (what is wrong with which file) and `data_docs/index.html`, the
        report for people
    settings, split : sections of params.yaml

    Raises
    ------
    InputError
        Images fail and `settings.on_failure` is "stop", or what is left is not enough to go on. All
        are named; the report is written all the same.
    """
    out = Path(out)
    manifest = with_derived(read_manifest(dataset))
    source = f"data/raw/{manifest['source'].iloc[0]}"
    quarantine = settings.on_failure == "quarantine"
    pages: dict[str, tuple[str, bool]] = {}
    with replacing_folder(out) as folder:
        checks = image_checks(settings)
        failed, pages["images"] = _run("images", manifest, checks, _IMAGES_TITLE)
        findings = [
            finding
            for position, row in enumerate(manifest.to_dict("records"))
            for finding in findings_of(_row(row), [checks[i] for i in failed[position]], source)
        ]
        refused = {position for position, items in failed.items() if items}
        accepted = manifest.drop(index=list(refused))
        shortage, pages["dataset"] = _check_together(accepted, split, source)
        stops = bool(shortage) or (bool(findings) and not quarantine)
        everything = [*findings, *shortage]
        report = {
            "on_failure": settings.on_failure,
            "findings": everything,
            "quarantined": [] if stops else list(manifest.loc[sorted(refused), "image_id"]),
        }
        _write(folder, report, pages, accepted, source, stops=stops, n_images=len(manifest))
    docs = out / "data_docs" / "index.html"
    if stops:
        raise _stop(everything, source, docs, quarantine=quarantine or not findings)
    for finding in findings:
        logger.warning("left out: %s", as_problem(finding))
    logger.info("%d of %d images are usable; report: %s", len(accepted), len(manifest), docs)


def _row(record: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in record.items()}


def _check_together(
    accepted: pd.DataFrame, split: Split, source: str
) -> tuple[list[Finding], tuple[str, bool]]:
    checks = dataset_checks(split)
    counts = {"images": len(accepted), "groups": accepted["group"].nunique()}
    failed, page = _run("dataset", accepted, checks, _DATASET_TITLE)
    found = []
    for index in failed[-1]:
        what, expected, remedy = checks[index].say(counts)
        named = {"image_id": "", "file": source, "check": checks[index].name}
        found.append({**named, "what": what, "expected": expected, "remedy": remedy})
    return found, page


def _stop(findings: Sequence[Finding], source: str, docs: Path, *, quarantine: bool) -> InputError:
    images = len({finding["file"] for finding in findings})
    title = (
        f"{len(findings)} problem{'s' if len(findings) > 1 else ''} in {images} "
        f"file{'s' if images > 1 else ''} of {source}; the line stops here (report: {docs})."
    )
    if not quarantine:
        title += (
            "\nMend or remove the files, or go on without them: "
            "validate.on_failure: quarantine in params.yaml."
        )
    return InputError(*map(as_problem, findings), title=title)


def _write(
    folder: Path,
    report: Mapping[str, Any],
    pages: Mapping[str, tuple[str, bool]],
    accepted: pd.DataFrame,
    source: str,
    *,
    stops: bool,
    n_images: int,
) -> None:
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (folder / "findings.json").write_text(text + "\n", encoding="utf-8")
    if not stops:
        accepted[["image_id"]].to_csv(folder / "accepted.csv", index=False, lineterminator="\n")
    docs = folder / "data_docs"
    docs.mkdir()
    for name, (page, _) in pages.items():
        (docs / f"{name}.html").write_text(offline(page), encoding="utf-8")
    summary = index_page(
        report,
        {f"{name}.html": success for name, (_, success) in pages.items()},
        source=source,
        n_images=n_images,
        n_accepted=len(accepted),
        stops=stops,
    )
    (docs / "index.html").write_text(summary, encoding="utf-8")


_IMAGES_TITLE = "Each image and its mask"
_DATASET_TITLE = "The usable images together"


def _run(
    name: str, frame: pd.DataFrame, checks: Sequence[Check], title: str
) -> tuple[dict[int, list[int]], tuple[str, bool]]:
    """Run checks as one suite.

    Returns
    -------
    failed : dict
        For each row of `frame` (by its column `row`) the checks that it fails, by position; under
        -1 those that the whole table fails.
    page, success : str, bool
        Great Expectations' own page of results, and whether all is well.
    """
    # Read by great_expectations when it is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx  # noqa: PLC0415
        from great_expectations.data_context.types import base  # noqa: PLC0415
        from great_expectations.render.renderer import ValidationResultsPageRenderer  # noqa: PLC0415
        from great_expectations.render.view import DefaultJinjaPageView  # noqa: PLC0415

        # All in memory: nothing is written but the pages.
        stores = base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
        context = gx.get_context(
            project_config=base.DataContextConfig(store_backend_defaults=stores)
        )
        context.variables.progress_bars = base.ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("manifest.csv").add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe("all rows")
        suite = gx.ExpectationSuite(
            title,
            expectations=[
                getattr(gx.expectations, check.expectation)(
                    **check.arguments, description=check.title, meta={"check": check.name}
                )
                for check in checks
            ],
        )
        definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
        context.suites.add(suite)
        context.validation_definitions.add(definition)
        outcome = definition.run(
            batch_parameters={"dataframe": frame},
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["row", "file"],
                "return_unexpected_index_query": False,
            },
        )
        document = ValidationResultsPageRenderer(run_info_at_end=True).render(outcome)
        page = DefaultJinjaPageView().render(document)
    positions = {check.name: index for index, check in enumerate(checks)}
    failed: dict[int, list[int]] = {row: [] for row in [*frame["row"], -1]}
    for result in outcome.results:
        index = positions[result.expectation_config.meta["check"]]
        if result.exception_info.get("raised_exception"):
            raise RuntimeError(f"{checks[index].name}: {result.exception_info}")
        rows = {int(item["row"]) for item in result.result.get("unexpected_index_list") or ()}
        for row in rows or ({-1} if not result.success else set()):
            failed[row].append(index)
    return {row: sorted(items) for row, items in failed.items()}, (page, bool(outcome.success))
