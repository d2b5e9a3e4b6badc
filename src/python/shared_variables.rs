//! Variables of libc and libstdc++ that exist twice, for libraries loaded with `RTLD_DEEPBIND`.
//!
//! Node's executable holds copies of some (`R_X86_64_COPY`: `environ`, `std::cout`, `timezone`), and libc and
//! libstdc++ themselves work with these copies. A library loaded with the flag looks into libc before the
//! executable and finds the original, which nobody ever sets: `os.environ` was empty, and writing to
//! `std::cout` crashed.
//!
//! ```text
//!  ordinary library ─► executable's symbol ─► copy ◄─ libc itself
//!                                              ▲
//!  RTLD_DEEPBIND ─► libc's symbol ─────────────┘ (before: ─► original)
//! ```
//!
//! So libc's symbols are made to lead to the copies. Whatever is loaded from then on is bound to them by
//! glibc, before its constructors run, by whichever dlopen, on whichever thread; and nothing is done per
//! library. What was loaded before is bound already: libpython's pointers are changed; its own libraries, and
//! others with the flag, keep the originals, with the values of that moment.
//!
//! Called by `asgi::event_loop_handle` once, on the thread that starts Python, before CPython's own.
//! test/shared-variables.test.mjs; test/python-matrix.test.mjs, `environment` and `C++ streams`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{Elf64_Phdr, Elf64_Sym};

const ENVIRON: &CStr = c"environ";

/// Each by one of its names; its other names (`__environ`) are found by the address.
const VARIABLES: [(&CStr, &[&CStr]); 2] = [
    (c"libc.so.6", &[ENVIRON, c"stdin", c"stdout", c"stderr", c"timezone", c"tzname", c"daylight"]),
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

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: usize,
    info: u64,
    addend: i64,
}

/// `Elf64_Dyn`.
#[repr(C)]
struct Entry {
    tag: i64,
    value: usize,
}

/// `struct link_map`, which glibc's `dlopen` returns: its public part.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
    dynamic: *const Entry,
}

const RTLD_DL_SYMENT: c_int = 1;
const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_JMPREL: i64 = 23;
/// The kinds of relocations, which follow one another on both.
const COPY: u32 = if cfg!(target_arch = "x86_64") { 5 } else { 1024 };
const GLOB_DAT: u32 = COPY + 1;
const JUMP_SLOT: u32 = COPY + 2;

/// Where a variable is used, and where libraries with `RTLD_DEEPBIND` look for it.
struct Variable {
    copy: usize,
    original: usize,
}

/// Makes libpython, and what is loaded from now on, share the executable's copies. And makes libpython load
/// extension modules with `RTLD_DEEPBIND` from the start: `.pth` files import some while CPython starts,
/// before `sys.setdlopenflags` can be called.
pub(crate) fn bind(libpython: &CStr) {
    unsafe extern "C" fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void {
        // SAFETY: the caller's contract is that of dlopen.
        unsafe { libc::dlopen(name, flags | libc::RTLD_DEEPBIND) }
    }
    let variables = lead_to_copies();
    let Some(libpython) = loaded(Some(libpython)) else { return };
    for (slot, name, _) in relocations(libpython, &[GLOB_DAT, JUMP_SLOT]) {
        // SAFETY: a relocation of these kinds is a pointer in the library, which is relocated (RTLD_NOW).
        let value = unsafe { (*(slot as *const AtomicUsize)).load(Ordering::Relaxed) };
        let bound = match variables.iter().find(|variable| variable.original == value) {
            Some(variable) => variable.copy,
            None if name == c"dlopen" => dlopen as *const () as usize,
            None => continue,
        };
        // SAFETY: `slot` as above, and of a library that stays. Who reads it meanwhile finds either address,
        // and both are of such a variable or function. Broken, the matrix test's `environment` and `OpenSSL,
        // zlib, expat` fail.
        unsafe { write(slot, bound) };
    }
}

