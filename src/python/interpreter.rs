//! Starts CPython as the interpreter that was found, on the Python thread.
//!
//! Only the program's name is set, before initialisation: CPython's own path configuration and `site`
//! then find the standard library, `pyvenv.cfg` and `.pth` files as they do for that executable.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use pyo3::ffi;
use pyo3::prelude::*;

use super::{exit, symbol};

/// Starts CPython on the calling thread, which becomes `threading.main_thread()` and holds the GIL afterwards.
/// No signal handler is installed.
///
/// # Errors
/// What CPython says, where the version can say it (3.14 and later).
pub(crate) fn start(executable: &str) -> Result<(), String> {
    // SAFETY: reads a flag that is valid before and after initialisation.
    if unsafe { ffi::Py_IsInitialized() } != 0 {
        return Err("another part of this process has started CPython already".to_owned());
    }
    match symbol::find(c"PyInitConfig_Create") {
        Some(create) => start_configured(create, executable),
        None => start_named(executable),
    }
}

/// Whether `python3` would run in its UTF-8 mode here (PEP 540): it is asked for, or the locale is that of C, as under
/// Docker, systemd and cron. An interpreter that is embedded is not asked this by CPython itself.
fn wants_utf8() -> bool {
    match std::env::var("PYTHONUTF8").as_deref() {
        Ok("1") => true,
        Ok("0") => false,
        _ => is_c_locale(),
    }
}

#[cfg(unix)]
fn is_c_locale() -> bool {
    // SAFETY: sets what CPython is about to set in the same way; the name belongs to libc until the next call, and is
    // read before that. A locale that is not installed is none: C's stays.
    unsafe {
        libc::setlocale(libc::LC_CTYPE, c"".as_ptr());
        let name = libc::setlocale(libc::LC_CTYPE, std::ptr::null());
        !name.is_null() && matches!(CStr::from_ptr(name).to_bytes(), b"C" | b"POSIX")
    }
}

#[cfg(not(unix))]
fn is_c_locale() -> bool {
    false
}

/// 3.14 and later (PEP 741).
fn start_configured(create: *mut c_void, executable: &str) -> Result<(), String> {
    type Config = *mut c_void;
    let executable = CString::new(executable).map_err(|error| error.to_string())?;
    let (Some(set_str), Some(set_int), Some(initialize), Some(get_error), Some(free)) = (
        symbol::find(c"PyInitConfig_SetStr"),
        symbol::find(c"PyInitConfig_SetInt"),
        symbol::find(c"Py_InitializeFromInitConfig"),
        symbol::find(c"PyInitConfig_GetError"),
        symbol::find(c"PyInitConfig_Free"),
    ) else {
        return Err("its libpython lacks a part of the PyInitConfig interface".to_owned());
    };
    // SAFETY: the five functions have these types in every version that has them (PEP 741, C API docs
    // "Python Initialization Configuration"); the strings end with NUL and outlive the calls, `config` is
    // freed once and not used after. The matrix test starts 3.14 and later where found.
    unsafe {
        let create = std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> Config>(create);
        let set_str = std::mem::transmute::<
            *mut c_void,
            unsafe extern "C" fn(Config, *const c_char, *const c_char) -> c_int,
        >(set_str);
        let set_int = std::mem::transmute::<
            *mut c_void,
            unsafe extern "C" fn(Config, *const c_char, i64) -> c_int,
        >(set_int);
        let initialize =
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(Config) -> c_int>(initialize);
        let get_error = std::mem::transmute::<
            *mut c_void,
            unsafe extern "C" fn(Config, *mut *const c_char) -> c_int,
        >(get_error);
        let free = std::mem::transmute::<*mut c_void, unsafe extern "C" fn(Config)>(free);

        let config = create();
        if config.is_null() {
            return Err("out of memory".to_owned());
        }
        // Said as far as the version knows them: the locale is the user's, as for the executable.
        set_int(config, c"configure_locale".as_ptr(), 1);
        set_int(config, c"utf8_mode".as_ptr(), i64::from(wants_utf8()));
        // PyInitConfig starts from the isolated configuration; the environment and the user's
        // site-packages count here, as they do for the executable itself.
        let failed = set_int(config, c"isolated".as_ptr(), 0) < 0
            || set_int(config, c"use_environment".as_ptr(), 1) < 0
            || set_int(config, c"user_site_directory".as_ptr(), 1) < 0
            || set_int(config, c"install_signal_handlers".as_ptr(), 0) < 0
            || set_str(config, c"program_name".as_ptr(), executable.as_ptr()) < 0
            || initialize(config) < 0;
        let mut message: *const c_char = std::ptr::null();
        let result = if failed {
            get_error(config, &raw mut message);
            Err(if message.is_null() {
                "initialisation failed".to_owned()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            })
        } else {
            Ok(())
        };
        free(config);
        result
    }
}

/// Up to 3.13, where `Py_SetProgramName` exists in all.
fn start_named(executable: &str) -> Result<(), String> {
    let Some(set_program_name) = symbol::find(c"Py_SetProgramName") else {
        return Err("its libpython has neither PyInitConfig_Create nor Py_SetProgramName".to_owned());
    };
    let wide: Vec<libc::wchar_t> =
        executable.chars().map(|character| character as libc::wchar_t).chain([0]).collect();
    if let Some(utf8_mode) = symbol::find(c"Py_UTF8Mode")
        && wants_utf8()
    {
        // SAFETY: `int Py_UTF8Mode` in every version that has it, read by `Py_InitializeEx` on this thread.
        unsafe { *utf8_mode.cast::<c_int>() = 1 };
    }
    // CPython keeps the pointer for the life of the process.
    let wide: &'static [libc::wchar_t] = wide.leak();
    // SAFETY: the type is that of `void Py_SetProgramName(const wchar_t *)`, the text ends with 0 and is
    // never freed; called before initialisation, on the thread that then initialises.
    unsafe {
        let set_program_name =
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*const libc::wchar_t)>(set_program_name);
        set_program_name(wide.as_ptr());
        ffi::Py_InitializeEx(0);
    }
    Ok(())
}

/// The first thing after the start, before any extension module is imported: lets extension modules
/// bind to their own libraries before Node's (`RTLD_DEEPBIND`), and gives Python streams that get on with Node's.
///
/// # Errors
/// A Python exception; none is expected.
pub(crate) fn settle_in(py: Python<'_>, dlopen_flags: Option<i32>) -> PyResult<()> {
    let sys = py.import("sys")?;
    if let Some(flags) = dlopen_flags {
        sys.call_method1("setdlopenflags", (flags,))?;
    }
    exit::follow_extensions(py)?;
    sys.setattr("argv", vec![""])?;
    let streams = CString::new(include_str!("streams.py"))?;
    PyModule::from_code(py, &streams, c"python_node/streams.py", c"_python_node_streams")?
        .call_method0("settle_in")?;
    Ok(())
}
