"""The end of a process that an application has forked, and whose own code has come to its end."""

import os
import sys
import traceback


def leave(raised):
    """Ends the process as `raised` says, with nothing of the parent's torn down."""
    status = 0
    try:
        if isinstance(raised, SystemExit) and (raised.code is None or isinstance(raised.code, int)):
            status = (raised.code or 0) & 0xFF
        elif raised is not None:
            status = 1
            if isinstance(raised, SystemExit):
                print(raised.code, file=sys.stderr)
            else:
                traceback.print_exception(type(raised), raised, raised.__traceback__)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)


def watch(loop, done_callback_classes):
    """Leaves a child when the task of a request or a lifespan ends in it: uvloop turns once more before it lets `SystemExit` through,
    and takes wake-ups that are the parent's.

    A task tells its end by `loop.call_soon(done_callback, task)`.
    """

    def in_child():
        original = loop.call_soon

        def call_soon(callback, *arguments, context=None):
            if isinstance(callback, done_callback_classes):
                try:
                    raised = arguments[0].exception()
                except BaseException as error:
                    raised = error
                leave(raised)
            return original(callback, *arguments, context=context)

        loop.call_soon = call_soon

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)
