"""From the acknowledgment of a message to the payer's answer: a real `serve` process and sandbox payer. `make bench`.

First as many messages as come through: a sender on eight connections, each message a visit of its own; counted is from
the first acknowledgment to the last answer. Then 100 messages a second: the time from each acknowledgment to the answer
of its claim, of which a site with `quiet_seconds` waits that much; here it is a tenth of a second.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from fhir_coder.logs import configure_logs
from fhir_coder.store.schema import attempts, claims, message_topics, messages
from fhir_coder.trial import Trial
from tests.bench.delivery import charge_message, cpu_seconds, processes, settings_of, wait_for_answers

MESSAGES = int(os.environ.get("FHIR_CODER_BENCH_CLAIMS", "2000"))
SENDERS, STEADY = 8, 100
SECONDS = 15


def send(trial: Trial, bodies: Sequence[bytes], acknowledged: list[datetime], pause: float = 0.0) -> None:
    """Send messages over one connection, one a `pause` where there is one, else each when the last was taken."""
    begin = time.monotonic()
    with trial.mllp() as client:
        for place, body in enumerate(bodies):
            time.sleep(max(0.0, begin + pause * place - time.monotonic()))
            if client.send(body).code != "AA":
                raise SystemExit("not acknowledged")
            acknowledged.append(datetime.now(UTC))


def sent_by_all(trial: Trial, run: str, number: int, pause: float = 0.0) -> list[datetime]:
    """Send messages over all connections; when each was acknowledged."""
    acknowledged: list[datetime] = []
    bodies = [charge_message(run, n) for n in range(number)]
    shares = [bodies[place::SENDERS] for place in range(SENDERS)]
    threads = [threading.Thread(target=send, args=(trial, share, acknowledged, pause)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return acknowledged


def most(trial: Trial, number: int) -> str:
    """As many as come through."""
    before = {name: cpu_seconds(pid) for name, pid in processes(trial).items()}
    acknowledged = sent_by_all(trial, "A", number)
    wait_for_answers(trial, number)
    with trial.ledger.reading() as connection:
        last = max(at for at in connection.execute(select(attempts.c.ended_at)).scalars() if at)
    seconds = (last - min(acknowledged)).total_seconds()
    acks = (max(acknowledged) - min(acknowledged)).total_seconds()
    cpu = {name: cpu_seconds(pid) - before[name] for name, pid in processes(trial).items()}
    worked = "   ".join(f"{name} {1000 * used / number:.2f} ms" for name, used in cpu.items())
    return f"{number / seconds:7,.0f} messages/s (acknowledged in {acks:.1f} s)   CPU a message: {worked}"


def waits(trial: Trial) -> Iterator[float]:
    """Seconds from the keeping of each message of the steady run to the answer of its claim."""
    query = (
        select(messages.c.received_at, attempts.c.ended_at)
        .join(message_topics, message_topics.c.message_id == messages.c.id)
        .join(claims, claims.c.chart_key == message_topics.c.topic)
        .join(attempts, attempts.c.claim_id == claims.c.id)
        .where(messages.c.control_id.startswith("LKS"), attempts.c.outcome == "answered")
    )
    with trial.ledger.reading() as connection:
        for kept_at, answered_at in connection.execute(query):
            yield (answered_at - kept_at).total_seconds()


def steady(trial: Trial, already: int) -> str:
    """A hundred messages a second."""
    number = STEADY * SECONDS
    sent_by_all(trial, "S", number, pause=SENDERS / STEADY)
    wait_for_answers(trial, already + number)
    took = sorted(waits(trial))
    shares = ((50, "p50"), (95, "p95"), (99, "p99"))
    return "   ".join(f"{name} {1000 * took[len(took) * share // 100]:.0f} ms" for share, name in shares)


def main() -> None:
    """Print the figures."""
    configure_logs("json", "error")
    number = int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES
    print(f"{number:,} messages from acknowledgment to the payer's answer, fsync on, {os.cpu_count()} cores")
    for way in sys.argv[2:] or ("batch", "operation"):
        with tempfile.TemporaryDirectory() as folder, Trial(Path(folder), settings_of(way)) as trial:
            trial.start_payer()
            trial.start_adapter()
            print(f"  {way:10} {most(trial, number)}", flush=True)
            print(f"  {'':10} at {STEADY} messages/s: {steady(trial, number)}", flush=True)


if __name__ == "__main__":
    main()
