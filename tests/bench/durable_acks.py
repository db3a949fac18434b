"""Durable acknowledgments a second over MLLP: a real `serve` process, a flush before each answer. `make bench`.

The client is a process of its own on the same machine; each connection sends one 8 KB charge message after the other
and waits for its AA. Each message is a visit of its own, so that the workers have as much to do as can be; the payer
does not answer. Flushes are those of intake, the workers left out, counted by strace in a run of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
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


def bench_message(run: str, number: int) -> bytes:
    """The covid charge message as another visit's, padded to 8 KB by a Z segment."""
    body = (shipped("fixtures") / "covid" / "01-dft-p03.hl7").read_bytes()
    body = body.replace(b"LK000101", b"%s%07d" % (run.encode(), number))
    body = body.replace(b"VN-1001", b"VN-%s%07d" % (run.encode(), number))
    body = body.replace(b"MRN-1001", b"MRN-%s%07d" % (run.encode(), number))
    return body + b"ZPD|" + b"x" * (SIZE - len(body) - 5) + b"\r"


@dataclass(frozen=True)
class Figures:
    """What one run came to; times in seconds."""

    connections: int
    rate: float
    p50: float
    p99: float


async def _converse(port: int, run: str, until: float, took: list[tuple[float, float]]) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    number = 0
    while time.perf_counter() < until:
        number += 1
        body = frame(bench_message(run, number))
        start = time.perf_counter()
        writer.write(body)
        answer = await reader.readuntil(b"\x1c\r")
        took.append((start, time.perf_counter() - start))
        if b"|AA|" not in answer:
            raise SystemExit(f"not acknowledged: {answer!r}")
    writer.close()


async def _send(port: int, connections: int, run: str) -> Figures:
    begin = time.perf_counter() + WARM_UP
    took: list[tuple[float, float]] = []
    senders = [_converse(port, f"{run}{n}", begin + SECONDS, took) for n in range(connections)]
    await asyncio.gather(*senders)
    counted = sorted(seconds for start, seconds in took if start >= begin)
    rate = len(counted) / SECONDS
    return Figures(connections, rate, counted[len(counted) // 2], counted[len(counted) * 99 // 100])


def client(port: int, connections: int, run: str) -> None:
    """The client process: prints its figures as JSON."""
    print(json.dumps(asyncio.run(_send(port, connections, run)).__dict__))


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
