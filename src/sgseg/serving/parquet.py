"""A Parquet body to images and options, read in a process of its own.

Damaged Parquet can end the process that reads it (pyarrow 25 aborts when it is asked for the column
headers of some), and a few kB can stand for gigabytes. So another process reads, with a limit to
its memory; if it ends, the request is refused and the next one starts it anew.
"""

from __future__ import annotations

import contextlib
import os
import pickle  # nosec B403 # between this process and one that it starts
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Timer
from typing import IO, Any

from sgseg.errors import InputError, Problem
from sgseg.serving.request import IMAGE, MAX_IMAGES, Request, of_rows

# Beyond what the process needs for itself.
MEMORY_BYTES = 2_000_000_000
LONGEST_S = 30.0
# What comes out of a body, repeated images counted once.
MAX_BYTES = 500_000_000
MAX_COLUMNS = 100
_LENGTH = struct.Struct("<Q")
_BINARY = {"binary", "large_binary"}
Table = tuple[list[str], list[tuple[Any, ...]]]


class ParquetReader:
    """Reads one body after the other; its process is started by the first."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, body: bytes) -> Request:
        """Read a table with a binary column `image`, and columns of options.

        Raises
        ------
        InputError
            The body as a whole cannot be used.
        """
        with self._turn:
            answer = self._ask(body)
        if isinstance(answer, str):
            raise InputError(
                Problem("request", f"no Parquet that can be read ({answer})", "a table of images")
            )
        return of_rows(*answer)

    def _ask(self, body: bytes) -> Table | str:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = _start()
        assert process.stdin is not None
        assert process.stdout is not None
        too_long = Timer(LONGEST_S, process.kill)
        too_long.start()
        try:
            _send(process.stdin, body)
            content = _receive(process.stdout)
        except (OSError, EOFError):
            process.kill()
            with contextlib.suppress(OSError):
                process.communicate()  # closes the pipes, and waits
            return "damaged, or it becomes too large"
        finally:
            too_long.cancel()
        # Written by `read_bodies` below, of values that Arrow made: never what was sent.
        answer: Table | str = pickle.loads(content)  # nosec B301
        return answer


def _start() -> subprocess.Popen[bytes]:
    # As part of an MLflow model this module lies where only this process looks for it.
    places = os.pathsep.join(place for place in sys.path if place)
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": places},
    )


def _send(stream: IO[bytes], content: bytes) -> None:
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return content


# --- in the other process


def read_bodies(bodies: IO[bytes], answers: IO[bytes]) -> None:
    """Answer each body with its table, or with why it cannot be read, until there are no more."""
    _limit_memory()
    # The end of the bodies is the end of the server.
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            body = _receive(bodies)
            try:
                answer: Table | str = read_table(body)
            except MemoryError:
                answer = "too large"
            except Exception as error:  # noqa: BLE001 - pyarrow's errors have no common base
                answer = " ".join(str(error).split())[:160] or type(error).__name__
            _send(answers, pickle.dumps(answer))


def read_table(body: bytes) -> Table:
    """Names of the columns and rows of a table.

    Raises
    ------
    ValueError
        It holds something else than images and options.
    Exception
        Whatever pyarrow raises for what it cannot read. It may also end the process.
    """
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    options = {"thrift_string_size_limit": 1_000_000, "thrift_container_size_limit": 100_000}
    file = pq.ParquetFile(pa.BufferReader(body), **options)
    _refuse_unusable(file)
    if IMAGE in file.schema_arrow.names:
        # A repeated image is kept once.
        file = pq.ParquetFile(pa.BufferReader(body), read_dictionary=[IMAGE], **options)
    table = file.read(use_threads=False)
    cells = {str(name): _cells(table.column(name)) for name in table.column_names}
    sizes = {id(cell): len(cell) for cell in cells.get(IMAGE, ()) if cell is not None}
    if sum(sizes.values()) > MAX_BYTES:
        raise ValueError(f"images of {sum(sizes.values()):,} bytes")
    return list(cells), list(zip(*cells.values(), strict=True))


def _refuse_unusable(file: Any) -> None:
    n_rows, schema = file.metadata.num_rows, file.schema_arrow
    if not 1 <= n_rows <= MAX_IMAGES:
        raise ValueError(f"{n_rows} rows; expected 1 to {MAX_IMAGES}")
    if len(schema) > MAX_COLUMNS:
        raise ValueError(f"{len(schema)} columns")
    for field in schema:
        if field.type.num_fields:
            raise ValueError(f"column {field.name[:40]!r} is nested")
        if field.name == IMAGE and str(field.type) not in _BINARY:
            got = str(field.type)[:60]
            raise ValueError(f"column {IMAGE} is {got}; expected the bytes of image files, binary")


def _cells(column: Any) -> Sequence[Any]:
    """A column as Python values, in which a repeated value is one object."""
    import pyarrow as pa  # noqa: PLC0415

    cells: list[Any] = []
    for chunk in column.chunks:
        if isinstance(chunk, pa.DictionaryArray):
            values = chunk.dictionary.to_pylist()
            cells += [None if i is None else values[i] for i in chunk.indices.to_pylist()]
        else:
            cells += chunk.to_pylist()
    return cells


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # not on Windows
        return
    import pyarrow.parquet  # noqa: F401, PLC0415 - what it needs for itself comes first

    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        own = int(pages) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY_BYTES,) * 2)
    except (OSError, ValueError):  # no /proc: a system that does not keep this limit anyway
        return


if __name__ == "__main__":
    read_bodies(sys.stdin.buffer, sys.stdout.buffer)
