//! Imports an application: `loader.py`, and its errors as ours.

use std::ffi::CString;

use pyo3::intern;
use pyo3::prelude::*;

use super::awaitable::NotAwaitable;
use super::{child, exception};
use crate::error::HandlerError;

/// Where an application is: `module:attribute`, as uvicorn writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// A dotted module name.
    pub(crate) module: String,
    /// A dotted attribute path.
    pub(crate) attributes: String,
    /// `auto`, `asgi3`, `asgi2` or `wsgi`.
    pub(crate) interface: String,
    /// Whether the attribute is called once to get the application.
    pub(crate) factory: bool,
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
        let loader = PyModule::from_code(py, &code, c"python_node/loader.py", c"_python_node_loader")?;
        loader.setattr("NotAwaitable", py.get_type::<NotAwaitable>())?;
        Ok(Self(loader.unbind()))
    }

    /// Imports the application.
    ///
    /// # Errors
    /// [`HandlerError::Import`] or [`HandlerError::Factory`] with the traceback, [`HandlerError::Target`] if there is no such
    /// thing to call.
    pub(crate) fn load<'py>(
        &self,
        py: Python<'py>,
        docroot: &str,
        target: &Target,
    ) -> Result<Bound<'py, PyAny>, HandlerError> {
        let loader = self.0.bind(py);
        let arguments = (
            docroot,
            target.module.as_str(),
            target.attributes.as_str(),
            target.interface.as_str(),
            target.factory,
        );
        loader.call_method1("load", arguments).map_err(|error| {
            let is_a = |name: &str| {
                loader.getattr(name).is_ok_and(|class| error.matches(py, class).unwrap_or(false))
            };
            let of_factory = error.cause(py).filter(|_| is_a("FactoryError"));
            child::leave(py, Some(of_factory.as_ref().unwrap_or(&error)));
            let described = exception::describe(py, &error);
            match of_factory {
                Some(cause) => HandlerError::Factory {
                    factory: described.message,
                    exception: exception::describe(py, &cause),
                },
                None if is_a("TargetError") => HandlerError::Target(described.message),
                None => HandlerError::Import { target: target.module.clone(), exception: described },
            }
        })
    }

    /// What begins in the context that is current works for the application of `docroot`, which is loaded.
    ///
    /// # Errors
    /// A Python exception; none is expected.
    pub(crate) fn enter(&self, py: Python<'_>, docroot: &str) -> PyResult<()> {
        self.0.bind(py).call_method1(intern!(py, "enter"), (docroot,)).map(drop)
    }
}
