"""Quart: Flask's interface on ASGI."""

import asyncio
import hashlib
from typing import Any, Dict

from quart import Blueprint, Quart, abort, g, jsonify, redirect, render_template_string, request, session, url_for, websocket

app = Quart(__name__)
app.secret_key = "secret"
app.config["MAX_CONTENT_LENGTH"] = 8 * 1024 * 1024

notes: Dict[str, Any] = {}
gates: Dict[str, asyncio.Event] = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


def note(name, value):
    notes[name] = value
    gate(name).set()


@app.before_serving
async def open_database():
    app.database = "open"


@app.after_serving
async def close_database():
    note("shutdown", True)


@app.before_request
async def before():
    g.user = request.headers.get("x-user", "nobody")


@app.after_request
async def after(response):
    response.headers["x-user"] = g.user
    return response


@app.get("/noted/<path:name>")
async def noted(name):
    await gate(name).wait()
    return jsonify(noted=notes[name])


@app.get("/release/<name>")
async def release(name):
    gate("go " + name).set()
    return ""


@app.get("/scope/<path:rest>")
async def scope(rest):
    return {
        "path": rest,
        "url": request.url,
        "args": request.args.getlist("q"),
        "cookies": request.cookies.to_dict(),
        "address": request.remote_addr,
        "database": app.database,
    }


@app.post("/json")
async def json():
    return {"seen": await request.get_json()}


@app.post("/form")
async def form():
    form = await request.form
    file = (await request.files).get("file")
    content = file.read() if file else b""
    return {"title": form["title"], "name": file and file.filename, "sha256": hashlib.sha256(content).hexdigest()}


@app.post("/lengths")
async def lengths():
    body = request.body

    async def lines():
        async for chunk in body:
            if chunk:
                yield b"%d\n" % len(chunk)

    return lines(), 200, {"content-type": "text/plain"}


@app.get("/count")
async def count():
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@app.get("/stream")
async def stream():
    async def rows():
        for row in range(3):
            await asyncio.sleep(0)
            yield b"row %d\n" % row

    return rows(), {"content-type": "text/csv"}


@app.get("/stream/endless/<name>")
async def endless(name):
    async def ticks():
        try:
            while True:
                yield b"tick\n"
                await asyncio.sleep(0.01)
        finally:
            note("endless " + name, "ended")

    return ticks()


@app.get("/background/<name>")
async def background(name):
    async def work():
        await gate("go " + name).wait()
        note("work " + name, "done")

    app.add_background_task(work)
    return {"accepted": name}


@app.get("/thread/<name>")
def thread(name):
    # Quart runs it in a thread, with the request's context.
    return {"name": name, "user": g.user}


@app.get("/template")
async def template():
    return await render_template_string("{{ url_for('count') }} {{ tea }}", tea="<grün>")


@app.get("/redirect")
async def redirecting():
    return redirect(url_for("count"))


@app.get("/teapot")
async def teapot():
    abort(418)


@app.get("/raise")
async def raises():
    raise RuntimeError("out of tea")


@app.get("/where")
async def where():
    return {"path": request.path, "root": request.root_path, "where": url_for("where"), "external": url_for("where", _external=True)}


shop = Blueprint("shop", __name__, url_prefix="/shop")


@shop.get("/<int:number>")
async def number(number):
    return {"number": number, "endpoint": request.endpoint}


app.register_blueprint(shop)


@app.websocket("/echo/<name>")
async def echo(name):
    if name == "stranger":
        abort(401)
    await websocket.accept(headers={"x-name": name}, subprotocol="chat" if "chat" in websocket.requested_subprotocols else None)
    try:
        while True:
            data = await websocket.receive()
            if data == "bye":
                await websocket.close(4001, "as you wish")
                return
            await websocket.send(data.upper() if isinstance(data, str) else data[::-1])
    except asyncio.CancelledError:
        note("left " + name, True)
        raise
