//! How the loop calls us when messages wait: as a reader of a descriptor, in the context that the imports left.
//!
//! asyncio runs a reader in a context that was copied when it was added, and a context cannot be entered twice. Yet an
//! application may run the loop inside of its task's first step (`nest_asyncio`), which runs inside of the reader. So the
//! handle of the reader is given another context each time it is called: the inner loop enters that one.
//! uvloop has no such handle, and no loop inside of the loop.

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;

/// See the module.
pub(super) struct LoopReader {
    descriptor: i64,
    callback: Py<PyAny>,
    contexts: Mutex<Option<Contexts>>,
}

/// Copies of one context.
struct Contexts {
    /// asyncio's handle of the reader.
    handle: Py<PyAny>,
    /// That of the handle: what its next call enters.
    next: Py<PyAny>,
    /// Entered by nobody.
    free: Vec<Py<PyAny>>,
}

impl LoopReader {
    /// Calls `callback` when `descriptor` is readable, from [`Self::watch`] on.
    pub(super) fn new(descriptor: i64, callback: Py<PyAny>) -> Self {
        Self { descriptor, callback, contexts: Mutex::new(None) }
    }

    /// Adds the reader to the loop, or adds it anew with the context of now. Not called while it runs.
    ///
    /// # Errors
    /// What `add_reader` raises: the loop is closed.
    pub(super) fn watch(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        event_loop.call_method1("remove_reader", (self.descriptor,))?;
        event_loop.call_method1("add_reader", (self.descriptor, &self.callback))?;
        let earlier = {
            let contexts = self.contexts_of(event_loop).ok();
            std::mem::replace(&mut *self.contexts.lock(), contexts)
        };
        drop(earlier);
        Ok(())
    }

    fn contexts_of(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<Contexts> {
        let handle = event_loop
            .getattr("_selector")?
            .call_method1("get_key", (self.descriptor,))?
            .getattr("data")?
            .get_item(0)?;
        let next = handle.getattr("_context")?;
        let free = next.call_method0("copy")?;
        Ok(Contexts { handle: handle.unbind(), next: next.unbind(), free: vec![free.unbind()] })
    }

    /// The reader is called: what its next call enters is another context. Gives the one that was entered now, for
    /// [`Self::leave`].
    pub(super) fn enter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let (handle, current, free) = {
            let mut contexts = self.contexts.lock();
            let contexts = contexts.as_mut()?;
            (contexts.handle.clone_ref(py), contexts.next.clone_ref(py), contexts.free.pop())
        };
        let next = match free {
            Some(free) => free,
            None => current.call_method0(py, intern!(py, "copy")).ok()?,
        };
        handle.setattr(py, intern!(py, "_context"), &next).ok()?;
        if let Some(contexts) = &mut *self.contexts.lock() {
            contexts.next = next;
        }
        Some(current)
    }

    /// The call is over.
    pub(super) fn leave(&self, context: Py<PyAny>) {
        if let Some(contexts) = &mut *self.contexts.lock() {
            contexts.free.push(context);
        }
    }
}
