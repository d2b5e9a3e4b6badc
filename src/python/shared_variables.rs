//! Variables of libc and libstdc++ that exist twice, for libraries bound with `RTLD_DEEPBIND`.
//!
//! Node's executable holds copies of some (`R_X86_64_COPY`: `environ`, `std::cout`), and libc and libstdc++
//! themselves work with these copies. A library loaded with `RTLD_DEEPBIND` finds the originals, which nobody
//! ever set: `os.environ` was empty, and writing to `std::cout` crashed. So the originals get what the copies
//! hold; and where a library assigns to `environ`, or reads it late, the library is bound to the copy.
//! test/python-matrix.test.mjs, `environment` and `C++ streams`.

use std::ffi::{CStr, c_char, c_int, c_void};

/// The streams' constructors ran on the executable's copies.
const VARIABLES: [(&CStr, &[&CStr]); 2] = [
    (c"libc.so.6", &[c"environ", c"stdin", c"stdout", c"stderr"]),
    (
        c"libstdc++.so.6",
        &[
            c"_ZSt3cin",
            c"_ZSt4cout",
            c"_ZSt4cerr",
            c"_ZSt4clog",
            c"_ZSt4wcin",
            c"_ZSt5wcout",
            c"_ZSt5wcerr",
            c"_ZSt5wclog",
        ],
    ),
];

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: i64,
}

/// `Elf64_Dyn`.
#[repr(C)]
struct Entry {
    tag: i64,
    value: u64,
}

/// `struct link_map`, which glibc's `dlopen` returns: its public part.
#[repr(C)]
struct LinkMap {
    base: u64,
    name: *const c_char,
    dynamic: *const Entry,
}

unsafe extern "C" {
    fn dladdr1(
        address: *const c_void,
        info: *mut libc::Dl_info,
        extra: *mut *mut c_void,
        flags: c_int,
    ) -> c_int;
}

const RTLD_DL_SYMENT: c_int = 1;
const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_JMPREL: i64 = 23;
#[cfg(target_arch = "x86_64")]
const GLOB_DAT: u32 = 6;
#[cfg(target_arch = "x86_64")]
const JUMP_SLOT: u32 = 7;
#[cfg(target_arch = "aarch64")]
const GLOB_DAT: u32 = 1025;
#[cfg(target_arch = "aarch64")]
const JUMP_SLOT: u32 = 1026;

/// Gives the originals what the executable's copies hold. To be called before CPython starts.
pub(crate) fn copy() {
    for (library, names) in VARIABLES {
        // SAFETY: looks for a library that is loaded already, and only takes a reference to it.
        let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        if handle.is_null() {
            continue;
        }
        for name in names {
            // SAFETY: the handle is valid and the name ends with NUL; dlsym only reads.
            let (used, original) = unsafe {
                (libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()), libc::dlsym(handle, name.as_ptr()))
            };
            if used.is_null() || original.is_null() || used == original {
                continue;
            }
            // SAFETY: `original` is the start of a variable of the size that its symbol says, and `used` is the
            // executable's copy of it, as large. Nothing reads the original but what was loaded with
            // RTLD_DEEPBIND just now. The streams' inner pointers lead into the copy, which lives as long as
            // the process. Broken, the matrix test's `C++ streams` crashes.
            unsafe {
                let mut info = std::mem::zeroed();
                let mut symbol = std::ptr::null_mut();
                if dladdr1(original, &raw mut info, &raw mut symbol, RTLD_DL_SYMENT) != 0 && !symbol.is_null()
                {
                    let size = (*symbol.cast::<Symbol>()).size;
                    std::ptr::copy_nonoverlapping(used.cast::<u8>(), original.cast::<u8>(), size as usize);
                }
            }
        }
    }
}

/// Binds the `environ` of a loaded library to the one that libc works with.
pub(crate) fn bind_environment(library: &CStr) {
    // SAFETY: the name ends with NUL; dlsym only reads.
    let used = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"environ".as_ptr()) };
    bind(library, &[b"environ", b"__environ", b"_environ"], used);
}

/// Makes libpython load extension modules with `RTLD_DEEPBIND` from the start: `.pth` files import some while
/// CPython starts, before `sys.setdlopenflags` can be called.
pub(crate) fn bind_dlopen(library: &CStr) {
    unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
        // SAFETY: the caller's contract is that of dlopen.
        unsafe { libc::dlopen(name, flags | libc::RTLD_DEEPBIND) }
    }
    bind(library, &[b"dlopen"], dlopen as *mut c_void);
}

/// Makes a loaded library use `address` for a symbol.
fn bind(library: &CStr, names: &[&[u8]], address: *mut c_void) {
    // SAFETY: takes a reference to a library that is loaded, or returns null; it is never given back, so that
    // the library stays as it is.
    let map =
        unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) }.cast::<LinkMap>();
    if map.is_null() || address.is_null() {
        return;
    }
    // SAFETY: `map` is the link map of a library that is loaded and relocated (RTLD_NOW): glibc has put
    // addresses into the table of its dynamic section, which ends with a null tag. Every relocation of these
    // kinds is a pointer in the library, perhaps on a page made read-only after relocation. It is read by no
    // other thread now: the caller loaded the library, and has called nothing of it that uses the symbol.
    // Broken, the matrix test's `environment` and `OpenSSL, zlib, expat` fail.
    unsafe {
        let (mut strings, mut symbols, mut tables) = (0, 0, [(0, 0); 2]);
        let mut entry = (*map).dynamic;
        while (*entry).tag != 0 {
            let value = (*entry).value;
            match (*entry).tag {
                DT_STRTAB => strings = value,
                DT_SYMTAB => symbols = value,
                DT_RELA => tables[0].0 = value,
                DT_RELASZ => tables[0].1 = value,
                DT_JMPREL => tables[1].0 = value,
                DT_PLTRELSZ => tables[1].1 = value,
                _ => {}
            }
            entry = entry.add(1);
        }
        for (table, size) in tables {
            if strings == 0 || symbols == 0 || table == 0 {
                continue;
            }
            for index in 0..size as usize / size_of::<Relocation>() {
                let relocation = &*(table as *const Relocation).add(index);
                if !matches!(relocation.info as u32, GLOB_DAT | JUMP_SLOT) {
                    continue;
                }
                let symbol = &*(symbols as *const Symbol).add((relocation.info >> 32) as usize);
                let name = CStr::from_ptr((strings as *const c_char).add(symbol.name as usize));
                if names.contains(&name.to_bytes()) {
                    assign(((*map).base + relocation.offset) as *mut *mut c_void, address);
                }
            }
        }
    }
}

/// Writes to a slot on a page that may be read-only.
///
/// # Safety
/// `slot` is a pointer's place in a library, and nothing reads it now.
unsafe fn assign(slot: *mut *mut c_void, value: *mut c_void) {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let page = (slot as usize & !(size - 1)) as *mut c_void;
    // SAFETY: the page is mapped, it holds the slot. It stays writable, as it is in libraries linked without
    // `-z relro`.
    unsafe {
        if libc::mprotect(page, size, libc::PROT_READ | libc::PROT_WRITE) == 0 {
            *slot = value;
        }
    }
}
