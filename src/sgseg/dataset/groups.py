"""Which images must stay together: those of one declared group, and copies of each other."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sgseg.config import Split

logger = logging.getLogger(__name__)
_SPELLED_OUT = 3


class Groups:
    """n items, joined pair by pair into groups (union-find)."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))
        self._size = [1] * n

    def root(self, item: int) -> int:
        """The smallest item of the group."""
        while self._parent[item] != item:
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, a: int, b: int) -> None:
        """Make the groups of two items one."""
        a, b = sorted((self.root(a), self.root(b)))
        if a != b:
            self._parent[b] = a
            self._size[a] += self._size[b]

    def size(self, item: int) -> int:
        """Number of items in the group."""
        return self._size[self.root(item)]


def name_groups(
    image_ids: Sequence[str], declared: Sequence[str], links: Iterable[tuple[int, int]]
) -> list[str]:
    """A name for the group of each image.

    Parameters
    ----------
    image_ids : n
    declared : n of declared groups, '' where none was declared: then the image is one of its own
    links : pairs of positions that belong together whatever was declared

    Returns
    -------
    list of n names: the declared group, several joined by '+', or the first image of the group
    """
    groups = Groups(len(image_ids))
    first_of: dict[str, int] = {}
    for position, name in enumerate(declared):
        if name:
            groups.join(position, first_of.setdefault(name, position))
    for a, b in links:
        groups.join(a, b)
    members: dict[int, list[int]] = defaultdict(list)
    for position in range(len(image_ids)):
        members[groups.root(position)].append(position)
    names: dict[int, str] = {}
    for root, positions in members.items():
        joined = list(dict.fromkeys(declared[item] for item in positions if declared[item]))
        names[root] = _name(joined) or _own_name(image_ids[root], first_of)
        if len(joined) > 1:
            logger.warning(
                "groups %s hold copies of the same image: they are one group", ", ".join(joined)
            )
    return [names[groups.root(position)] for position in range(len(image_ids))]


def _name(joined: list[str]) -> str:
    more = len(joined) - _SPELLED_OUT
    return "+".join(joined[:_SPELLED_OUT]) + (f"+{more} more" if more > 0 else "")


def _own_name(image_id: str, taken: Iterable[str]) -> str:
    return f"image {image_id}" if image_id in taken else image_id


def groups_needed(split: Split) -> int:
    """Groups without which folds, validation parts and a test set cannot be made.

    Each fold holds one group out and divides the rest into training and validation, so that two
    folds take four groups: with three, one fold would be left with a single group to do both.
    """
    folds = len(split.folds)
    return (4 if folds == 2 and split.validation_fraction > 0 else folds) + (
        split.test_fraction > 0
    )
