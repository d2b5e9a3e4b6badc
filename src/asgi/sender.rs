//! `send`: the callable that an application awaits to give its response.
//!
//! Called on the Python thread. The message is taken by the call itself; what is awaited is room for more.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::connection::{Connection, Sent};
use super::event_loop::EventLoop;
use crate::python::awaitable::{Awaitable, Progress, Resume, Turn};

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
    fn __call__(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Py<Awaitable>> {
        match self.0.send(py, message)? {
            Sent::Done | Sent::Held => Ok(EventLoop::get().done(py)),
            Sent::Turn => Py::new(py, Awaitable::new(Turn::default())),
            Sent::Full => {
                let room = Room { connection: Arc::clone(&self.0), future: Mutex::new(None) };
                Py::new(py, Awaitable::new(room))
            }
        }
    }
}

/// Waits until the reader has taken enough.
struct Room {
    connection: Arc<Connection>,
    /// What the task is suspended on.
    future: Mutex<Option<Py<PyAny>>>,
}

impl Resume for Room {
    fn resume(&self, py: Python<'_>) -> PyResult<Progress> {
        if !self.connection.must_wait()? {
            return Ok(Progress::Done);
        }
        let future = self.connection.park_sender(py)?;
        let earlier = self.future.lock().replace(future.clone_ref(py));
        drop(earlier);
        Ok(Progress::Wait(future))
    }

    fn leave(&self) {
        let future = self.future.lock().take();
        if let Some(future) = future {
            self.connection.senders().leave(&future);
        }
    }
}
