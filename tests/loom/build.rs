//! The cfgs under which the library's files are compiled here, and here only: not in loom, nor in what loom uses.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for cfg in ["loom", "tine_seeded"] {
        println!("cargo::rustc-cfg={cfg}");
        println!("cargo::rustc-check-cfg=cfg({cfg})");
    }
}
