//! Events as JavaScript gets them: numbers in one array that serves all batches, and for each batch one text, one Buffer
//! and, for what fits in neither, one array of values.
//!
//! ```text
//! fields  [ kind, id (low, high), a, text (start, end), body (start, length),   kind, … ]
//! ```
//! An `end` or `length` of -1 says that `start` is an index in the array of values. The numbers of `kind`, and what
//! `a` is, are those of `lib/environment.js`. (Measured with 64 requests in flight: an array of values for each batch,
//! six an event, took a tenth of the JS thread's time; a slice of a shared Buffer takes 44 ns, a Buffer each 415.)

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::ptr;

use napi::sys;
use napi::{Env, Error, Result};

use super::failure;
use crate::exchange::{Event, ExchangeId, FileSlice, NoticeKind, ResponseHead};

/// Larger bodies get a Buffer of their own, so that keeping a small one never keeps much more.
const SHARED_BODY: usize = 4 * 1024;

/// The shared Buffer of one batch stays below this.
const SHARED_TOTAL: usize = 64 * 1024;

/// And the shared text: beyond it each text is its own.
const SHARED_TEXT: usize = 16 * 1024;

/// Larger bodies are handed over without another copy; below, the copy is cheaper than an external buffer's bookkeeping
/// (measured: 0.7 µs, growing with the garbage collector's view of it).
const HANDED_OVER: usize = 32 * 1024;

/// Fields of one event.
const STRIDE: usize = 8;

/// Events of one batch.
pub(crate) const BATCH: usize = 512;

/// Instead of an end or a length: a value of its own.
const OWN: i32 = -1;

fn check(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(Error::new(status.into(), "cannot make a value"))
    }
}

/// The array of numbers that both sides see: an `Int32Array`.
pub(crate) struct Fields {
    data: *mut i32,
    /// Keeps the array alive as long as the environment.
    _array: sys::napi_ref,
}

impl Fields {
    /// Makes the array, and gives it to JavaScript as well.
    ///
    /// # Errors
    /// What Node-API says.
    pub(crate) fn new(env: &Env) -> Result<(Self, sys::napi_value)> {
        let (mut data, mut buffer, mut array, mut reference) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let length = BATCH * STRIDE;
        // SAFETY: `env` is that of the running call, and so are the values.
        unsafe {
            check(sys::napi_create_arraybuffer(
                env.raw(),
                length * size_of::<i32>(),
                &raw mut data,
                &raw mut buffer,
            ))?;
            check(sys::napi_create_typedarray(
                env.raw(),
                sys::TypedarrayType::int32_array,
                length,
                buffer,
                0,
                &raw mut array,
            ))?;
            check(sys::napi_create_reference(env.raw(), array, 1, &raw mut reference))?;
        }
        Ok((Self { data: data.cast(), _array: reference }, array))
    }

    fn write(&self, event: usize, fields: [i32; STRIDE]) {
        debug_assert!(event < BATCH);
        // SAFETY: the array lives as long as its reference, which is never given back; `lib/environment.js` keeps it
        // to itself, so that nobody detaches its buffer; it has room for BATCH events. Only this thread sees it.
        unsafe { ptr::copy_nonoverlapping(fields.as_ptr(), self.data.add(event * STRIDE), STRIDE) };
    }
}

/// The files that JavaScript reads, by their descriptors: closed when it says so, or with the environment.
pub(crate) type Files = RefCell<HashMap<i32, FileSlice>>;

/// Writes a batch.
pub(crate) struct EventWriter<'env> {
    env: &'env Env,
    fields: &'env Fields,
    files: &'env Files,
    count: usize,
    text: Vec<u8>,
    shared: Vec<u8>,
    values: Vec<sys::napi_value>,
}

