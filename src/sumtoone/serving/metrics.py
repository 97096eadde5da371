"""What a server did, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Metrics:
    """The counts of one server, in a registry of its own.

    Examples
    --------
    >>> metrics = Metrics(waiting=lambda: 0, connections=lambda: 1)
    >>> metrics.request("/predict", 200)
    >>> b'sumtoone_requests_total{path="/predict",status="200"} 1.0' in metrics.text()
    True
    """

    def __init__(self, waiting: Callable[[], float], connections: Callable[[], float]) -> None:
        registry = self._registry = CollectorRegistry()
        names = ("path", "status")
        self._requests = Counter("sumtoone_requests", "Requests answered.", names, registry=registry)
        self._rows = Counter("sumtoone_rows", "Rows computed.", registry=registry)
        self._queued = Histogram(
            "sumtoone_queue_seconds", "Seconds a request's rows waited.", buckets=_SECONDS, registry=registry
        )
        self._computed = Histogram(
            "sumtoone_compute_seconds", "Seconds a batch was computed for.", buckets=_SECONDS, registry=registry
        )
        self._batches = Histogram("sumtoone_batch_rows", "Rows computed at once.", buckets=_SIZES, registry=registry)
        self._together = Histogram(
            "sumtoone_batch_requests", "Requests computed at once.", buckets=_SIZES, registry=registry
        )
        for name, words, value in (
            ("sumtoone_queue_waiting", "Requests that wait to be computed.", waiting),
            ("sumtoone_connections", "Open connections.", connections),
        ):
            Gauge(name, words, registry=registry).set_function(value)
        self._counters: dict[tuple[str, int], Counter] = {}

    def request(self, path: str, status: int) -> None:
        """Count an answer; ``path`` is a template, of which there are a few."""
        counter = self._counters.get((path, status))
        if counter is None:
            counter = self._counters[path, status] = self._requests.labels(path, str(status))
        counter.inc()

    def batch(self, requests: int, rows: int, seconds: float) -> None:
        """Count a batch that was computed."""
        self._rows.inc(rows)
        self._computed.observe(seconds)
        self._batches.observe(rows)
        self._together.observe(requests)

    def waited(self, seconds: float) -> None:
        """Count how long a request's rows waited."""
        self._queued.observe(seconds)

    def text(self) -> bytes:
        """Return all of it in Prometheus's text format."""
        return generate_latest(self._registry)
