from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from distributed import Client
from quantify.runs import content, plan, write_fields

from sgseg.cluster.fields import field_attempts
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.run import quantify_files
from sgseg.quantify.sources import of_bundle


@pytest.mark.parametrize("by", ["masks", "model"])
def test_the_bytes_of_one_process(
    by: str, client: Client, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    tasks = write_fields(tmp_path, ["c1", "c2", "h1", "h2", "h3"])
    tasks[3].path.write_bytes(b"II*\0")
    if by == "masks":
        bundle, made = None, plan(tmp_path, tasks)
    else:
        bundle = make_bundle(1.8, 2.2)
        source = of_bundle(Segmenter.load(bundle), bundle, with_deviation=True)
        made = plan(tmp_path, tasks, source=source)
    alone = quantify_files(tasks, tmp_path / "alone", made)
    with field_attempts(client, bundle) as attempts:
        spread = quantify_files(tasks, tmp_path / "spread", made, attempts=attempts)
    assert [problem.where for problem in alone] == [str(tasks[3].path)]
    assert spread == alone
    expected = content(tmp_path / "alone")
    assert {"report.html", "granules.parquet", ".fields/c1/record.json"} <= expected.keys()
    assert content(tmp_path / "spread") == expected
