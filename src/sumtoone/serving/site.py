"""Everything that is asked for once in a while: the page and its files, health, metadata, metrics, the description."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any

import orjson
from starlette.requests import Request
from starlette.routing import Match, Route

from sumtoone import page
from sumtoone.errors import RunError, SumtooneError, UnavailableError, UsageError
from sumtoone.serving import inference_protocol, openapi
from sumtoone.serving.answers import Answer, Headers, json_answer, refused
from sumtoone.serving.limits import Guard
from sumtoone.serving.metrics import MEDIA_TYPE, Metrics
from sumtoone.serving.model import Model
from sumtoone.serving.threads import OneThread

POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE: Headers = (
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
)
# What the page is told of the run is kept up to so many bytes; the rest is made again when it is asked for again.
_MOST_KEPT = 2**26
# Documents that wait for the one that is being made.
_MOST_WAITING = 32

Endpoint = Callable[[Request], Awaitable[Answer]]


class Site:
    """Answers every request but those for predictions.

    Parameters
    ----------
    model
        What is told of.
    metrics
        What is shown at ``/metrics``.
    guard
        Knows the token that opens the page.
    ready
        Whether new requests are welcome.
    """

    def __init__(self, model: Model, metrics: Metrics, guard: Guard, ready: Callable[[], bool]) -> None:
        self._model = model
        self._metrics = metrics
        self._guard = guard
        self._ready = ready
        self.thread = OneThread("sumtoone-page", _MOST_WAITING)
        self._kept: dict[str, Answer] = {}
        self._described = json_answer(openapi.document(model))
        of_model = {
            "": self._model_metadata,
            "/versions/{version}": self._model_metadata,
            "/ready": self._model_ready,
            "/versions/{version}/ready": self._model_ready,
        }
        endpoints: dict[str, Endpoint] = {
            "/": self._index,
            "/static/{name:path}": self._asset,
            "/page/{name:path}": self._document,
            "/openapi.json": self._openapi,
            "/metrics": self._text_of_metrics,
            "/v2": self._server_metadata,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._health,
            **{f"/v2/models/{{model}}{path}": endpoint for path, endpoint in of_model.items()},
        }
        self._endpoints = endpoints
        self._routes = [Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()]
        # Answered elsewhere; here so that another method, or another model, is told from another path.
        elsewhere = ("/predict", "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")
        self._routes += [Route(path, self._index, methods=["POST"]) for path in elsewhere]

    async def answer(self, scope: MutableMapping[str, Any]) -> tuple[str, Answer]:
        """Return the template of the path that a request is for, and the answer.

        Raises
        ------
        UsageError
            ``serve-path`` if nothing is there.
        """
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.NONE:
                continue
            try:
                if match is Match.PARTIAL:
                    allowed = ", ".join(sorted(route.methods or ()))
                    error = UsageError("serve-method", given=scope["method"][:20], known=allowed)
                    return route.path, refused(error, ((b"allow", allowed.encode()),))
                request = Request({**scope, **found})
                self._check_model(request.path_params)
                return route.path, await self._endpoints[route.path](request)
            except SumtooneError as error:
                return route.path, refused(error)
        raise UsageError("serve-path")

    def _check_model(self, given: dict[str, Any]) -> None:
        model, version = given.get("model"), given.get("version", inference_protocol.VERSION)
        if model is not None and (model != self._model.name or version != inference_protocol.VERSION):
            known = f"{self._model.name}, {inference_protocol.VERSION}"
            raise UsageError("serve-model", given=f"{model}, {version}"[:80], known=known, model=self._model.name)

    # --- the page

    async def _index(self, request: Request) -> Answer:
        token = request.query_params.get("token")
        if token is not None and self._guard.cookie is not None:
            if not self._guard.is_token(token):
                raise UsageError("serve-token")
            # Away from the address, which is kept in histories; the page's own requests carry the cookie.
            cookie = f"{self._guard.cookie}; Path=/; HttpOnly; SameSite=Strict".encode()
            return Answer(b"", 303, (*_SAFE, (b"location", b"./"), (b"set-cookie", cookie)))
        return _static(request, page.asset("index.html"))

    async def _asset(self, request: Request) -> Answer:
        return _static(request, page.asset(request.path_params["name"]))

    async def _document(self, request: Request) -> Answer:
        name, wanted = request.path_params["name"], request.query_params.get("run")
        if wanted is not None and wanted != self._model.fingerprint:
            raise UsageError("serve-run-changed")
        answer = self._kept.get(name)
        if answer is None:
            try:
                content = await self.thread.run(_made, self._model, name)
            except RunError as error:
                # A file of the run that was changed or lost: whoever asks cannot mend it, nor shall see where it lies.
                print(error, file=sys.stderr, flush=True)
                raise UnavailableError("serve-defect") from None
            answer = _content(content)
            if sum(len(one.body) for one in self._kept.values()) + len(answer.body) <= _MOST_KEPT:
                self._kept[name] = answer
        return _unless_known(request, answer)

    # --- for programs

    async def _openapi(self, _: Request) -> Answer:
        return self._described

    async def _text_of_metrics(self, _: Request) -> Answer:
        return Answer(self._metrics.text(), headers=((b"content-type", MEDIA_TYPE), (b"cache-control", b"no-store")))

    async def _server_metadata(self, _: Request) -> Answer:
        return json_answer(inference_protocol.server_metadata())

    async def _live(self, _: Request) -> Answer:
        return Answer(orjson.dumps({"live": True}))

    async def _health(self, _: Request) -> Answer:
        ready = self._ready()
        return json_answer({"ready": ready}, 200 if ready else 503)

    async def _model_metadata(self, _: Request) -> Answer:
        return json_answer(inference_protocol.model_metadata(self._model))

    async def _model_ready(self, _: Request) -> Answer:
        ready = self._ready()
        return json_answer({"name": self._model.name, "ready": ready}, 200 if ready else 503)


def _made(model: Model, name: str) -> page.Content | None:
    """Return a document that is this run's, and not that of another run which took its folder meanwhile."""
    try:
        content = page.document(model.run, model.folder, name)
    except RunError:
        if model.is_in_folder():
            raise
        raise UsageError("serve-run-changed") from None
    if not model.is_in_folder():
        raise UsageError("serve-run-changed")
    return content


def _static(request: Request, content: page.Content | None) -> Answer:
    return _unless_known(request, _content(content))


def _content(content: page.Content | None) -> Answer:
    if content is None:
        raise UsageError("serve-path")
    mark = b'"%s"' % sha256(content.body).hexdigest()[:32].encode()
    return Answer(content.body, headers=(*_SAFE, (b"content-type", content.media_type.encode()), (b"etag", mark)))


def _unless_known(request: Request, answer: Answer) -> Answer:
    """Return an answer without its body where the browser has it already."""
    mark = dict(answer.headers)[b"etag"].decode()
    known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
    if mark not in known and "*" not in known:
        return answer
    return Answer(b"", 304, tuple(header for header in answer.headers if header[0] != b"content-type"))
