//! Reads what JavaScript passes, with as few crossings as there are values.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;

use napi::sys;
use napi::{Error, Result, Status};

/// Most heads fit: read in one crossing instead of two.
const USUAL_HEAD: usize = 2048;

fn check(status: sys::napi_status, what: &str) -> Result<()> {
    if status == sys::Status::napi_ok {
        return Ok(());
    }
    Err(Error::new(Status::InvalidArg, format!("cannot read {what}")))
}

/// A string's characters as latin-1 bytes. Characters above 0xff lose their upper half: `lib/request.js` admits none.
///
/// # Safety
/// `env` and `value` belong to the running call.
pub(crate) unsafe fn latin1(env: sys::napi_env, value: sys::napi_value) -> Result<Vec<u8>> {
    // On the stack: an allocation of this size is slow, and one of the right size is small.
    let mut usual = [MaybeUninit::<u8>::uninit(); USUAL_HEAD];
    let mut length = 0;
    // SAFETY: the buffer has USUAL_HEAD bytes, of which Node writes at most that many with the final NUL.
    let status = unsafe {
        sys::napi_get_value_string_latin1(env, value, usual.as_mut_ptr().cast(), USUAL_HEAD, &raw mut length)
    };
    check(status, "a string")?;
    if length < USUAL_HEAD - 1 {
        // SAFETY: Node has written `length` bytes.
        return Ok(unsafe { std::slice::from_raw_parts(usual.as_ptr().cast::<u8>(), length) }.to_vec());
    }
    // Perhaps cut: ask for the length and read again.
    // SAFETY: a null buffer asks for the length only.
    let status =
        unsafe { sys::napi_get_value_string_latin1(env, value, ptr::null_mut(), 0, &raw mut length) };
    check(status, "a string")?;
    let mut text: Vec<u8> = Vec::with_capacity(length + 1);
    // SAFETY: the buffer has room for `length` bytes and the final NUL.
    let status = unsafe {
        sys::napi_get_value_string_latin1(env, value, text.as_mut_ptr().cast(), length + 1, &raw mut length)
    };
    check(status, "a string")?;
    // SAFETY: Node has written `length` bytes. test/request.test.mjs, long heads.
    unsafe { text.set_len(length) };
    Ok(text)
}

/// A copy of a Buffer's or Uint8Array's bytes; `None` for undefined or null.
///
/// # Safety
/// `env` and `value` belong to the running call.
pub(crate) unsafe fn bytes(env: sys::napi_env, value: sys::napi_value) -> Result<Option<Vec<u8>>> {
    let mut kind = 0;
    // SAFETY: both belong to the running call.
    check(unsafe { sys::napi_typeof(env, value, &raw mut kind) }, "a body")?;
    if kind == sys::ValueType::napi_undefined || kind == sys::ValueType::napi_null {
        return Ok(None);
    }
    let mut data: *mut c_void = ptr::null_mut();
    let mut length = 0;
    // SAFETY: both belong to the running call; Node checks that the value is a view.
    let status = unsafe { sys::napi_get_buffer_info(env, value, &raw mut data, &raw mut length) };
    check(status, "a body: it must be a Buffer or a Uint8Array")?;
    if length == 0 || data.is_null() {
        return Ok(Some(Vec::new()));
    }
    let mut copy = Vec::with_capacity(length);
    // SAFETY: `data` has `length` bytes while this call runs (no JavaScript runs meanwhile); the copy is
    // made by pointer, since a SharedArrayBuffer may be written by another thread: then its content is
    // whatever was there. test/request.test.mjs, bodies.
    unsafe {
        ptr::copy_nonoverlapping(data.cast::<u8>(), copy.as_mut_ptr(), length);
        copy.set_len(length);
    }
    Ok(Some(copy))
}
