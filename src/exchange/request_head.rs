//! The head of a request as it crosses from JavaScript: one latin-1 text, checked once, read in place.
//!
//! ```text
//! METHOD \n target \n scheme \n http version \n client host \n client port \n server host \n server port
//! [ \n name \n value ]*
//! ```
//!
//! Checked on the JS thread (bad input is the caller's error), read on the Python thread.

use crate::error::HandlerError;

/// The lines before the headers.
const FIXED_LINES: usize = 8;

/// A checked head. Header names are lower-case; nothing in it holds CR, LF or NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestHead {
    text: Vec<u8>,
    /// JSON with what has no place in latin-1: `root_path`, `docroot`, `state`, `extensions`; UTF-8.
    pub(crate) extra: Option<String>,
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// A byte of a request target: anything visible. Bytes above 0x7f are passed on as they came.
fn is_target(byte: u8) -> bool {
    byte > 0x20 && byte != 0x7f
}

fn invalid(code: &'static str, message: String) -> HandlerError {
    HandlerError::InvalidRequest { code, message }
}

fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string()
}

impl RequestHead {
    /// Checks a head of `headers` headers and makes the method upper-case, the names lower-case.
    ///
    /// # Errors
    /// [`HandlerError::InvalidRequest`] with the code of the part that is wrong.
    pub(crate) fn parse(
        mut text: Vec<u8>,
        headers: usize,
        extra: Option<String>,
    ) -> Result<Self, HandlerError> {
        let lines = memchr_count(b'\n', &text) + 1;
        if lines != FIXED_LINES + 2 * headers {
            return Err(Self::misplaced_line(&text, headers));
        }
        let mut start = 0;
        for line in 0..lines {
            let end =
                text[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| start + at);
            let part = &mut text[start..end];
            match line {
                0 => {
                    if http::Method::from_bytes(part).is_err() {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_METHOD",
                            format!("invalid method `{}`: it must be an HTTP token", shown(part)),
                        ));
                    }
                    part.make_ascii_uppercase();
                }
                1 => {
                    if part.is_empty() || !part.iter().copied().all(is_target) {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_URL",
                            format!(
                                "invalid url `{}`: spaces and control characters must be percent-encoded",
                                shown(part)
                            ),
                        ));
                    }
                }
                2..FIXED_LINES => {
                    if !part.iter().copied().all(is_value) {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_ARGUMENT",
                            format!("invalid socket information `{}`", shown(part)),
                        ));
                    }
                }
                _ if (line - FIXED_LINES).is_multiple_of(2) => {
                    if part.is_empty() || !part.iter().copied().all(is_token) {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_HEADER",
                            format!("invalid header name `{}`: it must be an HTTP token", shown(part)),
                        ));
                    }
                    part.make_ascii_lowercase();
                }
                _ => {
                    if !part.iter().copied().all(is_value) {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_HEADER",
                            // Never the value: it may be a secret.
                            "invalid header value: it holds a control character".to_owned(),
                        ));
                    }
                }
            }
            start = end + 1;
        }
        Ok(Self { text, extra })
    }

    /// There are more or fewer lines than the headers account for: some part holds a line break.
    fn misplaced_line(text: &[u8], headers: usize) -> HandlerError {
        let fixed: Vec<&[u8]> = text.split(|byte| *byte == b'\n').take(2).collect();
        if headers == 0 || fixed.iter().any(|part| part.is_empty()) {
            return invalid(
                "ERR_PYTHON_INVALID_URL",
                "the method, url or socket holds a line break".to_owned(),
            );
        }
        invalid("ERR_PYTHON_INVALID_HEADER", "a header name or value holds a line break".to_owned())
    }

    /// The fixed lines and the headers, in order.
    pub(crate) fn lines(&self) -> RequestLines<'_> {
        let mut lines = self.text.split(newline as fn(&u8) -> bool);
        let mut next = || lines.next().unwrap_or_default();
        RequestLines {
            method: next(),
            target: next(),
            scheme: next(),
            http_version: next(),
            client: [next(), next()],
            server: [next(), next()],
            headers: Headers(lines),
        }
    }
}

fn newline(byte: &u8) -> bool {
    *byte == b'\n'
}

fn memchr_count(needle: u8, haystack: &[u8]) -> usize {
    haystack.iter().filter(|byte| **byte == needle).count()
}

/// A head, taken apart.
pub(crate) struct RequestLines<'a> {
    /// Upper-case.
    pub(crate) method: &'a [u8],
    /// Path and query as they came.
    pub(crate) target: &'a [u8],
    /// `http`, `https`, `ws` or `wss`.
    pub(crate) scheme: &'a [u8],
    /// `1.0`, `1.1` or `2`.
    pub(crate) http_version: &'a [u8],
    /// Host and port; an empty host for none.
    pub(crate) client: [&'a [u8]; 2],
    /// Host and port; an empty host for none, an empty port for a unix socket.
    pub(crate) server: [&'a [u8]; 2],
    /// The rest.
    pub(crate) headers: Headers<'a>,
}

/// The headers of a head: lower-case names and values as they came, in order, repeats kept.
pub(crate) struct Headers<'a>(std::slice::Split<'a, u8, fn(&u8) -> bool>);

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.0.next()?, self.0.next()?))
    }
}
