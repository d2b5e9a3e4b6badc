//! `receive`: the callable that an application awaits for what comes in.
//!
//! Called on the Python thread. Like the coroutine of an `async def` it takes nothing before it is
//! awaited, and a cancelled wait loses nothing.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::connection::Connection;
use crate::python::awaitable::{Awaitable, Progress, Resume};

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
    fn __call__(&self) -> Awaitable {
        Awaitable::new(Receive { connection: Arc::clone(&self.0), future: Mutex::new(None) })
    }
}

/// One `receive()` that is awaited.
struct Receive {
    connection: Arc<Connection>,
    /// What the task is suspended on.
    future: Mutex<Option<Py<PyAny>>>,
}

impl Resume for Receive {
    fn resume(&self, py: Python<'_>) -> PyResult<Progress> {
        if let Some(message) = self.connection.receive(py)? {
            return Ok(Progress::Value(message));
        }
        let future = self.connection.park_receiver(py)?;
        let earlier = self.future.lock().replace(future.clone_ref(py));
        drop(earlier);
        Ok(Progress::Wait(future))
    }

    fn leave(&self) {
        let future = self.future.lock().take();
        if let Some(future) = future {
            self.connection.receivers().leave(&future);
        }
    }
}
