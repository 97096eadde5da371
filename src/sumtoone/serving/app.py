"""What a request meets: the guard, then what it asks for; every answer counted once."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

from sumtoone.errors import DataError, SumtooneError, UnavailableError, UsageError
from sumtoone.memory import is_lack_of_memory
from sumtoone.serving import inference_protocol, origins, predicting
from sumtoone.serving.answers import Answer, Headers, refused
from sumtoone.serving.limits import Bodies, Gone, Guard, HeaderMap, Limits, Receive
from sumtoone.serving.metrics import Metrics
from sumtoone.serving.model import Model
from sumtoone.serving.queue import Queue
from sumtoone.serving.site import Site

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, HeaderMap, bytes], Awaitable[Answer]]

# Where the connection notes when the last byte of a request came, by the monotonic clock.
ARRIVED = "sumtoone.arrived"

_CLOSE = (b"connection", b"close")


class Application:
    """An ASGI application around one model.

    The two requests that come by the thousand, ``POST /predict`` and ``POST /v2/…/infer``, are answered here; all
    others by the :class:`~sumtoone.serving.site.Site`.

    Parameters
    ----------
    model
        Whose answers are given.
    limits, guard
        What is let in.
    """

    def __init__(self, model: Model, limits: Limits, guard: Guard) -> None:
        self.model = model
        self.limits = limits
        self.leaving = False
        # Whoever runs the application says how many connections it has.
        self.connections = 0
        self.metrics = Metrics(
            waiting=lambda: self.queue.waiting + self._pictures.thread.waiting, connections=lambda: self.connections
        )
        inline = {} if model.compiled else {"most_inline": 0}
        self.queue = Queue(model.probabilities, limits.queue, self.metrics, **inline)
        self._guard = guard
        self._bodies = Bodies(limits.body)
        self._pictures = predicting.Pictures(model, limits.pixels, limits.queue)
        self._writer = inference_protocol.Writer(model)
        self._site = Site(model, self.metrics, guard, ready=lambda: not self.leaving)
        infer = f"/v2/models/{model.name}/infer"
        versioned = f"/v2/models/{model.name}/versions/{inference_protocol.VERSION}/infer"
        self._hot: dict[str, tuple[str, Handler]] = {
            "/predict": ("/predict", self._predict),
            infer: ("/v2/models/{model}/infer", self._infer),
            versioned: ("/v2/models/{model}/versions/{version}/infer", self._infer),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        template = "other"
        try:
            if len(headers) != len(scope["headers"]):
                _check_once(scope["headers"])
            self._guard.check(method, path, headers)
            hot = self._hot.get(path) if method == "POST" else None
            allowed = origins.preflight(self._guard, method, headers)
            if allowed is not None:
                answer = allowed
            elif hot is None:
                template, answer = await self._site.answer(scope)
            else:
                template, handler = hot
                answer = await self._answered(scope, headers, receive, handler)
        except Gone:
            return
        except SumtooneError as error:
            answer = refused(UnavailableError("serve-full") if error.code == "memory" else error)
        except Exception as error:
            answer = refused(_defect(error))
        self.metrics.request(template, answer.status)
        await self._send(send, answer, method, origins.readable(self._guard, headers))

    async def _send(self, send: Send, answer: Answer, method: str, besides: Headers) -> None:
        headers = [*answer.headers, *besides]
        if answer.status != 304:
            headers.append((b"content-length", b"%d" % len(answer.body)))
        if self.leaving:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    async def _answered(self, scope: Scope, headers: HeaderMap, receive: Receive, handler: Handler) -> Answer:
        # Before anything is read: to say no must cost little.
        self.queue.check_room()
        packed = headers.get(b"content-encoding", b"identity")
        if packed != b"identity":
            raise UsageError("serve-encoding", given=packed.decode("latin-1")[:80])
        body = await self._bodies.read(headers, receive)
        try:
            return await handler(scope, headers, body)
        finally:
            self._bodies.release(len(body))

    def _deadline(self, scope: Scope, timeout: float = math.inf) -> float:
        now = monotonic()
        deadline: float = scope.get(ARRIVED, now) + min(self.limits.deadline, timeout)
        if now > deadline:
            raise UnavailableError("serve-late")
        return deadline

    async def _predict(self, scope: Scope, headers: HeaderMap, body: bytes) -> Answer:
        deadline = self._deadline(scope)
        kind = predicting.media_type(headers)
        if kind == "json":
            rows, several = predicting.json_rows(body, self.model)
        else:
            picture = await predicting.one_file(headers[b"content-type"], body) if kind == "form" else body
            rows, several = await self._pictures.rows(picture, deadline), False
        return predicting.answer(self.model, await self.queue.ask(rows, deadline), several)

    async def _infer(self, scope: Scope, headers: HeaderMap, body: bytes) -> Answer:
        self._deadline(scope)
        request = inference_protocol.read(headers, body, self.model)
        probabilities = await self.queue.ask(request.rows, self._deadline(scope, request.timeout))
        return self._writer.answer(request, probabilities)

    def close(self) -> None:
        """Give the threads back."""
        for thread in (self.queue, self._pictures.thread, self._site.thread):
            thread.close()

    @property
    def busy(self) -> bool:
        """Whether a thread computes, decodes or reads: also for nobody, who left or was sent away."""
        return self.queue.computing or self._pictures.thread.busy or self._site.thread.busy


def _check_once(headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse a header that decides something where it came twice: two readers may each believe another one."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise DataError("serve-header-twice", name=name.decode("latin-1"))
        seen.add(name)


_ONCE = (
    b"host",
    b"origin",
    b"authorization",
    b"content-type",
    b"content-encoding",
    b"content-length",
    inference_protocol.HEADER_LENGTH,
)


def _defect(error: Exception) -> SumtooneError:
    """Return what is told of a defect: nothing of its insides; they go to standard error."""
    if is_lack_of_memory(error):
        return UnavailableError("serve-full")
    traceback.print_exception(error, file=sys.stderr)
    return UnavailableError("serve-defect")
