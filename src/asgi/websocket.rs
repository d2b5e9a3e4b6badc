//! WebSocket: the connection scope, the messages an application receives, and those it sends (specs/www.rst).

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::application::Application;
use super::http::{HttpConnectionScope, response_head};
use super::message::{SentMessage, is};
use super::order;
use crate::exchange::{Disconnect, Message, RequestHead, ResponseHead};

// ---------------------------------------------------------------------------- scope

/// Makes connection scopes.
pub(super) struct WebSocketConnectionScope;

impl WebSocketConnectionScope {
    /// The scope of one connection. Denial responses are announced: every caller can honour them.
    ///
    /// # Errors
    /// As [`HttpConnectionScope::build`].
    pub(super) fn build<'py>(
        py: Python<'py>,
        http: &HttpConnectionScope,
        application: &Application,
        head: &RequestHead,
    ) -> PyResult<Bound<'py, PyDict>> {
        let scope = PyDict::new(py);
        scope.set_item(intern!(py, "type"), intern!(py, "websocket"))?;
        scope.set_item(intern!(py, "client"), py.None())?;
        scope.set_item(intern!(py, "server"), py.None())?;
        let extensions = http.fill(py, &scope, application, head)?;
        extensions.set_item(intern!(py, "websocket.http.response"), PyDict::new(py))?;
        let is_secure = matches!(head.scheme(), b"https" | b"wss");
        scope.set_item(
            intern!(py, "scheme"),
            if is_secure { intern!(py, "wss") } else { intern!(py, "ws") },
        )?;
        scope.set_item(intern!(py, "subprotocols"), subprotocols(py, head)?)?;
        Ok(scope)
    }
}

/// What the client offers, in its order (RFC 6455 4.1).
fn subprotocols<'py>(py: Python<'py>, head: &RequestHead) -> PyResult<Bound<'py, PyList>> {
    let offered = PyList::empty(py);
    for (name, value) in head.headers() {
        if name == b"sec-websocket-protocol" {
            for subprotocol in
                value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
            {
                offered.append(String::from_utf8_lossy(subprotocol))?;
            }
        }
    }
    Ok(offered)
}

// ------------------------------------------------------------------ receive messages

/// What an application receives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WebSocketReceiveMessage {
    /// `websocket.connect`
    Connect,
    /// `websocket.receive`
    Receive(Message),
    /// `websocket.disconnect`
    Disconnect(Disconnect),
}

impl WebSocketReceiveMessage {
    /// As the dict that `receive` gives.
    pub(super) fn to_dict(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let dict = PyDict::new(py);
        match self {
            Self::Connect => dict.set_item(intern!(py, "type"), intern!(py, "websocket.connect"))?,
            Self::Receive(Message { text, bytes }) => {
                dict.set_item(intern!(py, "type"), intern!(py, "websocket.receive"))?;
                // One of the two keys, as uvicorn: applications tell the kinds apart by a KeyError too.
                if *text {
                    dict.set_item(intern!(py, "text"), PyString::new(py, &String::from_utf8_lossy(bytes)))?;
                } else {
                    dict.set_item(intern!(py, "bytes"), PyBytes::new(py, bytes))?;
                }
            }
            Self::Disconnect(Disconnect { code, reason }) => {
                dict.set_item(intern!(py, "type"), intern!(py, "websocket.disconnect"))?;
                dict.set_item(intern!(py, "code"), *code)?;
                dict.set_item(intern!(py, "reason"), reason)?;
            }
        }
        Ok(dict.into_any().unbind())
    }
}

// --------------------------------------------------------------------- send messages

/// What an application sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WebSocketSendMessage {
    /// `websocket.accept`: status 101, the headers, and the subprotocol as a header.
    Accept(ResponseHead),
    /// `websocket.send`
    Send(Message),
    /// `websocket.close`
    Close {
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// `websocket.http.response.start`
    DenialStart(ResponseHead),
    /// `websocket.http.response.body`
    DenialBody {
        /// A part of the body.
        body: Vec<u8>,
        /// Whether more follows.
        more_body: bool,
    },
}

