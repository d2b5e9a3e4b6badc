"""Imports applications from their document roots.

Modules are imported under their own names, as `python -m` or uvicorn would. Where two document roots
hold a module of the same name, each sees its own: the one imported first keeps the name in
`sys.modules`, the other's is put there only while code of its own document root imports.
"""

import builtins
import importlib
import inspect
import os
import sys
import threading

_roots = {}
_lock = threading.RLock()
_original_import = builtins.__import__


class TargetError(Exception):
    """The target names no application."""


class WsgiError(Exception):
    """What WSGI applications need is not installed."""


class _Root:
    def __init__(self, path):
        self.path = path
        self.prefix = os.path.join(path, "")
        self.private = {}
        self.names = {}
        self.active = 0

    def provides(self, name):
        """Whether this document root holds a top-level module of that name."""
        known = self.names.get(name)
        if known is None:
            base = os.path.join(self.path, name)
            known = os.path.isfile(base + ".py") or os.path.isdir(base)
            if known:
                self.names[name] = True
        return known

    def __enter__(self):
        _lock.acquire()
        self.active += 1
        if self.active > 1:
            return self
        self.hidden = {}
        if len(_roots) > 1:
            for name, module in list(sys.modules.items()):
                top = name.partition(".")[0]
                owner = _root_of_module(module)
                if owner is not None and owner is not self and self.provides(top):
                    self.hidden[name] = sys.modules.pop(name)
            sys.modules.update(self.private)
            _move_to_front(self.path)
        elif self.path not in sys.path:
            sys.path.insert(0, self.path)
        return self

    def __exit__(self, *exc_info):
        self.active -= 1
        if self.active == 0 and len(_roots) > 1:
            tops = {name.partition(".")[0] for name in self.hidden}
            tops.update(name.partition(".")[0] for name in self.private)
            for name, module in list(sys.modules.items()):
                if name.partition(".")[0] in tops and _root_of_module(module) is self:
                    self.private[name] = sys.modules.pop(name)
            sys.modules.update(self.hidden)
            self.hidden = {}
        _lock.release()


def _move_to_front(path):
    if not sys.path or sys.path[0] != path:
        if path in sys.path:
            sys.path.remove(path)
        sys.path.insert(0, path)


def _root_of_path(path):
    if not isinstance(path, str) or "site-packages" in path:
        return None
    best = None
    for root in _roots.values():
        if path.startswith(root.prefix) and (best is None or len(root.prefix) > len(best.prefix)):
            best = root
    return best


def _root_of_module(module):
    path = getattr(module, "__file__", None)
    if path is None:
        try:
            path = next(iter(getattr(module, "__path__", ())), None)
        except Exception:
            return None
    return _root_of_path(path)


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    root = _root_of_path(globals.get("__file__")) if globals else None
    if root is None or root.active:
        return _original_import(name, globals, locals, fromlist, level)
    full = name if level == 0 else globals.get("__package__") or ""
    top = full.partition(".")[0]
    if not root.provides(top) or _root_of_module(sys.modules.get(top)) is root:
        return _original_import(name, globals, locals, fromlist, level)
    with root:
        return _original_import(name, globals, locals, fromlist, level)


def _required_parameters(function):
    """How many positional arguments a callable must get; None if that cannot be told."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(1 for each in parameters if each.kind in positional and each.default is inspect.Parameter.empty)


def _single_callable(application):
    """ASGI 2 as ASGI 3: `application(scope)(receive, send)`."""

    async def call(scope, receive, send):
        await application(scope)(receive, send)

    return call


def _as_asgi3(application, interface):
    if interface == "wsgi":
        try:
            from a2wsgi import WSGIMiddleware
        except ImportError as error:
            raise WsgiError(str(error)) from None
        return WSGIMiddleware(application)
    if interface == "asgi2" or (interface == "auto" and _required_parameters(application) == 1):
        return _single_callable(application)
    return application


def load(docroot, module_name, attributes, interface, factory):
    """Imports `module_name` with `docroot` on `sys.path`, walks `attributes`, and gives an ASGI 3 callable."""
    with _lock:
        root = _roots.get(docroot)
        if root is None:
            root = _roots[docroot] = _Root(docroot)
            if len(_roots) == 2:
                builtins.__import__ = _import
        importlib.invalidate_caches()
        with root:
            module = importlib.import_module(module_name)
        found = module
        for attribute in attributes.split("."):
            try:
                found = getattr(found, attribute)
            except AttributeError:
                raise TargetError(
                    "module `%s` (%s) has no attribute `%s`"
                    % (module_name, getattr(module, "__file__", "no file"), attributes)
                ) from None
        name = "%s:%s" % (module_name, attributes)
        if not callable(found):
            raise TargetError("`%s` is a `%s`, which cannot be called" % (name, type(found).__name__))
        if factory:
            with root:
                found = found()
            if not callable(found):
                raise TargetError("the factory `%s` gave a `%s`, which cannot be called" % (name, type(found).__name__))
        return _as_asgi3(found, interface)
