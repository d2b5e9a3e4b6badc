//! The applications that are to be imported while the loop does not run, one after the other.
//!
//! The event loop adds to them while it runs, leaves itself and imports them, all on the Python thread. One that is dropped
//! unimported tells that Python is not there.

use std::collections::VecDeque;

use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use super::application::ApplicationOptions;
use super::applications::Applications;
use super::event_loop::EventLoop;
use crate::error::HandlerError;
use crate::exchange::{LoopMessage, LoopQueue};
use crate::python::exception;

/// Told whether an application was loaded.
pub(super) type TellLoaded = Box<dyn FnOnce(Result<(), HandlerError>) + Send>;

/// An application that is to be imported.
pub(super) struct Import {
    /// What the handler knows it by.
    pub(super) key: usize,
    /// What the handler asks for.
    pub(super) options: ApplicationOptions,
    /// Is told how that went.
    pub(super) tell: TellLoaded,
}

/// See the module.
#[derive(Default)]
pub(super) struct Imports(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Import>,
    /// Whether one is imported now: a loop that runs meanwhile is its module's own doing.
    is_importing: bool,
}

impl Imports {
    /// Adds one. Says whether the loop has to be left for it: not while another is imported, which it follows.
    pub(super) fn add(&self, import: Import) -> bool {
        let mut state = self.0.lock();
        state.waiting.push_back(import);
        !state.is_importing
    }

    /// Imports what is to be imported. The rest of each load is done in the loop again, which `queue` leads to. Says whether
    /// there was any.
    pub(super) fn run(
        &self,
        py: Python<'_>,
        event_loop: &Py<PyAny>,
        applications: &Applications,
        queue: &LoopQueue,
    ) -> bool {
        let mut has_imported = false;
        while let Some(Import { key, options, tell }) = self.next() {
            has_imported = true;
            let imported = kept_open(py, event_loop, || applications.import(py, &options));
            queue.push(LoopMessage::Call(Box::new(move || {
                tell(imported.and_then(|callable| {
                    Python::attach(|py| EventLoop::get().applications().begin(py, key, options, callable))
                }));
            })));
        }
        has_imported
    }

    /// The next to be imported now, until there is none.
    fn next(&self) -> Option<Import> {
        let mut state = self.0.lock();
        let next = state.waiting.pop_front();
        state.is_importing = next.is_some();
        next
    }
}

/// Calls `import` while nothing closes the loop: modules that run something on it at their top, with
/// `asyncio.get_event_loop()`, close it as their own.
fn kept_open<T>(py: Python<'_>, event_loop: &Py<PyAny>, import: impl FnOnce() -> T) -> T {
    let keep_open = PyCFunction::new_closure(py, None, None, |_, _| {});
    let shadowed = keep_open.and_then(|close| event_loop.setattr(py, intern!(py, "close"), close));
    let imported = import();
    if let Err(error) = shadowed.and_then(|()| event_loop.bind(py).delattr(intern!(py, "close"))) {
        exception::log(py, "internal error in python-node while loading", &error);
    }
    imported
}
