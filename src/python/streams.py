"""`sys.stdout` and `sys.stderr` beside Node, which writes to the same descriptors.

Node makes a pipe non-blocking for everybody who has it. CPython's own streams lose what finds no room then, or raise
BlockingIOError; these wait for room, as they would where the pipe blocks. Node makes it so whenever it first writes,
so nothing can be decided here once and for all.
"""

import io
import sys
from select import select

_write = io.FileIO.write

# Seconds. A wait is left in between so that the end of the process can interrupt it (src/python/exit.rs).
_PATIENCE = 0.1


class _PatientFile(io.FileIO):
    """Writes something of what it is given, as a blocking descriptor does: the buffer above it comes with the rest."""

    def write(self, data):
        while True:
            written = _write(self, data)
            if written is not None:
                return written
            select((), (self,), (), _PATIENCE)


class _UnbufferedFile(_PatientFile):
    """Writes all of it: a text stream without a buffer does not ask how much was taken."""

    def write(self, data):
        written = _PatientFile.write(self, data)
        with memoryview(data) as view:
            length = view.nbytes
            if written < length:
                with view.cast("B") as rest:
                    while written < length:
                        written += _PatientFile.write(self, rest[written:])
        return length


def _patient(stream):
    """A stream like `stream`, which CPython has made for a descriptor."""
    is_buffered = isinstance(stream.buffer, io.BufferedWriter)
    own = stream.buffer.raw if is_buffered else stream.buffer
    raw = (_PatientFile if is_buffered else _UnbufferedFile)(own.fileno(), "w", closefd=False)
    raw.name = own.name
    patient = io.TextIOWrapper(
        io.BufferedWriter(raw) if is_buffered else raw,
        encoding=stream.encoding,
        errors=stream.errors,
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    patient.mode = stream.mode
    return patient


def settle_in():
    """Puts patient streams in the places of CPython's, and gives `print` whole lines.

    A stream is None where its descriptor is closed; and what a `.pth` file or sitecustomize has put there stays.
    """
    for name in ("stdout", "stderr"):
        original = getattr(sys, "__%s__" % name)
        if original is not None and sys.platform != "win32":
            original.flush()
            patient = _patient(original)
            if getattr(sys, name) is original:
                setattr(sys, name, patient)
            setattr(sys, "__%s__" % name, patient)
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
