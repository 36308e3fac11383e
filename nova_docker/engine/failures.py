#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""Errors of the SDK and of HTTP, classified by status and type."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import functools
import http
import http.client
import json
from typing import Any

from docker import errors as docker_errors
import requests
import urllib3

from nova_docker import errors

_BY_STATUS: Mapping[int, type[errors.EngineError]] = {
    400: errors.EngineBadRequest,
    404: errors.EngineNotFound,
    409: errors.EngineConflict,
}


@contextlib.contextmanager
def classified() -> Iterator[None]:
    """Raise nothing but the EngineError family."""
    try:
        yield
    except docker_errors.APIError as error:
        status = error.status_code or 0
        kind = _BY_STATUS.get(status, errors.EngineError)
        raise kind(str(error.explanation or error), status) from error
    except (docker_errors.DockerException, http.client.HTTPException,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError) as error:
        raise errors.EngineUnavailable(_root(error)) from error


def _root(error: BaseException) -> str:
    """Return the words of the error below those of HTTP's libraries."""
    below = [each for each in (*error.args, error.__cause__)
             if isinstance(each, BaseException)]
    return _root(below[0]) if below else str(error)


def checked(call: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a call: it raises nothing but the EngineError family."""
    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        with classified():
            return call(*args, **kwargs)
    return checked


def may_pass(error: BaseException) -> bool:
    """Tell whether the same call may succeed when it is made again.

    That is the engine's word for what failed below it, and nothing that it
    found wrong with the call.
    """
    return (isinstance(error, errors.EngineError) and
            error.status == http.HTTPStatus.INTERNAL_SERVER_ERROR)


def reported(answer: requests.Response) -> list[dict[str, Any]]:
    """Return the progress documents of a load; raise what they report.

    The engine answers 200 before it has read the body, so a failure is only
    in the answer's text.
    """
    documents = [json.loads(line) for line in answer.iter_lines() if line]
    for document in documents:
        if 'error' in document:
            raise errors.EngineError(str(document['error']))
    return documents
