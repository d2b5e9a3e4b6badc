"""python-socketio: events, acknowledgements, rooms, binary, namespaces, before another ASGI application."""

import asyncio

import socketio
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

notes = {}
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


def note(name, value):
    notes[name] = value
    gate(name).set()


sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*", ping_interval=1, ping_timeout=5)


@sio.event
async def connect(sid, environ, auth):
    if (auth or {}).get("token") != "tea":
        raise socketio.exceptions.ConnectionRefusedError("no token")
    await sio.save_session(sid, {"name": auth["name"]})


@sio.event
async def echo(sid, *values):
    return list(values)


@sio.event
async def reverse(sid, data):
    await sio.emit("reversed", data[::-1], to=sid)


@sio.event
async def join(sid, room):
    await sio.enter_room(sid, room)


@sio.event
async def say(sid, room, text):
    name = (await sio.get_session(sid))["name"]
    await sio.emit("said", {"name": name, "text": text}, room=room)


@sio.event
async def ask(sid):
    return await sio.call("question", {"number": 41}, to=sid, timeout=10)


@sio.event
async def disconnect(sid, reason=None):
    name = (await sio.get_session(sid))["name"]
    note("left " + name, True)


@sio.on("greet", namespace="/admin")
async def greet(sid, name):
    return "hello " + name


async def noted(request):
    name = request.path_params["name"]
    await gate(name).wait()
    return JSONResponse(notes[name])


app = socketio.ASGIApp(
    sio,
    other_asgi_app=Starlette(routes=[Route("/noted/{name}", noted)]),
    on_startup=lambda: note("startup", True),
    on_shutdown=lambda: note("shutdown", True),
)
