"""Opens a response, sends one event, then waits until the client is gone."""


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await receive()
    headers = [(b'content-type', b'text/event-stream')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': b'data: hello\n\n', 'more_body': True})
    while True:
        message = await receive()
        if message['type'] == 'http.disconnect':
            return