impl<'env> EventWriter<'env> {
    /// A writer of at most [`BATCH`] events.
    pub(crate) fn new(env: &'env Env, fields: &'env Fields, files: &'env Files) -> Self {
        Self { env, fields, files, count: 0, text: Vec::new(), shared: Vec::new(), values: Vec::new() }
    }

    /// Whether there is room for no more.
    pub(crate) fn is_full(&self) -> bool {
        self.count == BATCH
    }

    /// How many events there are, their text, their shared Buffer, their values; undefined where there is none.
    pub(crate) fn finish(self) -> Result<[sys::napi_value; 4]> {
        let mut count = ptr::null_mut();
        // SAFETY: `env` is that of the running call.
        check(unsafe { sys::napi_create_int32(self.env.raw(), narrow(self.count), &raw mut count) })?;
        let text = if self.text.is_empty() { self.undefined()? } else { latin1(self.env, &self.text)? };
        let shared = if self.shared.is_empty() { self.undefined()? } else { copied(self.env, &self.shared)? };
        Ok([count, text, shared, self.own()?])
    }

    fn own(&self) -> Result<sys::napi_value> {
        if self.values.is_empty() {
            return self.undefined();
        }
        let mut array = ptr::null_mut();
        // SAFETY: all values belong to the running call.
        unsafe {
            check(sys::napi_create_array_with_length(self.env.raw(), self.values.len(), &raw mut array))?;
            for (index, value) in (0..).zip(&self.values) {
                check(sys::napi_set_element(self.env.raw(), array, index, *value))?;
            }
        }
        Ok(array)
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, id: ExchangeId, event: Event) -> Result<()> {
        let nothing = [0, 0];
        let (kind, a, text, body) = match event {
            Event::Complete { head, body } => {
                (0, i32::from(head.status), self.head(&head)?, self.body(body)?)
            }
            Event::Head(head) => (1, i32::from(head.status), self.head(&head)?, nothing),
            Event::Chunk(bytes) => (2, 0, nothing, self.body(bytes)?),
            Event::End => (3, 0, nothing, nothing),
            Event::Drain => (4, 0, nothing, nothing),
            Event::Message { text, bytes } => (5, i32::from(text), nothing, self.body(bytes)?),
            Event::Closed { code, reason } => {
                let reason = utf8(self.env, reason.as_bytes())?;
                (6, i32::from(code), [self.value(reason), OWN], nothing)
            }
            Event::File(slice) => {
                let text = self.text(&slice.to_json())?;
                self.files.borrow_mut().insert(slice.descriptor(), slice);
                (7, NoticeKind::ZeroCopySend as i32, text, nothing)
            }
            Event::Notice { kind, fields } => (7, kind as i32, self.text(&fields)?, nothing),
            Event::Failed(error) => {
                let error = failure::value(self.env, &error)?;
                (8, self.value(error), nothing, nothing)
            }
            Event::Loaded(Ok(())) => (9, OWN, nothing, nothing),
            Event::Loaded(Err(error)) => {
                let error = failure::value(self.env, &error)?;
                (9, self.value(error), nothing, nothing)
            }
            Event::Stack(stack) => {
                let stack = utf8(self.env, stack.as_bytes())?;
                (10, self.value(stack), nothing, nothing)
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of an id")]
        let (low, high) = (id as i32, (id >> 32) as i32);
        self.fields.write(self.count, [kind, low, high, a, text[0], text[1], body[0], body[1]]);
        self.count += 1;
        Ok(())
    }

    fn head(&mut self, head: &ResponseHead) -> Result<[i32; 2]> {
        self.text(&head.headers)
    }

    fn text(&mut self, text: &[u8]) -> Result<[i32; 2]> {
        let start = self.text.len();
        if start + text.len() <= SHARED_TEXT {
            self.text.extend_from_slice(text);
            return Ok([narrow(start), narrow(start + text.len())]);
        }
        let own = latin1(self.env, text)?;
        Ok([self.value(own), OWN])
    }

    fn body(&mut self, bytes: Vec<u8>) -> Result<[i32; 2]> {
        let start = self.shared.len();
        let length = bytes.len();
        if length <= SHARED_BODY && start + length <= SHARED_TOTAL {
            self.shared.extend_from_slice(&bytes);
            return Ok([narrow(start), narrow(length)]);
        }
        let own = buffer(self.env, bytes)?;
        Ok([self.value(own), OWN])
    }

    fn value(&mut self, value: sys::napi_value) -> i32 {
        self.values.push(value);
        narrow(self.values.len() - 1)
    }

    fn undefined(&self) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: `env` is that of the running call.
        check(unsafe { sys::napi_get_undefined(self.env.raw(), &raw mut value) })?;
        Ok(value)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "positions in what is shared are below 64 Ki, counts of events and their values below 2 Ki"
)]
fn narrow(number: usize) -> i32 {
    number as i32
}

/// A whole response by itself: its status, headers and body.
///
/// # Errors
/// What Node-API says.
pub(crate) fn response(env: &Env, head: &ResponseHead, body: Vec<u8>) -> Result<[sys::napi_value; 3]> {
    let mut status = ptr::null_mut();
    // SAFETY: `env` is that of the running call.
    check(unsafe { sys::napi_create_int32(env.raw(), i32::from(head.status), &raw mut status) })?;
    Ok([status, latin1(env, &head.headers)?, buffer(env, body)?])
}

fn buffer(env: &Env, bytes: Vec<u8>) -> Result<sys::napi_value> {
    if bytes.len() < HANDED_OVER { copied(env, &bytes) } else { handed_over(env, bytes) }
}

fn copied(env: &Env, bytes: &[u8]) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    let mut data = ptr::null_mut();
    // SAFETY: Node copies `bytes.len()` bytes from a live slice.
    check(unsafe {
        sys::napi_create_buffer_copy(
            env.raw(),
            bytes.len(),
            bytes.as_ptr().cast(),
            &raw mut data,
            &raw mut value,
        )
    })?;
    Ok(value)
}

