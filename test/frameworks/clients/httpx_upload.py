"""Uploads a file with httpx, reads a streamed response, and prints what came back as JSON."""

import hashlib
import json
import sys

import httpx

origin, size = sys.argv[1], int(sys.argv[2])
content = bytes(range(256)) * (size // 256)
with httpx.Client(base_url=origin, trust_env=False, timeout=30) as client:
    uploaded = client.post("/upload", data={"title": "Grüner Tee"}, files={"file": ("leaves.bin", content, "application/x-tea")})
    digest = hashlib.sha256()
    with client.stream("GET", "/stream/large") as streamed:
        for chunk in streamed.iter_bytes():
            digest.update(chunk)
    invalid = client.put("/items/7", json={"name": "tea", "price": -1})
print(json.dumps({
    "upload": uploaded.json(),
    "sent": hashlib.sha256(content).hexdigest(),
    "streamed": digest.hexdigest(),
    "invalid": [invalid.status_code, invalid.json()["detail"][0]["loc"]],
}))
