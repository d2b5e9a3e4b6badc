"""Starlette: what its applications take from the server, and what its middleware puts between."""

import asyncio
import os
import tempfile
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

FOLDER = tempfile.mkdtemp()
BLEND = bytes(range(256)) * 1024
with open(os.path.join(FOLDER, "blend.bin"), "wb") as file:
    file.write(BLEND)
with open(os.path.join(FOLDER, "index.html"), "w") as file:
    file.write("<h1>tea</h1>")

notes = {}
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


def note(name, value):
    notes[name] = value
    gate(name).set()


async def noted(request):
    name = request.path_params["name"]
    await gate(name).wait()
    return JSONResponse(notes[name])


class Scope(HTTPEndpoint):
    async def get(self, request):
        return JSONResponse({
            "url": str(request.url),
            "query": request.query_params.multi_items(),
            "cookies": request.cookies,
            "client": list(request.client) if request.client else None,
            "headers": request.headers.getlist("x-many"),
            "path": request.path_params["rest"],
        })

    async def options(self, request):
        return Response(headers={"allow": "GET, OPTIONS"})


async def form(request):
    async with request.form() as fields:
        return JSONResponse({name: value for name, value in fields.multi_items()})


async def lengths(request):
    """Answers each part of the body with its length while the rest is still to come."""
    async def lines():
        async for chunk in request.stream():
            if chunk:
                yield "%d\n" % len(chunk)

    return StreamingResponse(lines())


async def left(request):
    try:
        async for _ in request.stream():
            note(request.path_params["name"] + " began", True)
        note(request.path_params["name"], "whole")
    except ClientDisconnect:
        note(request.path_params["name"], "disconnected")
    return PlainTextResponse("late")


async def is_disconnected(request):
    name = request.path_params["name"]
    assert not await request.is_disconnected()
    note(name + " began", True)
    while not await request.is_disconnected():
        await asyncio.sleep(0.005)
    note(name, True)
    return PlainTextResponse("late")


async def session(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return JSONResponse(request.session)


async def state(request):
    return JSONResponse({name: getattr(request.state, name, None) for name in ("database", "user", "region")})


async def blend(request):
    return FileResponse(os.path.join(FOLDER, "blend.bin"), filename="blend.bin")


async def teapot(request):
    raise HTTPException(418, "short and stout", headers={"x-handle": "here"})


async def not_found(request, error):
    return JSONResponse({"lost": request.url.path}, status_code=404)


async def empty(request):
    return Response(status_code=204)


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket):
        if websocket.query_params.get("token") != "tea":
            await websocket.send_denial_response(JSONResponse({"error": "no token"}, status_code=401, headers={"x-why": "token"}))
            return
        await websocket.accept(headers=[(b"x-echo", b"yes")])

    async def on_receive(self, websocket, data):
        await websocket.send_text("echo " + data)

    async def on_disconnect(self, websocket, close_code):
        note("echo " + websocket.query_params.get("name", ""), close_code)


@asynccontextmanager
async def lifespan(app):
    yield {"database": "open"}


app = Starlette(
    routes=[
        Route("/noted/{name:path}", noted),
        Route("/scope/{rest:path}", Scope),
        Route("/form", form, methods=["POST"]),
        Route("/lengths", lengths, methods=["POST"]),
        Route("/left/{name}", left, methods=["POST"]),
        Route("/is-disconnected/{name}", is_disconnected),
        Route("/session", session),
        Route("/state", state),
        Route("/blend", blend),
        Route("/teapot", teapot),
        Route("/empty", empty),
        Route("/slash/", lambda request: PlainTextResponse("slash")),
        Route("/redirect", lambda request: RedirectResponse("/slash/?a=1#tea", status_code=303)),
        Route("/zipped", lambda request: PlainTextResponse("tea " * 1000)),
        Mount("/static", StaticFiles(directory=FOLDER, html=True), name="static"),
        Host("{name}.tea.example", Starlette(routes=[Route("/", lambda request: PlainTextResponse(request.path_params["name"]))])),
        WebSocketRoute("/echo", Echo),
    ],
    middleware=[Middleware(GZipMiddleware, minimum_size=500), Middleware(SessionMiddleware, secret_key="secret")],
    exception_handlers={404: not_found},
    lifespan=lifespan,
)


@asynccontextmanager
async def failing_lifespan(app):
    raise RuntimeError("no database")
    yield


failing = Starlette(lifespan=failing_lifespan)
