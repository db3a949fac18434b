"""HTTP connections that notice when a request begins to leave.

Whether a failure came before or after the first byte left decides if a claim may be sent again unasked. The kind of
exception does not tell it: a TLS or connection error can come on either side.
"""

from __future__ import annotations

import ssl
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _Departure(threading.local):
    begun = False


_departure = _Departure()
"""One request at a time leaves a thread: `begun` is of the thread's latest."""


def expect_departure() -> None:
    """Call before a request: nothing of it has left yet."""
    _departure.begun = False


def has_departed() -> bool:
    """Whether any byte of this thread's latest request may have left."""
    return _departure.begun


class _Noticing:
    """What both kinds of connection do. They stand after this class: `super()` is the connection's own."""

    sock: Any

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]  # of the connection that follows
        finally:
            _departure.begun = False  # what a proxy was told on the way there is nothing of the request

    def send(self, data: Any) -> None:
        # http.client connects inside send: connect first, so that a failed connect comes before the mark.
        if self.sock is None:
            self.connect()
        _departure.begun = True
        super().send(data)  # type: ignore[misc]  # of the connection that follows


class _Plain(_Noticing, HTTPConnection):
    pass


class _Tls(_Noticing, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


_POOLS = {"http": _PlainPool, "https": _TlsPool}


class NoticingAdapter(HTTPAdapter):
    """An adapter for requests whose connections tell when a request departs. It never repeats by itself."""

    def __init__(self, least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> None:
        self._least = least
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Let the pools be made of noticing connections."""
        super().init_poolmanager(*args, **kwargs, ssl_minimum_version=self._least)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same through a proxy."""
        manager = super().proxy_manager_for(proxy, **kwargs, ssl_minimum_version=self._least)
        manager.pool_classes_by_scheme = _POOLS
        return manager
