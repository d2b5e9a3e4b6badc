"""Flask, a WSGI application."""

import hashlib
import os
import threading

from flask import Flask, Response, abort, jsonify, redirect, request, send_file, session, stream_with_context, url_for

app = Flask(__name__)
app.secret_key = "secret"

ended = threading.Event()


@app.get("/scope/<path:rest>")
def scope(rest):
    return {
        "path": rest,
        "url": request.url,
        "args": request.args.getlist("q"),
        "cookies": request.cookies.to_dict(),
        "address": request.remote_addr,
        "scheme": request.scheme,
        "main": threading.current_thread() is threading.main_thread(),
        "many": request.headers.get("x-many"),
    }


@app.post("/json")
def json():
    return {"seen": request.get_json()}


@app.post("/form")
def form():
    file = request.files.get("file")
    content = file.read() if file else b""
    return {
        "title": request.form["title"],
        "name": file.filename if file else None,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@app.post("/raw")
def raw():
    return {"length": request.content_length, "sha256": hashlib.sha256(request.get_data()).hexdigest()}


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@app.get("/stream")
def stream():
    @stream_with_context
    def rows():
        for row in range(3):
            yield "row %d of %s\n" % (row, request.args.get("of", "none"))

    return Response(rows(), mimetype="text/csv")


@app.get("/stream/large")
def large():
    return Response((bytes([index % 256]) * 8192 for index in range(256)), mimetype="application/octet-stream")


@app.get("/file")
def file():
    return send_file(os.path.abspath(__file__), mimetype="text/x-python", conditional=True)


@app.get("/cookies")
def cookies():
    response = jsonify({})
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


@app.get("/redirect")
def redirecting():
    return redirect(url_for("count"))


@app.get("/teapot")
def teapot():
    abort(418)


@app.get("/raise")
def raises():
    raise RuntimeError("out of tea")


@app.get("/where")
def where():
    return {
        "path": request.path,
        "root": request.script_root,
        "where": url_for("where"),
        "external": url_for("where", _external=True),
    }


# Waits for three requests at a time: a server with one thread would never answer.
together = threading.Barrier(3)


@app.get("/together")
def three():
    together.wait(30)
    return ""


def broken(environ, start_response):
    raise RuntimeError("out of tea")
