"""Asking a served model: images to a server, masks back.

    from sgseg.client import predict

    for result in predict("http://127.0.0.1:5001", ["a.tif", "b.tif"]):
        print(result.n_granules, result.labels.shape)

`RemoteSegmenter` stands in for a local `Segmenter` where files are segmented.
"""

from sgseg.client.images import predict
from sgseg.client.remote import RemoteSegmenter
from sgseg.client.result import Result

__all__ = ["RemoteSegmenter", "Result", "predict"]
