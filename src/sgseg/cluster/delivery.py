"""A bundle to the workers: once to each that there is, and to each that comes.

The one module that imports Dask at its top, for a base class: import it where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from distributed import Client, Worker, WorkerPlugin

from sgseg.cluster.model import place_of
from sgseg.images.write import replacing
from sgseg.inference.bundle import NETWORKS, SPEC, digest

TRIES = 10


class Delivery(WorkerPlugin):  # type: ignore[misc]
    """Puts a bundle onto a worker.

    Parameters
    ----------
    folder
        The bundle on this machine.
    """

    def __init__(self, folder: Path) -> None:
        self.bundle = digest(folder)
        self._files = {name: (folder / name).read_bytes() for name in (SPEC, NETWORKS)}

    def setup(self, worker: Worker) -> None:
        """Called by Dask on the worker."""
        place = place_of(worker, self.bundle)
        for name, content in self._files.items():
            with replacing(place / name) as temporary:
                temporary.write_bytes(content)
        self._files = {}


@contextmanager
def delivered(client: Client, folder: Path) -> Iterator[str]:
    """A bundle on all workers for as long as the block lasts; its digest."""
    delivery = Delivery(folder)
    # Another run may have the same one.
    name = f"sgseg-{delivery.bundle[:8]}-{uuid4().hex[:8]}"
    for tried in range(1, TRIES + 1):
        try:
            client.register_plugin(delivery, name=name)
            break
        except OSError:
            # A worker has died just now; the one that takes its place gets the bundle as well.
            if tried == TRIES:
                raise
    try:
        yield delivery.bundle
    finally:
        if client.status == "running":
            with suppress(OSError):
                client.unregister_worker_plugin(name)
