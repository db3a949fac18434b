"""Durable acknowledgments a second over MLLP: a real `serve` process, a flush before each answer. `make bench`.

The client is a process of its own on the same machine; each connection sends one 8 KB charge message after the other
and waits for its AA. Each message is a visit of its own, so that the workers have as much to do as can be; the payer
does not answer. Flushes are those of intake, the workers left out, counted by strace in a run of their own.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fhir_coder.hl7v2 import frame
from fhir_coder.hl7v2.mllp_frame import DEFAULT_LIMIT
from fhir_coder.settings import example_settings
from fhir_coder.shipped import shipped
from fhir_coder.trial import HOST, Trial

SIZE = 8 * 1024
LARGE = 20 * 1000 * 1000
SECONDS = float(os.environ.get("FHIR_CODER_BENCH_SECONDS", "8"))
WARM_UP = 2.0


_NUMBER = b"<number>"


@lru_cache(maxsize=32)
def _template(run: str) -> bytes:
    """The covid charge message as another visit's, with places for its number, padded to 8 KB by a Z segment."""
    body = (shipped("fixtures") / "covid" / "01-dft-p03.hl7").read_bytes()
    for name, prefix in ((b"LK000101", b""), (b"VN-1001", b"VN-"), (b"MRN-1001", b"MRN-")):
        body = body.replace(name, prefix + run.encode() + _NUMBER)
    size = len(body) + body.count(_NUMBER) * (7 - len(_NUMBER))
    return body + b"ZPD|" + b"x" * (SIZE - size - 5) + b"\r"


def bench_message(run: str, number: int) -> bytes:
    """The message with a number of up to seven digits. Cheap: what the client computes, the adapter lacks."""
    return _template(run).replace(_NUMBER, b"%07d" % number)


@dataclass(frozen=True)
class Figures:
    """What one run came to; times in seconds."""

    connections: int
    rate: float
    p50: float
    p99: float


class _Sender:
    """One connection: sends a message when the one before is acknowledged."""

    def __init__(self, port: int, run: str) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._run, self._number = run, 0
        self.took: list[tuple[float, float]] = []
        self._answer = b""

    def send(self) -> None:
        """Send the next message."""
        self._number += 1
        body = frame(bench_message(self._run, self._number))
        self._start = time.perf_counter()
        self.socket.sendall(body)

    def is_answered(self) -> bool:
        """Read what has come; whether it is the whole answer."""
        self._answer += self.socket.recv(4096)
        if not self._answer.endswith(b"\x1c\r"):
            return False
        self.took.append((self._start, time.perf_counter() - self._start))
        if b"|AA|" not in self._answer:
            raise SystemExit(f"not acknowledged: {self._answer!r}")
        self._answer = b""
        return True


def _send(port: int, connections: int, run: str) -> Figures:
    """Let all connections send; by `epoll` itself: an event loop of asyncio would cost as much as the adapter's."""
    begin = time.perf_counter() + WARM_UP
    senders = {one.socket.fileno(): one for one in (_Sender(port, f"{run}{n}") for n in range(connections))}
    with select.epoll() as poll:
        for number, sender in senders.items():
            poll.register(number, select.EPOLLIN)
            sender.send()
        while time.perf_counter() < begin + SECONDS:
            for number, _ in poll.poll(1.0):
                if senders[number].is_answered():
                    senders[number].send()
    took = [one for sender in senders.values() for one in sender.took]
    counted = sorted(seconds for start, seconds in took if start >= begin)
    rate = len(counted) / SECONDS
    return Figures(connections, rate, counted[len(counted) // 2], counted[len(counted) * 99 // 100])


def client(port: int, connections: int, run: str) -> None:
    """The client process: prints its figures as JSON."""
    print(json.dumps(_send(port, connections, run).__dict__))


def measured(trial: Trial, connections: int, run: str) -> Figures:
    """Let a client process send to a trial's adapter."""
    words = [sys.executable, "-m", "tests.bench.durable_acks", str(trial.mllp_port), str(connections), run]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return Figures(**json.loads(done.stdout))


def seconds_for_large(trial: Trial) -> float:
    """Seconds from the first byte of a 20 MB message to its acknowledgment."""
    body = frame(bench_message("L", 1) + b"ZPD|" + b"x" * LARGE + b"\r")
    with socket.create_connection((HOST, trial.mllp_port), timeout=60) as peer:
        start = time.perf_counter()
        peer.sendall(body)
        answer = peer.recv(4096)
        took = time.perf_counter() - start
    if b"|AA|" not in answer:
        raise SystemExit(f"not acknowledged: {answer!r}")
    return took


def flushes(trial: Trial, connections: int, run: str) -> tuple[int, float]:
    """How many flushes to the disk one run makes, and how many messages a second came through under strace."""
    pid = trial.process_id("adapter")
    report = trial.folder / f"strace-{run}"
    words = ["strace", "-f", "-c", "-e", "trace=fsync,fdatasync", "-o", str(report), "-p", str(pid)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as tracer:
        rate = measured(trial, connections, run).rate
        tracer.send_signal(signal.SIGINT)
    rows = [line.split() for line in report.read_text().splitlines()]
    return sum(int(r[3]) for r in rows if r and r[-1] in ("fsync", "fdatasync")), rate


def main() -> None:
    """Print the figures."""
    if len(sys.argv) == 4:
        client(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
        return
    print(f"durable acknowledgments, {SIZE} byte messages, flushed to the disk before each answer, workers working")
    with tempfile.TemporaryDirectory() as folder, Trial(Path(folder), example_settings()) as trial:
        limit = f"max_frame_bytes = {DEFAULT_LIMIT}"
        text = trial.settings_file.read_text()
        trial.settings_file.write_text(text.replace(limit, f"max_frame_bytes = {2 * LARGE}"))
        trial.start_adapter()
        print(f"  a message of 20 MB acknowledged in {seconds_for_large(trial):.2f} s", flush=True)
    for connections in (1, 8):
        with tempfile.TemporaryDirectory() as folder, Trial(Path(folder), example_settings()) as trial:
            trial.start_adapter()
            f = measured(trial, connections, f"B{connections}")
            print(
                f"  {f.connections} connection{'s' * (connections > 1):1}  {f.rate:8,.0f} ACKs/s"
                f"   p50 {f.p50 * 1000:6.2f} ms   p99 {f.p99 * 1000:6.2f} ms",
                flush=True,
            )
            if shutil.which("strace"):
                number, rate = flushes(trial, connections, f"S{connections}")
                print(
                    f"      under strace: {number:,} flushes for {rate * (SECONDS + WARM_UP):,.0f} messages", flush=True
                )


if __name__ == "__main__":
    main()
