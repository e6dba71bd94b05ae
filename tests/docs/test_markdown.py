"""What is found in a page, and where."""

from __future__ import annotations

import pytest

from .markdown import Block, Span, blocks, indented_blocks, spans

PAGE = """\
# A page

Say `make run`, or ``a `tick` ``, or `dvc
repro`.

```sh
sgseg summary   # `not inline`
```

1. In a list:

   ```python
   print(1)
   ```
"""


def test_blocks_have_their_language_and_the_line_of_their_first_line() -> None:
    assert blocks("p.md", PAGE) == [
        Block("p.md", 7, "sh", "sgseg summary   # `not inline`\n"),
        Block("p.md", 13, "python", "print(1)\n"),
    ]


def test_a_fence_that_is_never_closed_is_named() -> None:
    with pytest.raises(ValueError, match=r"p\.md:1"):
        blocks("p.md", "```sh\nmake run\n")


def test_inline_code_may_be_broken_over_two_lines() -> None:
    assert spans("p.md", PAGE) == [
        Span("p.md", 3, "make run"),
        Span("p.md", 3, "a `tick`"),
        Span("p.md", 3, "dvc repro"),
    ]


def test_code_by_indentation_is_found_and_a_list_is_none() -> None:
    assert indented_blocks(PAGE) == []
    assert indented_blocks("Type\n\n    make run\n    make test\n") == ["make run"]
