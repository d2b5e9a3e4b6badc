//! Reads the dicts that applications `send`, and says in the application's own terms what is wrong with one.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyInt, PyList, PyMemoryView, PyString, PyTuple};

use crate::exchange::FileSlice;

/// A message that is being read.
pub(super) struct SentMessage<'a, 'py> {
    dict: &'a Bound<'py, PyDict>,
}

/// Whether a message's `type` is `name`. Most are the very object that the application's constants hold.
pub(super) fn is(kind: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    Ok(kind.is(name) || kind.eq(name)?)
}

/// The class's name, for a message to people.
pub(super) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

impl<'a, 'py> SentMessage<'a, 'py> {
    /// Takes what the application passed to `send`.
    ///
    /// # Errors
    /// `TypeError` if it is no dict.
    pub(super) fn new(message: &'a Bound<'py, PyAny>) -> PyResult<Self> {
        match message.cast::<PyDict>() {
            Ok(dict) => Ok(Self { dict }),
            Err(_) => Err(PyTypeError::new_err(format!(
                "an ASGI message must be a dict, not {}",
                type_name(message)
            ))),
        }
    }

    /// The `type` key.
    ///
    /// # Errors
    /// `ValueError` without one, `TypeError` if it is no str.
    pub(super) fn kind(&self) -> PyResult<Bound<'py, PyAny>> {
        let py = self.dict.py();
        let kind = self
            .dict
            .get_item(intern!(py, "type"))?
            .ok_or_else(|| PyValueError::new_err("an ASGI message must have a `type`"))?;
        if kind.is_instance_of::<PyString>() {
            return Ok(kind);
        }
        Err(PyTypeError::new_err(format!("`type` of an ASGI message must be str, not {}", type_name(&kind))))
    }

    /// A key's value; `None` if it is missing or `None`.
    pub(super) fn get(&self, key: &Bound<'py, PyString>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.dict.get_item(key)?.filter(|value| !value.is_none()))
    }

    /// A flag; false without one. Anything is true or false, as in Python.
    pub(super) fn flag(&self, key: &Bound<'py, PyString>) -> PyResult<bool> {
        match self.dict.get_item(key)? {
            None => Ok(false),
            Some(value) => match value.cast::<PyBool>() {
                Ok(value) => Ok(value.is_true()),
                Err(_) => value.is_truthy(),
            },
        }
    }

    /// An integer.
    ///
    /// # Errors
    /// `TypeError` if it is none, or a bool.
    pub(super) fn integer(&self, key: &Bound<'py, PyString>) -> PyResult<Option<i64>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        if value.is_instance_of::<PyBool>() {
            return Err(wrong_type(key, "int", &value));
        }
        if !value.is_instance_of::<PyInt>() && !value.hasattr(intern!(value.py(), "__index__"))? {
            return Err(wrong_type(key, "int", &value));
        }
        value
            .extract()
            .map(Some)
            .map_err(|_| PyValueError::new_err(format!("`{key}` of an ASGI message is out of range")))
    }

    /// A text.
    ///
    /// # Errors
    /// `TypeError` if it is none.
    pub(super) fn text(&self, key: &Bound<'py, PyString>) -> PyResult<Option<String>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match value.cast::<PyString>() {
            Ok(text) => Ok(Some(text.to_cow()?.into_owned())),
            Err(_) => Err(wrong_type(key, "str", &value)),
        }
    }

    /// Bytes, bytearray or memoryview, copied.
    ///
    /// # Errors
    /// `TypeError` for anything else, str above all.
    pub(super) fn bytes(&self, key: &Bound<'py, PyString>) -> PyResult<Option<Vec<u8>>> {
        let Some(value) = self.get(key)? else { return Ok(None) };
        match copy_bytes(&value) {
            Some(copied) => copied.map(Some),
            None => Err(wrong_type(key, "bytes", &value)),
        }
    }

    /// `links` of early hints as header lines.
    ///
    /// # Errors
    /// As [`Self::headers`].
    pub(super) fn links(&self) -> PyResult<Vec<u8>> {
        let py = self.dict.py();
        let mut flat = Vec::new();
        if let Some(links) = self.get(intern!(py, "links"))? {
            for link in links
                .try_iter()
                .map_err(|_| wrong_type(intern!(py, "links"), "an iterable of bytes", &links))?
            {
                push_field(&mut flat, PyBytes::new(py, b"link").as_any(), &link?)?;
            }
        }
        Ok(flat)
    }

    /// A str, or a dict for `info`, as JSON in ASCII. What JSON cannot say is said by its `repr`.
    ///
    /// # Errors
    /// What `json.dumps` raises; `ValueError` if the key is missing, `TypeError` for another type.
    pub(super) fn ascii_json(&self, key: &Bound<'py, PyString>) -> PyResult<Vec<u8>> {
        let py = self.dict.py();
        let value = self
            .dict
            .get_item(key)?
            .ok_or_else(|| PyValueError::new_err(format!("`{key}` is missing in an ASGI message")))?;
        if key == "info" {
            if !value.is_instance_of::<PyDict>() {
                return Err(wrong_type(key, "a dict", &value));
            }
        } else if !value.is_instance_of::<PyString>() {
            return Err(wrong_type(key, "str", &value));
        }
        let options = PyDict::new(py);
        options.set_item(
            intern!(py, "default"),
            py.import(intern!(py, "builtins"))?.getattr(intern!(py, "repr"))?,
        )?;
        options.set_item(intern!(py, "skipkeys"), true)?;
        let text: String = py
            .import(intern!(py, "json"))?
            .call_method(intern!(py, "dumps"), (value,), Some(&options))?
            .extract()?;
        Ok(text.into_bytes())
    }

    /// `file`, `offset` and `count` of a zero-copy send. The descriptor is duplicated, since the application closes
    /// its own, and the file's position is moved as `os.sendfile` would.
    ///
    /// # Errors
    /// `TypeError` or `OSError` if it is no open file.
    pub(super) fn file_slice(&self) -> PyResult<FileSlice> {
        let py = self.dict.py();
        let file = self
            .get(intern!(py, "file"))?
            .ok_or_else(|| PyValueError::new_err("`file` is missing in an ASGI message"))?;
        let descriptor: i32 = match file.extract() {
            Ok(descriptor) => descriptor,
            Err(_) => file.call_method0(intern!(py, "fileno"))?.extract()?,
        };
        let os = py.import(intern!(py, "os"))?;
        let size: i64 = os.call_method1("fstat", (descriptor,))?.getattr("st_size")?.extract()?;
        let position: i64 = os.call_method1("lseek", (descriptor, 0, 1))?.extract()?;
        let given = self.integer(intern!(py, "offset"))?;
        let offset = given.unwrap_or(position);
        if offset < 0 {
            return Err(PyValueError::new_err("`offset` must not be negative"));
        }
        let left = (size - offset).max(0);
        let count = match self.integer(intern!(py, "count"))? {
            Some(count) if count < 0 => return Err(PyValueError::new_err("`count` must not be negative")),
            Some(count) => count.min(left),
            None => left,
        };
        if given.is_none() {
            os.call_method1("lseek", (descriptor, offset + count, 0))?;
        }
        let descriptor = os.call_method1("dup", (descriptor,))?.extract()?;
        Ok(FileSlice::new(descriptor, offset, count, close))
    }

    /// Headers as `name\nvalue\n…`: names lower-case tokens, values without control characters.
    ///
    /// # Errors
    /// `TypeError` or `ValueError` that names the header, never its value.
    pub(super) fn headers(&self, key: &Bound<'py, PyString>) -> PyResult<Vec<u8>> {
        /// Of a header with its line breaks: a guess that spares the text from growing again and again.
        const USUAL: usize = 48;
        let mut flat = Vec::new();
        if let Some(value) = self.get(key)? {
            if let Ok(list) = value.cast::<PyList>() {
                flat.reserve(USUAL * list.len());
                for pair in list.iter() {
                    push_header(&mut flat, &pair)?;
                }
            } else {
                for pair in
                    value.try_iter().map_err(|_| wrong_type(key, "an iterable of pairs of bytes", &value))?
                {
                    push_header(&mut flat, &pair?)?;
                }
            }
        }
        Ok(flat)
    }
}

