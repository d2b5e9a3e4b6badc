"""Talks to the chat of apps/fastapi_app.py with the `websockets` client, and prints what came back as JSON."""

import asyncio
import json
import sys

import websockets


async def main(url):
    async with websockets.connect(url + "/rooms/tea?name=websockets", subprotocols=["soap", "chat"]) as socket:
        greeting = json.loads(await socket.recv())
        await socket.send("green")
        text = await socket.recv()
        await socket.send(b"\x00\x01\xff" * 50_000)
        binary = await socket.recv()
        await (await socket.ping())
        await socket.send("bye")
        await socket.wait_closed()
        left = [socket.close_code, socket.close_reason]
    try:
        async with websockets.connect(url + "/rooms/closed?name=close"):
            refused = None
    except Exception as error:
        refused = getattr(error, "status_code", None) or error.response.status_code
    return {
        "greeting": greeting,
        "subprotocol": socket.subprotocol,
        "text": text,
        "binary": [len(binary), binary == (b"\xff\x01\x00" * 50_000)],
        "left": left,
        "refused": refused,
    }


print(json.dumps(asyncio.run(main(sys.argv[1]))))
