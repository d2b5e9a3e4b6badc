"""Imports applications from their document roots.

Modules are imported under their own names, as `python -m` or uvicorn would. Where two document roots
hold a module of the same name, each sees its own: the one imported first keeps the name in
`sys.modules`, the other's is put there only while an import of its own document root runs.

    sys.modules   between imports           while B imports
                  main, helper (A's)        main, helper (B's)
    away          B: main, helper           A: main, helper

Every import of what is not loaded, of whatever code, passes through importlib's `_find_and_load`. There it
takes its seat before importlib takes the module's lock, which is by name and so the same for A's and B's.
Threads that import for one document root sit together; one for another, or for none, waits until they have ended.
"""

import builtins
import contextvars
import functools
import inspect
import logging
import os
import sys
import threading
from importlib import _bootstrap, import_module, invalidate_caches

# So long an import waits for those of another document root that make no progress: a module may wait, while it is
# imported, for what the other one does.
_PATIENCE = 5.0

_roots = {}
# What the modules are of that are in `sys.modules`: name -> (module, its document root or None).
_known = {}
# Whose modules stay in `sys.modules` between imports, by their first name.
_home = {}
# The first names of what is being imported, or was since `_home` was filled: it may become somebody's.
_coming = set()
# The imports that run, by thread.
_seats = {}
# Guards all of these, and tells of each import that ends.
_turn = threading.Condition()
# The document root whose modules alone can be seen; None between imports, and while there is only one.
_shown = None
# `sys.path` between imports.
_outside = []
_root_of_file = {}
# The document root of the application that a task works for.
_current = contextvars.ContextVar("python_node_document_root", default=None)
_original_import = builtins.__import__
_original_find_and_load = _bootstrap._find_and_load


class TargetError(Exception):
    """The target names no application."""


class FactoryError(Exception):
    """The factory raised: what, is the cause."""


class _Root:
    def __init__(self, path):
        self.path = path
        self.prefix = os.path.join(path, "")
        # Its modules that are not in `sys.modules` now.
        self.away = {}

    def loaded(self, name):
        """Its own module of that name, if it is there and complete."""
        with _turn:
            module = self.away.get(name)
            if module is None and self is (_shown or _home.get(_top(name))):
                module = sys.modules.get(name)
                known, owner = _known.get(name, (module, self))
                if known is not module or owner is not self:
                    return None
        return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module


class _Seat:
    """What one thread imports: a module, and what that imports in turn."""

    def __init__(self, root):
        self.root = root
        self.names = []
        self.steps = 0
        # Not while it waits, nor after it was passed by, until it goes on.
        self.taken = False
        self.was_passed = False

    def may_sit(self):
        return self.root is _shown or not any(seat.taken for seat in _seats.values())

    def take(self):
        """Gives the imports that were passed by. `_turn` is held."""
        passed = []
        while not self.may_sit():
            before = [(seat, seat.steps) for seat in _seats.values() if seat.taken]
            if not _turn.wait_for(self.may_sit, _PATIENCE):
                for seat, steps in before:
                    if seat.taken and seat.steps == steps:
                        seat.taken = False
                        seat.was_passed = True
                        passed.extend(seat.names[-1:])
        self.taken = True
        if self.root is not _shown:
            _show(self.root)
        return passed


class _Importing:
    """Has a seat for `root`, unless this thread has one: what a module imports, its importer's document root sees."""

    def __init__(self, root, name):
        self.root = root
        self.name = name

    def __enter__(self):
        with _turn:
            seat = _seats.get(threading.get_ident())
            if seat is None:
                seat = _seats[threading.get_ident()] = _Seat(self.root)
            seat.names.append(self.name)
            seat.steps += 1
            try:
                passed = () if seat.taken else seat.take()
            except BaseException:
                self.__exit__()
                raise
            if len(_roots) > 1:
                _coming.add(_top(self.name))
        for name in passed:
            logging.getLogger("python_node").warning(
                "the import of `%s` has made no progress for %d s: `%s`, of another document root, did not wait longer",
                name, _PATIENCE, self.name,
            )

    def __exit__(self, *exc_info):
        with _turn:
            seat = _seats[threading.get_ident()]
            seat.names.pop()
            seat.steps += 1
            if not seat.names:
                # The seat is left last: what a finalizer imports meanwhile sits on it.
                if not any(each.taken for each in _seats.values() if each is not seat):
                    _show(None)
                del _seats[threading.get_ident()]
                _turn.notify_all()


def _top(name):
    return name.partition(".")[0]


def _show(root):
    """Puts into `sys.modules` and `sys.path` what `root` alone would have there; with None, what is there between imports.

    `_turn` is held. The modules of an import that was passed by stay, for importlib looks for them when it ends.
    """
    global _shown, _outside
    if len(_roots) < 2:
        return
    passed = [seat for seat in _seats.values() if seat.was_passed and not seat.taken]
    staying = {_top(name) for seat in passed for name in seat.names}
    _learn(staying)
    if _shown is not None:
        sys.path[:] = [entry for entry in sys.path if entry not in _outside] + _outside
    for name, (module, owner) in list(_known.items()):
        if owner is not None and owner is not (root or _home[_top(name)]) and _top(name) not in staying:
            owner.away[name] = module
            del _known[name]
            sys.modules.pop(name, None)
    for owner in _roots.values():
        for name in [name for name in owner.away if owner is (root or _home[_top(name)]) and _top(name) not in staying]:
            sys.modules[name] = module = owner.away.pop(name)
            _known[name] = (module, owner)
    _shown = root
    if root is not None:
        _outside = list(sys.path)
        sys.path[:] = [root.path] + [entry for entry in sys.path if entry not in _roots]


