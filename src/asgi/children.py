"""Child processes on uvloop, beside Node's own: run once, before the event loop is made.

uvloop brings a libuv of its own, and a libuv takes the process's SIGCHLD for itself: beside Node's, each loses the
ends of its children to the other. asyncio's way (a thread or a pidfd for each child) needs no signal, so every loop of
uvloop's starts its children that way, the application's own loops in threads too.
"""

import asyncio.base_events
import asyncio.unix_events
import sys

_BASE = asyncio.base_events.BaseEventLoop
_UNIX = asyncio.unix_events


# asyncio's own child watcher, whatever the policy's is: uvloop's policy has none, and others want SIGCHLD. Before 3.12 a
# pidfd watcher serves only one loop; from 3.14 on the names are private.
_PIDFD = getattr(_UNIX, "can_use_pidfd", lambda: False)()
_NAME = "PidfdChildWatcher" if _PIDFD else "ThreadedChildWatcher"
_WATCHER = (getattr(_UNIX, _NAME, None) or getattr(_UNIX, "_" + _NAME))()


class _Children:
    """A loop of uvloop's, as asyncio's transports of child processes and pipes need it.

    Pipes are asyncio's: uvloop's closes the descriptor of a file object twice, and what a thread of Node's has opened meanwhile
    may have its number by then. (And writing to a child that has closed its stdin, uvloop's raises a RuntimeError.)
    """

    _debug = False
    subprocess_exec = _BASE.subprocess_exec
    subprocess_shell = _BASE.subprocess_shell
    connect_read_pipe = _BASE.connect_read_pipe
    connect_write_pipe = _BASE.connect_write_pipe
    _make_read_pipe_transport = _UNIX._UnixSelectorEventLoop._make_read_pipe_transport
    _make_write_pipe_transport = _UNIX._UnixSelectorEventLoop._make_write_pipe_transport

    def __init__(self, loop):
        self._loop = loop

    def __getattr__(self, name):
        return getattr(self._loop, name)

    async def _make_subprocess_transport(self, *arguments, **options):
        waiter = self.create_future()
        transport = _UNIX._UnixSubprocessTransport(self, *arguments, waiter=waiter, **options)
        _WATCHER.add_child_handler(transport.get_pid(), lambda _, returncode: transport._process_exited(returncode))
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await transport._wait()
            raise
        return transport


async def _subprocess_exec(loop, *arguments, **options):
    return await _Children(loop).subprocess_exec(*arguments, **options)


async def _subprocess_shell(loop, *arguments, **options):
    return await _Children(loop).subprocess_shell(*arguments, **options)


async def _connect_read_pipe(loop, protocol_factory, pipe):
    return await _Children(loop).connect_read_pipe(protocol_factory, pipe)


async def _connect_write_pipe(loop, protocol_factory, pipe):
    return await _Children(loop).connect_write_pipe(protocol_factory, pipe)


def _use_asyncio(loop_class):
    loop_class.subprocess_exec = _subprocess_exec
    loop_class.subprocess_shell = _subprocess_shell
    loop_class.connect_read_pipe = _connect_read_pipe
    loop_class.connect_write_pipe = _connect_write_pipe
    # What asyncio's transports and its pidfd watcher call; uvloop has them by their public names.
    for name in ["add_reader", "remove_reader", "add_writer", "remove_writer"]:
        setattr(loop_class, "_" + name, getattr(loop_class, name))


def _see_subclass(loop_class, **options):
    super(asyncio.AbstractEventLoop, loop_class).__init_subclass__(**options)
    if loop_class.__module__ == "uvloop":
        _use_asyncio(loop_class)


# `class Loop(…, AbstractEventLoop)` is how `import uvloop` ends, whoever imports it, and whenever.
asyncio.AbstractEventLoop.__init_subclass__ = classmethod(_see_subclass)
if "uvloop" in sys.modules:
    _use_asyncio(sys.modules["uvloop"].Loop)
