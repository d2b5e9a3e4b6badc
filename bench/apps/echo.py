"""Parses the JSON body and answers with it and the number of request headers."""

import json


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    body = b''
    while True:
        message = await receive()
        body += message.get('body', b'')
        if not message.get('more_body', False):
            break
    answer = json.dumps({'headers': len(scope['headers']), 'body': json.loads(body)}).encode()
    await send({
        'type': 'http.response.start',
        'status': 200,
        'headers': [
            (b'content-type', b'application/json'),
            (b'content-length', str(len(answer)).encode()),
        ],
    })
    await send({'type': 'http.response.body', 'body': answer})
