//! The `http_version` entry of a scope.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The versions that the specification knows. Anything else is 1.1, the specification's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HttpVersion {
    /// `1.0`
    Http10,
    /// `1.1`
    Http11,
    /// `2`
    Http2,
}

impl HttpVersion {
    /// Reads `1.0`, `1.1`, `2` or `2.0`.
    pub(super) fn parse(text: &[u8]) -> Self {
        match text {
            b"1.0" => Self::Http10,
            b"2" | b"2.0" => Self::Http2,
            _ => Self::Http11,
        }
    }

    /// As Python text.
    pub(super) fn to_python(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Self::Http10 => intern!(py, "1.0"),
            Self::Http11 => intern!(py, "1.1"),
            Self::Http2 => intern!(py, "2"),
        }
    }
}
