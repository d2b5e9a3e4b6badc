//! HTTP: the connection scope, the messages an application receives, and those it sends (specs/www.rst).

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;
use parking_lot::Mutex;
use percent_encoding::percent_decode;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};

use super::application::Application;
use super::http_method::HttpMethod;
use super::http_version::HttpVersion;
use super::info::AsgiInfo;
use super::json;
use super::message::{SentMessage, is};
use super::order;
use crate::exchange::{Capabilities, FileSlice, NoticeKind, RequestHead, ResponseHead};

// ---------------------------------------------------------------------------- scope

/// Header names that are kept as Python objects: enough for every name in use, not for an attacker's.
const NAMES_KEPT: usize = 256;

/// What is announced to an application if the caller can honour it (docs/extensions.rst).
const EXTENSIONS: [(NoticeKind, &str); 6] = [
    (NoticeKind::EarlyHint, "http.response.early_hint"),
    (NoticeKind::Push, "http.response.push"),
    (NoticeKind::Trailers, "http.response.trailers"),
    (NoticeKind::PathSend, "http.response.pathsend"),
    (NoticeKind::ZeroCopySend, "http.response.zerocopysend"),
    (NoticeKind::Debug, "http.response.debug"),
];

/// Longest header name that is kept.
const NAME_LENGTH_KEPT: usize = 64;

type Names = HashMap<Box<[u8]>, Py<PyBytes>, BuildHasherDefault<NameHasher>>;

/// FNV-1a over eight bytes at a time. Not proof against chosen names: of those few are kept.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        const PRIME: u64 = 0x0100_0000_01b3;
        for part in bytes.chunks(size_of::<u64>()) {
            let mut word = [0; size_of::<u64>()];
            word[..part.len()].copy_from_slice(part);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(PRIME).rotate_left(29);
        }
    }
}

/// Makes connection scopes.
pub(super) struct HttpConnectionScope {
    /// Every key, in the specification's order: a copy of it sizes and orders the new dict at once.
    template: Py<PyDict>,
    /// The `asgi` entry.
    info: Py<PyDict>,
    /// The names of [`EXTENSIONS`], in their order.
    extensions: [Py<PyString>; EXTENSIONS.len()],
    names: Mutex<Names>,
}

/// What is true of a request besides its scope.
pub(super) struct RequestFacts {
    /// Whether the response has no body.
    pub(super) is_head: bool,
}

impl HttpConnectionScope {
    /// Prepares the template.
    pub(super) fn new(py: Python<'_>) -> PyResult<Self> {
        let template = PyDict::new(py);
        template.set_item(intern!(py, "type"), intern!(py, "http"))?;
        for key in [
            "asgi",
            "http_version",
            "method",
            "scheme",
            "path",
            "raw_path",
            "query_string",
            "root_path",
            "headers",
            "client",
            "server",
            "state",
            "extensions",
        ] {
            template.set_item(PyString::intern(py, key), py.None())?;
        }
        let info = AsgiInfo::WWW.to_dict(py)?.unbind();
        let extensions = EXTENSIONS.map(|(_, name)| PyString::intern(py, name).unbind());
        Ok(Self { template: template.unbind(), info, extensions, names: Mutex::default() })
    }

