"""FastAPI: the features that most applications use, each under a path of its own."""

import asyncio
import contextvars
import hashlib
import threading
from contextlib import asynccontextmanager
from typing import List, Optional

from fastapi import (BackgroundTasks, Depends, FastAPI, File, Form, Header, HTTPException, Query, Request, Response,
                     UploadFile, WebSocket, WebSocketDisconnect)
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.middleware.base import BaseHTTPMiddleware

# What happened beside the responses: `/noted/{name}` waits for an entry, `/release/{name}` lets one go on.
notes = {}
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


def note(name, value=True):
    notes[name] = value
    gate("noted " + name).set()


@asynccontextmanager
async def lifespan(app):
    yield {"pool": "open", "visits": []}
    note("shutdown")


class Stamp(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        request.state.stamped = True
        response = await call_next(request)
        response.headers["x-stamp"] = request.url.path
        return response


app = FastAPI(lifespan=lifespan)
app.add_middleware(Stamp)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://app.example"],
    allow_credentials=True,
    allow_methods=["GET", "PUT"],
    allow_headers=["x-token"],
    expose_headers=["x-stamp"],
)


@app.get("/noted/{name:path}")
async def noted(name: str):
    await gate("noted " + name).wait()
    return notes[name]


@app.get("/release/{name}")
async def release(name: str):
    gate(name).set()


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: List[str] = []


@app.put("/items/{item_id}")
async def put_item(item_id: int, item: Item, q: Optional[str] = Query(None, max_length=5), x_token: str = Header("none")):
    return {"id": item_id, "item": item, "q": q, "token": x_token}


async def session(request: Request):
    name = request.headers["x-session"]
    try:
        yield name
    except HTTPException as error:
        note("session " + name, "rolled back: %d" % error.status_code)
        raise
    else:
        note("session " + name, "committed")


@app.get("/dependency")
async def dependency(fail: bool = False, name: str = Depends(session)):
    if fail:
        raise HTTPException(409, "conflict")
    return {"session": name, "ended": ("session " + name) in notes}


async def work(name):
    await gate("work " + name).wait()
    note("work " + name, "done")


@app.post("/background/{name}")
async def background(name: str, tasks: BackgroundTasks):
    tasks.add_task(work, name)
    return {"accepted": name}


@app.get("/stream")
async def stream():
    async def rows():
        for row in range(3):
            yield "row %d\n" % row

    return StreamingResponse(rows(), media_type="text/csv")


@app.get("/stream/large")
def large():
    # A sync generator: Starlette iterates it in a thread.
    return StreamingResponse((bytes([index % 256]) * 8192 for index in range(256)), media_type="application/octet-stream")


@app.get("/stream/endless/{name}")
async def endless(name: str):
    async def ticks():
        try:
            while True:
                yield "tick\n"
                await asyncio.sleep(0.01)
        finally:
            note("endless " + name, "ended")

    return StreamingResponse(ticks())


@app.post("/upload")
async def upload(file: UploadFile = File(...), title: str = Form(...)):
    content = await file.read()
    return {
        "title": title,
        "name": file.filename,
        "type": file.content_type,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@app.get("/state")
async def state(request: Request):
    request.state.visits.append(1)
    return {"pool": request.state.pool, "visits": len(request.state.visits), "stamped": request.state.stamped}


user = contextvars.ContextVar("user", default="nobody")


async def as_user(x_user: str = Header(...)):
    token = user.set(x_user)
    yield
    user.reset(token)


@app.get("/thread", dependencies=[Depends(as_user)])
def in_thread():
    return {"user": user.get(), "main": threading.current_thread() is threading.main_thread()}


@app.get("/cookies")
async def cookies(response: Response):
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "2", secure=True)
    return {}


@app.get("/raise")
async def raises():
    raise RuntimeError("out of tea")


@app.get("/raise/handled")
async def raises_handled():
    raise KeyError("tea")


@app.exception_handler(KeyError)
async def answer_key_error(request: Request, error: KeyError):
    return PlainTextResponse("no %s" % error.args[0], status_code=404)


@app.get("/where", name="where")
async def where(request: Request):
    return {
        "root_path": request.scope["root_path"],
        "path": request.scope["path"],
        "url": str(request.url),
        "base": str(request.base_url),
        "where": str(request.url_for("where")),
        "item": str(request.url_for("put_item", item_id=7)),
    }


@app.websocket("/rooms/{room}")
async def chat(websocket: WebSocket, room: str, name: str = Query("nobody")):
    if room == "closed":
        if name == "close":
            await websocket.close(1008)
            return
        raise HTTPException(403) if name == "raise" else RuntimeError("out of rooms")
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=offered[-1] if offered else None)
    await websocket.send_json({"room": room, "name": name, "pool": websocket.state.pool})
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"], message.get("reason"))
            if message.get("bytes") is not None:
                await websocket.send_bytes(message["bytes"][::-1])
            elif message["text"] == "bye":
                await websocket.close(4001, "as you wish")
                return
            else:
                await websocket.send_text(message["text"].upper())
    except WebSocketDisconnect as error:
        note("left " + name, {"code": error.code, "reason": error.reason})


admin = FastAPI()


@admin.get("/where", name="where")
async def admin_where(request: Request):
    return {
        "root_path": request.scope["root_path"],
        "path": request.scope["path"],
        "url": str(request.url),
        "where": str(request.url_for("admin:where")),
    }


app.mount("/admin", admin, name="admin")