/// Gives the originals what the copies hold, and their symbols the address of the copies.
fn lead_to_copies() -> Vec<Variable> {
    let copies = loaded(None).map(|executable| relocations(executable, &[COPY])).unwrap_or_default();
    let mut variables = Vec::new();
    for (library, names) in VARIABLES {
        let Some(library) = loaded(Some(library)) else { continue };
        for &name in names {
            let handle = std::ptr::from_ref(library).cast_mut().cast();
            // SAFETY: the handle is dlopen's and the name ends with NUL; dlsym only reads.
            let (used, original) = unsafe {
                (libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()), libc::dlsym(handle, name.as_ptr()) as usize)
            };
            let Some((copy, _, size)) = copies.iter().find(|(copy, _, _)| *copy == used as usize) else {
                continue;
            };
            if original == *copy {
                continue;
            }
            let Some(symbol) = symbol_at(original) else { continue };
            // SAFETY: both begin a variable of at least this size, the executable's and libc's, which stay.
            // Nothing uses the original but libraries that were loaded with the flag before, and they found
            // it unset. The streams' inner pointers lead into the copy. Only Node's main thread changes
            // `environ`, which is this one unless a worker starts Python: then this is a race as each of
            // libc's own `getenv` is. Broken, shared-variables.test.mjs, `loaded before`, fails.
            unsafe {
                let size = (*symbol).st_size.min(*size) as usize;
                std::ptr::copy_nonoverlapping(*copy as *const u8, original as *mut u8, size);
                if name == ENVIRON {
                    keep(original as *mut *const *const c_char);
                }
            }
            lead(original, *copy);
            variables.push(Variable { copy: *copy, original });
        }
    }
    variables
}

/// Makes every symbol that leads to `original` lead to `copy`.
fn lead(original: usize, copy: usize) {
    while let Some(symbol) = symbol_at(original) {
        // SAFETY: the symbol is an entry in the table of a library that stays. Who looks it up meanwhile
        // finds either address. A value is relative to the library and may wrap: the executable may lie
        // below. Broken, shared-variables.test.mjs fails.
        let written = unsafe {
            let base = original.wrapping_sub((*symbol).st_value as usize);
            write(&raw mut (*symbol).st_value as usize, copy.wrapping_sub(base))
        };
        if !written {
            return;
        }
    }
}

/// A symbol that leads to an address and has not been changed.
fn symbol_at(address: usize) -> Option<*mut Elf64_Sym> {
    let mut symbol = std::ptr::null_mut();
    // SAFETY: dladdr1 fills in what it is given; with this flag it finds a symbol of `Elf64_Sym`. It takes
    // any address.
    let info = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        let found = libc::dladdr1(address as *const c_void, &raw mut info, &raw mut symbol, RTLD_DL_SYMENT);
        if found == 0 {
            return None;
        }
        info
    };
    (info.dli_saddr as usize == address && !symbol.is_null()).then_some(symbol.cast())
}

/// Puts a copy of the array that `environ` points to in its place: Node's next `process.env.NAME = value` may
/// free it.
///
/// # Safety
/// `environ` is null or points to an array that ends with null, and nobody changes it now.
unsafe fn keep(environ: *mut *const *const c_char) {
    // SAFETY: the caller's contract. The strings themselves are never freed, neither by glibc nor by the
    // kernel.
    unsafe {
        let array = *environ;
        if !array.is_null() {
            let length = (0..).take_while(|&index| !(*array.add(index)).is_null()).count();
            *environ = std::slice::from_raw_parts(array, length + 1).to_vec().leak().as_ptr();
        }
    }
}

/// A library that is loaded, or the executable.
fn loaded(library: Option<&CStr>) -> Option<&'static LinkMap> {
    let name = library.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: takes a reference to what is loaded, or returns null. The reference is never given back, so
    // that the library stays as it is; glibc's handle is the link map.
    unsafe { libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD).cast::<LinkMap>().as_ref() }
}