    /// The scope of one request.
    ///
    /// # Errors
    /// A Python exception: out of memory, or `extra` that is no JSON object.
    pub(super) fn build<'py>(
        &self,
        py: Python<'py>,
        application: &Application,
        head: &RequestHead,
        capabilities: Capabilities,
    ) -> PyResult<(Bound<'py, PyDict>, RequestFacts)> {
        let scope = self.template.bind(py).copy()?;
        let method = HttpMethod::new(head.method());
        scope.set_item(intern!(py, "method"), method.to_python(py))?;
        let extensions = self.fill(py, &scope, application, head)?;
        for ((kind, _), name) in EXTENSIONS.into_iter().zip(&self.extensions) {
            if capabilities.has(kind) {
                extensions.set_item(name, PyDict::new(py))?;
            }
        }
        Ok((scope, RequestFacts { is_head: method.is_head() }))
    }

    /// The entries that http and websocket scopes share. Returns the dict of extensions.
    pub(super) fn fill<'py>(
        &self,
        py: Python<'py>,
        scope: &Bound<'py, PyDict>,
        application: &Application,
        head: &RequestHead,
    ) -> PyResult<Bound<'py, PyDict>> {
        scope.set_item(intern!(py, "asgi"), self.info.bind(py).copy()?)?;
        scope.set_item(intern!(py, "http_version"), HttpVersion::parse(head.http_version()).to_python(py))?;
        scope.set_item(intern!(py, "scheme"), scheme(py, head.scheme()))?;

        let extra = head.extra.as_deref().map(|text| json::to_dict(py, text)).transpose()?;
        let own = |key: &str| -> PyResult<Option<Bound<'py, PyAny>>> {
            Ok(match &extra {
                Some(extra) => extra.get_item(key)?.filter(|value| !value.is_none()),
                None => None,
            })
        };

        let root_path = match own("rootPath")? {
            Some(text) => Cow::Owned(text.extract::<String>()?),
            None => Cow::Borrowed(application.options.root_path.as_str()),
        };
        let (path, query) = split_target(head.target());
        set_path(py, scope, &root_path, path)?;
        scope.set_item(intern!(py, "query_string"), PyBytes::new(py, query))?;

        let headers = self.headers(py, head)?;
        scope.set_item(intern!(py, "headers"), headers)?;
        let [client, client_port] = head.client();
        // A client has a port: 0 for one that nobody knows.
        if let Some(client) = address(py, [client, if client_port.is_empty() { b"0" } else { client_port }])?
        {
            scope.set_item(intern!(py, "client"), client)?;
        }
        if let Some(server) = address(py, head.server())? {
            scope.set_item(intern!(py, "server"), server)?;
        }

        let state = application.state.bind(py).copy()?;
        if let Some(own) = own("state")? {
            state.update(own.cast::<PyDict>()?.as_mapping())?;
        }
        scope.set_item(intern!(py, "state"), state)?;

        let extensions = PyDict::new(py);
        let ours = application.extension.bind(py).copy()?;
        if let Some(docroot) = own("docroot")? {
            ours.set_item(intern!(py, "docroot"), docroot)?;
        }
        extensions.set_item(intern!(py, "python_node"), ours)?;
        if let Some(text) = &application.options.extensions {
            // Read anew: a request's own, which no other request sees changed.
            extensions.update(json::to_dict(py, text)?.as_mapping())?;
        }
        if let Some(own) = own("extensions")? {
            extensions.update(own.cast::<PyDict>()?.as_mapping())?;
        }
        scope.set_item(intern!(py, "extensions"), &extensions)?;
        Ok(extensions)
    }

    fn headers<'py>(&self, py: Python<'py>, head: &RequestHead) -> PyResult<Bound<'py, PyList>> {
        let mut names = self.names.lock();
        PyList::new(
            py,
            head.headers().map(|(name, value)| (Self::name(&mut names, py, name), PyBytes::new(py, value))),
        )
    }

    fn name<'py>(names: &mut Names, py: Python<'py>, name: &[u8]) -> Bound<'py, PyBytes> {
        if let Some(known) = names.get(name) {
            return known.bind(py).clone();
        }
        let made = PyBytes::new(py, name);
        if names.len() < NAMES_KEPT && name.len() <= NAME_LENGTH_KEPT {
            names.insert(name.into(), made.clone().unbind());
        }
        made
    }
}

fn scheme<'py>(py: Python<'py>, scheme: &[u8]) -> Bound<'py, PyString> {
    match scheme {
        b"" | b"http" => intern!(py, "http").clone(),
        b"https" => intern!(py, "https").clone(),
        b"ws" => intern!(py, "ws").clone(),
        b"wss" => intern!(py, "wss").clone(),
        other => PyString::new(py, &String::from_utf8_lossy(other)),
    }
}

/// Path and query of a request target; a fragment, which HTTP does not send, is cut off.
fn split_target(target: &[u8]) -> (&[u8], &[u8]) {
    let target = target.split(|byte| *byte == b'#').next().unwrap_or_default();
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, b""),
    }
}

