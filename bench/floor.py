"""The floor: an ASGI application driven inside Python, with no server and no bridge.

`floor.py <app>` reads one JSON object a line from stdin, `{"operation": …, "parameters": …}`, and
answers each with one line on file descriptor 3. The operations are those of `operations/*.js` and
return the same keys. `floor.py <app> --once` makes one request, reports, and ends.

Each request is an asyncio task on uvloop, with a copied scope and a receive and a send that do
nothing but hand over the body and count the answer.
"""

import asyncio
import gc
import importlib
import json
import os
import resource
import sys
import time

import uvloop

REPORT = os.fdopen(3, 'w', buffering=1)


class Exchange:
    """One request's receive and send."""

    __slots__ = ('chunk', 'disconnected', 'left', 'length', 'status')

    def __init__(self, chunk, count=1):
        self.chunk = chunk
        self.left = count
        self.length = 0
        self.status = 0
        self.disconnected = None

    async def receive(self):
        if self.left > 0:
            self.left -= 1
            return {'type': 'http.request', 'body': self.chunk, 'more_body': self.left > 0}
        self.disconnected = asyncio.get_running_loop().create_future()
        await self.disconnected
        return {'type': 'http.disconnect'}

    async def send(self, message):
        if message['type'] == 'http.response.start':
            self.status = message['status']
        else:
            self.length += len(message.get('body', b''))


class Driver:
    """Starts requests of one application."""

    def __init__(self, app, request):
        path, _, query = request.get('path', '/').partition('?')
        self.app = app
        self.body = request.get('body', '').encode()
        self.template = {
            'type': 'http',
            'asgi': {'version': '3.0', 'spec_version': '2.4'},
            'http_version': '1.1',
            'method': request.get('method', 'GET'),
            'scheme': 'http',
            'path': path,
            'raw_path': path.encode(),
            'query_string': query.encode(),
            'root_path': '',
            'headers': [
                (name.lower().encode(), value.encode())
                for name, value in request.get('headers', {}).items()
            ],
            'client': ('127.0.0.1', 50000),
            'server': ('127.0.0.1', 80),
        }

    def start(self, loop, exchange):
        scope = self.template.copy()
        scope['state'] = {}
        return loop.create_task(self.app(scope, exchange.receive, exchange.send))

    async def batch(self, count):
        """Runs `count` requests at a time to their ends."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        left = count

        def ended(task):
            nonlocal left
            left -= 1
            if left == 0:
                done.set_result(None)

        exchanges = [Exchange(self.body) for _ in range(count)]
        for exchange in exchanges:
            self.start(loop, exchange).add_done_callback(ended)
        await done
        for exchange in exchanges:
            if exchange.status != 200:
                raise RuntimeError('status %d' % exchange.status)


async def concurrent(app, parameters):
    driver = Driver(app, parameters['request'])
    in_flight = parameters['inFlight']
    count = 0
    cpu = time.process_time()
    start = time.perf_counter()
    end = start + parameters['seconds']
    while time.perf_counter() < end:
        await driver.batch(in_flight)
        count += in_flight
    seconds = time.perf_counter() - start
    return {'rate': count / seconds, 'cpu': (time.process_time() - cpu) * 1e6 / count}


async def sequential(app, parameters):
    driver = Driver(app, parameters['request'])
    loop = asyncio.get_running_loop()
    latencies = []
    start = time.perf_counter()
    end = start + parameters['seconds']
    now = start
    while now < end:
        exchange = Exchange(driver.body)
        await driver.start(loop, exchange)
        if exchange.status != 200:
            raise RuntimeError('status %d' % exchange.status)
        before, now = now, time.perf_counter()
        latencies.append(now - before)
    latencies.sort()
    return {
        'p50': latencies[len(latencies) // 2] * 1e6,
        'p99': latencies[int(len(latencies) * 0.99)] * 1e6,
        'rate': len(latencies) / (now - start),
    }


async def download(app, parameters):
    driver = Driver(app, parameters['request'])
    exchange = Exchange(b'')
    start = time.perf_counter()
    await driver.start(asyncio.get_running_loop(), exchange)
    seconds = time.perf_counter() - start
    if exchange.length != parameters['count'] * parameters['size']:
        raise RuntimeError('%d bytes' % exchange.length)
    return {'megabytes': exchange.length / 2**20 / seconds, 'chunks': parameters['count'] / seconds}


async def upload(app, parameters):
    driver = Driver(app, parameters['request'])
    exchange = Exchange(b'x' * parameters['size'], parameters['count'])
    start = time.perf_counter()
    await driver.start(asyncio.get_running_loop(), exchange)
    seconds = time.perf_counter() - start
    return {'megabytes': parameters['count'] * parameters['size'] / 2**20 / seconds}


async def burst(app, parameters):
    driver = Driver(app, parameters['request'])
    start = time.perf_counter()
    await driver.batch(parameters['count'])
    return {'milliseconds': (time.perf_counter() - start) * 1e3}


async def waiting(app, parameters):
    driver = Driver(app, parameters['request'])
    cpu = time.process_time()
    await driver.batch(1)
    return {'cpu': time.process_time() - cpu}


async def idle_streams(app, parameters):
    driver = Driver(app, parameters['request'])
    loop = asyncio.get_running_loop()

    async def open_streams(count):
        exchanges = [Exchange(b'') for _ in range(count)]
        tasks = [driver.start(loop, exchange) for exchange in exchanges]
        while any(exchange.disconnected is None for exchange in exchanges):
            await asyncio.sleep(0.01)
        return exchanges, tasks

    async def close_streams(exchanges, tasks):
        for exchange in exchanges:
            exchange.disconnected.set_result(None)
        await asyncio.gather(*tasks)

    await close_streams(*await open_streams(parameters['warm']))
    gc.collect()
    before = resident()
    streams = await open_streams(parameters['streams'])
    gc.collect()
    after = resident()
    cpu = time.process_time()
    await asyncio.sleep(parameters['hold'])
    cpu = time.process_time() - cpu
    await close_streams(*streams)
    return {
        'kilobytes': (after - before) / 1024 / parameters['streams'],
        'cpu': cpu * 100 / parameters['hold'],
    }


def resident():
    """Resident bytes of this process; the peak where the present value can't be read."""
    try:
        with open('/proc/self/statm') as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


OPERATIONS = {
    'concurrent': concurrent,
    'sequential': sequential,
    'download': download,
    'upload': upload,
    'burst': burst,
    'waiting': waiting,
    'idleStreams': idle_streams,
}


def report(answer):
    REPORT.write(json.dumps(answer) + '\n')
    REPORT.flush()


def main():
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'apps'))
    app = importlib.import_module(sys.argv[1]).app
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    if '--once' in sys.argv:
        loop.run_until_complete(waiting(app, {'request': {}}))
        report({'ready': True})
        return
    report({'ready': True})
    for line in sys.stdin:
        question = json.loads(line)
        operation = OPERATIONS[question['operation']]
        try:
            report({'result': loop.run_until_complete(operation(app, question['parameters']))})
        except Exception as error:
            report({'error': '%s: %s' % (type(error).__name__, error)})


main()
