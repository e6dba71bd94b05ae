"""How two versions of a data set differ, image by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sgseg.dataset.samples import FACTORS, PIXEL_SIZE
from sgseg.dataset.versions import Listing, RawImage

Change = tuple[Any, Any]


@dataclass(frozen=True)
class DataDifference:
    """What differs between an old and a new version of a data set; true if anything does.

    Images are given by their name (`image_id`), sorted. One of other pixels and another mask is in
    `changed` and in `relabelled`; one of another name counts under its new one.

    Parameters
    ----------
    new, removed : images that only one of them has
    relabelled : the mask is another file
    changed : the image is another file
    renamed : (old, new) of images whose file is the same under another name
    described : by image, what is said otherwise of its group, condition, replicate or
        pixel_size_um: (before, after), '' for unknown
    settings : what dataset.yaml says otherwise: (before, after)
    other : files of the data set that are no image and no mask, new, removed or changed
    """

    new: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    relabelled: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    described: Mapping[str, Mapping[str, Change]] = field(default_factory=dict)
    settings: Mapping[str, Change] = field(default_factory=dict)
    other: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def to_dict(self) -> dict[str, Any]:
        """The same as lists and mappings, for JSON."""
        return {
            "new": list(self.new),
            "removed": list(self.removed),
            "relabelled": list(self.relabelled),
            "changed": list(self.changed),
            "renamed": [list(pair) for pair in self.renamed],
            "described": {
                name: {key: list(change) for key, change in changes.items()}
                for name, changes in self.described.items()
            },
            "settings": {key: list(change) for key, change in self.settings.items()},
            "other": list(self.other),
        }


def compare_versions(old: Listing | None, new: Listing) -> DataDifference:
    """What differs between two versions of a data set.

    Parameters
    ----------
    old : None where there was none: all images are new
    new : of the same data set
    """
    if old is None:
        return DataDifference(new=tuple(new.images), other=tuple(new.other))
    before, after = old.images, new.images
    renamed = _renamed(before, after)
    came_from = {name: name for name in after if name in before}
    came_from |= {now: then for then, now in renamed}
    gone = set(before) - set(came_from.values())
    pairs = {name: (before[came_from[name]], after[name]) for name in sorted(came_from)}
    described = {name: _said(*pair) for name, pair in pairs.items()}
    return DataDifference(
        new=tuple(sorted(set(after) - set(came_from))),
        removed=tuple(sorted(gone)),
        relabelled=tuple(name for name, (a, b) in pairs.items() if a.mask_md5 != b.mask_md5),
        changed=tuple(name for name, (a, b) in pairs.items() if a.image_md5 != b.image_md5),
        renamed=tuple(renamed),
        described={name: changes for name, changes in described.items() if changes},
        settings=_changes(old.settings.model_dump(), new.settings.model_dump()),
        other=tuple(_changes(old.other, new.other)),
    )


def _renamed(
    before: Mapping[str, RawImage], after: Mapping[str, RawImage]
) -> list[tuple[str, str]]:
    """Same image file, other name; of several of the same content the first goes with the first."""
    gone: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(before) - set(after), reverse=True):
        gone[before[name].image_md5].append(name)
    renamed = []
    for name in sorted(set(after) - set(before)):
        if names := gone[after[name].image_md5]:
            renamed.append((names.pop(), name))
    return sorted(renamed)


def _said(old: RawImage, new: RawImage) -> dict[str, Change]:
    wanted = (*FACTORS, PIXEL_SIZE)
    pairs = {key: (old.sample.get(key, ""), new.sample.get(key, "")) for key in wanted}
    return {key: (before, after) for key, (before, after) in pairs.items() if before != after}


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    keys = sorted({*old, *new})
    return {key: (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}
