//! The applications that are loaded, each under the key its handler knows it by, and what waits for their startup.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};

use super::application::{Application, ApplicationOptions, LifespanMode, Phase};
use super::event_loop::EventLoop;
use super::json;
use super::lifespan::{Lifespan, Tell};
use super::runtime_handle;
use super::wsgi;
use crate::error::HandlerError;
use crate::exchange::{AppHalf, Exchange, LoopMessage, LoopQueue, RequestHead};
use crate::python::loader::Loader;
use crate::python::{exception, exit};

/// How long the end of an application may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Its requests' tasks, which may work on when they have answered.
    pub(crate) requests: Duration,
    /// These and its shutdown, which is cancelled then.
    pub(crate) all: Duration,
}

/// See the module. Belongs to the Python thread.
pub(super) struct Applications {
    loader: Loader,
    loaded: Mutex<HashMap<usize, Arc<Application>>>,
    queue: Arc<LoopQueue>,
    /// Where the first application is.
    docroot: OnceLock<String>,
    /// Whether another is elsewhere.
    several_docroots: AtomicBool,
}

impl Applications {
    /// None is loaded. What waited for a startup goes on through `queue`.
    ///
    /// # Errors
    /// What preparing the loader raises.
    pub(super) fn new(py: Python<'_>, queue: Arc<LoopQueue>) -> PyResult<Self> {
        Ok(Self {
            loader: Loader::new(py)?,
            loaded: Mutex::default(),
            queue,
            docroot: OnceLock::new(),
            several_docroots: AtomicBool::new(false),
        })
    }

    /// The application of a request, if the request can begin now. It waits for the application's startup, or has failed,
    /// otherwise.
    pub(super) fn admit(
        &self,
        half: AppHalf,
        head: RequestHead,
    ) -> Option<(Arc<Application>, AppHalf, RequestHead)> {
        let application = self.loaded.lock().get(&half.application).map(Arc::clone);
        let Some(application) = application else {
            half.fail(HandlerError::Closed("the handler is closed"));
            return None;
        };
        match &mut *application.phase.lock() {
            Phase::Ready => {}
            Phase::Starting { requests, .. } => {
                let number = requests.last_key_value().map_or(0, |(last, _)| last + 1);
                half.attach(number);
                requests.insert(number, (half, head));
                return None;
            }
            Phase::Failed(error) => {
                half.fail(error.clone());
                return None;
            }
        }
        Some((application, half, head))
    }

