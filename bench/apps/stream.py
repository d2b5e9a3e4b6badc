"""Sends or counts bytes: /download and /chunks send, /upload receives.

The query is `count=N&size=N`, in this order. /download announces its length, as a file server
would; /chunks does not, as an event stream would not.
"""

from urllib.parse import parse_qs


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    if scope['path'] == '/upload':
        await upload(receive, send)
        return
    query = parse_qs(scope['query_string'])
    count = int(query[b'count'][0])
    size = int(query[b'size'][0])
    headers = [(b'content-type', b'application/octet-stream')]
    if scope['path'] == '/download':
        headers.append((b'content-length', str(count * size).encode()))
    await receive()
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    chunk = b'x' * size
    for _ in range(count):
        await send({'type': 'http.response.body', 'body': chunk, 'more_body': True})
    await send({'type': 'http.response.body', 'body': b''})


async def upload(receive, send):
    length = 0
    while True:
        message = await receive()
        length += len(message.get('body', b''))
        if not message.get('more_body', False):
            break
    answer = str(length).encode()
    headers = [(b'content-length', str(len(answer)).encode())]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': answer})