/// Relocations of some kinds: their address, and their symbol's name and size.
fn relocations(library: &'static LinkMap, kinds: &[u32]) -> Vec<(usize, &'static CStr, u64)> {
    let mut found = Vec::new();
    // SAFETY: `library` is the link map of a library that is loaded and stays. Its dynamic section ends with
    // a null tag and says where the tables are, and relocations name symbols by their index in them.
    unsafe {
        let (mut strings, mut symbols, mut tables) = (0, 0, [(0, 0); 2]);
        let mut entry = library.dynamic;
        while (*entry).tag != 0 {
            let value = (*entry).value;
            // glibc has put addresses there, unless the section is read-only.
            let address = if value < library.base { library.base + value } else { value };
            match (*entry).tag {
                DT_STRTAB => strings = address,
                DT_SYMTAB => symbols = address,
                DT_RELA => tables[0].0 = address,
                DT_RELASZ => tables[0].1 = value,
                DT_JMPREL => tables[1].0 = address,
                DT_PLTRELSZ => tables[1].1 = value,
                _ => {}
            }
            entry = entry.add(1);
        }
        for (table, size) in tables {
            for index in 0..size / size_of::<Relocation>() {
                let relocation = &*(table as *const Relocation).add(index);
                if kinds.contains(&(relocation.info as u32)) {
                    let symbol = &*(symbols as *const Elf64_Sym).add((relocation.info >> 32) as usize);
                    let name = CStr::from_ptr((strings as *const c_char).add(symbol.st_name as usize));
                    found.push((library.base + relocation.offset, name, symbol.st_size));
                }
            }
        }
    }
    found
}

/// Writes to a page that may be read-only, and leaves the page as it was. Says whether it could.
///
/// # Safety
/// `address` is the place of a word in a library that stays, and others may find either value in it.
unsafe fn write(address: usize, value: usize) -> bool {
    // SAFETY: asks for a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
    let page = address & !(size - 1);
    let mut search = Search { address, size, protection: None };
    // SAFETY: `protection_in` gets the `Search` it expects, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(protection_in), (&raw mut search).cast()) };
    let Some(protection) = search.protection else { return false };
    let protect = |protection| {
        // SAFETY: the page is mapped, and only gains a permission and loses it again: threads that read or
        // run what is on it go on.
        let result = unsafe { libc::mprotect(page as *mut c_void, size, protection) };
        if result != 0 {
            log::warn!("cannot change the protection of a library's page: {}", Error::last_os_error());
        }
        result == 0
    };
    let is_writable = protection & libc::PROT_WRITE != 0;
    if !is_writable && !protect(protection | libc::PROT_WRITE) {
        return false;
    }
    // SAFETY: the page can be written to; the caller's contract.
    unsafe { (*(address as *const AtomicUsize)).store(value, Ordering::Relaxed) };
    if !is_writable {
        protect(protection);
    }
    true
}

/// What is looked for in the libraries' program headers.
struct Search {
    address: usize,
    /// Of a page.
    size: usize,
    protection: Option<c_int>,
}

/// Finds how the page of an address was protected when its library was loaded.
unsafe extern "C" fn protection_in(info: *mut libc::dl_phdr_info, _: usize, search: *mut c_void) -> c_int {
    // SAFETY: glibc calls this with a library's headers, which stay while it does, and with what `write` gave
    // it.
    let (base, headers, search) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum));
        (info.dlpi_addr as usize, headers, &mut *search.cast::<Search>())
    };
    let range = |header: &Elf64_Phdr| {
        let begin = base.wrapping_add(header.p_vaddr as usize);
        begin..begin.wrapping_add(header.p_memsz as usize)
    };
    let is_segment =
        |header: &&Elf64_Phdr| header.p_type == libc::PT_LOAD && range(header).contains(&search.address);
    let Some(segment) = headers.iter().find(is_segment) else { return 0 };
    // glibc rounds both ends down: a page at the end that is partly of other data stays writable.
    let is_relro = headers.iter().filter(|header| header.p_type == libc::PT_GNU_RELRO).any(|header| {
        let pages = range(header);
        let page = search.address / search.size;
        (pages.start / search.size..pages.end / search.size).contains(&page)
    });
    let flags = if is_relro { segment.p_flags & !libc::PF_W } else { segment.p_flags };
    let protection =
        [(libc::PF_R, libc::PROT_READ), (libc::PF_W, libc::PROT_WRITE), (libc::PF_X, libc::PROT_EXEC)]
            .iter()
            .filter(|(flag, _)| flags & flag != 0)
            .fold(libc::PROT_NONE, |sum, (_, bit)| sum | bit);
    search.protection = Some(protection);
    1
}
