"""Child processes on uvloop, beside Node's own.

uvloop brings a libuv of its own, and a libuv takes the process's SIGCHLD for itself: beside Node's, each loses the
ends of its children to the other. asyncio's way (a thread or a pidfd for each child) needs no signal, so it is used.
"""

import asyncio.base_events
import asyncio.unix_events
import types

_BASE = asyncio.base_events.BaseEventLoop
_UNIX = asyncio.unix_events._UnixSelectorEventLoop


def use_asyncio(loop):
    """Makes `loop` start child processes as asyncio's own loop does."""
    loop._debug = False
    # What asyncio's pidfd watcher (3.12) calls of its loop; uvloop has them by their public names.
    loop._add_reader = loop.add_reader
    loop._remove_reader = loop.remove_reader
    for owner, name in [
        (_BASE, "subprocess_exec"),
        (_BASE, "subprocess_shell"),
        (_BASE, "_log_subprocess"),
        (_UNIX, "_make_subprocess_transport"),
        (_UNIX, "_child_watcher_callback"),
    ]:
        function = getattr(owner, name, None)
        if function is not None:
            setattr(loop, name, types.MethodType(function, loop))
    watcher = getattr(asyncio.unix_events, "_PidfdChildWatcher", None)
    if watcher is not None and not hasattr(asyncio.unix_events, "PidfdChildWatcher"):
        # 3.14 and later: each loop has a watcher of its own.
        can_use_pidfd = getattr(asyncio.unix_events, "can_use_pidfd", lambda: False)
        loop._watcher = watcher() if can_use_pidfd() else asyncio.unix_events._ThreadedChildWatcher()