impl WebSocketSendMessage {
    /// Reads what the application passed to `send`; `is_open`: it has accepted.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` that says which part is wrong.
    pub(super) fn extract(message: &SentMessage<'_, '_>, py: Python<'_>, is_open: bool) -> PyResult<Self> {
        let kind = message.kind()?;
        if is(&kind, intern!(py, "websocket.send"))? {
            let bytes = message.bytes(intern!(py, "bytes"))?;
            let text = message.text(intern!(py, "text"))?;
            return match (bytes, text) {
                (Some(bytes), None) => Ok(Self::Send(Message { text: false, bytes: bytes.into() })),
                (None, Some(text)) => Ok(Self::Send(Message { text: true, bytes: text.into_bytes().into() })),
                _ => Err(PyValueError::new_err("`websocket.send` must have one of `bytes` and `text`")),
            };
        }
        if is(&kind, intern!(py, "websocket.accept"))? {
            return accept(message, py);
        }
        if is(&kind, intern!(py, "websocket.close"))? {
            let [code, reason] = [intern!(py, "code"), intern!(py, "reason")];
            if !is_open {
                // No frame carries them: a refusal is a 403 whatever they are. FastAPI's reason is a list.
                let code = message.integer(code).ok().flatten().and_then(|code| u16::try_from(code).ok());
                let reason = message.text(reason).ok().flatten();
                return Ok(Self::Close { code: code.unwrap_or(1000), reason: reason.unwrap_or_default() });
            }
            return Ok(Self::Close {
                code: close_code(message.integer(code)?.unwrap_or(1000))?,
                reason: close_reason(message.text(reason)?.unwrap_or_default())?,
            });
        }
        if is(&kind, intern!(py, "websocket.http.response.start"))? {
            return Ok(Self::DenialStart(response_head(message, py)?));
        }
        if is(&kind, intern!(py, "websocket.http.response.body"))? {
            return Ok(Self::DenialBody {
                body: message.bytes(intern!(py, "body"))?.unwrap_or_default(),
                more_body: message.flag(intern!(py, "more_body"))?,
            });
        }
        Err(PyValueError::new_err(format!("unknown ASGI message type `{kind}` on a websocket connection")))
    }

    /// The message's `type`, for people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Accept(_) => "websocket.accept",
            Self::Send(_) => "websocket.send",
            Self::Close { .. } => "websocket.close",
            Self::DenialStart(_) => "websocket.http.response.start",
            Self::DenialBody { .. } => "websocket.http.response.body",
        }
    }

    /// Its place in the order of messages.
    pub(super) fn order(&self) -> order::Send {
        match self {
            Self::Accept(_) => order::Send::Accept,
            Self::Send(_) => order::Send::Message,
            Self::Close { .. } => order::Send::Close,
            Self::DenialStart(_) => order::Send::Start { trailers: false },
            Self::DenialBody { more_body, .. } => order::Send::Body { more: *more_body },
        }
    }
}

fn accept(message: &SentMessage<'_, '_>, py: Python<'_>) -> PyResult<WebSocketSendMessage> {
    const PROTOCOL: &[u8] = b"sec-websocket-protocol";
    let mut headers = message.headers(intern!(py, "headers"))?;
    if headers.split(|byte| *byte == b'\n').step_by(2).any(|name| name == PROTOCOL) {
        return Err(PyValueError::new_err(
            "`headers` of `websocket.accept` must not hold `sec-websocket-protocol`: use `subprotocol`",
        ));
    }
    if let Some(subprotocol) = message.text(intern!(py, "subprotocol"))? {
        if subprotocol.is_empty() || !subprotocol.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
        {
            return Err(PyValueError::new_err("`subprotocol` must be a token"));
        }
        headers.extend_from_slice(PROTOCOL);
        headers.push(b'\n');
        headers.extend_from_slice(subprotocol.as_bytes());
        headers.push(b'\n');
    }
    Ok(WebSocketSendMessage::Accept(ResponseHead { status: 101, headers }))
}

/// A code that may be sent (RFC 6455 7.4): 1005, 1006 and 1015 only say what was not.
fn close_code(code: i64) -> PyResult<u16> {
    match u16::try_from(code) {
        Ok(code @ (1000..=1003 | 1007..=1014 | 3000..=4999)) => Ok(code),
        // What uvicorn's users send where no code was given to them.
        Ok(1005) => Ok(1000),
        _ => Err(PyValueError::new_err(format!("`code` of `websocket.close` cannot be sent: {code}"))),
    }
}

/// A reason that fits a close frame (RFC 6455 5.5).
fn close_reason(reason: String) -> PyResult<String> {
    const LONGEST: usize = 123;
    if reason.len() > LONGEST {
        return Err(PyValueError::new_err(format!(
            "`reason` of `websocket.close` must be at most {LONGEST} bytes of UTF-8"
        )));
    }
    Ok(reason)
}
