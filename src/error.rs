//! Every error that a user of the package can meet, as one closed list.
//!
//! Made on any thread, as plain data; it becomes a JavaScript `Error` on the JS thread only
//! (`js/failure.rs`). Users match on `code`, never on wording.

use std::fmt;

/// What an application's exception looked like when it left Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonException {
    /// The class, with its module unless that is `builtins`: `ValueError`, `httpx.ReadTimeout`.
    pub type_name: String,
    /// `str(exception)`.
    pub message: String,
    /// What `traceback.format_exception` prints.
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

/// The errors of a handler. The code of each is [`HandlerError::code`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// The application's: it raised before its response was complete.
    #[error("{0}")]
    Exception(PythonException),
    /// The application's: it raised while its module was imported.
    #[error("cannot import `{target}`: {exception}")]
    Import {
        /// The module that was asked for.
        target: String,
        /// What its import raised.
        exception: PythonException,
    },
    /// The caller's: the target names no application.
    #[error("{0}")]
    Target(String),
    /// The application's: its lifespan could not start.
    #[error("the application's startup failed: {0}")]
    Startup(String),
    /// The application's: its lifespan could not stop.
    #[error("the application's shutdown failed: {0}")]
    Shutdown(String),
    /// The machine's: the option `interface: 'wsgi'` needs a package that is not there.
    #[error("cannot run a WSGI application: {0}; install `a2wsgi` into the interpreter's environment")]
    Wsgi(String),
    /// The application's: it returned, and had sent no response.
    #[error("the application returned without sending a response")]
    NoResponse,
    /// The application's: it returned before the last message of its response.
    #[error("the application returned before its response was complete")]
    IncompleteResponse,
    /// The application's: a buffered response is larger than the handler takes.
    #[error("a buffered response above {0} bytes (option `maxResponseSize`); read it with handleStream")]
    ResponseTooLarge(usize),
    /// The application's: its task was cancelled by itself, not by the caller.
    #[error("the application's task was cancelled")]
    Cancelled,
    /// The application's: what it returned cannot be awaited.
    #[error("the application is no ASGI 3.0 application: calling it gave {0}, which cannot be awaited")]
    NotAwaitable(String),
    /// Nobody's: no response within `responseTimeout`.
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
    /// The caller's: a different interpreter runs in this process already.
    #[error(
        "this process already runs `{running}`, a handler asked for `{wanted}`: one process has one Python"
    )]
    InterpreterConflict {
        /// The interpreter that runs.
        running: String,
        /// The one that was asked for.
        wanted: String,
    },
    /// The caller's: another event loop runs, or uvloop is not there.
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
    /// Nobody's: the process or the handler is shutting down.
    #[error("{0}")]
    Closed(&'static str),
    /// Ours.
    #[error("internal error: {0}")]
    Internal(String),
}

impl HandlerError {
    /// The stable code that JavaScript sees as `error.code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exception(_) => "ERR_PYTHON_EXCEPTION",
            Self::Import { .. } => "ERR_PYTHON_IMPORT",
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
            Self::Exception(exception) | Self::Import { exception, .. } => Some(exception),
            _ => None,
        }
    }
}
