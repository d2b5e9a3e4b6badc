"""Talks to apps/mcp_app.py with the SDK's own client, and prints what came back as JSON."""

import asyncio
import json
import sys

from mcp import Client


async def main(url, mode):
    async with Client(url, mode=mode) as client:
        tools = await client.list_tools()
        brewed = await client.call_tool("brew", {"leaf": "green", "minutes": 2})
        progress = []

        async def report(value, total, message):
            progress.append([value, total, message])
            # A second request while the first is under way.
            await client.call_tool("seen", {"minute": int(value)})

        steeped = await client.call_tool("steep", {"minutes": 3}, progress_callback=report)
        spilt = await client.call_tool("spill", {})
        resource = await client.read_resource("tea://leaves/oolong")
        prompt = await client.get_prompt("invite", {"guest": "Ann"})
        together = await asyncio.gather(*(client.call_tool("brew", {"leaf": str(n)}) for n in range(10)))
        return {
            "tools": sorted(tool.name for tool in tools.tools),
            "brewed": brewed.content[0].text,
            "progress": progress,
            "steeped": steeped.content[0].text,
            "spilt": spilt.is_error,
            "resource": resource.contents[0].text,
            "prompt": prompt.messages[0].content.text,
            "together": [result.content[0].text for result in together],
        }


print(json.dumps(asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2]), 30))))