fn close(descriptor: i32) {
    // SAFETY: `file_slice` has duplicated the descriptor, and the slice that calls this once, when it is dropped, is its
    // only owner. test/extensions.test.mjs counts descriptors, and reads files to their ends.
    unsafe { libc::close(descriptor) };
}

fn wrong_type(key: &Bound<'_, PyString>, wanted: &str, value: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!("`{key}` of an ASGI message must be {wanted}, not {}", type_name(value)))
}

/// A copy of anything bytes-like; `None` for anything else.
fn copy_bytes(value: &Bound<'_, PyAny>) -> Option<PyResult<Vec<u8>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        Some(Ok(bytes.as_bytes().to_vec()))
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        Some(Ok(bytes.to_vec()))
    } else if value.is_instance_of::<PyMemoryView>() {
        let copied = value.call_method0(intern!(value.py(), "tobytes"));
        Some(copied.and_then(|bytes| Ok(bytes.cast::<PyBytes>()?.as_bytes().to_vec())))
    } else {
        None
    }
}

fn push_header(flat: &mut Vec<u8>, pair: &Bound<'_, PyAny>) -> PyResult<()> {
    let malformed = || {
        PyTypeError::new_err(format!(
            "a header must be a pair of bytes, [name, value], not {}",
            pair.repr().map_or_else(
                |_| type_name(pair),
                |text| {
                    // A header's value may be a secret: only the shape is shown.
                    let shape = text.to_string_lossy().len();
                    format!("{} ({shape} characters long)", type_name(pair))
                }
            )
        ))
    };
    let (name, value) = if let Ok(tuple) = pair.cast::<PyTuple>() {
        if tuple.len() != 2 {
            return Err(malformed());
        }
        (tuple.get_item(0)?, tuple.get_item(1)?)
    } else {
        let mut items = pair.try_iter().map_err(|_| malformed())?;
        let (Some(name), Some(value), None) = (items.next(), items.next(), items.next()) else {
            return Err(malformed());
        };
        (name?, value?)
    };
    push_field(flat, &name, &value)
}

