//! Finds functions of libpython that only some versions have, at run time.

use std::ffi::{CStr, c_void};

/// The address of an exported function, or `None`.
#[cfg(unix)]
pub(super) fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: `name` ends with NUL and RTLD_DEFAULT is always valid; dlsym only reads. libpython is in the
    // global scope since `lib/native.js` loaded it so; test/python-matrix.test.mjs starts every version.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// The address of an exported function, or `None`.
#[cfg(windows)]
pub(super) fn find(name: &CStr) -> Option<*mut c_void> {
    unsafe extern "system" {
        fn GetModuleHandleA(name: *const std::ffi::c_char) -> *mut c_void;
        fn GetProcAddress(module: *mut c_void, name: *const std::ffi::c_char) -> *mut c_void;
    }
    // SAFETY: both names end with NUL; a null module handle is answered with null by GetProcAddress.
    let address = unsafe { GetProcAddress(GetModuleHandleA(c"python3.dll".as_ptr()), name.as_ptr()) };
    (!address.is_null()).then_some(address)
}
