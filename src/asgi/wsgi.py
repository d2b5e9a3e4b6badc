"""WSGI applications by a2wsgi, and what their threads need besides when a client leaves.

a2wsgi runs an application in a thread of a pool, and takes what it gives through a bounded queue. Once its `send` has raised,
nobody takes from that queue: the thread would wait for ever, and after ten such requests the pool would be used up. So a
`send` that has raised takes everything from then on, the application's iterator ends at its next step, `write` and
`wsgi.input` raise, and a task that is cancelled leaves its thread to end by itself. That holds for every WSGIMiddleware of a2wsgi's,
those that applications mount too.
"""

import asyncio
import contextvars
import sys
import urllib.parse

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


class _Head:
    """`start_response`: what is announced goes out with the first part, and may be replaced until then (PEP 3333)."""

    def __init__(self, start_response, request):
        self._start_response = start_response
        self._request = request
        self._announced = None
        self._write = None

    def __call__(self, status, headers, exc_info=None):
        if exc_info is not None:
            try:
                if self._write is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self._announced is not None:
            raise AssertionError("start_response was called before, and there is no exc_info")
        self._announced = (status, headers)
        return self._write_part

    def send(self):
        if self._write is None and self._announced is not None:
            self._write = self._start_response(*self._announced)

    def _write_part(self, data):
        if self._request.failure is not None:
            raise self._request.failure
        self.send()
        self._write(data)


class _Parts:
    """What an application returned, until nobody wants more of it."""

    def __init__(self, parts, head, request):
        self._parts = parts
        self._iterator = iter(parts)
        self._head = head
        self._request = request

    def __iter__(self):
        return self

    def __next__(self):
        # An empty part is no part of a body.
        part = b""
        while not part:
            if self._request.failure is not None:
                raise StopIteration
            try:
                part = next(self._iterator)
            except StopIteration:
                self._head.send()
                raise
        self._head.send()
        return part

    def close(self):
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()


def _retrieve(task):
    """An exception that nobody waits for any more is not told of."""
    if not task.cancelled():
        task.exception()


class _Application:
    """A WSGI application as a2wsgi calls it: in a thread, in the context of its request."""

    def __init__(self, application):
        self._application = application

    def __call__(self, environ, start_response):
        request = _current.get()
        if request.failure is not None:
            # Given up while it waited for a thread.
            raise request.failure
        # A body of unknown length ends by itself, which Werkzeug has to be told.
        if "CONTENT_LENGTH" not in environ:
            environ["wsgi.input_terminated"] = True
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.multiprocess"] = False
        _set_path(environ)
        _set_cookie(environ)
        head = _Head(start_response, request)
        return _Parts(self._application(environ, head), head, request)


def _set_path(environ):
    """The path's own bytes: ASGI's `path` has lost those that are no UTF-8."""
    raw_path = environ["asgi.scope"].get("raw_path")
    if raw_path and b"%" in raw_path:
        path = urllib.parse.unquote_to_bytes(raw_path).decode("latin-1")
        if path.startswith(environ["SCRIPT_NAME"]):
            environ["PATH_INFO"] = path[len(environ["SCRIPT_NAME"]) :]


def _set_cookie(environ):
    """Several fields are one with semicolons (RFC 9113, 8.2.3); a2wsgi joins them as any other, with commas."""
    fields = [value for name, value in environ["asgi.scope"]["headers"] if name == b"cookie"]
    if len(fields) > 1:
        environ["HTTP_COOKIE"] = b"; ".join(fields).decode("latin-1")


# asyncio itself holds tasks weakly.
_tasks = set()

_call_middleware = WSGIMiddleware.__call__


async def _call(self, scope, receive, send):
    """Every WSGIMiddleware's `__call__`, those that applications make themselves as well."""
    if scope["type"] != "http":
        return await _call_middleware(self, scope, receive, send)
    if not isinstance(self.app, _Application):
        self.app = _Application(self.app)
    request = _Request(receive, send)
    task = asyncio.ensure_future(_respond(self, scope, request))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
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


async def _respond(middleware, scope, request):
    _current.set(request)
    await _call_middleware(middleware, scope, request.receive, request.send)


WSGIMiddleware.__call__ = _call
