//! Events as JavaScript gets them: one flat array and one shared Buffer for a whole batch.
//!
//! ```text
//! [ kind, id, a, b, c, d,   kind, id, a, b, c, d, … ], shared
//! ```
//! `c`, `d` are a body: offset and length in `shared`, or a Buffer of its own and -1. The numbers of
//! `kind` are those of `lib/environment.js`. (Measured: a slice of the shared Buffer 44 ns, a Buffer each 415.)

use std::ffi::{c_char, c_void};
use std::ptr;

use napi::sys;
use napi::{Env, Error, Result};

use super::failure;
use crate::exchange::{Event, ExchangeId, ResponseHead};

/// Larger bodies get a Buffer of their own, so that keeping a small one never keeps much more.
const SHARED_BODY: usize = 4 * 1024;

/// The shared Buffer of one batch stays below this.
const SHARED_TOTAL: usize = 64 * 1024;

/// Larger bodies are handed over without another copy; below, the copy is cheaper (measured: 0.7 µs for
/// an external buffer's bookkeeping, growing with the garbage collector's view of it).
const HANDED_OVER: usize = 256 * 1024;

/// Fields of one event.
const STRIDE: usize = 6;

/// Writes a batch.
pub(crate) struct EventWriter<'env> {
    env: &'env Env,
    array: sys::napi_value,
    length: u32,
    shared: Vec<u8>,
}

fn check(status: sys::napi_status) -> Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(Error::new(status.into(), "cannot make a value"))
    }
}

impl<'env> EventWriter<'env> {
    /// A writer for about `count` events.
    pub(crate) fn new(env: &'env Env, count: usize) -> Result<Self> {
        let mut array = ptr::null_mut();
        // SAFETY: `env` is that of the running call.
        check(unsafe { sys::napi_create_array_with_length(env.raw(), count * STRIDE, &raw mut array) })?;
        Ok(Self { env, array, length: 0, shared: Vec::new() })
    }

    /// The array and the shared Buffer (or undefined).
    pub(crate) fn finish(self) -> Result<[sys::napi_value; 2]> {
        let shared = if self.shared.is_empty() { self.undefined()? } else { self.copied(&self.shared)? };
        Ok([self.array, shared])
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, id: ExchangeId, event: Event) -> Result<()> {
        let undefined = self.undefined()?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "ids stay below 2^53: 285 years at a million a second"
        )]
        let id = self.number(id as f64)?;
        let (kind, a, b, body) = match event {
            Event::Complete { head, body } => {
                (0, self.number(f64::from(head.status))?, self.latin1(&head)?, Some(body))
            }
            Event::Head(head) => (1, self.number(f64::from(head.status))?, self.latin1(&head)?, None),
            Event::Chunk(bytes) => (2, undefined, undefined, Some(bytes)),
            Event::End => (3, undefined, undefined, None),
            Event::Drain => (4, undefined, undefined, None),
            Event::Message { text, bytes } => {
                (5, self.number(f64::from(u8::from(text)))?, undefined, Some(bytes))
            }
            Event::Closed { code, reason } => {
                (6, self.number(f64::from(code))?, self.utf8(reason.as_bytes())?, None)
            }
            Event::Notice { kind, fields } => {
                (7, self.number(f64::from(kind as u8))?, self.latin1_text(&fields)?, None)
            }
            Event::Failed(error) => (8, failure::value(self.env, &error)?, undefined, None),
            Event::Stack(stack) => (10, self.utf8(stack.as_bytes())?, undefined, None),
            Event::Loaded(Ok(())) => (9, undefined, undefined, None),
            Event::Loaded(Err(error)) => (9, failure::value(self.env, &error)?, undefined, None),
        };
        let kind = self.number(f64::from(kind))?;
        let (c, d) = match body {
            None => (undefined, undefined),
            Some(bytes) => self.body(bytes)?,
        };
        for value in [kind, id, a, b, c, d] {
            // SAFETY: all values belong to the running call.
            check(unsafe { sys::napi_set_element(self.env.raw(), self.array, self.length, value) })?;
            self.length += 1;
        }
        Ok(())
    }

    fn body(&mut self, bytes: Vec<u8>) -> Result<(sys::napi_value, sys::napi_value)> {
        let length = bytes.len();
        if length <= SHARED_BODY && self.shared.len() + length <= SHARED_TOTAL {
            let offset = self.shared.len();
            self.shared.extend_from_slice(&bytes);
            #[expect(clippy::cast_precision_loss, reason = "both are below SHARED_TOTAL")]
            return Ok((self.number(offset as f64)?, self.number(length as f64)?));
        }
        let buffer = if length < HANDED_OVER { self.copied(&bytes)? } else { self.handed_over(bytes)? };
        Ok((buffer, self.number(-1.0)?))
    }

    fn copied(&self, bytes: &[u8]) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        let mut data = ptr::null_mut();
        // SAFETY: Node copies `bytes.len()` bytes from a live slice.
        check(unsafe {
            sys::napi_create_buffer_copy(
                self.env.raw(),
                bytes.len(),
                bytes.as_ptr().cast(),
                &raw mut data,
                &raw mut value,
            )
        })?;
        Ok(value)
    }

    fn handed_over(&self, bytes: Vec<u8>) -> Result<sys::napi_value> {
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
                self.env.raw(),
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
        self.copied(&bytes)
    }

    fn latin1(&self, head: &ResponseHead) -> Result<sys::napi_value> {
        self.latin1_text(&head.headers)
    }

    fn latin1_text(&self, text: &[u8]) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: Node copies from a live slice.
        check(unsafe {
            sys::napi_create_string_latin1(
                self.env.raw(),
                text.as_ptr().cast::<c_char>(),
                text.len().cast_signed(),
                &raw mut value,
            )
        })?;
        Ok(value)
    }

    fn utf8(&self, text: &[u8]) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: Node copies from a live slice.
        check(unsafe {
            sys::napi_create_string_utf8(
                self.env.raw(),
                text.as_ptr().cast::<c_char>(),
                text.len().cast_signed(),
                &raw mut value,
            )
        })?;
        Ok(value)
    }

    fn number(&self, number: f64) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: `env` is that of the running call.
        check(unsafe { sys::napi_create_double(self.env.raw(), number, &raw mut value) })?;
        Ok(value)
    }

    fn undefined(&self) -> Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: `env` is that of the running call.
        check(unsafe { sys::napi_get_undefined(self.env.raw(), &raw mut value) })?;
        Ok(value)
    }
}
