//! The asyncio loop and what is kept for it: runs on the Python thread only.
//!
//! [`EventLoop::get`] is reached from callbacks of Python, so it is a static; it lives as long as the process,
//! as CPython does.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use slab::Slab;

use super::application::{Application, ApplicationOptions};
use super::applications::Applications;
use super::connection::{Connection, Ending, Protocol};
use super::cork::Cork;
use super::http::HttpConnectionScope;
use super::json;
use super::linger::Linger;
use super::message::type_name;
use super::python_future_poller::PythonFuturePoller;
use super::receiver::Receiver;
use super::response::Response;
use super::sender::Sender;
use super::session::Session;
use super::websocket::WebSocketConnectionScope;
use crate::error::HandlerError;
use crate::exchange::{AppHalf, Exchange, LoopMessage, LoopQueue, Mode, RequestHead};
use crate::python::awaitable::{Awaitable, Done};
use crate::python::task::{Started, TaskStarter};
use crate::python::{exception, exit};

/// Messages taken in one pass, so that the loop's other work gets its turn.
const BATCH: usize = 256;

/// So many messages have to wait behind a request for its answer's signal to be held back. With two requests in flight, each
/// answered at once, JavaScript makes the next while Python works on the other.
const CORKED_FROM: usize = 2;

static EVENT_LOOP: OnceLock<EventLoop> = OnceLock::new();

/// Acknowledges the signal that woke the loop.
pub(super) trait Acknowledge: Send + Sync {
    /// Empties the file descriptor.
    fn acknowledge(&self);
    /// Signals again: work is left.
    fn repeat(&self);
}

/// See the module.
pub(super) struct EventLoop {
    event_loop: Py<PyAny>,
    /// `asyncio` or `uvloop`.
    kind: &'static str,
    /// Why uvloop is not there.
    uvloop_error: Option<String>,
    create_future: Py<PyAny>,
    release: Py<PyAny>,
    tasks: TaskStarter,
    scopes: HttpConnectionScope,
    done: Py<Awaitable>,
    queue: Arc<LoopQueue>,
    wake: Box<dyn Acknowledge>,
    waiting: Mutex<VecDeque<LoopMessage>>,
    cork: Mutex<Cork>,
    linger: Mutex<Linger>,
    linger_soon: Py<PyAny>,
    connections: Mutex<Slab<Arc<Connection>>>,
    applications: Applications,
    held: Mutex<Vec<Arc<Connection>>>,
    release_scheduled: AtomicBool,
    /// Applications to import while the loop does not run.
    imports: Mutex<Vec<Import>>,
    stopping: AtomicBool,
}

/// An application that is to be imported.
struct Import {
    key: usize,
    options: ApplicationOptions,
    tell: TellLoaded,
}

/// Told whether an application was loaded.
pub(super) type TellLoaded = Box<dyn FnOnce(Result<(), HandlerError>) + Send>;

#[pyfunction]
fn drain(py: Python<'_>) {
    EventLoop::get().woken(py);
}

#[pyfunction]
fn linger(py: Python<'_>) {
    EventLoop::get().linger(py);
}

#[pyfunction]
fn release_heads() {
    EventLoop::get().release_heads();
}

