//! The applications that are loaded, each under the key its handler knows it by, and what waits for their startup.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::application::{Application, ApplicationOptions, LifespanMode, Phase};
use super::event_loop::EventLoop;
use super::json;
use super::lifespan::{Lifespan, Tell};
use super::runtime_handle;
use super::wsgi;
use crate::error::HandlerError;
use crate::exchange::{AppHalf, LoopMessage, LoopQueue, RequestHead};
use crate::python::loader::Loader;
use crate::python::{exception, exit};

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
                requests.push((half, head));
                return None;
            }
            Phase::Failed(error) => {
                half.fail(error.clone());
                return None;
            }
        }
        Some((application, half, head))
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
            phase: Mutex::new(Phase::Starting { requests: Vec::new(), ready: Vec::new() }),
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
        for (half, head) in requests {
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

    /// Forgets an application and ends its lifespan; `tell` is told how that went. Requests that run go on.
    pub(super) fn unload(&self, py: Python<'_>, key: usize, limit: Option<Duration>, tell: Tell) {
        let application = self.loaded.lock().remove(&key);
        if let Some(application) = &application {
            // Whoever waits for a startup that nobody wants any more.
            self.started(py, application, Err(HandlerError::Closed("the handler is closed")));
        }
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

/// What `state` holds from the beginning: a JSON object.
fn initial_state(py: Python<'_>, text: Option<&str>) -> PyResult<Py<PyDict>> {
    match text {
        None => Ok(PyDict::new(py).unbind()),
        Some(text) => Ok(json::to_dict(py, text)?.unbind()),
    }
}
