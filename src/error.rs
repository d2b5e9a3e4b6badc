//! Every error that a user of the package can meet, as one closed list.
//!
//! Made on any thread, as plain data; it becomes a JavaScript `Error` on the JS thread only
//! (`js/failure.rs`). Users match on `code`, never on wording.
//!
//! The docs of the variants, which say first whose fault it is, and of `PythonException`'s fields are the users':
//! `npm run types` writes them into index.d.ts.

use std::fmt;

/// What an application's exception looked like when it left Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonException {
    /// The class of the Python exception, with its module unless that is `builtins`: `ValueError`,
    /// `httpx.ReadTimeout`. Of `ERR_PYTHON_EXCEPTION` and `ERR_PYTHON_IMPORT`, and of `ERR_PYTHON_STARTUP` and
    /// `ERR_PYTHON_SHUTDOWN` where the application raised, as the next two.
    pub type_name: String,
    /// `str()` of the Python exception.
    pub message: String,
    /// What `traceback.format_exception()` prints, chained exceptions included.
    pub traceback: String,
}

impl fmt::Display for PythonException {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            formatter.write_str(&self.type_name)
        } else {
            write!(formatter, "{}: {}", self.type_name, self.message)
        }
    }
}

/// How a lifespan failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LifespanFailure {
    /// The application said so.
    #[error("{0}")]
    Told(String),
    /// It raised.
    #[error("{0}")]
    Raised(PythonException),
}

/// The errors of a handler. The code of each is [`HandlerError::code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// The application's: it raised before its response was complete.
    #[error("{0}")]
    Exception(PythonException),
    /// The application's: it raised while it was imported, or its factory when it was called.
    #[error("cannot import `{target}`: {exception}")]
    Import {
        /// The module that was asked for.
        target: String,
        /// What its import raised.
        exception: PythonException,
    },
    /// The application's: its factory raised.
    #[error("the factory `{factory}` raised {exception}")]
    Factory {
        /// The target that was called.
        factory: String,
        /// What it raised.
        exception: PythonException,
    },
    /// The caller's: `appTarget` is malformed, or names no application.
    #[error("{0}")]
    Target(String),
    /// The application's: its lifespan startup failed.
    #[error("the application's startup failed: {0}")]
    Startup(LifespanFailure),
    /// The application's: its lifespan shutdown failed.
    #[error("the application's shutdown failed: {0}")]
    Shutdown(LifespanFailure),
    /// The machine's: a WSGI application cannot be run: `a2wsgi` is not installed.
    #[error("cannot run a WSGI application: {0}; install `a2wsgi` into the interpreter's environment")]
    Wsgi(String),
    /// The application's: it returned without sending a response.
    #[error("the application returned without sending a response")]
    NoResponse,
    /// The application's: it returned before the last message of its response.
    #[error("the application returned before its response was complete")]
    IncompleteResponse,
    /// The application's: a buffered response is above `maxResponseSize`.
    #[error("a buffered response above {0} bytes (option `maxResponseSize`); read it with handleStream")]
    ResponseTooLarge(usize),
    /// The application's: its task was cancelled, and not by the caller.
    #[error("the application's task was cancelled")]
    Cancelled,
    /// The application's: it is no ASGI 3.0 application: what calling it gives cannot be awaited.
    #[error("the application is no ASGI 3.0 application: calling it gave {0}, which cannot be awaited")]
    NotAwaitable(String),
    /// The application's: no response within `responseTimeout`.
    #[error("no response within {0} ms (option `responseTimeout`)")]
    ResponseTimeout(u64),
    /// The caller's: the request's head is malformed.
    #[error("{message}")]
    InvalidRequest {
        /// The code of the part that is wrong.
        code: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The caller's: the process runs another Python already.
    #[error(
        "this process already runs `{running}`, a handler asked for `{wanted}`: one process has one Python"
    )]
    InterpreterConflict {
        /// The interpreter that runs.
        running: String,
        /// The one that was asked for.
        wanted: String,
    },
    /// The caller's: `loop` is not the event loop that runs, or uvloop is not installed.
    #[error(
        "a handler asked for the event loop `{wanted}`, but Python runs on `{running}`{}",
        reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
    )]
    EventLoop {
        /// `asyncio` or `uvloop`.
        wanted: String,
        /// What runs.
        running: &'static str,
        /// Why uvloop cannot be imported.
        reason: Option<String>,
    },
    /// The machine's: CPython did not start.
    #[error("cannot start `{executable}`: {reason}")]
    Start {
        /// The interpreter that was to start.
        executable: String,
        /// What it said.
        reason: String,
    },
    /// The caller's: the handler or the process is ending.
    #[error("{0}")]
    Closed(&'static str),
    /// Ours: a defect of this package.
    #[error("internal error: {0}")]
    Internal(String),
}

impl HandlerError {
    /// The stable code that JavaScript sees as `error.code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exception(_) => "ERR_PYTHON_EXCEPTION",
            Self::Import { .. } | Self::Factory { .. } => "ERR_PYTHON_IMPORT",
            Self::Target(_) => "ERR_PYTHON_TARGET",
            Self::Startup(_) => "ERR_PYTHON_STARTUP",
            Self::Shutdown(_) => "ERR_PYTHON_SHUTDOWN",
            Self::Wsgi(_) => "ERR_PYTHON_WSGI",
            Self::NoResponse => "ERR_PYTHON_NO_RESPONSE",
            Self::IncompleteResponse => "ERR_PYTHON_INCOMPLETE_RESPONSE",
            Self::ResponseTooLarge(_) => "ERR_PYTHON_RESPONSE_TOO_LARGE",
            Self::Cancelled => "ERR_PYTHON_CANCELLED",
            Self::NotAwaitable(_) => "ERR_PYTHON_NOT_AWAITABLE",
            Self::ResponseTimeout(_) => "ERR_PYTHON_RESPONSE_TIMEOUT",
            Self::InvalidRequest { code, .. } => code,
            Self::InterpreterConflict { .. } => "ERR_PYTHON_INTERPRETER_CONFLICT",
            Self::EventLoop { .. } => "ERR_PYTHON_EVENT_LOOP",
            Self::Start { .. } => "ERR_PYTHON_START",
            Self::Closed(_) => "ERR_PYTHON_CLOSED",
            Self::Internal(_) => "ERR_PYTHON_INTERNAL",
        }
    }

    /// The exception behind the error, where there is one.
    #[must_use]
    pub fn exception(&self) -> Option<&PythonException> {
        match self {
            Self::Exception(exception)
            | Self::Import { exception, .. }
            | Self::Factory { exception, .. }
            | Self::Startup(LifespanFailure::Raised(exception))
            | Self::Shutdown(LifespanFailure::Raised(exception)) => Some(exception),
            _ => None,
        }
    }
}