/// Whether `path` lies below the mount prefix already.
fn is_below(path: &str, root_path: &str) -> bool {
    path.strip_prefix(root_path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `path`, `raw_path` and `root_path`: the path includes the prefix, as the specification and Starlette
/// have it. A target that does not begin with it came without (a proxy or router cut it off).
fn set_path(py: Python<'_>, scope: &Bound<'_, PyDict>, root_path: &str, raw: &[u8]) -> PyResult<()> {
    let path: Cow<'_, str> = if raw.contains(&b'%') {
        let bytes: Cow<'_, [u8]> = percent_decode(raw).into();
        Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
    } else {
        String::from_utf8_lossy(raw)
    };
    if root_path.is_empty() {
        scope.set_item(intern!(py, "root_path"), intern!(py, ""))?;
        scope.set_item(intern!(py, "path"), &*path)?;
        scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, raw))?;
        return Ok(());
    }
    scope.set_item(intern!(py, "root_path"), root_path)?;
    if is_below(&path, root_path) || !path.starts_with('/') {
        scope.set_item(intern!(py, "path"), &*path)?;
        scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, raw))?;
    } else {
        scope.set_item(intern!(py, "path"), format!("{root_path}{path}"))?;
        let mut full = Vec::with_capacity(root_path.len() + raw.len());
        full.extend(
            percent_encoding::percent_encode(root_path.as_bytes(), percent_encoding::CONTROLS)
                .flat_map(str::bytes),
        );
        full.extend_from_slice(raw);
        scope.set_item(intern!(py, "raw_path"), PyBytes::new(py, &full))?;
    }
    Ok(())
}

/// `(host, port)`, `(path, None)` for a unix socket, or nothing.
fn address<'py>(py: Python<'py>, [host, port]: [&[u8]; 2]) -> PyResult<Option<Bound<'py, PyAny>>> {
    if host.is_empty() {
        return Ok(None);
    }
    let host = String::from_utf8_lossy(host);
    let port = std::str::from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok());
    Ok(Some((&*host, port).into_pyobject(py)?.into_any()))
}

// ------------------------------------------------------------------ receive messages

/// What an application receives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HttpReceiveMessage {
    /// `http.request`
    Request {
        /// A part of the body.
        body: Bytes,
        /// Whether more follows.
        more_body: bool,
    },
    /// `http.disconnect`
    Disconnect,
}

impl HttpReceiveMessage {
    /// As the dict that `receive` gives.
    pub(super) fn to_dict(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let dict = PyDict::new(py);
        match self {
            Self::Request { body, more_body } => {
                dict.set_item(intern!(py, "type"), intern!(py, "http.request"))?;
                dict.set_item(intern!(py, "body"), PyBytes::new(py, body))?;
                dict.set_item(intern!(py, "more_body"), *more_body)?;
            }
            Self::Disconnect => dict.set_item(intern!(py, "type"), intern!(py, "http.disconnect"))?,
        }
        Ok(dict.into_any().unbind())
    }
}

// --------------------------------------------------------------------- send messages

/// What an application sends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HttpSendMessage {
    /// `http.response.start`
    Start {
        /// Status and headers.
        head: ResponseHead,
        /// Whether trailers will follow the body.
        trailers: bool,
    },
    /// `http.response.body`
    Body {
        /// A part of the body.
        body: Vec<u8>,
        /// Whether more follows.
        more_body: bool,
    },
    /// `http.response.trailers`
    Trailers {
        /// Header lines.
        headers: Vec<u8>,
        /// Whether more follow.
        more_trailers: bool,
    },
    /// `http.response.zerocopysend`
    ZeroCopySend {
        /// What of which descriptor, for `lib/`.
        slice: FileSlice,
        /// Whether more follows.
        more_body: bool,
    },
    /// One that is no part of the response proper: its kind and its fields, for `lib/`.
    Notice(NoticeKind, Vec<u8>),
}

