//! Lifespan: the scope, the messages an application receives, and those it sends (specs/lifespan.rst).
//!
//! One task for each application, from its load to the handler's close. Its `receive` is woken through tokio, and takes
//! its message on the Python thread only when it is awaited: a wait that is cancelled loses nothing. What it sends
//! settles the startup and the shutdown.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::sync::Notify;

use super::ending::Ending;
use super::event_loop::EventLoop;
use super::info::AsgiInfo;
use super::message::SentMessage;
use super::order::{self, Step};
use crate::error::{HandlerError, LifespanFailure};
use crate::python::awaitable::{Awaitable, Progress, Resume};
use crate::python::{child, exception};

// ---------------------------------------------------------------------------- scope

/// The scope of a lifespan.
pub(super) struct LifespanScope;

impl LifespanScope {
    /// `state` itself, not a copy: what the application puts there reaches its requests.
    pub(super) fn build<'py>(py: Python<'py>, state: &Py<PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let scope = PyDict::new(py);
        scope.set_item(intern!(py, "type"), intern!(py, "lifespan"))?;
        scope.set_item(intern!(py, "asgi"), AsgiInfo::LIFESPAN.to_dict(py)?)?;
        scope.set_item(intern!(py, "state"), state)?;
        Ok(scope)
    }
}

// ------------------------------------------------------------------ receive messages

/// What an application receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LifespanReceiveMessage {
    /// `lifespan.startup`
    Startup,
    /// `lifespan.shutdown`
    Shutdown,
}

impl LifespanReceiveMessage {
    fn to_dict(self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let kind = match self {
            Self::Startup => intern!(py, "lifespan.startup"),
            Self::Shutdown => intern!(py, "lifespan.shutdown"),
        };
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "type"), kind)?;
        Ok(dict.unbind())
    }
}

// --------------------------------------------------------------------- send messages

/// What an application sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LifespanSendMessage {
    /// `lifespan.startup.complete`
    StartupComplete,
    /// `lifespan.startup.failed`
    StartupFailed(String),
    /// `lifespan.shutdown.complete`
    ShutdownComplete,
    /// `lifespan.shutdown.failed`
    ShutdownFailed(String),
}

impl LifespanSendMessage {
    fn extract(message: &SentMessage<'_, '_>, py: Python<'_>) -> PyResult<Self> {
        let kind = message.kind()?.str()?.to_string_lossy().into_owned();
        let reason = || message.text(intern!(py, "message")).map(Option::unwrap_or_default);
        match kind.as_str() {
            "lifespan.startup.complete" => Ok(Self::StartupComplete),
            "lifespan.startup.failed" => Ok(Self::StartupFailed(reason()?)),
            "lifespan.shutdown.complete" => Ok(Self::ShutdownComplete),
            "lifespan.shutdown.failed" => Ok(Self::ShutdownFailed(reason()?)),
            _ => Err(PyValueError::new_err(format!("unknown ASGI message type `{kind}` in a lifespan"))),
        }
    }

    fn order(&self) -> order::Send {
        match self {
            Self::StartupComplete => order::Send::StartupComplete,
            Self::StartupFailed(_) => order::Send::StartupFailed,
            Self::ShutdownComplete | Self::ShutdownFailed(_) => order::Send::ShutdownDone,
        }
    }
}

// ----------------------------------------------------------------------- the lifespan

