"""The MCP SDK's streamable HTTP server: tools, a resource, a prompt, progress while a tool runs."""

import asyncio

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("tea house")
gates = {}


def gate(name):
    return gates.setdefault(name, asyncio.Event())


@server.tool()
def brew(leaf: str, minutes: int = 3) -> str:
    """Brews tea."""
    return "%s tea, %d minutes" % (leaf, minutes)


@server.tool()
async def steep(minutes: int, ctx: Context) -> str:
    """Reports its progress, and goes on when the client has seen it."""
    for minute in range(1, minutes + 1):
        await ctx.report_progress(minute, minutes, "minute %d" % minute)
        await gate("minute %d" % minute).wait()
    return "steeped"


@server.tool()
async def seen(minute: int) -> str:
    gate("minute %d" % minute).set()
    return "noted"


@server.tool()
def spill() -> str:
    raise ValueError("out of tea")


@server.resource("tea://leaves/{name}")
def leaves(name: str) -> str:
    return "leaves of " + name


@server.prompt()
def invite(guest: str) -> str:
    return "Invite %s to tea." % guest


app = server.streamable_http_app()
