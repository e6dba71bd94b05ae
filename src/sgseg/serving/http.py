"""Requests as MLflow's scoring server passes them on: body and content type in, answer out.

MLflow's own way from body to model hands back stack traces and the request itself where a body is
no table, and reads Parquet of any size. `install` puts `respond` in its place.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from time import monotonic
from typing import Any

from sgseg.errors import InputError
from sgseg.serving.answer import in_a_request
from sgseg.serving.parquet import ParquetReader
from sgseg.serving.request import Request, of_json
from sgseg.serving.service import Service
from sgseg.serving.turn import BusyError, Deadline, Turn

log = logging.getLogger(__name__)
SCORING_SERVER = "mlflow.pyfunc.scoring_server"
# Set by `mlflow models serve` for the process that serves.
SERVED_MODEL = "__pyfunc_model_path__"
_DECORATOR = "_async_catch_mlflow_exception"
_arrival: ContextVar[float | None] = ContextVar("arrival", default=None)
_TAKES = ["data", "content_type", "model", "input_schema"]
# Of the server's time-out; the rest is for what comes before and after the network.
SHARE_OF_TIME = 0.9
# Requests that are worked on or wait, with all that they hold in memory.
MAX_REQUESTS = 32
# Threads for them, and some that tell the others so at once.
THREADS = MAX_REQUESTS + 8

READERS: dict[str, Callable[[bytes], Request]] = {
    "application/json": of_json,
    "application/vnd.apache.parquet": ParquetReader(),
}
_requests = Turn(MAX_REQUESTS)
# One body of a kind at a time: what comes of it is several times as large for a while.
_readers = {media: Turn() for media in READERS}
CODES = {
    400: "BAD_REQUEST",
    413: "REQUEST_LIMIT_EXCEEDED",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL_ERROR",
}


def respond(
    service: Service, body: bytes, content_type: str | None, *, deadline: Deadline | None = None
) -> tuple[int, str]:
    """HTTP status and JSON text for the body of a request.

    Whoever sends something that cannot be used gets a 4xx and a sentence. 500 is left for defects
    of sgseg.
    """
    media = _media_type(content_type)
    try:
        if media not in READERS:
            known = " or ".join(READERS)
            return _error(415, f"Content-Type {content_type or ''!r:.80}; expected {known}")
        with _requests.within(Deadline.after(0)):
            with _readers[media].within(deadline):
                request = READERS[media](body)
            answers = service.answers(request, deadline=deadline)
            return 200, json.dumps({"predictions": answers}, allow_nan=False)
    except InputError as error:
        return _error(400, in_a_request(str(error)))
    except BusyError:
        return _error(429, "the server is busy with other requests; try again in a while")
    except MemoryError:
        return _error(413, "the request is too large for the memory of this server")
    except Exception:
        log.exception("A request could not be answered.")
        return _error(500, "a defect of the server; its log says more")


def _error(status: int, message: str) -> tuple[int, str]:
    return status, json.dumps({"error_code": CODES[status], "message": message})


def _media_type(content_type: str | None) -> str:
    """`application/json` of `application/json; charset=utf-8`; '' for another charset."""
    media, *parameters = (content_type or "").split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip(' "').lower() not in {"utf-8", "utf8"}:
            return ""
    return media.strip().lower()


def install(service_of: Callable[[Any], Service | None]) -> bool:
    """Let MLflow's scoring server answer by `respond`, where this process is one.

    The server is an application that MLflow makes after the model is loaded, and that has no place
    for handlers of a model. But it looks its function `invocations` up at each request.

    Parameters
    ----------
    service_of
        The service of a loaded MLflow model; None for another's model, which is left to MLflow.

    Returns
    -------
    whether it was done
    """
    server = sys.modules.get(SCORING_SERVER)
    if server is None or SERVED_MODEL not in os.environ:
        return False
    theirs = getattr(server, "invocations", None)
    if theirs is None or list(inspect.signature(theirs).parameters) != _TAKES:
        log.warning("This MLflow is unknown: bad requests are answered by MLflow, not by sgseg.")
        return False

    def invocations(data: bytes, content_type: str | None, model: Any, input_schema: Any) -> Any:
        service = service_of(model)
        if service is None:
            return theirs(data, content_type, model, input_schema)
        status, text = respond(service, data, content_type, deadline=_deadline())
        return server.InvocationsResponse(text, status, "application/json")

    server.invocations = invocations  # type: ignore[attr-defined]
    _begin_at_arrival(server)
    return True


def _begin_at_arrival(server: Any) -> bool:
    """Note when a request arrives, and give it a thread at once.

    By default there are four threads more than cores; in a request that waits for one, nothing of
    ours runs yet. But the server's route is made, after the model is loaded, by this decorator.
    """
    theirs = getattr(server, _DECORATOR, None)
    if theirs is None:
        log.warning("This MLflow is unknown: a request begins when it gets a thread.")
        return False

    def decorator(route: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        inner = theirs(route)
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="request")

        @functools.wraps(inner)
        async def arriving(*arguments: Any, **options: Any) -> Any:
            asyncio.get_running_loop().set_default_executor(threads)
            _arrival.set(monotonic())
            return await inner(*arguments, **options)

        return arriving

    setattr(server, _DECORATOR, decorator)
    return True


def _deadline() -> Deadline:
    # asyncio.to_thread hands the context of a request on to its thread.
    seconds, arrival = _seconds(), _arrival.get()
    return Deadline.after(seconds) if arrival is None else Deadline(seconds, arrival + seconds)


def _seconds() -> float:
    from mlflow.environment_variables import (  # noqa: PLC0415
        MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT,
    )

    return SHARE_OF_TIME * float(MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get())
