//! The one symbol of the 3.9 stable ABI that CPython 3.8 lacks and PyO3 calls: `PyCMethod_New`.
//!
//! PyO3 passes a null class, for which it is the same as `PyCFunction_NewEx` (CPython 3.9,
//! `Objects/methodobject.c`). Defined here it also serves 3.9 and later, whose own is then not called.

use pyo3::ffi;

unsafe extern "C" {
    #[link_name = "PyCFunction_NewEx"]
    fn new_ex(
        definition: *mut ffi::PyMethodDef,
        this: *mut ffi::PyObject,
        module: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// See the module.
///
/// # Safety
/// As `PyCMethod_New`, with a null `_class`.
#[unsafe(no_mangle)]
unsafe extern "C" fn PyCMethod_New(
    definition: *mut ffi::PyMethodDef,
    this: *mut ffi::PyObject,
    module: *mut ffi::PyObject,
    _class: *mut ffi::PyTypeObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller keeps the contract of PyCMethod_New, whose first three arguments are those of
    // PyCFunction_NewEx. Broken, no pyclass works at all: every test on 3.8 fails.
    unsafe { new_ex(definition, this, module) }
}
