//! The `asgi` entry of a scope.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Which versions of the specification a scope keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AsgiInfo {
    /// Of ASGI itself.
    version: &'static str,
    /// Of the protocol's own specification.
    spec_version: &'static str,
}

impl AsgiInfo {
    /// HTTP and WebSocket, specs/www.rst of 2024-06-05: `send` raises an `OSError` after a disconnect
    /// (2.4), `websocket.disconnect` has a reason (2.5).
    pub(super) const WWW: Self = Self { version: "3.0", spec_version: "2.5" };

    /// Lifespan, specs/lifespan.rst of 2019-03-20.
    pub(super) const LIFESPAN: Self = Self { version: "3.0", spec_version: "2.0" };

    /// A dict of its own: applications change it.
    pub(super) fn to_dict(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "version"), self.version)?;
        dict.set_item(intern!(py, "spec_version"), self.spec_version)?;
        Ok(dict)
    }
}
