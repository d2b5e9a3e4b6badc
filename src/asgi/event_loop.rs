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

use super::application::{Application, ApplicationOptions};
use super::applications::Applications;
use super::connection::{Connection, Protocol};
use super::connections::Connections;
use super::cork::Cork;
use super::ending::Ending;
use super::http::HttpConnectionScope;
use super::imports::{Import, Imports, TellLoaded};
use super::json;
use super::lifespan::LifespanDone;
use super::linger::Linger;
use super::loop_kind::LoopKind;
use super::loop_reader::LoopReader;
use super::python_future_poller::PythonFuturePoller;
use super::receiver::Receiver;
use super::response::Response;
use super::sender::Sender;
use super::session::Session;
use super::stop;
use super::websocket::WebSocketConnectionScope;
use crate::exchange::{AppHalf, LoopMessage, LoopQueue, Mode, RequestHead};
use crate::python::awaitable::{self, Awaitable, Done};
use crate::python::task::{Started, TaskStarter};
use crate::python::{child, exception};

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
    kind: LoopKind,
    create_future: Py<PyAny>,
    release: Py<PyAny>,
    tasks: TaskStarter,
    scopes: HttpConnectionScope,
    done: Py<Awaitable>,
    queue: Arc<LoopQueue>,
    wake: Box<dyn Acknowledge>,
    reader: LoopReader,
    waiting: Mutex<VecDeque<LoopMessage>>,
    cork: Mutex<Cork>,
    linger: Mutex<Linger>,
    linger_soon: Py<PyAny>,
    connections: Connections,
    applications: Applications,
    held: Mutex<Vec<Arc<Connection>>>,
    release_scheduled: AtomicBool,
    imports: Imports,
    stopping: AtomicBool,
}

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
        let (kind, event_loop) = LoopKind::make(wanted, &asyncio)?;
        asyncio.call_method1("set_event_loop", (&event_loop,))?;
        let done_callbacks = (py.get_type::<PythonFuturePoller>(), py.get_type::<LifespanDone>());
        child::watch_tasks(&event_loop, &done_callbacks.into_pyobject(py)?)?;
        for class in [py.get_type::<Receiver>(), py.get_type::<Sender>()] {
            awaitable::look_like_coroutine_function(&class)?;
        }
        json::prepare(py)?;
        let drain = pyo3::wrap_pyfunction!(drain, py)?;
        let reader = LoopReader::new(descriptor, drain.into_any().unbind());
        reader.watch(&event_loop)?;
        let created = Self {
            create_future: event_loop.getattr("create_future")?.unbind(),
            release: pyo3::wrap_pyfunction!(release_heads, py)?.into_any().unbind(),
            tasks: TaskStarter::new(py, &event_loop)?,
            scopes: HttpConnectionScope::new(py)?,
            applications: Applications::new(py, Arc::clone(&queue))?,
            done: Py::new(py, Awaitable::new(Done))?,
            event_loop: event_loop.unbind(),
            kind,
            queue,
            wake,
            reader,
            waiting: Mutex::default(),
            cork: Mutex::default(),
            linger: Mutex::new(Linger::new()),
            linger_soon: pyo3::wrap_pyfunction!(linger, py)?.into_any().unbind(),
            connections: Connections::default(),
            held: Mutex::default(),
            release_scheduled: AtomicBool::new(false),
            imports: Imports::default(),
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
            child::leave(py, result.as_ref().err());
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

    /// The signal stays until everything is done, for a loop that an application runs inside of this.
    fn woken(&self, py: Python<'_>) {
        child::leave(py, None);
        let context = self.reader.enter(py);
        self.drain(py, true);
        if let Some(context) = context {
            self.reader.leave(context);
        }
        if self.has_work() {
            return;
        }
        // In a child that was forked meanwhile, the signal is its parent's.
        child::leave(py, None);
        self.wake.acknowledge();
        if self.has_work() {
            // It came in between: that was its signal.
            self.wake.repeat();
        }
    }

    fn has_work(&self) -> bool {
        !self.waiting.lock().is_empty() || self.queue.count() > 0
    }

    /// Looks for messages for a moment, in which the next is expected.
    fn linger(&self, py: Python<'_>) {
        let Some(has_come) = py.detach(|| Linger::wait(&self.queue)) else { return };
        self.linger.lock().learn(has_come);
        if has_come && self.queue.count() > 1 {
            // No conversation.
            self.wake.repeat();
        } else if has_come {
            self.drain(py, false);
        }
    }

    /// `is_signalled`: whether the signal is there for what is left, should an application run the loop inside of this.
    fn drain(&self, py: Python<'_>, is_signalled: bool) {
        // Only where an application runs the loop inside the loop.
        self.cork.lock().take_off();
        let mut batch = Vec::new();
        let signalled = self.queue.drain(&mut batch);
        self.linger.lock().begin(signalled, batch.len());
        let waiting = {
            let mut waiting = self.waiting.lock();
            waiting.extend(batch);
            waiting.len()
        };
        if !is_signalled && waiting > 1 {
            self.wake.repeat();
        }
        for _ in 0..BATCH {
            // One by one: a loop that an application runs inside of this takes what is left.
            let (message, left) = {
                let mut waiting = self.waiting.lock();
                (waiting.pop_front(), waiting.len())
            };
            let Some(message) = message else { break };
            if let LoopMessage::Begin { half, .. } = &message
                && left >= CORKED_FROM
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
        if self.waiting.lock().is_empty()
            && self.linger.lock().end()
            && let Err(error) =
                self.event_loop.call_method1(py, intern!(py, "call_soon"), (&self.linger_soon,))
        {
            exception::log(py, "internal error in python-node", &error);
        }
    }

    fn dispatch(&self, py: Python<'_>, message: LoopMessage) -> PyResult<()> {
        match message {
            LoopMessage::Begin { half, head } => self.admit(py, half, head),
            LoopMessage::Wake(exchange) => match self.connections.find(&exchange) {
                Some(connection) => connection.wake(py),
                None => Ok(()),
            },
            LoopMessage::Disconnect { exchange, cancel_now } => match self.connections.find(&exchange) {
                Some(connection) => connection.disconnect(py, cancel_now),
                None => {
                    self.applications.give_up(&exchange);
                    Ok(())
                }
            },
            LoopMessage::Call(call) => {
                call();
                Ok(())
            }
        }
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
        // Found from the first step on: the application may run the loop inside of it.
        self.connections.insert(&connection);
        let receive = Py::new(py, Receiver::new(Arc::clone(&connection)))?;
        let send = Py::new(py, Sender::new(Arc::clone(&connection)))?;
        self.applications.enter(py, application)?;
        let started = application
            .callable
            .bind(py)
            .call1((scope, receive, send))
            .and_then(|coroutine| self.tasks.start(py, coroutine));
        match started {
            Ok(Started::Task(task, context)) => self.follow(py, connection, task, context),
            Ok(Started::Raised(error)) | Err(error) => {
                self.connections.remove(&connection);
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
            self.connections.remove(&connection);
            return connection.task_done(py, &task);
        }
        connection.set_task(py, task.clone().unbind())?;
        let done = Py::new(py, PythonFuturePoller::new(connection))?;
        task.call_method1(intern!(py, "add_done_callback"), (done,))?;
        Ok(())
    }

    // ------------------------------------------------------------- for connections

    /// Those whose tasks run on this loop.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

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
        if let Err(error) = self.kind.check(&options.event_loop) {
            tell(Err(error));
            return;
        }
        if self.imports.add(Import { key, options, tell })
            && let Err(error) = self.event_loop.call_method0(py, intern!(py, "stop"))
        {
            exception::log(py, "internal error in python-node while loading", &error);
        }
    }

    /// Imports what is to be imported. The rest of each load is done in the loop again.
    fn import(&self, py: Python<'_>) {
        if !self.imports.run(py, &self.event_loop, &self.applications, &self.queue) {
            return;
        }
        // `asyncio.run` leaves the thread without one. And requests run in copies of the context that the imports have left.
        let set = py
            .import("asyncio")
            .and_then(|asyncio| asyncio.call_method1("set_event_loop", (&self.event_loop,)))
            .and_then(|_| self.reader.watch(self.event_loop.bind(py)));
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

    /// Cancels what runs, lets what has answered and the lifespans end, waits for all within the time that is left, and stops
    /// the loop.
    pub(super) fn stop(&self, py: Python<'_>) {
        self.stopping.store(true, Ordering::Release);
        if let Err(error) = stop::begin(py, &self.event_loop, &self.applications, &self.connections) {
            exception::log(py, "internal error in python-node while stopping", &error);
            let _ = self.event_loop.call_method0(py, "stop");
        }
    }
}
