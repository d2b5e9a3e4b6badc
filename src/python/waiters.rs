//! Coroutines that wait for something from outside: each is suspended on an asyncio future of its own.

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;

/// The futures of those who wait for one thing.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Vec<Py<PyAny>>>);

impl Waiters {
    /// Makes a future for one more waiter. To be yielded to the task at once (it is marked as asyncio's
    /// `Future.__await__` marks it), and looked at again after [`Self::wake`].
    ///
    /// # Errors
    /// What `loop.create_future` raises.
    pub(crate) fn park(&self, py: Python<'_>, create_future: &Py<PyAny>) -> PyResult<Py<PyAny>> {
        let future = create_future.bind(py).call0()?;
        future.setattr(intern!(py, "_asyncio_future_blocking"), true)?;
        let future = future.unbind();
        self.0.lock().push(future.clone_ref(py));
        Ok(future)
    }

    /// Forgets one who was cancelled, so that its future does not stay here.
    pub(crate) fn leave(&self, future: &Py<PyAny>) {
        let left: Vec<Py<PyAny>> = {
            let mut futures = self.0.lock();
            futures.extract_if(.., |waiting| waiting.is(future)).collect()
        };
        drop(left);
    }

    /// Lets everybody look again.
    ///
    /// # Errors
    /// What `Future.set_result` raises; none is expected.
    pub(crate) fn wake(&self, py: Python<'_>) -> PyResult<()> {
        // Taken out first: no lock is held while Python runs.
        let futures = std::mem::take(&mut *self.0.lock());
        for future in futures {
            let future = future.bind(py);
            if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
                future.call_method1(intern!(py, "set_result"), (py.None(),))?;
            }
        }
        Ok(())
    }
}
