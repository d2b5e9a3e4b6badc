"""Answers every request with the same 12 bytes."""

HEADERS = [(b'content-type', b'text/plain'), (b'content-length', b'12')]


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await receive()
    await send({'type': 'http.response.start', 'status': 200, 'headers': HEADERS})
    await send({'type': 'http.response.body', 'body': b'Hello world!'})
