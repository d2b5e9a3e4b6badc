"""Server-sent events whose source is slow: the next event comes when `/release/{name}` is asked."""

import asyncio

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

notes = {}
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


async def noted(request):
    name = request.path_params["name"]
    await gate("noted " + name).wait()
    return JSONResponse(notes[name])


async def release(request):
    gate(request.path_params["name"]).set()
    return JSONResponse(None)


async def events(request):
    name = request.path_params["name"]
    number = int(request.headers.get("last-event-id", "0"))

    async def source():
        nonlocal number
        try:
            while number < 3:
                await gate("%s-%d" % (name, number)).wait()
                number += 1
                yield "id: %d\nevent: leaf\ndata: leaf %d\n\n" % (number, number)
        finally:
            notes[name] = number
            gate("noted " + name).set()

    return StreamingResponse(source(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def forever(request):
    """Cut off after every event, as by a proxy: the client comes back with Last-Event-ID."""
    number = int(request.headers.get("last-event-id", "0")) + 1

    async def source():
        yield "retry: 10\nid: %d\ndata: again %d\n\n" % (number, number)

    return StreamingResponse(source(), media_type="text/event-stream")


async def pings(request):
    from sse_starlette.sse import EventSourceResponse

    name = request.path_params["name"]

    async def source():
        try:
            yield {"event": "leaf", "data": "first"}
            await asyncio.sleep(60)
        finally:
            notes[name] = "closed"
            gate("noted " + name).set()

    return EventSourceResponse(source(), ping=1)


app = Starlette(routes=[
    Route("/noted/{name:path}", noted),
    Route("/release/{name:path}", release),
    Route("/events/{name}", events),
    Route("/forever", forever),
    Route("/pings/{name}", pings),
])
