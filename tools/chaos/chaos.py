"""Misbehaves in the ways that applications do: see tools/chaos.js. The path says how."""

import asyncio
import contextlib
import ctypes
import gc
import json
import subprocess
import sys
import threading
import time

PIECE = bytes(range(256)) * 16


def trim():
    """Gives back to the system what glibc keeps of freed memory, so that what is left is in use."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


async def reply(send, content):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(content)).encode())]})
    await send({"type": "http.response.body", "body": content})


async def read(receive):
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def websocket(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "raise":
            raise LookupError("asked to")
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        return await websocket(receive, send)
    _, action, argument = (scope["path"] + "//").split("/", 3)[:3]
    if action == "echo":
        content = await read(receive)
        if content is not None:
            await reply(send, content)
    elif action == "bytes":
        await send({"type": "http.response.start", "status": 200})
        for _ in range(int(argument)):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})
    elif action == "raise":
        raise LookupError("before the head")
    elif action == "break":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        raise LookupError("in the body")
    elif action == "hang":
        await asyncio.Event().wait()
    elif action == "flood":
        await send({"type": "http.response.start", "status": 200})
        while True:
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
    elif action == "cancel":
        asyncio.current_task().cancel()
        await asyncio.sleep(1)
    elif action == "block":
        time.sleep(0.02)
        await reply(send, b"blocked")
    elif action == "thread":
        threading.Thread(target=time.sleep, args=(0.05,)).start()
        await reply(send, await asyncio.get_running_loop().run_in_executor(None, lambda: b"thread"))
    elif action == "fork":
        run = lambda: subprocess.run([sys.executable or "python3", "-c", "print('forked', end='')"], capture_output=True, check=True).stdout
        await reply(send, await asyncio.get_running_loop().run_in_executor(None, run))
    elif action == "child":
        process = await asyncio.create_subprocess_exec("sh", "-c", "printf forked", stdout=asyncio.subprocess.PIPE)
        content, _ = await process.communicate()
        await reply(send, content)
    else:
        gc.collect()
        trim()
        await reply(send, json.dumps({"objects": len(gc.get_objects()), "tasks": len(asyncio.all_tasks())}).encode())