fn push_field(flat: &mut Vec<u8>, name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let start = flat.len();
    append_bytes(flat, name, "name")?;
    let name_end = flat.len();
    if name_end == start {
        return Err(PyValueError::new_err("a header's name is empty"));
    }
    for byte in &mut flat[start..name_end] {
        if !(byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)) {
            return Err(PyValueError::new_err("a header's name holds a character that is not allowed there"));
        }
        byte.make_ascii_lowercase();
    }
    flat.push(b'\n');
    let value_start = flat.len();
    append_bytes(flat, value, "value")?;
    if flat[value_start..].iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
        let name = String::from_utf8_lossy(&flat[start..name_end]).into_owned();
        return Err(PyValueError::new_err(format!("the value of header `{name}` holds a control character")));
    }
    flat.push(b'\n');
    Ok(())
}

fn append_bytes(flat: &mut Vec<u8>, value: &Bound<'_, PyAny>, part: &str) -> PyResult<()> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        flat.extend_from_slice(bytes.as_bytes());
        return Ok(());
    }
    match copy_bytes(value) {
        Some(bytes) => flat.extend_from_slice(&bytes?),
        None => {
            return Err(PyTypeError::new_err(format!(
                "a header's {part} must be bytes, not {}",
                type_name(value)
            )));
        }
    }
    Ok(())
}
