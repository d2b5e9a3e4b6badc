//! The `method` entry of a scope.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A method token, upper-case. Any token is a method (RFC 9110 9.1); the usual ones cost no new string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpMethod<'a>(&'a [u8]);

impl<'a> HttpMethod<'a> {
    /// A token that [`crate::exchange::RequestHead`] has checked.
    pub(super) fn new(token: &'a [u8]) -> Self {
        Self(token)
    }

    /// Whether the response to it has no body (RFC 9110 9.3.2).
    pub(super) fn is_head(self) -> bool {
        self.0 == b"HEAD"
    }

    /// As Python text.
    pub(super) fn to_python(self, py: Python<'_>) -> Bound<'_, PyString> {
        let known = match self.0 {
            b"GET" => intern!(py, "GET"),
            b"POST" => intern!(py, "POST"),
            b"PUT" => intern!(py, "PUT"),
            b"PATCH" => intern!(py, "PATCH"),
            b"DELETE" => intern!(py, "DELETE"),
            b"HEAD" => intern!(py, "HEAD"),
            b"OPTIONS" => intern!(py, "OPTIONS"),
            other => return PyString::new(py, &String::from_utf8_lossy(other)),
        };
        known.clone()
    }
}
