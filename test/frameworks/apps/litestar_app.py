"""Litestar: validation, dependencies, lifespan, streams, files, sockets."""

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, AsyncGenerator, Dict, List, Optional

from litestar import Controller, Litestar, MediaType, Request, Response, WebSocket, asgi, get, post, websocket, websocket_listener
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import State, UploadFile
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.exceptions import HTTPException, WebSocketDisconnect
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.params import Body
from litestar.response import ServerSentEvent, Stream

notes: Dict[str, Any] = {}
gates: Dict[str, asyncio.Event] = {}


def gate(name: str) -> asyncio.Event:
    return gates.setdefault(name, asyncio.Event())


def note(name: str, value: Any) -> None:
    notes[name] = value
    gate(name).set()


@get("/noted/{name:str}")
async def noted(name: str) -> Dict[str, Any]:
    await gate(name).wait()
    return {"noted": notes[name]}


@get("/release/{name:str}")
async def release(name: str) -> None:
    gate("go " + name).set()


@dataclass
class Item:
    name: str
    price: float
    tags: Optional[List[str]] = None


async def connection(state: State, request: Request) -> AsyncGenerator[str, None]:
    name = request.headers.get("x-session", "none")
    try:
        yield state.database
    finally:
        note("session " + name, "closed")


class Items(Controller):
    path = "/items"
    dependencies = {"database": Provide(connection)}

    @post("/{item_id:int}")
    async def create(self, item_id: int, data: Item, database: str, q: Optional[str] = None) -> Dict[str, Any]:
        return {"id": item_id, "name": data.name, "price": data.price, "database": database, "q": q}


async def work(name: str) -> None:
    await gate("go " + name).wait()
    note("work " + name, "done")


@get("/background/{name:str}")
async def background(name: str) -> Response[Dict[str, str]]:
    return Response({"accepted": name}, background=BackgroundTask(work, name))


@get("/stream")
async def stream() -> Stream:
    async def rows() -> AsyncGenerator[str, None]:
        for row in range(3):
            await asyncio.sleep(0)
            yield "row %d\n" % row

    return Stream(rows(), media_type=MediaType.TEXT)


@get("/stream/endless/{name:str}")
async def endless(name: str) -> Stream:
    async def ticks() -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            note("endless " + name, "ended")

    return Stream(ticks())


@get("/events")
async def events() -> ServerSentEvent:
    async def source() -> AsyncGenerator[str, None]:
        for leaf in ("green", "black"):
            yield leaf

    return ServerSentEvent(source(), event_type="leaf")


@post("/upload")
async def upload(data: Dict[str, Any] = Body(media_type=RequestEncodingType.MULTI_PART)) -> Dict[str, Any]:
    file: UploadFile = data["file"]
    content = await file.read()
    return {"title": data["title"], "name": file.filename, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@get("/session")
async def session(request: Request) -> Dict[str, int]:
    count = request.session.get("count", 0) + 1
    request.set_session({"count": count})
    return {"count": count}


@get("/teapot", sync_to_thread=True)
def teapot() -> None:
    raise HTTPException("short and stout", status_code=418, headers={"x-handle": "here"})


@get("/raise")
async def raises() -> None:
    raise RuntimeError("out of tea")


@get("/where", name="where")
async def where(request: Request) -> Dict[str, str]:
    return {"url": str(request.url), "base": str(request.base_url), "where": request.url_for("where")}


@asgi("/asgi", is_mount=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    body = ("%s %s" % (scope.get("root_path"), scope["path"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


@websocket_listener("/listener")
async def listener(data: Dict[str, str]) -> Dict[str, str]:
    return {"tea": data["tea"].upper()}


@websocket("/socket/{name:str}")
async def conversation(socket: WebSocket, name: str) -> None:
    await socket.accept(subprotocols="chat", headers={"x-name": name})
    try:
        while True:
            data = await socket.receive_data(mode="binary")
            await socket.send_bytes(data[::-1])
    except WebSocketDisconnect as error:
        note("left " + name, error.code)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncGenerator[None, None]:
    app.state.database = "open"
    yield
    note("shutdown", True)


app = Litestar(
    route_handlers=[noted, release, Items, background, stream, endless, events, upload, session, teapot, raises, where,
                    mounted, listener, conversation],
    lifespan=[lifespan],
    middleware=[CookieBackendConfig(secret=b"0123456789abcdef").middleware],
)
