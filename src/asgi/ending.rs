//! How an application's call or its lifespan ended, as its task says.

use pyo3::intern;
use pyo3::prelude::*;

/// See the module.
pub(super) enum Ending {
    /// It returned.
    Returned,
    /// Its task was cancelled, or it raised `CancelledError`.
    Cancelled,
    /// It raised.
    Raised(PyErr),
}

impl Ending {
    /// That of a task that is done.
    ///
    /// # Errors
    /// What a task of the application's own class raises.
    pub(super) fn of(task: &Bound<'_, PyAny>) -> PyResult<Self> {
        match task.call_method0(intern!(task.py(), "exception")) {
            Ok(none) if none.is_none() => Ok(Self::Returned),
            Ok(raised) => Ok(Self::Raised(PyErr::from_value(raised))),
            // A cancelled task raises CancelledError here.
            Err(_) if task.call_method0(intern!(task.py(), "cancelled"))?.is_truthy()? => Ok(Self::Cancelled),
            Err(error) => Err(error),
        }
    }
}
