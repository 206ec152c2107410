//! Gives the shared library its soname, so that programs record the ABI number and not a file name.

/// The ABI number of `librets.so`. It is not the version of the crate: it moves only when a program
/// that was linked against an older library could no longer run.
const ABI: u32 = 0;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=RETS_ABI={ABI}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,librets.so.{ABI}");
    // The Rust runtime registers destructors on the host's threads; unloading the code under them
    // would crash the host when such a thread ends.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
