//! A loaded application: what was imported and how it is called.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::python::loader::Target;

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
}

/// An application as the Python thread holds it.
pub(crate) struct Application {
    /// The ASGI callable.
    pub(super) callable: Py<PyAny>,
    /// Each request's `state` is a shallow copy of it.
    pub(super) state: Py<PyDict>,
    /// What the handler asked for.
    pub(super) options: ApplicationOptions,
}
