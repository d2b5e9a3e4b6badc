"""Waits or computes for the seconds given by the query (`seconds=0.05`), then answers.

/sleep leaves the loop free, /compute keeps it and the GIL busy with Python code.
"""

import asyncio
import time
from urllib.parse import parse_qs

HEADERS = [(b'content-type', b'text/plain'), (b'content-length', b'4')]


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await receive()
    seconds = float(parse_qs(scope['query_string']).get(b'seconds', [b'0'])[0])
    if scope['path'] == '/sleep':
        await asyncio.sleep(seconds)
    elif scope['path'] == '/compute':
        compute(seconds)
    await send({'type': 'http.response.start', 'status': 200, 'headers': HEADERS})
    await send({'type': 'http.response.body', 'body': b'done'})


def compute(seconds):
    end = time.perf_counter() + seconds
    total = 0
    while time.perf_counter() < end:
        for number in range(1000):
            total += number * number
    return total