    /// A request was given up before it began: it waits for no startup any more.
    pub(super) fn give_up(&self, exchange: &Exchange) {
        let application = self.loaded.lock().get(&exchange.application).map(Arc::clone);
        let given_up = match (application, exchange.slot()) {
            (Some(application), Some(number)) => match &mut *application.phase.lock() {
                Phase::Starting { requests, .. } => match requests.entry(number) {
                    Entry::Occupied(entry)
                        if std::ptr::eq(Arc::as_ptr(entry.get().0.exchange()), exchange) =>
                    {
                        Some(entry.remove())
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        drop(given_up);
    }

    /// Imports an application.
    ///
    /// # Errors
    /// What is wrong with the application or its module.
    pub(super) fn import(
        &self,
        py: Python<'_>,
        options: &ApplicationOptions,
    ) -> Result<Py<PyAny>, HandlerError> {
        if *self.docroot.get_or_init(|| options.docroot.clone()) != options.docroot {
            self.several_docroots.store(true, Ordering::Relaxed);
        }
        let callable = self.loader.load(py, &options.docroot, &options.target)?;
        exit::register();
        if options.target.interface == "wsgi" {
            return Ok(wsgi::adapt(py, &callable)?.unbind());
        }
        if let Err(error) = wsgi::look_after(py) {
            exception::log(py, "cannot look after the threads of a2wsgi", &error);
        }
        Ok(callable.unbind())
    }

    /// Tasks that are made from now on, until the next call, import what `application` would.
    ///
    /// # Errors
    /// A Python exception; none is expected.
    pub(super) fn enter(&self, py: Python<'_>, application: &Application) -> PyResult<()> {
        if self.several_docroots.load(Ordering::Relaxed) {
            self.loader.enter(py, &application.options.docroot)?;
        }
        Ok(())
    }

    /// Takes an imported application under a key and begins its lifespan.
    ///
    /// # Errors
    /// [`HandlerError::Internal`]; none is expected.
    pub(super) fn begin(
        &self,
        py: Python<'_>,
        key: usize,
        options: ApplicationOptions,
        callable: Py<PyAny>,
    ) -> Result<(), HandlerError> {
        let internal = |error: PyErr| HandlerError::Internal(exception::describe(py, &error).traceback);
        let state = initial_state(py, options.state.as_deref()).map_err(internal)?;
        let extension = PyDict::new(py);
        extension.set_item(intern!(py, "docroot"), &options.docroot).map_err(internal)?;
        let lifespan = options.lifespan;
        let application = Arc::new(Application {
            callable,
            state,
            extension: extension.unbind(),
            options,
            phase: Mutex::new(Phase::Starting { requests: BTreeMap::new(), ready: Vec::new() }),
            lifespan: Mutex::new(None),
        });
        self.loaded.lock().insert(key, Arc::clone(&application));
        if lifespan == LifespanMode::Off || !runtime_handle::install() {
            self.started(py, &application, Ok(()));
            return Ok(());
        }
        self.enter(py, &application).map_err(internal)?;
        let own = Arc::clone(&application);
        let started =
            Box::new(move |py: Python<'_>, result| EventLoop::get().applications().started(py, &own, result));
        let required = lifespan == LifespanMode::On;
        let lifespan = Lifespan::start(py, &application.callable, &application.state, required, started);
        *application.lifespan.lock() = Some(lifespan);
        Ok(())
    }

    /// The startup of an application has ended: what waited for it goes on.
    fn started(&self, py: Python<'_>, application: &Application, result: Result<(), HandlerError>) {
        let next = match &result {
            Ok(()) => Phase::Ready,
            Err(error) => Phase::Failed(error.clone()),
        };
        let Phase::Starting { requests, ready } = std::mem::replace(&mut *application.phase.lock(), next)
        else {
            return;
        };
        for tell in ready {
            tell(py, result.clone());
        }
        for (half, head) in requests.into_values() {
            match &result {
                Err(error) => {
                    half.fail(error.clone());
                }
                // Not called from here: this runs in the lifespan's own task, and a task takes its first step
                // outside of any other.
                Ok(()) => self.queue.push(LoopMessage::Begin { half, head }),
            }
        }
    }

    /// Tells when the startup of an application has ended.
    pub(super) fn ready(&self, py: Python<'_>, key: usize, tell: Tell) {
        let application = self.loaded.lock().get(&key).map(Arc::clone);
        let Some(application) = application else {
            tell(py, Err(HandlerError::Closed("the handler is closed")));
            return;
        };
        let result = match &mut *application.phase.lock() {
            Phase::Starting { ready, .. } => {
                ready.push(tell);
                return;
            }
            Phase::Ready => Ok(()),
            Phase::Failed(error) => Err(error.clone()),
        };
        tell(py, result);
    }

    /// Begins no more requests of an application, lets those that run end, forgets it and ends its lifespan; `tell` is told
    /// how that went. Until then the end of the process finds it here.
    pub(super) fn unload(&self, py: Python<'_>, key: usize, patience: Option<Patience>, tell: Tell) {
        let begun = Instant::now();
        let application = self.loaded.lock().get(&key).map(Arc::clone);
        if let Some(application) = &application {
            let closed = HandlerError::Closed("the handler is closed");
            // Whoever waits for a startup that nobody wants any more.
            self.started(py, application, Err(closed.clone()));
            *application.phase.lock() = Phase::Failed(closed);
        }
        let forget = move |py: Python<'_>| {
            let limit = patience.map(|patience| patience.all.saturating_sub(begun.elapsed()));
            EventLoop::get().applications().forget(py, key, limit, tell);
        };
        if let Err(error) = after_requests(py, key, patience.map(|patience| patience.requests), forget) {
            exception::log(py, "internal error in python-node while closing", &error);
        }
    }

    fn forget(&self, py: Python<'_>, key: usize, limit: Option<Duration>, tell: Tell) {
        let application = self.loaded.lock().remove(&key);
        let lifespan = application.as_ref().and_then(|application| application.lifespan.lock().take());
        match lifespan {
            Some(lifespan) => {
                lifespan.stop(py, tell);
                if let Some(limit) = limit
                    && let Err(error) = lifespan.limit_stop(py, limit)
                {
                    exception::log(py, "internal error in python-node while closing", &error);
                }
            }
            None => tell(py, Ok(())),
        }
    }

    /// Forgets all applications; the lifespans that run are the caller's to end.
    pub(super) fn take_lifespans(&self) -> Vec<Arc<Lifespan>> {
        let applications: Vec<Arc<Application>> =
            self.loaded.lock().drain().map(|(_, application)| application).collect();
        applications.iter().filter_map(|application| application.lifespan.lock().take()).collect()
    }
}

/// Calls `call` when the tasks of an application's requests have ended, or after `limit`.
fn after_requests(
    py: Python<'_>,
    key: usize,
    limit: Option<Duration>,
    call: impl FnOnce(Python<'_>) + Send + 'static,
) -> PyResult<()> {
    let tasks = EventLoop::get().connections().tasks_of(py, Some(key));
    if tasks.is_empty() || limit.is_some_and(|limit| limit.is_zero()) {
        call(py);
        return Ok(());
    }
    let call = Arc::new(Mutex::new(Some(call)));
    let once = move |py: Python<'_>| {
        let call = call.lock().take();
        if let Some(call) = call {
            call(py);
        }
    };
    let late = once.clone();
    let running = AtomicUsize::new(tasks.len());
    let ended = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        if running.fetch_sub(1, Ordering::AcqRel) == 1 {
            once(arguments.py());
        }
    })?;
    for (task, _) in tasks {
        task.call_method1(py, intern!(py, "add_done_callback"), (&ended,))?;
    }
    if let Some(limit) = limit {
        EventLoop::get().call_later(py, limit, move |py| {
            late(py);
            Ok(())
        })?;
    }
    Ok(())
}

/// What `state` holds from the beginning: a JSON object.
fn initial_state(py: Python<'_>, text: Option<&str>) -> PyResult<Py<PyDict>> {
    match text {
        None => Ok(PyDict::new(py).unbind()),
        Some(text) => Ok(json::to_dict(py, text)?.unbind()),
    }
}
