"""MLLP listener: who may connect, how many, and how it ends (HL7 v2 Transport, MLLP release 1).

Limits are looked at before TLS, names in certificates after it. Who is refused is closed and logged: without a message
there is nothing that an acknowledgment could name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from ipaddress import IPv6Address, ip_address, ip_network

from fhir_coder.intake.conversation import Conversation, Reception, Room
from fhir_coder.intake.desk import IntakeDesk
from fhir_coder.intake.tls import Certificates
from fhir_coder.logs import log
from fhir_coder.settings import MllpFeed

_HANDSHAKE, _TLS_END = 10.0, 2.0
"""Seconds that a peer has for the TLS handshake, and to agree to the end of TLS."""
_STOP = 10.0
"""Seconds that all connections have to end when we stop."""
_AFTER_NO_ROOM = 1.0
"""Seconds until the next connection is tried where the system has no room for one more."""


class MllpListener:
    """One feed's listener on an open socket; it is started and stopped on the desk's loop (`IntakeDesk.run`).

    Raises TlsFilesError where its TLS files cannot be used.
    """

    def __init__(self, feed: MllpFeed, desk: IntakeDesk) -> None:
        self._feed = feed
        names = frozenset(name.lower() for name in feed.allow_names)
        self._reception = Reception(feed, desk, Room(feed.max_buffered_bytes), names)
        self._certificates = Certificates(feed, feed.name) if feed.tls_cert else None
        self._allowed = [ip_network(network) for network in feed.allow]
        self._bound: socket.socket | None = None
        self._connections: dict[asyncio.Task[None], Conversation] = {}

    @property
    def held_bytes(self) -> int:
        """What all connections hold of frames that are not answered yet."""
        return self._reception.room.used

    async def start(self, bound: socket.socket) -> None:
        """Start to accept connections."""
        bound.setblocking(False)
        self._bound = bound
        self._listen()

    async def stop(self) -> None:
        """Accept no more; what was read is still kept and answered."""
        if self._bound:
            asyncio.get_running_loop().remove_reader(self._bound)
            self._bound = None
        await asyncio.sleep(0)  # a task that is cancelled before its first step would leave its socket open
        for task, conversation in self._connections.items():
            if conversation.is_open:
                conversation.stop()
            else:
                task.cancel()  # nothing was read: it is in its TLS handshake
        if not self._connections:
            return
        _, late = await asyncio.wait(self._connections, timeout=_STOP)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _listen(self) -> None:
        if self._bound:
            asyncio.get_running_loop().add_reader(self._bound, self._accept, self._bound)

    def _accept(self, bound: socket.socket) -> None:
        try:
            peer, address = bound.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # No file descriptor or memory is left: the open connections go on, and make room when they end.
            log.error("accept_failed", feed=self._feed.name, error=type(error).__name__)
            loop = asyncio.get_running_loop()
            loop.remove_reader(bound)
            loop.call_later(_AFTER_NO_ROOM, self._listen)
            return
        peer.setblocking(False)
        self._admit(peer, str(address[0]))

    def _admit(self, peer: socket.socket, host: str) -> None:
        why = self._why_refused(host)
        if why:
            log.warning("connection_refused", feed=self._feed.name, host=host, reason=why)
            peer.close()
            return
        conversation = Conversation(self._reception, host)
        task = asyncio.get_running_loop().create_task(self._serve(peer, host, conversation))
        self._connections[task] = conversation
        task.add_done_callback(self._connections.pop)

    def _why_refused(self, host: str) -> str:
        if self._allowed and not self._is_allowed(host):
            return "address"
        return "max_connections" if len(self._connections) >= self._feed.max_connections else ""

    def _is_allowed(self, host: str) -> bool:
        address = ip_address(host.partition("%")[0])
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self._allowed)

    async def _serve(self, peer: socket.socket, host: str, conversation: Conversation) -> None:
        try:
            await self._open(peer, conversation)
            await conversation.ended
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            log.warning("tls_failed", feed=self._feed.name, host=host, reason=reason)
        finally:
            conversation.abort()

    async def _open(self, peer: socket.socket, conversation: Conversation) -> None:
        context: ssl.SSLContext | None = self._certificates.context() if self._certificates else None
        await asyncio.get_running_loop().connect_accepted_socket(
            lambda: conversation,
            peer,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE if context else None,
            ssl_shutdown_timeout=_TLS_END if context else None,
        )
