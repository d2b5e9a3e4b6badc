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
    /// Where each line ends.
    ends: Vec<u32>,
    /// JSON with what has no place in latin-1: `root_path`, `docroot`, `state`, `extensions`; UTF-8.
    pub(crate) extra: Option<String>,
}

/// A letter of a token (RFC 9110 5.6.2).
const TOKEN: u8 = 1;
/// A letter of a header's value: anything but control characters.
const VALUE: u8 = 2;
/// A letter of a request target: anything visible. Bytes above 0x7f are passed on as they came.
const TARGET: u8 = 4;

/// Which parts may hold a byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = byte as u8;
        if letter.is_ascii_alphanumeric()
            || matches!(
                letter,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            classes[byte] |= TOKEN;
        }
        if letter == b'\t' || (letter >= 0x20 && letter != 0x7f) {
            classes[byte] |= VALUE;
        }
        if letter > 0x20 && letter != 0x7f {
            classes[byte] |= TARGET;
        }
        byte += 1;
    }
    classes
};

fn all(part: &[u8], class: u8) -> bool {
    part.iter().fold(class, |classes, byte| classes & CLASSES[usize::from(*byte)]) != 0
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
        let mut ends = Vec::with_capacity(FIXED_LINES + 2 * headers);
        for end in memchr::memchr_iter(b'\n', &text).chain([text.len()]) {
            let end = u32::try_from(end).map_err(|_| {
                invalid("ERR_PYTHON_HEADERS_TOO_LARGE", "the request's head is too large".to_owned())
            })?;
            ends.push(end);
        }
        if ends.len() != FIXED_LINES + 2 * headers {
            return Err(Self::misplaced_line(&text, headers));
        }
        let mut start = 0;
        for (line, end) in ends.iter().map(|end| *end as usize).enumerate() {
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
                    if part.is_empty() || !all(part, TARGET) {
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
                    if !all(part, VALUE) {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_ARGUMENT",
                            format!("invalid socket information `{}`", shown(part)),
                        ));
                    }
                }
                _ if (line - FIXED_LINES).is_multiple_of(2) => {
                    if part.is_empty() || !all(part, TOKEN) {
                        return Err(invalid(
                            "ERR_PYTHON_INVALID_HEADER",
                            format!("invalid header name `{}`: it must be an HTTP token", shown(part)),
                        ));
                    }
                    part.make_ascii_lowercase();
                }
                _ => {
                    if !all(part, VALUE) {
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
        Ok(Self { text, ends, extra })
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

    fn line(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize + 1);
        &self.text[start..self.ends[index] as usize]
    }

    /// Upper-case.
    pub(crate) fn method(&self) -> &[u8] {
        self.line(0)
    }

    /// Path and query as they came.
    pub(crate) fn target(&self) -> &[u8] {
        self.line(1)
    }

    /// `http`, `https`, `ws` or `wss`.
    pub(crate) fn scheme(&self) -> &[u8] {
        self.line(2)
    }

    /// `1.0`, `1.1` or `2`.
    pub(crate) fn http_version(&self) -> &[u8] {
        self.line(3)
    }

    /// Host and port; an empty host for none.
    pub(crate) fn client(&self) -> [&[u8]; 2] {
        [self.line(4), self.line(5)]
    }

    /// Host and port; an empty host for none, an empty port for a unix socket.
    pub(crate) fn server(&self) -> [&[u8]; 2] {
        [self.line(6), self.line(7)]
    }

    /// Lower-case names and values as they came, in order, repeats kept.
    pub(crate) fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        (FIXED_LINES..self.ends.len()).step_by(2).map(|index| (self.line(index), self.line(index + 1)))
    }
}
