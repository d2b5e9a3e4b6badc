//! `send`: the callable that an application awaits to give its response.
//!
//! Called on the Python thread. The message is taken by the call itself; what is awaited is room for more.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;

use super::connection::{Connection, Sent};
use super::event_loop::EventLoop;
use crate::python::awaitable;

/// The `send` of one connection.
#[pyclass(frozen, module = "python_node")]
pub(super) struct Sender(Arc<Connection>);

impl Sender {
    /// For `connection`.
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self(connection)
    }
}

#[pymethods]
impl Sender {
    fn __call__(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match self.0.send(py, message)? {
            Sent::Done | Sent::Held => Ok(EventLoop::get().done(py)),
            Sent::Turn => Ok(Py::new(py, awaitable::Turn::new())?.into_any()),
            Sent::Full => {
                let room = Room { connection: Arc::clone(&self.0), future: Mutex::new(None) };
                Ok(Py::new(py, room)?.into_any())
            }
        }
    }
}

/// Waits until the reader has taken enough.
#[pyclass(frozen, module = "python_node")]
struct Room {
    connection: Arc<Connection>,
    /// What the task is suspended on.
    future: Mutex<Option<Py<PyAny>>>,
}

impl Room {
    fn step(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if !self.connection.must_wait()? {
            return Err(PyStopIteration::new_err(()));
        }
        let future = self.connection.park_sender(py)?;
        let earlier = self.future.lock().replace(future.clone_ref(py));
        drop(earlier);
        Ok(future)
    }

    fn leave(&self) {
        let future = self.future.lock().take();
        if let Some(future) = future {
            self.connection.senders().leave(&future);
        }
    }
}

#[pymethods]
impl Room {
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