def _learn(staying):
    """Finds out what is new in `sys.modules`, and what has gone."""
    modules = dict(sys.modules)
    for name in _known.keys() - modules.keys():
        del _known[name]
    for name, module in modules.items():
        if name not in _known or _known[name][0] is not module:
            top = _top(name)
            owner = _root_of(_file_of(module))
            # What is imported for a document root is its own, be it from another's folder, or from anywhere under a name
            # that another has taken.
            if _shown is not None and top not in staying and (owner or _home.get(top, _shown) is not _shown):
                owner = _shown
            if owner is not None:
                _home.setdefault(top, owner)
            _known[name] = (module, owner)
    _coming.clear()


def _file_of(module):
    try:
        # Around `__getattr__`: a lazy module is not loaded by this.
        names = object.__getattribute__(module, "__dict__")
        return names.get("__file__") or os.path.join(next(iter(names.get("__path__") or ())), "")
    except Exception:
        return None


def _root_of(file):
    """The document root that a file is in."""
    try:
        return _root_of_file[file]
    except (KeyError, TypeError):
        pass
    if not isinstance(file, str):
        return None
    roots = [root for root in _roots.values() if file.startswith(root.prefix) and "site-packages" not in file]
    root = _root_of_file[file] = max(roots, key=lambda root: len(root.prefix), default=None)
    return root


def _root_of_caller(frame):
    """Whose import this is: that of the nearest code of a document root, else of the task's application."""
    while frame is not None:
        root = _root_of(frame.f_globals.get("__file__"))
        if root is not None:
            return root
        frame = frame.f_back
    return _current.get()


def _is_seated():
    seat = _seats.get(threading.get_ident())
    return seat is not None and seat.taken


def _find_and_load(name, *arguments):
    top = _top(name)
    if name in sys.modules and top not in _home and top not in _coming:
        return _original_find_and_load(name, *arguments)
    root = None
    if len(_roots) > 1 and not _is_seated():
        root = _root_of_caller(sys._getframe(1))
        module = root and root.loaded(name)
        if module is not None:
            return module
    with _Importing(root, name):
        return _original_find_and_load(name, *arguments)


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    """`__import__`, once there are two document roots: the name may be loaded, and be another's.

    It runs for every import statement, so names that no document root has leave first. Nothing may be called between that
    and the original: another thread would get its turn.
    """
    full_name = name
    if level > 0 and globals:
        package = globals.get("__package__") or getattr(globals.get("__spec__"), "parent", None) or ""
        full_name = package.rsplit(".", level - 1)[0] + ("." + name if name else "")
    top = _top(full_name)
    if top not in _home and top not in _coming:
        return _original_import(name, globals, locals, fromlist, level)
    if _is_seated():
        return _original_import(name, globals, locals, fromlist, level)
    root = (globals and _root_of(globals.get("__file__"))) or _root_of_caller(sys._getframe(1))
    if root is None:
        return _original_import(name, globals, locals, fromlist, level)
    if fromlist:
        module = root.loaded(full_name)
        if module is not None and all(each != "*" and hasattr(module, each) for each in fromlist):
            return module
    elif level == 0 and root.loaded(name) is not None:
        module = root.loaded(top)
        if module is not None:
            return module
    with _Importing(root, full_name):
        return _original_import(name, globals, locals, fromlist, level)


# As frames of importlib, which tracebacks and the counting of `stacklevel` leave out.
for _function in (_find_and_load, _import):
    _function.__code__ = _function.__code__.replace(co_filename=_original_find_and_load.__code__.co_filename)


def _forked():
    """The other threads are not there in the child."""
    for thread in _seats.keys() - {threading.get_ident()}:
        del _seats[thread]
    if not _seats:
        _show(None)
    _turn.release()


def _root_at(path):
    """The document root of that path; made if there is none."""
    root = _roots.get(path)
    if root is not None:
        return root
    with _turn:
        if path not in sys.path:
            # Behind the earlier ones, whose modules keep their names.
            sys.path.insert(max((sys.path.index(each) + 1 for each in _roots if each in sys.path), default=0), path)
        root = _roots[path] = _Root(path)
        _root_of_file.clear()
        if len(_roots) == 1:
            _bootstrap._find_and_load = _find_and_load
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(before=_turn.acquire, after_in_parent=_turn.release, after_in_child=_forked)
        elif len(_roots) == 2:
            builtins.__import__ = _import
    return root


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


def _is_async(application):
    """Whether a call runs none of the application's code before it is awaited. Marks that say so do not count."""
    while isinstance(application, functools.partial):
        application = application.func
    if not inspect.isroutine(application):
        application = getattr(type(application), "__call__", None)
    code = getattr(application, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


def _in_its_task(application):
    """A function that gives an awaitable: what it does by itself belongs in the request's own task and context."""

    async def call(scope, receive, send):
        awaitable = application(scope, receive, send)
        if not inspect.isawaitable(awaitable):
            raise NotAwaitable(type(awaitable).__name__)
        await awaitable

    return call


def _as_asgi3(application, interface):
    if interface == "wsgi":
        return application
    if interface == "asgi2" or (interface == "auto" and _required_parameters(application) == 1):
        return _single_callable(application)
    return application if _is_async(application) else _in_its_task(application)


def enter(docroot):
    """What begins in this context works for the application of that document root."""
    _current.set(_roots[docroot])


def load(docroot, module_name, attributes, interface, factory):
    """Imports `module_name` with `docroot` on `sys.path`, walks `attributes`, and gives an ASGI 3 callable."""
    root = _root_at(docroot)
    _current.set(root)
    invalidate_caches()
    with _Importing(root if len(_roots) > 1 else None, module_name):
        module = import_module(module_name)
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
