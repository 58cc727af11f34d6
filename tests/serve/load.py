"""A bounded load generator, a process of its own: so many requests from so many clients at a time.

    python load.py URL REQUESTS CLIENTS BODY

It prints JSON: requests per second, latency in milliseconds (p50, p99), and how many answers had which status;
`failed` counts those without any answer.
"""

import asyncio
import json
import sys
import time
from collections import Counter

import aiohttp
import numpy as np


async def _load(url: str, requests: int, clients: int, body: bytes) -> dict[str, object]:
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    left = iter(range(requests))

    async def client(session: aiohttp.ClientSession) -> None:
        for _ in left:
            begun = time.perf_counter()
            try:
                async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
                    await answer.read()
                    statuses[str(answer.status)] += 1
            except (aiohttp.ClientError, TimeoutError):
                statuses["failed"] += 1
            latencies.append(1000 * (time.perf_counter() - begun))

    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients), timeout=timeout) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(clients)))
        seconds = time.perf_counter() - begun
    p50, p99 = np.percentile(latencies, [50, 99])
    return {"requests_per_second": requests / seconds, "p50_ms": p50, "p99_ms": p99, "statuses": dict(statuses)}


if __name__ == "__main__":
    url, requests, clients, body = sys.argv[1:]
    json.dump(asyncio.run(_load(url, int(requests), int(clients), body.encode())), sys.stdout)
