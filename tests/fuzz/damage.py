"""Ways to damage a file: blind ones, and ones that know what headers look like."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

# Values at which readers go wrong: none, one, the ends of signed and unsigned ranges.
NUMBERS = (0, 1, 2, 3, 8, 255, 256, 65_535, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def damaged(seed: bytes, rng: random.Random, *, words: Sequence[bytes] = ()) -> bytes:
    """A file with one to five things wrong with it.

    Parameters
    ----------
    seed
        A file that can be read.
    words
        What may stand in files of this kind: keys, tags, values that are known to be trouble.
    """
    content = bytearray(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        way = rng.choice(WAYS if words else WAYS[:-2])
        way(content, rng, words)
    return bytes(content[:1_000_000])


def _change(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    for _ in range(rng.randint(1, 6) if content else 0):
        content[rng.randrange(len(content))] = rng.randrange(256)


def _flip(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    if content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _cut(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    del content[rng.randrange(len(content) + 1) :]


def _remove(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(content) + 1)
    del content[start : start + rng.randint(1, 40)]


def _repeat(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(content) + 1)
    part = content[start : start + rng.randint(1, 40)]
    content[start:start] = part * rng.choice((1, 2, 50))


def _forge(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """A number of 1, 2, 4 or 8 bytes, in the header more often than elsewhere."""
    width = rng.choice((1, 2, 2, 4, 4, 4, 8))
    end = min(len(content), rng.choice((64, 512, len(content) or 1)))
    value = rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randrange(2**32)
    packed = struct.pack(rng.choice("<>") + WIDTHS[width], value % 2 ** (8 * width))
    start = rng.randrange(end + 1)
    content[start : start + width] = packed


def _forge_tag(content: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    """Tag, type, count or value of an entry of a TIFF's directory."""
    if len(content) < 8 or content[:2] not in (b"II", b"MM"):
        _forge(content, rng, ())
        return
    order = "<" if content[:2] == b"II" else ">"
    (offset,) = struct.unpack_from(order + "I", content, 4)
    if offset + 2 > len(content):
        return
    (count,) = struct.unpack_from(order + "H", content, offset)
    entry = offset + 2 + 12 * rng.randrange(max(min(count, 60), 1))
    if entry + 12 > len(content):
        return
    what = rng.randrange(4)
    number = rng.choice(NUMBERS)
    if what == 0:
        struct.pack_into(order + "H", content, entry, rng.choice(TAGS))
    elif what == 1:
        struct.pack_into(order + "H", content, entry + 2, rng.randrange(0, 20))
    elif what == 2:
        struct.pack_into(order + "I", content, entry + 4, number)
    else:
        struct.pack_into(order + "I", content, entry + 8, number)


def _insert_word(content: bytearray, rng: random.Random, words: Sequence[bytes]) -> None:
    start = rng.randrange(len(content) + 1)
    content[start:start] = rng.choice(words)


def _swap_word(content: bytearray, rng: random.Random, words: Sequence[bytes]) -> None:
    """Put a word in the place of what lies between two separators."""
    marks = [i for i, byte in enumerate(content[:20_000]) if byte in b" \n:,\"'<>=;[]{}\t"]
    if len(marks) < 2:
        _insert_word(content, rng, words)
        return
    first = rng.randrange(len(marks) - 1)
    content[marks[first] + 1 : marks[first + 1]] = rng.choice(words)


# Those of images, of ImageJ, OME, LSM, STK, Micro-Manager, NIH and other makers.
TAGS = (
    *(254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 283, 284, 296, 305),
    *(317, 320, 322, 323, 324, 325, 330, 338, 339, 347, 530, 33550, 33628, 33629, 33630, 33560),
    *(34361, 34362, 34412, 34680, 34682, 43314, 50838, 50839, 51123, 65000, 65420, 42112, 33445),
)
WAYS = (
    *(_change, _flip, _cut, _remove, _repeat, _forge, _forge, _forge_tag, _forge_tag),
    *(_insert_word, _swap_word),
)
