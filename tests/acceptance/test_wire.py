"""The MLLP listener at its socket: what peers send, what they are told, and what is in the ledger then."""

from __future__ import annotations

import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from fhir_coder.client import MllpClient, NotReachableError, client_tls, read_acknowledgment
from fhir_coder.hl7v2 import frame
from fhir_coder.queries import list_messages
from fhir_coder.store import Ledger, open_ledger
from fhir_coder.store.ledger import sqlite_engine
from fhir_coder.trial import Trial
from tests.certificates import Authority
from tests.wire import HOST, Peer, Wire, message, wait_for

# --- frames


def test_pipelined_frames_are_answered_in_order(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(b"".join(frame(message(f"P{n}")) for n in range(300)))
        assert peer.answers(300) == [("AA", f"P{n}") for n in range(300)]
        assert wire.stored() == {f"P{n}": 1 for n in range(300)}


def test_frames_that_come_byte_by_byte_are_answered(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(message("B1")) + frame(message("B2")):
            peer.put(bytes((byte,)))
        assert peer.answers(2) == [("AA", "B1"), ("AA", "B2")]


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x1c\x0d", b"\r\n\r\n", b"\x00\xff" * 40_000])
def test_noise_between_frames_changes_nothing(tmp_path: Path, noise: bytes) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(noise + frame(message("N1")) + noise + frame(message("N2")))
        assert peer.answers(2) == [("AA", "N1"), ("AA", "N2")]
        assert bool(wire.logged("noise_between_frames")) is bool(noise.strip(b"\r\n"))


def test_an_end_block_without_its_return_ends_the_frame(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(frame(message("E1"))[:-1])
        assert peer.answers(1) == [("AA", "E1")]


def test_a_frame_without_end_block_is_not_answered_and_the_next_one_is(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(b"\x0b" + message("LOST") + frame(message("NEXT")))
        assert peer.answers(1) == [("AA", "NEXT")]
        assert wire.stored() == {"NEXT": 1}
        [cut_off] = wire.logged("frame_cut_off")
        assert (cut_off["feed"], cut_off["host"]) == ("wire", "127.0.0.1")  # whom to call


def test_a_connection_that_ends_in_a_frame_leaves_an_event_and_no_message(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire:
        with wire.connect() as peer:
            peer.put(b"\x0b" + message("HALF")[:30])
        assert wait_for(lambda: wire.logged("frame_cut_off"))
        assert not wire.stored()


def test_a_peer_that_only_ended_its_own_side_still_gets_its_answers(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(frame(message("S1")) + frame(message("S2")))
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.answers(2) == [("AA", "S1"), ("AA", "S2")]
        assert peer.is_closed()


@pytest.mark.parametrize("payload", [b"", b"\r", b" \r\n"])
def test_an_empty_frame_is_rejected_and_not_kept(tmp_path: Path, payload: bytes) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(frame(payload) + frame(message("AFTER")))
        assert peer.answers(2) == [("AR", "UNKNOWN"), ("AA", "AFTER")]
        assert wire.stored() == {"AFTER": 1}
        assert len(wire.logged("frame_empty")) == 1


def test_a_frame_with_several_messages_is_answered_one_by_one(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(frame(message("T1") + message("") + message("T2")))
        said = [read_acknowledgment(peer.next_frame()) for _ in range(3)]
        assert [(a.code, a.control_id) for a in said] == [("AA", "T1"), ("AR", "UNKNOWN"), ("AA", "T2")]


def test_an_oversize_frame_is_rejected_and_the_connection_goes_on(tmp_path: Path) -> None:
    with Wire(tmp_path, max_frame_bytes=4096) as wire, wire.connect() as peer:
        peer.put(frame(message("BIG", text="y" * 500_000)) + frame(message("SMALL")))
        assert peer.answers(2) == [("AR", "BIG"), ("AA", "SMALL")]
        assert wire.stored() == {"SMALL": 1}
        assert wire.logged("frame_too_large")[0]["bytes"] > 500_000


def test_an_oversize_frame_is_answered_as_its_header_asks(tmp_path: Path) -> None:
    with Wire(tmp_path, max_frame_bytes=4096) as wire, wire.connect() as peer:
        for number, mode in enumerate(("|||NE|NE", "|||AL|NE", "|||NE|AL")):
            peer.put(frame(message(f"BIG{number}", mode, "y" * 5000)))
        assert peer.answers(2) == [("CR", "BIG1"), ("AR", "BIG2")]


# --- limits


def test_many_half_sent_frames_hold_no_more_memory_than_the_feed_allows(tmp_path: Path) -> None:
    with Wire(tmp_path, max_frame_bytes=1_000_000, max_buffered_bytes=3_000_000) as wire, ExitStack() as open_peers:
        peers = [open_peers.enter_context(wire.connect()) for _ in range(200)]
        for number, peer in enumerate(peers):
            peer.put(b"\x0b" + message(f"H{number:03d}") + b"NTE|1||" + b"y" * 900_000)
            assert wire.held_bytes() <= 3_000_000 + 200 * 4096  # of a frame that is given up the head is kept
        for peer in peers:
            peer.put(b"\x1c\r")
        told = [peer.answers(1)[0][0] for peer in peers]
        # Three fit at most; which of those that come at once are given up depends on how their bytes arrive.
        assert told.count("AA") >= 1
        assert told.count("AA") + told.count("AR") == 200
        assert sum(wire.stored().values()) == told.count("AA")
        assert len(wire.logged("frame_given_up")) == told.count("AR") > 100
        assert wait_for(lambda: wire.held_bytes() == 0)


def test_a_frame_that_was_given_up_is_taken_when_it_is_sent_again(tmp_path: Path) -> None:
    limits = {"max_frame_bytes": 100_000, "max_buffered_bytes": 100_000}
    with Wire(tmp_path, **limits) as wire, wire.connect() as one, wire.connect() as other:
        one.put(b"\x0b" + message("ONE", text="y" * 80_000))
        assert wait_for(lambda: wire.held_bytes() > 80_000)
        other.put(frame(message("OTHER", text="y" * 80_000)))
        assert other.answers(1) == [("AR", "OTHER")]
        other.put(frame(message("SMALL")))
        assert other.answers(1) == [("AA", "SMALL")]
        one.put(b"\x1c\r")
        assert one.answers(1) == [("AA", "ONE")]
        other.put(frame(message("OTHER", text="y" * 80_000)))
        assert other.answers(1) == [("AA", "OTHER")]


def test_a_connection_that_ends_gives_its_room_back(tmp_path: Path) -> None:
    with Wire(tmp_path, max_frame_bytes=100_000, max_buffered_bytes=100_000) as wire:
        with wire.connect() as peer:
            peer.put(b"\x0b" + message("HALF", text="y" * 80_000))
            assert wait_for(lambda: wire.held_bytes() > 80_000)
        assert wait_for(lambda: wire.held_bytes() == 0)


@pytest.mark.parametrize("begun", [b"", b"\x0bMSH|^~\\&|half", b"noise"])
def test_a_silent_connection_is_closed_with_an_event(tmp_path: Path, begun: bytes) -> None:
    with Wire(tmp_path, idle_seconds=0.3) as wire, wire.connect() as peer:
        peer.put(frame(message("I1")) + begun)
        assert peer.answers(1) == [("AA", "I1")]
        assert peer.is_closed()
        [idle] = wire.logged("connection_idle")
        assert idle["host"] == "127.0.0.1"
        assert idle["bytes"] == (len(begun) if begun.startswith(b"\x0b") else 0)


def test_a_frame_that_drips_is_closed_though_it_is_never_silent(tmp_path: Path) -> None:
    with Wire(tmp_path, idle_seconds=0.5) as wire, wire.connect() as peer:
        peer.put(b"\x0b")

        def is_closed_after_one_more_byte() -> bool:
            with suppress(ConnectionError):
                peer.put(b"x")
            return bool(wire.logged("connection_idle"))

        assert wait_for(is_closed_after_one_more_byte)


def put_until_nothing_goes(peer: Peer, data: bytes) -> None:
    peer.socket.settimeout(0.3)
    while True:
        peer.put(data)


def test_a_peer_that_reads_no_answers_is_closed_and_blocks_nobody(tmp_path: Path) -> None:
    with Wire(tmp_path, idle_seconds=1.0) as wire, wire.connect() as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with pytest.raises((TimeoutError, ConnectionError)):
            put_until_nothing_goes(deaf, frame(message("", "|" * 90 + "#" * 5)) * 100)
        with wire.connect() as peer:
            peer.put(frame(message("FINE")))
            assert peer.answers(1) == [("AA", "FINE")]
        assert wait_for(lambda: wire.logged("connection_idle"))


def test_two_hundred_connections_at_once_are_all_answered(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, ExitStack() as open_ones:
        peers = [open_ones.enter_context(wire.connect()) for _ in range(200)]
        for number, peer in enumerate(peers):
            peer.put(frame(message(f"C{number}")))
        for number, peer in enumerate(peers):
            assert peer.answers(1) == [("AA", f"C{number}")]
        assert len(wire.stored()) == 200


def test_a_connection_over_the_limit_is_closed_and_has_room_when_another_ends(tmp_path: Path) -> None:
    with Wire(tmp_path, max_connections=2) as wire:
        with wire.connect() as one, wire.connect() as two:
            for peer in (one, two):
                peer.put(frame(message("M1")))
                assert peer.answers(1) == [("AA", "M1")]
            with wire.connect() as three:
                assert three.is_closed()
            assert [(e["reason"], e["host"]) for e in wire.logged("connection_refused")] == [("max_connections", HOST)]
            one.put(frame(message("M2")))
            assert one.answers(1) == [("AA", "M2")]

        def has_room() -> bool:
            try:
                with wire.client() as client:
                    return client.send(message("M3")).code == "AA"
            except NotReachableError:
                return False

        assert wait_for(has_room)


def test_a_peer_that_is_not_on_the_list_is_closed_unread(tmp_path: Path) -> None:
    with Wire(tmp_path, allow=["10.0.0.0/8", "::1"]) as wire, wire.connect() as peer:
        assert peer.is_closed()
        assert [e["reason"] for e in wire.logged("connection_refused")] == ["address"]


@pytest.mark.parametrize("allow", [["127.0.0.1"], ["10.0.0.0/8", "127.0.0.0/8"]])
def test_a_peer_on_the_list_is_answered(tmp_path: Path, allow: list[str]) -> None:
    with Wire(tmp_path, allow=allow) as wire, wire.client() as client:
        assert client.send(message("L1")).code == "AA"


# --- acknowledgment


@pytest.mark.parametrize(
    ("style", "asked", "good", "bad"),
    [
        ("auto", "", ["AA"], ["AR"]),
        ("auto", "|||AL|NE", ["CA"], ["CR"]),
        ("auto", "|||AL|AL", ["CA", "AA"], ["CR"]),
        ("auto", "|||ER|AL", ["AA"], ["CR"]),
        ("auto", "|||SU|ER", ["CA"], ["AR"]),
        ("auto", "|||NE|NE", [], []),
        ("original", "|||AL|NE", ["AA"], ["AR"]),
        ("original", "|||NE|NE", ["AA"], ["AR"]),
        ("enhanced", "", ["CA"], ["CR"]),
        ("enhanced", "|||NE|AL", ["AA"], ["AR"]),
    ],
)
def test_answers_are_those_that_are_asked_for(
    tmp_path: Path, style: str, asked: str, good: list[str], bad: list[str]
) -> None:
    with Wire(tmp_path, ack=style) as wire, wire.connect() as peer:
        peer.put(frame(message("A1", asked)) + frame(message("", asked)) + frame(message("END", "|||AL|NE")))
        end = "AA" if style == "original" else "CA"
        expected = [(c, "A1") for c in good] + [(c, "UNKNOWN") for c in bad] + [(end, "END")]
        assert peer.answers(len(expected)) == expected


def test_a_repeat_is_answered_as_the_first_time_and_kept_once(tmp_path: Path) -> None:
    good, none, other = message("R1"), message(""), message("R1", text="other")
    with Wire(tmp_path) as wire, wire.client() as client:
        first = [client.send(body).code for body in (good, none, other, b"nothing")]
        assert first == ["AA", "AR", "AE", "AR"]
        assert [client.send(body).code for body in (good, none, other, b"nothing")] == first
        assert wire.stored() == {"R1": 2, "": 2}


def test_answers_carry_ids_of_their_own(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.client() as client:
        raws = [client.send(message(f"O{n}")).raw for n in range(50)]
        ids = {raw.split(b"|")[9] for raw in raws}
        assert len(ids) == 50
        assert max(map(len, ids)) <= 20


# --- batches

BATCH = (
    b"FHS|^~\\&|EHR|HOSP|US|THERE|20261103||||FILE-1\rBHS|^~\\&|EHR|HOSP|US|THERE|20261103||||BATCH-1\r%sBTS|2\r"
    b"BHS|^~\\&|EHR|HOSP|US|THERE|20261103||||BATCH-2\r%sBTS|1\rFTS|2\r"
)


def batch(first: bytes, second: bytes) -> bytes:
    return BATCH % (first, second)


def test_a_batch_is_answered_as_a_batch(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(frame(batch(message("F1") + message(""), message("F2"))))
        answer = peer.next_frame()
        lines = [line.split(b"|") for line in answer.split(b"\r") if line]
        assert [line[0] for line in lines if line[0] not in (b"MSH", b"MSA", b"ERR")] == [
            *(b"FHS", b"BHS", b"BTS", b"BHS", b"BTS", b"FTS"),
        ]
        headers = [line for line in lines if line[0] in (b"FHS", b"BHS")]
        assert [line[11] for line in headers] == [b"FILE-1", b"BATCH-1", b"BATCH-2"]
        assert {tuple(line[2:6]) for line in headers} == {(b"US", b"THERE", b"EHR", b"HOSP")}
        assert [line[1] for line in lines if line[0] in (b"BTS", b"FTS")] == [b"2", b"1", b"2"]
        assert [line[1:3] for line in lines if line[0] == b"MSA"] == [
            *([b"AA", b"F1"], [b"AR", b"UNKNOWN"], [b"AA", b"F2"]),
        ]
        assert wire.stored() == {"F1": 1, "": 1, "F2": 1}


def test_a_batch_of_nothing_is_answered_and_one_that_wants_no_answer_is_not(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer:
        peer.put(frame(b"BHS|^~\\&|EHR\rBTS|0\r"))
        assert peer.next_frame().split(b"\r")[1] == b"BTS|0"
        peer.put(frame(b"BHS|^~\\&|EHR\r" + message("Q1", "|||NE|NE") + b"BTS|1\r") + frame(message("Q2")))
        assert peer.answers(1) == [("AA", "Q2")]
        assert wire.stored() == {"Q1": 1, "Q2": 1}


def test_the_client_reads_all_answers_of_a_batch(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.client() as client:
        said = client.send_whole(batch(message("W1") + message("W2"), message("")))
        assert [(a.code, a.control_id) for a in said] == [("AA", "W1"), ("AA", "W2"), ("AR", "UNKNOWN")]
        assert [a.code for a in client.send_whole(message("W3") + message("W4"))] == ["AA", "AA"]


# --- TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    (tmp_path / "tls").mkdir()
    return Authority(tmp_path / "tls")


def tls_settings(authority: Authority, **more: Any) -> dict[str, Any]:
    cert, key = authority.issue("listener")
    return {"tls_cert": cert, "tls_key": key, **more}


def test_messages_come_over_tls(tmp_path: Path, authority: Authority) -> None:
    with Wire(tmp_path, **tls_settings(authority)) as wire, wire.client(tls=client_tls(authority.ca)) as client:
        assert [client.send(message(f"S{n}")).code for n in range(20)] == ["AA"] * 20
        assert client.send(message("S99", text="z" * 300_000)).code == "AA"


def test_a_listener_with_a_certificate_nobody_trusts_gets_no_message(tmp_path: Path, authority: Authority) -> None:
    stranger = Authority(tmp_path / "tls", "stranger")
    with Wire(tmp_path, **tls_settings(authority)) as wire:
        with pytest.raises(NotReachableError, match="certificate is not accepted"):
            wire.client(tls=client_tls(stranger.ca))
        assert wait_for(lambda: wire.logged("tls_failed"))
        with wire.client(tls=client_tls(authority.ca)) as client:
            assert client.send(message("S1")).code == "AA"


def test_plain_text_on_a_tls_port_is_closed_and_logged(tmp_path: Path, authority: Authority) -> None:
    with Wire(tmp_path, **tls_settings(authority)) as wire, wire.connect() as peer:
        peer.put(frame(message("PLAIN")))
        assert peer.is_closed()
        assert wait_for(lambda: wire.logged("tls_failed"))
        assert not wire.stored()


def test_a_peer_below_the_least_tls_version_is_refused(tmp_path: Path, authority: Authority) -> None:
    old = client_tls(authority.ca)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with Wire(tmp_path, **tls_settings(authority, tls_minimum="1.3")) as wire:
        with pytest.raises(NotReachableError, match="want another version of TLS"):
            wire.client(tls=old)
        assert wait_for(lambda: wire.logged("tls_failed"))
    with Wire(tmp_path, **tls_settings(authority)) as wire, wire.client(tls=old) as client:
        assert client.send(message("V12")).code == "AA"


def test_send_of_plain_text_to_a_tls_port_is_told_to_use_tls(tmp_path: Path, authority: Authority) -> None:
    with Wire(tmp_path, **tls_settings(authority)) as wire:
        assert "mllps://" in why_refused(wire)


def test_send_over_tls_to_a_plain_port_is_told_before_the_answer_is_given_up(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire:
        began = time.monotonic()
        assert "send to mllp://HOST:PORT" in why_refused(wire, tls=client_tls(), timeout=60.0)
        assert time.monotonic() - began < 30


def why_refused(wire: Wire, **options: Any) -> str:
    """Why a client is turned away: in the handshake, or, as TLS 1.3 may have it, right after it."""
    with pytest.raises(NotReachableError) as caught, wire.client(**options) as client:
        client.send(message("REFUSED"))
    return str(caught.value)


def test_mutual_tls_asks_for_a_certificate_of_the_named_authority(tmp_path: Path, authority: Authority) -> None:
    stranger = Authority(tmp_path / "tls", "stranger")
    with Wire(tmp_path, **tls_settings(authority, tls_client_ca=authority.ca)) as wire:
        assert "ask for a client certificate" in why_refused(wire, tls=client_tls(authority.ca))
        strange = client_tls(authority.ca, *stranger.issue("ehr", "strange"))
        assert "not accept the one shown" in why_refused(wire, tls=strange)
        assert wait_for(lambda: len(wire.logged("tls_failed")) == 2)
        with wire.client(tls=client_tls(authority.ca, *authority.issue("ehr"))) as client:
            assert client.send(message("MTLS")).code == "AA"
        assert wire.stored() == {"MTLS": 1}


def test_a_certificate_must_have_a_name_on_the_list(tmp_path: Path, authority: Authority) -> None:
    settings = tls_settings(authority, tls_client_ca=authority.ca, allow_names=["EHR.hospital.example"])
    with Wire(tmp_path, **settings) as wire:
        other = client_tls(authority.ca, *authority.issue("billing.example"))
        assert "not accept the one shown or its names" in why_refused(wire, tls=other)
        assert wait_for(lambda: [e["reason"] for e in wire.logged("connection_refused")] == ["certificate_name"])
        with wire.client(tls=client_tls(authority.ca, *authority.issue("ehr.hospital.example"))) as client:
            assert client.send(message("NAMED")).code == "AA"
        assert wire.stored() == {"NAMED": 1}


def serial(client: MllpClient) -> str:
    certificate = client._socket.getpeercert()  # type: ignore[attr-defined]  # a TLS socket in these tests
    return str(certificate["serialNumber"])


def test_renewed_certificates_are_used_without_a_restart(tmp_path: Path, authority: Authority) -> None:
    tls = client_tls(authority.ca)
    with Wire(tmp_path, **tls_settings(authority)) as wire, wire.client(tls=tls) as old:
        assert old.send(message("G1")).code == "AA"
        authority.issue("listener")
        with wire.client(tls=tls) as new:
            assert new.send(message("G2")).code == "AA"
            assert old.send(message("G3")).code == "AA"
            assert serial(new) != serial(old)
        assert len(wire.logged("certificate_read_again")) == 1


def test_a_faulty_new_certificate_leaves_the_old_one_in_use(tmp_path: Path, authority: Authority) -> None:
    tls, settings = client_tls(authority.ca), tls_settings(authority)
    with Wire(tmp_path, **settings) as wire, wire.client(tls=tls) as first:
        settings["tls_cert"].write_text("not a certificate")
        for _ in range(3):
            with wire.client(tls=tls) as client:
                assert serial(client) == serial(first)
                assert client.send(message("H1")).code == "AA"
        assert [e["where"] for e in wire.logged("certificate_refused")] == ["tls_cert"]
        authority.issue("listener")
        with wire.client(tls=tls) as client:
            assert serial(client) != serial(first)


# --- stopping


def test_what_was_read_before_the_stop_is_answered(tmp_path: Path) -> None:
    with Wire(tmp_path) as wire, wire.connect() as peer, wire.connect() as silent:
        peer.put(b"".join(frame(message(f"Z{n}")) for n in range(2000)))
        wire.stop()
        answered = answers_until_the_end(peer)
        assert answered == [("AA", f"Z{n}") for n in range(len(answered))]
        assert set(wire.stored()) == {control_id for _, control_id in answered}
        assert silent.is_closed()


def test_what_was_read_before_the_stop_is_answered_over_tls(tmp_path: Path, authority: Authority) -> None:
    with Wire(tmp_path, **tls_settings(authority)) as wire, wire.connect() as plain:
        peer = Peer(client_tls(authority.ca).wrap_socket(plain.socket, server_hostname=HOST))
        peer.put(b"".join(frame(message(f"Z{n}")) for n in range(500)))
        wire.stop()
        answered = answers_until_the_end(peer)
        assert {control_id for _, control_id in answered} == set(wire.stored())
        peer.socket.close()


def answers_until_the_end(peer: Peer) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    try:
        while True:
            found += peer.answers(1)
    except (EOFError, ConnectionResetError):
        return found


class Flood:
    """A connection that sends some messages ahead of their answers, and reads until the other side ends it."""

    _AHEAD = 500

    def __init__(self, port: int, name: str) -> None:
        self.answered: list[tuple[str, str]] = []
        self.peer = Peer(socket.create_connection((HOST, port), timeout=30))
        self._name = name
        self._ahead = threading.Semaphore(self._AHEAD)
        self._is_ended = False
        self._threads = [threading.Thread(target=run) for run in (self._send, self._read)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with suppress(OSError):  # the listener has stopped
            for number in range(1_000_000):
                self._ahead.acquire()
                if self._is_ended:
                    return
                self.peer.put(frame(message(f"{self._name}-{number}")))

    def _read(self) -> None:
        with suppress(EOFError, ConnectionResetError):
            while True:
                self.answered += self.peer.answers(1)
                self._ahead.release()
        self._is_ended = True
        self._ahead.release()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        self.peer.socket.close()


def test_sigterm_under_load_answers_all_that_was_read_and_keeps_all_that_was_answered(trial: Trial) -> None:
    trial.start_adapter()
    floods = [Flood(trial.mllp_port, f"T{n}") for n in range(4)]
    assert wait_for(lambda: len(list_messages(trial.ledger, limit=300)) == 300, 30)
    trial.stop("adapter")
    for flood in floods:
        flood.join()
    stored = {m.control_id for m in list_messages(trial.ledger, limit=1_000_000)}
    answered = [one for flood in floods for one in flood.answered]
    assert {code for code, _ in answered} == {"AA"}
    assert {control_id for _, control_id in answered} == stored
    assert "service_stopped" in trial.log_of("adapter")


# --- a full disk


def full_disk_ledger(path: Path, pages: int) -> Ledger:
    """A ledger whose file may not grow beyond so many pages: SQLite answers as on a full disk (SQLITE_FULL)."""
    open_ledger(path).close()
    engine = sqlite_engine(path)

    def limit(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(engine, "connect", limit)
    return Ledger(engine)


def page_count(connection: Connection) -> int:
    return int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())


def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    probe = open_ledger(path)
    with probe.reading() as connection:
        pages = page_count(connection) + 40
    probe.close()
    taken: list[str] = []
    with Wire(tmp_path, full_disk_ledger(path, pages)) as wire, wire.client() as client:
        for number in range(200):
            answer = client.send(message(f"D{number}", text="d" * 3000))
            if answer.code != "AA":
                break
            taken.append(answer.control_id)
        assert (answer.code, answer.control_id) == ("AE", f"D{len(taken)}")
        assert answer.errors == ("the message could not be stored: send it again",)
        assert client.send(message("D-MORE", text="d" * 30_000)).code == "AE"
        assert taken
        assert wire.logged("intake_failed")
    with Wire(tmp_path, open_ledger(path)) as wire, wire.client() as client:
        assert wire.stored() == dict.fromkeys(taken, 1)
        assert client.send(message("D-MORE", text="d" * 30_000)).code == "AA"


# --- the service and its commands


def command(trial: Trial, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "fhir_coder", *words, "-c", str(trial.settings_file)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def add_to_feed(trial: Trial, *lines: str) -> None:
    text = trial.settings_file.read_text()
    port = f"port = {trial.mllp_port}\n"
    dropped = ("tls_", "allow", "ack")
    rest = "".join(line for line in text.splitlines(True) if not line.startswith(dropped))
    trial.settings_file.write_text(rest.replace(port, port + "".join(f"{line}\n" for line in lines)))


def test_serve_lists_all_faults_of_tls_files_and_starts_nothing(trial: Trial, authority: Authority) -> None:
    _, key = authority.issue("listener")
    key.chmod(0o644)
    add_to_feed(trial, 'tls_cert = "gone.pem"', f'tls_key = "{key}"', f'tls_client_ca = "{key}.ca"')
    done = command(trial, "serve")
    assert done.returncode == 2
    assert "3 faults" in done.stderr
    for said in ("feeds[0].tls_cert (", "No such file", "feeds[0].tls_key (", "everyone", "feeds[0].tls_client_ca ("):
        assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_send_speaks_mutual_tls_to_the_service_and_reads_a_batch(trial: Trial, authority: Authority) -> None:
    shutil.copy(authority.issue("listener")[0], trial.folder / "here.pem")
    add_to_feed(
        trial, 'tls_cert = "here.pem"', 'tls_key = "tls/listener.key"', 'tls_client_ca = "tls/test-authority.pem"'
    )
    cert, key = authority.issue("sender")
    file = trial.folder / "night.hl7"
    file.write_bytes(batch(message("X1") + message("X2"), message("")))
    trial.start_adapter()
    assert "(TLS, client certificates)" in trial.log_of("adapter")
    tls = ["--ca", str(authority.ca), "--cert", str(cert), "--key", str(key)]
    done = command(trial, "send", str(file), "--whole", *tls)
    assert [line.split()[1:3] for line in done.stdout.splitlines()] == [["AA", "X1"], ["AA", "X2"], ["AR", "UNKNOWN"]]
    assert done.returncode == 1
    done = command(trial, "send", str(file), "--ca", str(authority.ca))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert {m.control_id for m in list_messages(trial.ledger)} == {"X1", "X2", ""}


def test_sigterm_ends_the_service_with_open_connections(trial: Trial) -> None:
    trial.start_adapter()
    with trial.mllp() as client:
        assert client.send(message("Y1")).code == "AA"
        process = trial._processes["adapter"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_without_room_for_one_more_connection_the_open_ones_go_on(trial: Trial) -> None:
    trial.start_adapter()
    pid = trial.process_id("adapter")
    with trial.mllp() as client:
        assert client.send(message("U1")).code == "AA"
        assert trial.wait_until_settled()
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = max(int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, before[1]))
        with trial.mllp(), trial.mllp():
            assert wait_for(lambda: "accept_failed" in trial.log_of("adapter"))
            assert client.send(message("U1")).code == "AA"
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        with trial.mllp() as another:
            assert another.send(message("U2")).code == "AA"
