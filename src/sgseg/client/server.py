"""One request to a server, repeated until it is answered."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.auth import AuthBase

from sgseg.errors import InputError, Problem, without_password

log = logging.getLogger(__name__)
AGAIN = {429, 500, 502, 503, 504}
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 15.0
CONNECT_S = 10.0
# The server's own limit is shorter unless it was started with a longer one.
ANSWER_S = 600.0
_LOST = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


class Server:
    """A server that is asked again after a pause when it is away, restarting or busy.

    Parameters
    ----------
    url
        Such as http://127.0.0.1:5001.
    retries
        How often a request is repeated before giving up; the pauses between grow from a quarter of
        a second to 15 seconds, 8 of them make about half a minute.
    token
        For a proxy in front of the server, sent as `Authorization: Bearer <token>`.
    """

    def __init__(self, url: str, *, retries: int = 8, token: str | None = None) -> None:
        self._address = url.rstrip("/").removesuffix("/invocations")
        # For messages: name and password of a proxy may stand in an address.
        self.url = without_password(self._address)
        if not self._address.startswith(("http://", "https://")):
            raise InputError(Problem("--url", f"got {self.url!r}", "http://... or https://..."))
        self._retries = retries
        self._session = requests.Session()
        if token:
            self._session.auth = _Bearer(token)

    def ask(self, content: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Answers to a request.

        Raises
        ------
        InputError
            The server refuses the request, or cannot be reached.
        """
        for attempt in range(self._retries + 1):
            if attempt:
                # At random, so that many callers do not all come back at once.
                longest = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
                time.sleep(longest * random.uniform(0.5, 1))  # nosec B311
            try:
                response = self._session.post(
                    f"{self._address}/invocations", json=content, timeout=(CONNECT_S, ANSWER_S)
                )
            except _LOST as error:
                reason = f"cannot be reached ({_innermost(error)})"
            except requests.RequestException as error:
                what = f"cannot be asked ({type(error).__name__})"
                raise InputError(Problem(self.url, what)) from None
            else:
                if response.status_code not in AGAIN:
                    return self._answers(response)
                reason = f"answers {response.status_code}: {_message(response)}"
            log.info("%s: %s", self.url, reason)
        raise InputError(
            Problem(
                self.url,
                f"{reason}, {self._retries + 1} times",
                "the address of a served model",
                "Is it started (mlflow models serve), and is the port right?",
            )
        )

    def _answers(self, response: requests.Response) -> list[dict[str, Any]]:
        if response.status_code != requests.codes.ok:
            what = f"answers {response.status_code}: {_message(response)}"
            raise InputError(Problem(self.url, what))
        try:
            answers = response.json()["predictions"]
            if isinstance(answers, list) and all("model_version" in item for item in answers):
                return answers
        except (ValueError, KeyError, TypeError):
            pass
        raise InputError(Problem(self.url, "answers something else", "a served model of sgseg"))


class _Bearer(AuthBase):
    """A header alone would give way to an entry for the host in a netrc file."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _message(response: requests.Response) -> str:
    """The sentence of a refusal, of whatever form."""
    try:
        return str(response.json()["message"])[:1000]
    except (ValueError, KeyError, TypeError):
        return " ".join(response.text.split())[:200] or response.reason


def _innermost(error: BaseException) -> str:
    """What went wrong in the end, without the layers around it."""
    found: BaseException = error
    while True:
        inner = getattr(found, "reason", None) or next(
            (item for item in found.args if isinstance(item, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return " ".join(str(found).split())[:200]
        found = inner
