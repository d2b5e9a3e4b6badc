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
_original_import_module = importlib.import_module


class TargetError(Exception):
    """The target names no application."""


class FactoryError(Exception):
    """The factory raised: what, is the cause."""


class _Root:
    def __init__(self, path):
        self.path = path
        self.prefix = os.path.join(path, "")
        self.private = {}
        self.active = 0

    def __enter__(self):
        _lock.acquire()
        self.active += 1
        if self.active > 1:
            return self
        if len(_roots) == 1:
            if self.path not in sys.path:
                sys.path.insert(0, self.path)
            return self
        # As if this document root were the only one: the others' modules and folders are out of sight.
        self.hidden = {}
        for name, module in list(sys.modules.items()):
            owner = _root_of_module(module)
            if owner is not None and owner is not self:
                self.hidden[name] = sys.modules.pop(name)
        sys.modules.update(self.private)
        self.outside = list(sys.path)
        others = {root.path for root in _roots.values()}
        sys.path[:] = [self.path] + [entry for entry in sys.path if entry not in others]
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
            added = [entry for entry in sys.path if entry not in self.outside]
            sys.path[:] = added + self.outside
        _lock.release()


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


def _root_for(full_name, caller):
    """The document root that an import by code of `caller` has to see alone; None if it may see anything."""
    root = _root_of_path(caller)
    if root is None or root.active:
        return None
    loaded = sys.modules.get(full_name.partition(".")[0])
    if loaded is not None and _root_of_module(loaded) in (root, None):
        return None
    return root


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    caller = globals.get("__file__") if globals else None
    full_name = name if level == 0 else (globals.get("__package__") or "")
    root = _root_for(full_name, caller)
    if root is None:
        return _original_import(name, globals, locals, fromlist, level)
    with root:
        return _original_import(name, globals, locals, fromlist, level)


def _import_module(name, package=None):
    root = _root_for(package if name.startswith(".") and package else name, sys._getframe(1).f_globals.get("__file__"))
    if root is None:
        return _original_import_module(name, package)
    with root:
        return _original_import_module(name, package)


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
                importlib.import_module = _import_module
        importlib.invalidate_caches()
        with root:
            module = _original_import_module(module_name)
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
                try:
                    found = found()
                except BaseException as error:
                    raise FactoryError(name) from error
            if not callable(found):
                if inspect.iscoroutine(found):
                    # Of an `async def`: nobody is to be warned that it was not awaited.
                    found.close()
                raise TargetError("the factory `%s` gave a `%s`, which cannot be called" % (name, type(found).__name__))
        return _as_asgi3(found, interface)
