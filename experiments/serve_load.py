"""Load of `gan-style serve` on loopback: python experiments/serve_load.py CHECKPOINT [--clients 50] [--pictures 1000]

It starts the server, sends so many different small pictures by so many clients at a time, each over one connection,
compares every answer with what the model gives of that picture alone, and ends the server by SIGTERM. Rate and CPU time
are compared with the bare model: one pass per picture in this process, before and after, without HTTP, decoding or
encoding. On a machine that does other work only the CPU time is comparable.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan_style.apps.serve.model import Served, served
from gan_style.core.terminal import Parser
from gan_style.data.saving import encode
from gan_style.data.values import Array


class Answer(NamedTuple):
    """Answer to one picture: HTTP status, body and seconds."""

    status: int
    body: bytes
    seconds: float


def pictures(count: int, side: int) -> list[Array]:
    """Make different pictures; every fourth is of another size."""
    random = np.random.default_rng(0)
    sizes = [(side, side) if i % 4 else (side, side * 3 // 4) for i in range(count)]
    return [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def send(host: str, port: int, bodies: Sequence[bytes], clients: int) -> list[Answer | None]:
    """Send all bodies, by so many clients at a time; None stands for a picture without an answer."""
    answers: list[Answer | None] = [None] * len(bodies)
    left = iter(range(len(bodies)))
    turn = threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection(host, port, timeout=120)
        while True:
            with turn:
                i = next(left, None)
            if i is None:
                break
            start = time.perf_counter()
            connection.request("POST", "/translate", bodies[i], {"Content-Type": "image/png"})
            response = connection.getresponse()
            body = response.read()
            answers[i] = Answer(response.status, body, time.perf_counter() - start)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def distances(answers: Sequence[Answer | None], expected: Sequence[Array]) -> Counter[int]:
    """Count the largest difference of each answer from what was expected, in steps of 255; -1 where there is none."""
    found: Counter[int] = Counter()
    for answer, wanted in zip(answers, expected, strict=True):
        if answer is None or answer.status != 200:
            found[-1] += 1
            continue
        with Image.open(BytesIO(answer.body)) as image:
            got = np.asarray(image, np.int16).reshape(wanted.shape)
        found[int(np.abs(got - wanted).max())] += 1
    return found


def alone(model: Served, given: Sequence[Array]) -> tuple[list[Array], float, float]:
    """Translate one by one, and return the results, the seconds and those of the CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    results = [model.run([picture], model.directions[0])[0] for picture in given]
    return results, time.perf_counter() - start, time.process_time() - cpu


def cpu_seconds(host: str, port: int) -> float:
    """Return the CPU time of a server so far, by its own count; NaN where it keeps none."""
    with urllib.request.urlopen(f"http://{host}:{port}/metrics") as answer:
        found = re.search(r"^process_cpu_seconds_total (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else float("nan")


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    parsed = parser.parse_args()
    given = pictures(parsed.pictures, parsed.size)
    bodies = [encode(picture, ".png") for picture in given]
    model = served(parsed.model, device="cpu")
    half = len(given) // 2
    first, before, cpu_before = alone(model, given[:half])
    options = ["--port", "0", "--device", "cpu", "--queue", str(parsed.clients), "--batch", str(parsed.batch)]
    command = [sys.executable, "-m", "gan_style", "serve", parsed.model, *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(re.findall(r":(\d+)/", server.stdout.readline())[0])
        send("127.0.0.1", port, bodies[:8], 4)  # warm
        start, cpu = time.perf_counter(), cpu_seconds("127.0.0.1", port)
        answers = send("127.0.0.1", port, bodies, parsed.clients)
        seconds, cpu = time.perf_counter() - start, cpu_seconds("127.0.0.1", port) - cpu
    finally:
        server.send_signal(signal.SIGTERM)
        status = server.wait(60)
    second, after, cpu_after = alone(model, given[half:])
    times = sorted(answer.seconds for answer in answers if answer)
    rate, bare = len(given) / seconds, len(given) / (before + after)
    result = {
        "statuses": dict(Counter(answer.status if answer else 0 for answer in answers)),
        "steps_from_single_passes": dict(sorted(distances(answers, [*first, *second]).items())),
        "per_second": rate,
        "bare_per_second": bare,
        "ratio": rate / bare,
        "cpu_ms": 1000 * cpu / len(given),
        "bare_cpu_ms": 1000 * (cpu_before + cpu_after) / len(given),
        "p50_seconds": statistics.median(times),
        "p95_seconds": times[int(0.95 * len(times))],
        "exit_status_of_the_server": status,
    }
    print(json.dumps(result, indent=2))
    if parsed.out:
        parsed.out.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["statuses"] == {200: len(given)} and status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
