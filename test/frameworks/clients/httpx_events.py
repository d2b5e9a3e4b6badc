"""Reads the events of apps/sse_app.py with httpx, releases each when the one before has come, and prints them as JSON."""

import json
import sys

import httpx

origin, name = sys.argv[1:]
seen = []
with httpx.Client(base_url=origin, trust_env=False, timeout=30) as client:
    with client.stream("GET", "/events/" + name) as response:
        seen.append(response.headers["content-type"])
        client.get("/release/%s-0" % name)
        for line in response.iter_lines():
            if line.startswith("data: "):
                seen.append(line[6:])
                client.get("/release/%s-%s" % (name, line[-1]))
print(json.dumps(seen))
