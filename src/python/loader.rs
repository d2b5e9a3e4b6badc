//! Imports an application: `loader.py`, and its errors as ours.

use std::ffi::CString;

use pyo3::prelude::*;

use super::exception;
use crate::error::HandlerError;

/// Where an application is: `module:attribute`, as uvicorn writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// A dotted module name.
    pub(crate) module: String,
    /// A dotted attribute path.
    pub(crate) attributes: String,
}

/// The module of `loader.py`, made once.
pub(crate) struct Loader(Py<PyModule>);

impl Loader {
    /// Runs `loader.py`.
    ///
    /// # Errors
    /// A Python exception; none is expected.
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let code = CString::new(include_str!("loader.py"))?;
        Ok(Self(PyModule::from_code(py, &code, c"python_node/loader.py", c"_python_node_loader")?.unbind()))
    }

    /// Imports the application.
    ///
    /// # Errors
    /// [`HandlerError::Import`] with the traceback, [`HandlerError::Target`] if there is no such thing to call.
    pub(crate) fn load<'py>(
        &self,
        py: Python<'py>,
        docroot: &str,
        target: &Target,
    ) -> Result<Bound<'py, PyAny>, HandlerError> {
        let loader = self.0.bind(py);
        loader.call_method1("load", (docroot, target.module.as_str(), target.attributes.as_str())).map_err(
            |error| {
                let is_target = loader
                    .getattr("TargetError")
                    .is_ok_and(|class| error.matches(py, class).unwrap_or(false));
                let described = exception::describe(py, &error);
                if is_target {
                    HandlerError::Target(described.message)
                } else {
                    HandlerError::Import { target: target.module.clone(), exception: described }
                }
            },
        )
    }
}
