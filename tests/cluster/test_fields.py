from __future__ import annotations

from pathlib import Path

from distributed import Client
from quantify.runs import content, plan, write_fields

from sgseg.cluster.fields import field_attempts
from sgseg.quantify.run import quantify_files


def test_the_bytes_of_one_process(client: Client, tmp_path: Path) -> None:
    """Of given masks; see `test_plates` for those of a model."""
    tasks = write_fields(tmp_path, ["c1", "c2", "h1", "h2", "h3"])
    tasks[3].path.write_bytes(b"II*\0")
    made = plan(tmp_path, tasks)
    alone = quantify_files(tasks, tmp_path / "alone", made)
    with field_attempts(client, None) as attempts:
        spread = quantify_files(tasks, tmp_path / "spread", made, attempts=attempts)
    assert [problem.where for problem in alone] == [str(tasks[3].path)]
    assert spread == alone
    expected = content(tmp_path / "alone")
    assert {"report.html", "granules.parquet", ".fields/c1/record.json"} <= expected.keys()
    assert content(tmp_path / "spread") == expected
