"""WSGI applications by a2wsgi, and what their threads need besides when a client leaves.

a2wsgi runs an application in a thread of a pool, and takes what it gives through a bounded queue. Once its `send` has raised,
nobody takes from that queue: the thread would wait for ever, and after ten such requests the pool would be used up. So a
`send` that has raised takes everything from then on, the application's iterator ends at its next step, `write` and
`wsgi.input` raise, and a task that is cancelled leaves its thread to end by itself.
"""

import asyncio
import contextvars
import sys

from a2wsgi import WSGIMiddleware

# Set by wsgi.rs: an OSError.
ClientDisconnected = None

_current = contextvars.ContextVar("python_node_wsgi_request")


class _Request:
    """`receive` and `send` of one request, and why nothing is sent any more."""

    def __init__(self, receive, send):
        self._receive = receive
        self._send = send
        self.failure = None

    async def receive(self):
        """a2wsgi takes a disconnect for the end of the body: half of one would look like a whole one."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected("the client has disconnected before the end of its body")
        return message

    async def send(self, message):
        if self.failure is not None:
            return
        try:
            await self._send(message)
        except Exception as error:
            self.failure = error


class _Parts:
    """What an application returned, until nobody wants more of it."""

    def __init__(self, parts, request):
        self._parts = parts
        self._iterator = iter(parts)
        self._request = request

    def __iter__(self):
        return self

    def __next__(self):
        if self._request.failure is not None:
            raise StopIteration
        return next(self._iterator)

    def close(self):
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()


def _retrieve(task):
    """An exception that nobody waits for any more is not told of."""
    if not task.cancelled():
        task.exception()


class WsgiApplication:
    """An ASGI 3 application that runs a WSGI one."""

    def __init__(self, application):
        self._application = application
        self._middleware = WSGIMiddleware(self._call)
        # asyncio itself holds tasks weakly.
        self._tasks = set()

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self._middleware(scope, receive, send)
        request = _Request(receive, send)
        task = asyncio.ensure_future(self._respond(scope, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_retrieve)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if request.failure is None:
                request.failure = ClientDisconnected("the request was given up")
            raise
        if request.failure is not None:
            raise request.failure
        task.result()

    async def _respond(self, scope, request):
        _current.set(request)
        await self._middleware(scope, request.receive, request.send)

    def _call(self, environ, start_response):
        """The WSGI application as a2wsgi calls it: in a thread, in the context of `_respond`."""
        request = _current.get()
        if request.failure is not None:
            # Given up while it waited for a thread.
            raise request.failure
        # A body of unknown length ends by itself, which Werkzeug has to be told.
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.multiprocess"] = False

        def start(*arguments, **named):
            write = start_response(*arguments, **named)

            def write_wanted(data):
                if request.failure is not None:
                    raise request.failure
                write(data)

            return write_wanted

        return _Parts(self._application(environ, start), request)