impl EventLoop {
    /// The loop of this process. Only reached through objects that exist after [`Self::create`].
    pub(super) fn get() -> &'static Self {
        #[expect(clippy::expect_used, reason = "the callers are made by `create`")]
        EVENT_LOOP.get().expect("the event loop exists before anything that runs on it")
    }

    /// Makes the asyncio loop and everything kept for it. `descriptor` becomes readable when the queue has work.
    ///
    /// # Errors
    /// A Python exception: asyncio cannot be imported, or the loop cannot watch the descriptor.
    pub(super) fn create(
        py: Python<'_>,
        wanted: &str,
        queue: Arc<LoopQueue>,
        descriptor: i64,
        wake: Box<dyn Acknowledge>,
    ) -> PyResult<&'static Self> {
        let asyncio = py.import("asyncio")?;
        if cfg!(unix) {
            let code = CString::new(include_str!("children.py"))?;
            PyModule::from_code(py, &code, c"python_node/children.py", c"_python_node_children")?;
        }
        let mut uvloop_error = None;
        let uvloop = match wanted {
            "asyncio" => None,
            _ => py.import("uvloop").map_err(|error| uvloop_error = Some(error.to_string())).ok(),
        };
        let (kind, event_loop) = match uvloop {
            Some(uvloop) => ("uvloop", uvloop.call_method0("new_event_loop")?),
            None if cfg!(windows) => ("asyncio", asyncio.call_method0("SelectorEventLoop")?),
            None => ("asyncio", asyncio.call_method0("new_event_loop")?),
        };
        asyncio.call_method1("set_event_loop", (&event_loop,))?;
        look_like_coroutine_functions(py)?;
        json::prepare(py)?;
        let drain = pyo3::wrap_pyfunction!(drain, py)?;
        event_loop.call_method1("add_reader", (descriptor, drain))?;
        let created = Self {
            create_future: event_loop.getattr("create_future")?.unbind(),
            release: pyo3::wrap_pyfunction!(release_heads, py)?.into_any().unbind(),
            tasks: TaskStarter::new(py, &event_loop)?,
            scopes: HttpConnectionScope::new(py)?,
            applications: Applications::new(py, Arc::clone(&queue))?,
            done: Py::new(py, Awaitable::new(Done))?,
            event_loop: event_loop.unbind(),
            kind,
            uvloop_error,
            queue,
            wake,
            waiting: Mutex::default(),
            cork: Mutex::default(),
            linger: Mutex::new(Linger::new()),
            linger_soon: pyo3::wrap_pyfunction!(linger, py)?.into_any().unbind(),
            connections: Mutex::default(),
            held: Mutex::default(),
            release_scheduled: AtomicBool::new(false),
            imports: Mutex::default(),
            stopping: AtomicBool::new(false),
        };
        if EVENT_LOOP.set(created).is_err() {
            return Err(pyo3::exceptions::PyRuntimeError::new_err("the event loop exists already"));
        }
        Ok(Self::get())
    }

    /// Runs until [`Self::stop`]. What asyncio passes through (`SystemExit`, `KeyboardInterrupt`), or an
    /// application's `loop.stop()`, does not end it.
    pub(super) fn run(&self, py: Python<'_>) {
        while !self.stopping.load(Ordering::Acquire) {
            let result = self.event_loop.call_method0(py, intern!(py, "run_forever"));
            if let Err(error) = result {
                log::debug!("the loop was left by {}", error.get_type(py));
                let is_closed = self.event_loop.call_method0(py, intern!(py, "is_closed"));
                if is_closed.is_ok_and(|closed| closed.is_truthy(py).unwrap_or(false)) {
                    exception::log(
                        py,
                        "an application closed the event loop: no request can be answered",
                        &error,
                    );
                    self.queue.close();
                    return;
                }
            }
            self.import(py);
        }
        // Nothing is held back beyond the loop's end.
        self.cork.lock().take_off();
    }

    // ------------------------------------------------------------------- messages

    fn woken(&self, py: Python<'_>) {
        self.wake.acknowledge();
        self.drain(py);
    }

    /// Looks for messages for a moment, in which the next is expected.
    fn linger(&self, py: Python<'_>) {
        let Some(has_come) = py.detach(|| Linger::wait(&self.queue)) else { return };
        self.linger.lock().learn(has_come);
        if has_come {
            self.drain(py);
        }
    }

    fn drain(&self, py: Python<'_>) {
        // Only where an application runs the loop inside the loop.
        self.cork.lock().take_off();
        let mut batch = Vec::new();
        let signalled = self.queue.drain(&mut batch);
        self.linger.lock().begin(signalled, batch.len());
        let mut waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.extend(batch);
        for _ in 0..BATCH {
            let Some(message) = waiting.pop_front() else { break };
            if let LoopMessage::Begin { half, .. } = &message
                && waiting.len() >= CORKED_FROM
                && let Some(queue) = half.completions()
            {
                self.cork.lock().put_on(queue);
            }
            if let Err(error) = self.dispatch(py, message) {
                exception::log(py, "internal error in python-node", &error);
            }
            self.cork.lock().step();
        }
        self.cork.lock().take_off();
        if !waiting.is_empty() {
            *self.waiting.lock() = waiting;
            self.wake.repeat();
        } else if self.linger.lock().end()
            && let Err(error) =
                self.event_loop.call_method1(py, intern!(py, "call_soon"), (&self.linger_soon,))
        {
            exception::log(py, "internal error in python-node", &error);
        }
    }

    fn dispatch(&self, py: Python<'_>, message: LoopMessage) -> PyResult<()> {
        match message {
            LoopMessage::Begin { half, head } => self.admit(py, half, head),
            LoopMessage::Wake(exchange) => match self.connection(&exchange) {
                Some(connection) => connection.wake(py),
                None => Ok(()),
            },
            LoopMessage::Disconnect { exchange, cancel_now } => match self.connection(&exchange) {
                Some(connection) => connection.disconnect(py, cancel_now),
                None => Ok(()),
            },
            LoopMessage::Call(call) => {
                call();
                Ok(())
            }
        }
    }

    fn connection(&self, exchange: &Exchange) -> Option<Arc<Connection>> {
        let slot = exchange.slot()?;
        let connections = self.connections.lock();
        let connection = connections.get(slot)?;
        std::ptr::eq(Arc::as_ptr(connection.exchange()), exchange).then(|| Arc::clone(connection))
    }

    /// Gives a request to its application, or lets it wait for the application's startup.
    fn admit(&self, py: Python<'_>, half: AppHalf, head: RequestHead) -> PyResult<()> {
        match self.applications.admit(half, head) {
            Some((application, half, head)) => self.begin(py, &application, half, &head),
            None => Ok(()),
        }
    }

    /// Calls the application.
    fn begin(
        &self,
        py: Python<'_>,
        application: &Application,
        half: AppHalf,
        head: &RequestHead,
    ) -> PyResult<()> {
        if half.is_disconnected() {
            log::debug!("request {}: given up before it began", half.id);
            return Ok(());
        }
        let (scope, protocol) = if half.mode == Mode::WebSocket {
            let scope = WebSocketConnectionScope::build(py, &self.scopes, application, head)?;
            (scope, Protocol::WebSocket(Session::new()))
        } else {
            let (scope, facts) = self.scopes.build(py, application, head, half.capabilities)?;
            (scope, Protocol::Http(Response::new(&facts, application.options.response_limit)))
        };
        log::debug!("request {}: scope built", half.id);
        let connection = Connection::new(half, protocol, application.options.disconnect_grace);
        let receive = Py::new(py, Receiver::new(Arc::clone(&connection)))?;
        let send = Py::new(py, Sender::new(Arc::clone(&connection)))?;
        self.applications.enter(py, application)?;
        let awaitable = match application.callable.bind(py).call1((scope, receive, send)) {
            Ok(awaitable) => awaitable,
            Err(error) => {
                connection.ended(py, Ending::Raised(error));
                return Ok(());
            }
        };
        if !self.tasks.is_coroutine(&awaitable) && !awaitable.hasattr(intern!(py, "__await__"))? {
            connection.ended(py, Ending::NotAwaitable(type_name(&awaitable)));
            return Ok(());
        }
        match self.tasks.start(py, awaitable) {
            Ok(Started::Task(task, context)) => self.follow(py, connection, task, context),
            Ok(Started::Raised(error)) | Err(error) => {
                connection.ended(py, Ending::Raised(error));
                Ok(())
            }
        }
    }

    /// Keeps a task until it ends: asyncio itself holds tasks weakly.
    fn follow(
        &self,
        py: Python<'_>,
        connection: Arc<Connection>,
        task: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let task = task.into_bound(py);
        connection.set_context(context);
        log::debug!("request {}: started", connection.exchange().id);
        if task.call_method0(intern!(py, "done"))?.is_truthy()? {
            return connection.task_done(py, &task);
        }
        connection.set_task(task.clone().unbind());
        let exchange = Arc::clone(connection.exchange());
        exchange.attach(self.connections.lock().insert(Arc::clone(&connection)));
        let done = Py::new(py, PythonFuturePoller::new(connection))?;
        task.call_method1(intern!(py, "add_done_callback"), (done,))?;
        Ok(())
    }

    /// The task of `connection` has ended.
    pub(super) fn forget(&self, connection: &Arc<Connection>) {
        let forgotten =
            connection.exchange().slot().and_then(|slot| self.connections.lock().try_remove(slot));
        drop(forgotten);
    }

    // ------------------------------------------------------------- for connections

    /// The awaitable that is ready.
    pub(super) fn done(&self, py: Python<'_>) -> Py<Awaitable> {
        self.done.clone_ref(py)
    }

    /// `loop.create_future`.
    pub(super) fn create_future(&self) -> &Py<PyAny> {
        &self.create_future
    }

    /// Keeps a response's start for one turn of the loop: a body that follows at once goes with it.
    pub(super) fn hold(&self, py: Python<'_>, connection: &Arc<Connection>) -> PyResult<()> {
        self.held.lock().push(Arc::clone(connection));
        if !self.release_scheduled.swap(true, Ordering::AcqRel) {
            self.event_loop.call_method1(py, intern!(py, "call_soon"), (&self.release,))?;
        }
        Ok(())
    }

    fn release_heads(&self) {
        self.release_scheduled.store(false, Ordering::Release);
        let held = std::mem::take(&mut *self.held.lock());
        for connection in held {
            connection.release_head();
        }
    }

    /// Calls something after a while.
    pub(super) fn call_later(
        &self,
        py: Python<'_>,
        delay: Duration,
        call: impl Fn(Python<'_>) -> PyResult<()> + Send + Sync + 'static,
    ) -> PyResult<()> {
        let call = PyCFunction::new_closure(py, None, None, move |arguments, _| call(arguments.py()))?;
        self.event_loop.call_method1(py, intern!(py, "call_later"), (delay.as_secs_f64(), call))?;
        Ok(())
    }

    // --------------------------------------------------------------- applications

    /// The applications that run on this loop.
    pub(super) fn applications(&self) -> &Applications {
        &self.applications
    }

    /// Imports an application under a key and begins its lifespan.
    ///
    /// The loop is left for the import, as it does not run yet where uvicorn imports: modules call `asyncio.run`, and Django's
    /// ORM refuses to work within a running loop.
    pub(super) fn load(&self, py: Python<'_>, key: usize, options: ApplicationOptions, tell: TellLoaded) {
        if options.event_loop != "auto" && options.event_loop != self.kind {
            tell(Err(HandlerError::EventLoop {
                wanted: options.event_loop,
                running: self.kind,
                reason: self.uvloop_error.clone(),
            }));
            return;
        }
        self.imports.lock().push(Import { key, options, tell });
        if let Err(error) = self.event_loop.call_method0(py, intern!(py, "stop")) {
            exception::log(py, "internal error in python-node while loading", &error);
        }
    }

    /// Imports what is to be imported. The rest of each load is done in the loop again.
    fn import(&self, py: Python<'_>) {
        let imports = std::mem::take(&mut *self.imports.lock());
        if imports.is_empty() {
            return;
        }
        for Import { key, options, tell } in imports {
            let imported = self.applications.import(py, &options);
            self.queue.push(LoopMessage::Call(Box::new(move || {
                tell(imported.and_then(|callable| {
                    Python::attach(|py| Self::get().applications.begin(py, key, options, callable))
                }));
            })));
        }
        // `asyncio.run` leaves the thread without one.
        let set = py
            .import("asyncio")
            .and_then(|asyncio| asyncio.call_method1("set_event_loop", (&self.event_loop,)));
        if let Err(error) = set {
            exception::log(py, "internal error in python-node while loading", &error);
        }
    }

    /// Starts a task outside of a request.
    pub(super) fn start_task(&self, py: Python<'_>, awaitable: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match self.tasks.start(py, awaitable)? {
            Started::Task(task, _) => Ok(task),
            Started::Raised(error) => Err(error),
        }
    }

    /// Cancels what runs, lets the lifespans end, waits for all within the time that is left, and stops the loop.
    pub(super) fn stop(&self, py: Python<'_>) {
        self.stopping.store(true, Ordering::Release);
        let limit = exit::answered();
        let tasks = || -> PyResult<()> {
            let lifespans = self.applications.take_lifespans();
            let lifespan_tasks: Vec<Py<PyAny>> =
                lifespans.iter().filter_map(|lifespan| lifespan.task(py)).collect();
            let shut_down = PyCFunction::new_closure(py, None, None, move |arguments, _| {
                for lifespan in &lifespans {
                    lifespan.stop(
                        arguments.py(),
                        Box::new(|py, result| {
                            if let Err(error) = result {
                                exception::log_message(py, &error.to_string());
                            }
                        }),
                    );
                }
            })?;
            let code = CString::new(include_str!("stop.py"))?;
            let stop = PyModule::from_code(py, &code, c"python_node/stop.py", c"_python_node_stop")?
                .call_method1(
                    "stop",
                    (self.event_loop.bind(py), limit.as_secs_f64(), lifespan_tasks, shut_down),
                )?;
            self.event_loop.call_method1(py, "create_task", (stop,))?;
            Ok(())
        };
        if let Err(error) = tasks() {
            exception::log(py, "internal error in python-node while stopping", &error);
            let _ = self.event_loop.call_method0(py, "stop");
        }
    }
}

/// `inspect.iscoroutinefunction(receive)` and asyncio's own are true, as for the functions of other servers.
fn look_like_coroutine_functions(py: Python<'_>) -> PyResult<()> {
    for class in [py.get_type::<Receiver>(), py.get_type::<Sender>()] {
        for (module, name) in [("asyncio.coroutines", "_is_coroutine"), ("inspect", "_is_coroutine_mark")] {
            // Each is there in some versions only.
            if let Ok(mark) = py.import(module).and_then(|module| module.getattr(name)) {
                class.setattr(name, mark)?;
            }
        }
    }
    Ok(())
}
