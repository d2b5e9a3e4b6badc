//! `receive`: the callable that an application awaits for what comes in.
//!
//! Called on the Python thread. Like the coroutine of an `async def` it takes nothing before it is
//! awaited, and a cancelled wait loses nothing.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use super::connection::Connection;
use crate::python::awaitable;

/// The `receive` of one connection.
#[pyclass(frozen, module = "python_node")]
pub(super) struct Receiver(Arc<Connection>);

impl Receiver {
    /// For `connection`.
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

#[pymethods]
impl Receiver {
    fn __call__(&self) -> Receive {
        Receive { connection: Arc::clone(&self.0), future: Mutex::new(None) }
    }
}

/// One `receive()` that is awaited.
#[pyclass(frozen, module = "python_node")]
pub(super) struct Receive {
    connection: Arc<Connection>,
    /// What the task is suspended on.
    future: Mutex<Option<Py<PyAny>>>,
}

impl Receive {
    fn step(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(message) = self.connection.receive(py)? {
            // Raised with the message itself as its argument: a dict is no tuple, so it stays whole.
            return Err(PyStopIteration::new_err(message));
        }
        let future = self.connection.park_receiver(py)?;
        let earlier = self.future.lock().replace(future.clone_ref(py));
        drop(earlier);
        Ok(future)
    }

    fn leave(&self) {
        let future = self.future.lock().take();
        if let Some(future) = future {
            self.connection.receivers().leave(&future);
        }
    }
}

#[pymethods]
impl Receive {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    fn send(&self, py: Python<'_>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        self.step(py)
    }

    #[pyo3(signature = (kind, value = None, _traceback = None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<&Bound<'_, PyAny>>,
        _traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.leave();
        Err(awaitable::thrown(kind, value))
    }

    fn close(&self) {
        self.leave();
    }
}
