//! Tells Rust that an application's task has ended: a done-callback of the task. Nothing polls.

use std::sync::Arc;

use pyo3::prelude::*;

use super::connection::Connection;
use super::event_loop::EventLoop;

/// The done-callback of one task.
#[pyclass(frozen, module = "python_node")]
pub(super) struct PythonFuturePoller(Arc<Connection>);

impl PythonFuturePoller {
    /// For the task of `connection`.
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

#[pymethods]
impl PythonFuturePoller {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        EventLoop::get().connections().remove(&self.0);
        self.0.task_done(py, task)
    }
}
