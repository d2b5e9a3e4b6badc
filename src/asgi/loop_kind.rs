//! Which event loop runs: uvloop's where it is installed, asyncio's otherwise or where that is asked for.
//!
//! Decided by the first handler, on the Python thread; each later one that asks for another is refused.

use pyo3::prelude::*;

use crate::error::HandlerError;

/// See the module.
pub(super) struct LoopKind {
    /// `asyncio` or `uvloop`.
    name: &'static str,
    /// Why uvloop is not there.
    uvloop_error: Option<String>,
}

impl LoopKind {
    /// Makes a loop of the kind that is `wanted`: `asyncio`, `uvloop` or `auto`. Where uvloop cannot be imported it is asyncio's:
    /// [`Self::check`] tells whoever wanted it.
    ///
    /// # Errors
    /// A Python exception: the loop cannot be made.
    pub(super) fn make<'py>(
        wanted: &str,
        asyncio: &Bound<'py, PyModule>,
    ) -> PyResult<(Self, Bound<'py, PyAny>)> {
        let mut uvloop_error = None;
        let uvloop = match wanted {
            "asyncio" => None,
            _ => asyncio.py().import("uvloop").map_err(|error| uvloop_error = Some(error.to_string())).ok(),
        };
        let (name, event_loop) = match uvloop {
            Some(uvloop) => ("uvloop", uvloop.call_method0("new_event_loop")?),
            None if cfg!(windows) => ("asyncio", asyncio.call_method0("SelectorEventLoop")?),
            None => ("asyncio", asyncio.call_method0("new_event_loop")?),
        };
        Ok((Self { name, uvloop_error }, event_loop))
    }

    /// # Errors
    /// [`HandlerError::EventLoop`]: another kind than the one that is `wanted` runs.
    pub(super) fn check(&self, wanted: &str) -> Result<(), HandlerError> {
        if wanted == "auto" || wanted == self.name {
            return Ok(());
        }
        Err(HandlerError::EventLoop {
            wanted: wanted.to_owned(),
            running: self.name,
            reason: self.uvloop_error.clone(),
        })
    }
}