fn handed_over(env: &Env, bytes: Vec<u8>) -> Result<sys::napi_value> {
    unsafe extern "C" fn free(_env: sys::napi_env, data: *mut c_void, hint: *mut c_void) {
        // SAFETY: both come from the boxed slice below, once.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data.cast::<u8>(), hint.addr())) });
    }
    let length = bytes.len();
    let data = Box::into_raw(bytes.into_boxed_slice()).cast::<c_void>();
    let mut value = ptr::null_mut();
    // SAFETY: `data` is owned by nobody else until `free`, which Node calls once when the Buffer is
    // collected; the hint carries the length. test/response.test.mjs, large bodies.
    let status = unsafe {
        sys::napi_create_external_buffer(
            env.raw(),
            length,
            data,
            Some(free),
            ptr::without_provenance_mut(length),
            &raw mut value,
        )
    };
    if status == sys::Status::napi_ok {
        return Ok(value);
    }
    // Electron allows no external buffers: copy.
    // SAFETY: the call failed, so the bytes are still ours.
    let bytes = unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data.cast::<u8>(), length)) };
    copied(env, &bytes)
}

fn latin1(env: &Env, text: &[u8]) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: Node copies from a live slice.
    check(unsafe {
        sys::napi_create_string_latin1(
            env.raw(),
            text.as_ptr().cast::<c_char>(),
            text.len().cast_signed(),
            &raw mut value,
        )
    })?;
    Ok(value)
}

fn utf8(env: &Env, text: &[u8]) -> Result<sys::napi_value> {
    let mut value = ptr::null_mut();
    // SAFETY: Node copies from a live slice.
    check(unsafe {
        sys::napi_create_string_utf8(
            env.raw(),
            text.as_ptr().cast::<c_char>(),
            text.len().cast_signed(),
            &raw mut value,
        )
    })?;
    Ok(value)
}
