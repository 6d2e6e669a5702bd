//! Has the shared message derive the traits of the other formats, too.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(peers)");
    println!("cargo::rustc-cfg=peers");
    println!("cargo::rerun-if-changed=build.rs");
}
