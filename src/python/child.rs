//! Processes that an application forks: they have the Python thread, and nothing else of this process.
//!
//! What such a child shares with its parent is the parent's: the event loop's descriptors, the requests, Node. So once
//! the application's code has come to its end there, by `sys.exit()`, an exception or a return, the child ends.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Learns of forks from now on, those by C code too.
pub(crate) fn watch() {
    #[cfg(unix)]
    {
        extern "C" fn in_child() {
            IS_CHILD.store(true, Ordering::Relaxed);
        }
        // SAFETY: the function lives as long as the process, and only stores a flag, as a child of a process with threads
        // may. test/process.test.mjs, "a child that is forked".
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let code = CString::new(include_str!("child.py"))?;
    PyModule::from_code(py, &code, c"python_node/child.py", c"_python_node_child")
}

/// Leaves a child when a task with a done-callback of these classes ends in it, before `event_loop` turns again.
///
/// # Errors
/// A Python exception; none is expected.
pub(crate) fn watch_tasks(
    event_loop: &Bound<'_, PyAny>,
    done_callbacks: &Bound<'_, PyTuple>,
) -> PyResult<()> {
    module(event_loop.py())?.call_method1("watch", (event_loop, done_callbacks)).map(drop)
}

/// Ends this process if it is such a child: with what the application raised, if it did. Called whenever the application's code
/// has come to its end, before anything else is touched.
pub(crate) fn leave(py: Python<'_>, raised: Option<&PyErr>) {
    if !IS_CHILD.load(Ordering::Relaxed) {
        return;
    }
    let leave = || -> PyResult<()> {
        module(py)?.call_method1("leave", (raised.map(|raised| raised.value(py)),)).map(drop)
    };
    let failed = leave();
    drop(failed);
    // SAFETY: always callable; nothing after it runs.
    unsafe { libc::_exit(1) };
}
