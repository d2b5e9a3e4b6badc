//! Tells the linker what an addon for Node.js leaves undefined; CPython's symbols stay undefined
//! too (`PYO3_BUILD_EXTENSION_MODULE`) and are satisfied by the libpython that `index.js` loads.

fn main() {
    napi_build::setup();
    println!("cargo:rerun-if-changed=build.rs");
}
