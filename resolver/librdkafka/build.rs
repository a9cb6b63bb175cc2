//! librdkafka unloads a plugin with the configuration that named it; this one's threads and callbacks stay.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtracer_interceptors.so");
    // Nothing in the library walks up a stack: `src/caller.rs` has what is called instead.
    println!("cargo::rustc-cdylib-link-arg=-Wl,--wrap=_Unwind_Backtrace");
    // The library's own unwinder is not the program's: `src/unwinding.rs` has what is called instead.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        for function in ["GetLanguageSpecificData", "GetRegionStart", "GetIPInfo", "SetGR", "SetIP", "Resume"] {
            println!("cargo::rustc-cdylib-link-arg=-Wl,--wrap=_Unwind_{function}");
        }
    }
}