/// Told once how a startup or a shutdown ended.
pub(super) type Tell = Box<dyn FnOnce(Python<'_>, Result<(), HandlerError>) + Send>;

/// Told how the startup ended: the application's own requests wait for it.
type Started = Box<dyn FnOnce(Python<'_>, Result<(), HandlerError>) + Send>;

struct State {
    order: order::Lifespan,
    /// Whether the application sent what is no message of a lifespan: it does not know that it is in one.
    strayed: bool,
    started: Option<Started>,
    stopped: Vec<Tell>,
    task: Option<Py<PyAny>>,
}

/// What waits for the application: at most a startup and a shutdown.
#[derive(Default)]
struct Inbox {
    messages: Mutex<VecDeque<LifespanReceiveMessage>>,
    arrived: Notify,
}

impl Inbox {
    fn push(&self, message: LifespanReceiveMessage) {
        self.messages.lock().push_back(message);
        self.arrived.notify_waiters();
    }
}

/// The lifespan of one application.
pub(super) struct Lifespan {
    inbox: Arc<Inbox>,
    /// Whether an application that knows no lifespan is an error.
    required: bool,
    state: Mutex<State>,
}

impl Lifespan {
    /// Starts the lifespan task of an application; `started` is told how the startup ended.
    pub(super) fn start(
        py: Python<'_>,
        callable: &Py<PyAny>,
        state: &Py<PyDict>,
        required: bool,
        started: Started,
    ) -> Arc<Self> {
        let lifespan = Arc::new(Self {
            inbox: Arc::default(),
            required,
            state: Mutex::new(State {
                order: order::Lifespan::Starting,
                strayed: false,
                started: Some(started),
                stopped: Vec::new(),
                task: None,
            }),
        });
        lifespan.inbox.push(LifespanReceiveMessage::Startup);
        if let Err(error) = lifespan.call(py, callable, state) {
            lifespan.ended(py, Ending::Raised(error));
        }
        lifespan
    }

    fn call(self: &Arc<Self>, py: Python<'_>, callable: &Py<PyAny>, state: &Py<PyDict>) -> PyResult<()> {
        let scope = LifespanScope::build(py, state)?;
        let receive = Py::new(py, LifespanReceiver(Arc::clone(&self.inbox)))?;
        let send = Py::new(py, LifespanSender(Arc::clone(self)))?;
        let awaitable = callable.bind(py).call1((scope, receive, send))?;
        let task = EventLoop::get().start_task(py, awaitable)?;
        self.state.lock().task = Some(task.clone_ref(py));
        task.call_method1(
            py,
            intern!(py, "add_done_callback"),
            (Py::new(py, LifespanDone(Arc::clone(self)))?,),
        )?;
        Ok(())
    }

    /// The task, for the end of the process.
    pub(super) fn task(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.state.lock().task.as_ref().map(|task| task.clone_ref(py))
    }

    /// Asks for the shutdown; `tell` is told how it ended, at once if nothing runs. A startup that has not ended is
    /// cancelled: there is nothing to shut down.
    pub(super) fn stop(&self, py: Python<'_>, tell: Tell) {
        let (order, task) = {
            let mut state = self.state.lock();
            if state.order == order::Lifespan::Done {
                drop(state);
                tell(py, Ok(()));
                return;
            }
            state.stopped.push(tell);
            (state.order, state.task.as_ref().map(|task| task.clone_ref(py)))
        };
        if order == order::Lifespan::Running {
            self.inbox.push(LifespanReceiveMessage::Shutdown);
        } else if let Some(task) = task
            && let Err(error) = task.call_method0(py, intern!(py, "cancel"))
        {
            log::error!("cannot cancel the startup of an application: {error}");
        }
    }

    /// Cancels the task if it has not ended after `limit`: whoever asked for the shutdown waits no longer.
    pub(super) fn limit_stop(self: &Arc<Self>, py: Python<'_>, limit: Duration) -> PyResult<()> {
        let weak = Arc::downgrade(self);
        EventLoop::get().call_later(py, limit, move |py| {
            let Some(task) = weak.upgrade().and_then(|lifespan| lifespan.task(py)) else { return Ok(()) };
            log::debug!("the shutdown of an application is cancelled");
            task.call_method0(py, intern!(py, "cancel")).map(drop)
        })
    }

    fn send(&self, py: Python<'_>, message: LifespanSendMessage) -> PyResult<()> {
        let (started, stopped) = {
            let mut state = self.state.lock();
            match state.order.step(message.order()) {
                Step::Next(next) => state.order = next,
                Step::Ignored | Step::Refused => {
                    return Err(PyRuntimeError::new_err(format!(
                        "unexpected ASGI message in a lifespan: expected {}",
                        state.order.expected()
                    )));
                }
            }
            match &message {
                LifespanSendMessage::StartupComplete | LifespanSendMessage::StartupFailed(_) => {
                    (state.started.take(), Vec::new())
                }
                _ => (None, std::mem::take(&mut state.stopped)),
            }
        };
        // Told without the lock: it may start requests.
        let result = match message {
            LifespanSendMessage::StartupFailed(message) => {
                Err(HandlerError::Startup(LifespanFailure::Told(message)))
            }
            LifespanSendMessage::ShutdownFailed(message) => {
                Err(HandlerError::Shutdown(LifespanFailure::Told(message)))
            }
            _ => Ok(()),
        };
        if let Err(error @ HandlerError::Shutdown(_)) = &result
            && stopped.is_empty()
        {
            // Nobody has asked for it: the application has failed while it served.
            exception::log_message(py, &error.to_string());
        }
        for tell in started.into_iter().chain(stopped) {
            tell(py, result.clone());
        }
        Ok(())
    }

    /// The task has ended, or never began.
    fn ended(&self, py: Python<'_>, ending: Ending) {
        child::leave(py, if let Ending::Raised(raised) = &ending { Some(raised) } else { None });
        // One that took `lifespan.startup`, and does not go on as if it were a request, knows what it fails in. Whoever
        // raises at the scope, sends a response, or looks for what only a request has, knows no lifespan, and goes on without.
        let has_begun = self.inbox.messages.lock().is_empty();
        let has_strayed = matches!(&ending, Ending::Raised(error) if misses_a_request(py, error));
        let (order, is_own_failure, started, stopped) = {
            let mut state = self.state.lock();
            state.task = None;
            let order = std::mem::replace(&mut state.order, order::Lifespan::Done);
            (
                order,
                has_begun && !state.strayed && !has_strayed,
                state.started.take(),
                std::mem::take(&mut state.stopped),
            )
        };
        let described = |error| LifespanFailure::Raised(exception::describe(py, error));
        let told = |what: &str| Err(HandlerError::Startup(LifespanFailure::Told(what.to_owned())));
        let startup = match &ending {
            Ending::Raised(error) if self.required || is_own_failure => {
                Err(HandlerError::Startup(described(error)))
            }
            // Whoever asked for the end waits for no startup.
            Ending::Cancelled if stopped.is_empty() && (self.required || is_own_failure) => {
                told("it was cancelled before `lifespan.startup.complete`")
            }
            Ending::Returned if self.required => told("it returned before `lifespan.startup.complete`"),
            _ => Ok(()),
        };
        if let Some(started) = started {
            log::debug!("an application whose startup ended without a message");
            started(py, startup);
        } else if let Ending::Raised(error) = &ending
            && order == order::Lifespan::Running
        {
            exception::log(py, "exception in the lifespan of an ASGI application", error);
        }
        let shutdown = match &ending {
            Ending::Raised(error) if order == order::Lifespan::Running => {
                Err(HandlerError::Shutdown(described(error)))
            }
            _ => Ok(()),
        };
        for tell in stopped {
            tell(py, shutdown.clone());
        }
    }
}

/// Keys of other scopes.
const OF_REQUESTS: [&str; 11] = [
    "client",
    "headers",
    "http_version",
    "method",
    "path",
    "query_string",
    "raw_path",
    "root_path",
    "scheme",
    "server",
    "subprotocols",
];

/// Whether an application looked for a request in the scope of a lifespan: `KeyError: 'path'`.
fn misses_a_request(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyKeyError>(py)
        && error
            .value(py)
            .getattr(intern!(py, "args"))
            .and_then(|args| args.extract::<(String,)>())
            .is_ok_and(|(key,)| OF_REQUESTS.contains(&key.as_str()))
}

/// The `receive` of a lifespan.
#[pyclass(frozen, module = "python_node")]
struct LifespanReceiver(Arc<Inbox>);

#[pymethods]
impl LifespanReceiver {
    fn __call__(&self) -> Awaitable {
        Awaitable::new(LifespanReceive(Arc::clone(&self.0)))
    }
}

/// One `receive()` of a lifespan that is awaited.
struct LifespanReceive(Arc<Inbox>);

impl Resume for LifespanReceive {
    fn resume(&self, py: Python<'_>) -> PyResult<Progress> {
        let message = self.0.messages.lock().pop_front();
        if let Some(message) = message {
            return Ok(Progress::Value(message.to_dict(py)?.into_any()));
        }
        let inbox = Arc::clone(&self.0);
        let arrived = pyo3_async_runtimes::tokio::future_into_py(py, async move {
            let arrived = inbox.arrived.notified();
            tokio::pin!(arrived);
            // Registered first, then looked: a message that comes in between is not missed.
            arrived.as_mut().enable();
            if inbox.messages.lock().is_empty() {
                arrived.await;
            }
            Ok(())
        })?;
        arrived.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        Ok(Progress::Wait(arrived.unbind()))
    }
}

/// The `send` of a lifespan.
#[pyclass(frozen, module = "python_node")]
struct LifespanSender(Arc<Lifespan>);

#[pymethods]
impl LifespanSender {
    fn __call__(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Py<Awaitable>> {
        let message = LifespanSendMessage::extract(&SentMessage::new(message)?, py)
            .inspect_err(|_| self.0.state.lock().strayed = true)?;
        self.0.send(py, message)?;
        Ok(EventLoop::get().done(py))
    }
}

/// The done-callback of a lifespan's task.
#[pyclass(frozen, module = "python_node")]
pub(super) struct LifespanDone(Arc<Lifespan>);

#[pymethods]
impl LifespanDone {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.ended(py, Ending::of(task)?);
        Ok(())
    }
}
