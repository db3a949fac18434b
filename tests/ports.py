"""Ports of tests: one whose connections a function answers, and what an HTTP proxy does with them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HOST = "127.0.0.1"


@contextmanager
def listening(answer: Any) -> Iterator[int]:
    """A port on which each connection is answered by a function, on a thread of its own."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            while True:
                try:
                    plain, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_quietly, args=(answer, plain), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _quietly(answer: Any, plain: socket.socket) -> None:
    with plain:
        try:
            answer(plain)
        except OSError:
            return


def tunnel(plain: socket.socket) -> None:
    """What a proxy does with CONNECT: it joins both ends."""
    head = plain.recv(65536)
    if not head.startswith(b"CONNECT "):
        return  # somebody only tried the port
    host, _, port = head.split()[1].decode().partition(":")
    with socket.create_connection((host, int(port))) as there:
        plain.sendall(b"HTTP/1.1 200 joined\r\n\r\n")
        back = threading.Thread(target=lambda: _quietly(lambda _: _pump(there, plain), plain), daemon=True)
        back.start()
        _pump(plain, there)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    while block := source.recv(65536):
        sink.sendall(block)