impl HttpSendMessage {
    /// Reads what the application passed to `send`. Messages of extensions that were not announced are unknown.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` that says which part is wrong.
    pub(super) fn extract(
        message: &SentMessage<'_, '_>,
        py: Python<'_>,
        capabilities: Capabilities,
    ) -> PyResult<Self> {
        let kind = message.kind()?;
        if is(&kind, intern!(py, "http.response.body"))? {
            return Ok(Self::Body {
                body: message.bytes(intern!(py, "body"))?.unwrap_or_default(),
                more_body: message.flag(intern!(py, "more_body"))?,
            });
        }
        if is(&kind, intern!(py, "http.response.start"))? {
            return Ok(Self::Start {
                head: response_head(message, py)?,
                // Only where they were announced: otherwise none will come.
                trailers: capabilities.has(NoticeKind::Trailers) && message.flag(intern!(py, "trailers"))?,
            });
        }
        let name = kind.str()?.to_string_lossy().into_owned();
        let extension =
            EXTENSIONS.into_iter().find(|(_, extension)| *extension == name).map(|(kind, _)| kind);
        match extension.filter(|kind| capabilities.has(*kind)) {
            Some(extension) => Self::extract_extension(message, py, extension),
            None => Err(PyValueError::new_err(format!(
                "unknown ASGI message type `{name}` on an http connection"
            ))),
        }
    }

    fn extract_extension(message: &SentMessage<'_, '_>, py: Python<'_>, kind: NoticeKind) -> PyResult<Self> {
        Ok(match kind {
            NoticeKind::Trailers => Self::Trailers {
                headers: message.headers(intern!(py, "headers"))?,
                more_trailers: message.flag(intern!(py, "more_trailers"))?,
            },
            NoticeKind::ZeroCopySend => Self::ZeroCopySend {
                slice: message.file_slice()?,
                more_body: message.flag(intern!(py, "more_body"))?,
            },
            NoticeKind::EarlyHint => Self::Notice(kind, message.links()?),
            NoticeKind::Push => {
                let mut fields = message.ascii_json(intern!(py, "path"))?;
                fields.push(b'\n');
                fields.extend(message.headers(intern!(py, "headers"))?);
                Self::Notice(kind, fields)
            }
            NoticeKind::PathSend => Self::Notice(kind, message.ascii_json(intern!(py, "path"))?),
            NoticeKind::Debug => Self::Notice(kind, message.ascii_json(intern!(py, "info"))?),
        })
    }

    /// The message's `type`, for people.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "http.response.start",
            Self::Body { .. } => "http.response.body",
            Self::Trailers { .. } => "http.response.trailers",
            Self::ZeroCopySend { .. } => "http.response.zerocopysend",
            Self::Notice(kind, _) => {
                EXTENSIONS.into_iter().find(|(extension, _)| extension == kind).map_or("", |(_, name)| name)
            }
        }
    }

    /// Its place in the order of messages.
    pub(super) fn order(&self) -> order::Send {
        match self {
            Self::Start { trailers, .. } => order::Send::Start { trailers: *trailers },
            Self::Body { more_body, .. } | Self::ZeroCopySend { more_body, .. } => {
                order::Send::Body { more: *more_body }
            }
            Self::Trailers { more_trailers, .. } => order::Send::Trailers { more: *more_trailers },
            Self::Notice(NoticeKind::PathSend, _) => order::Send::Path,
            Self::Notice(NoticeKind::EarlyHint, _) => order::Send::EarlyHint,
            Self::Notice(NoticeKind::Debug, _) => order::Send::Debug,
            Self::Notice(..) => order::Send::Push,
        }
    }
}

/// `status` and `headers` of a start message.
pub(super) fn response_head(message: &SentMessage<'_, '_>, py: Python<'_>) -> PyResult<ResponseHead> {
    let status = message
        .integer(intern!(py, "status"))?
        .ok_or_else(|| PyValueError::new_err("`status` is missing in the start of the response"))?;
    let code =
        u16::try_from(status).ok().filter(|code| http::StatusCode::from_u16(*code).is_ok() && *code >= 200);
    let Some(status) = code else {
        return Err(PyValueError::new_err(format!(
            "`status` of a response must be 200 to 999, not {status}"
        )));
    };
    Ok(ResponseHead { status, headers: message.headers(intern!(py, "headers"))? })
}
