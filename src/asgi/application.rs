//! A loaded application: what was imported and how it is called.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::lifespan::{Lifespan, Tell};
use crate::error::HandlerError;
use crate::exchange::{AppHalf, RequestHead};
use crate::python::loader::Target;

/// Whether an application's lifespan is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifespanMode {
    /// If it knows one.
    Auto,
    /// It must know one.
    On,
    /// Never.
    Off,
}

/// What a handler asks for.
#[derive(Debug, Clone)]
pub(crate) struct ApplicationOptions {
    /// The folder that is put on `sys.path`, absolute.
    pub(crate) docroot: String,
    /// Which object in it.
    pub(crate) target: Target,
    /// The mount prefix: `root_path`.
    pub(crate) root_path: String,
    /// How long a task may go on after its client has gone.
    pub(crate) disconnect_grace: Duration,
    /// `asyncio`, `uvloop` or `auto`.
    pub(crate) event_loop: String,
    /// Whether its lifespan is run.
    pub(crate) lifespan: LifespanMode,
    /// The largest buffered response, in bytes.
    pub(crate) response_limit: usize,
    /// A JSON object: what `state` holds from the beginning.
    pub(crate) state: Option<String>,
    /// A JSON object: what each request's `extensions` gets.
    pub(crate) extensions: Option<String>,
}

/// A request that waits for the startup.
pub(super) type Waiting = (AppHalf, RequestHead);

/// How far an application is.
pub(super) enum Phase {
    /// Its startup runs: requests and `ready()` wait.
    Starting {
        /// Requests, in order: by numbers, which their exchanges note. One that is given up leaves. Bounded by the
        /// requests in flight.
        requests: BTreeMap<usize, Waiting>,
        /// Who asked to be told.
        ready: Vec<Tell>,
    },
    /// It takes requests.
    Ready,
    /// Its startup failed: every request fails with this.
    Failed(HandlerError),
}

/// An application as the Python thread holds it.
pub(crate) struct Application {
    /// The ASGI callable.
    pub(super) callable: Py<PyAny>,
    /// Each request's `state` is a shallow copy of it.
    pub(super) state: Py<PyDict>,
    /// What `scope["extensions"]["python_node"]` is a copy of.
    pub(super) extension: Py<PyDict>,
    /// What the handler asked for.
    pub(super) options: ApplicationOptions,
    /// How far it is.
    pub(super) phase: Mutex<Phase>,
    /// Its lifespan, if one runs.
    pub(super) lifespan: Mutex<Option<Arc<Lifespan>>>,
}
