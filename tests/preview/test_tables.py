"""DVC's tables, made shorter."""

from __future__ import annotations

import pytest

from sgseg.preview.tables import compact, folded, headline, names, of_one_run, rows

BEFORE, AFTER = "0" * 40, "f" * 40
DIFF = f"""\
| Path | Metric                     | {BEFORE} | {AFTER} | Change |
|------|----------------------------|----------|---------|--------|
| m.json | folds.0.object_f1        | 0.5      | 0.6     | 0.1    |
| m.json | out_of_fold.object_f1.low | 0.4     | 0.5     | 0.1    |
| m.json | test.object_f1.value     | 0.7      | 0.6     | -0.1   |
"""


def test_rows_are_told_from_the_head() -> None:
    assert names(DIFF) == ["folds.0.object_f1", "out_of_fold.object_f1.low", "test.object_f1.value"]
    assert rows("") == []


def test_a_table_loses_blanks_commits_and_the_one_file() -> None:
    assert compact(DIFF).splitlines() == [
        "| Metric | before | after | Change |",
        "| --- | --- | --- | --- |",
        "| folds.0.object_f1 | 0.5 | 0.6 | 0.1 |",
        "| out_of_fold.object_f1.low | 0.4 | 0.5 | 0.1 |",
        "| test.object_f1.value | 0.7 | 0.6 | -0.1 |",
    ]


def test_files_are_named_where_there_are_several() -> None:
    two = DIFF + "| n.json | loss | 1 | 2 | 1 |\n"
    assert compact(two).splitlines()[0] == "| Path | Metric | before | after | Change |"
    assert compact(two).splitlines()[-1] == "| n.json | loss | 1 | 2 | 1 |"


def test_the_scores_of_one_commit_are_those_of_now() -> None:
    one = f"| Path | Metric | {BEFORE} |\n|--|--|--|\n| m.json | a | 1 |\n"
    assert compact(one).splitlines()[0] == "| Metric | now |"


def test_scores_of_one_run_are_a_table_too() -> None:
    shown = '{"": {"data": {"m.json": {"data": {"test": {"f1": {"value": 0.5}}, "n": 3}}}}}'
    assert compact(of_one_run(shown)).splitlines() == [
        "| Metric | now |",
        "| --- | --- |",
        "| n | 3 |",
        "| test.f1.value | 0.5 |",
    ]


def test_of_all_scores_some_come_first() -> None:
    assert headline(DIFF).splitlines()[2:] == ["| test.object_f1.value | 0.7 | 0.6 | -0.1 |"]
    assert headline(DIFF.replace("test.", "train.")) == ""


@pytest.mark.parametrize("nothing", ["", "\n", "| Path | Metric |\n|---|---|\n"])
def test_an_empty_table_is_nothing(nothing: str) -> None:
    assert compact(nothing) == headline(nothing) == ""


def test_long_text_is_cut_at_a_line_and_says_so() -> None:
    text = "first line\nsecond line\nthird line"
    short = folded("Title", text, most=25)
    # 10 + 1 + 11 characters are two lines; 25 would end within the third.
    assert "second line" in short
    assert "third" not in short
    assert "Cut here" in short
    assert "Cut here" not in folded("Title", text, most=33)
