//! Makes programs find libtorch at run time, wherever it was found at build time.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    // torch-sys tells its direct dependents where libtorch is; with `doc-only` there is none.
    let Some(libtorch) = env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else {
        return Ok(());
    };
    // This package's own binary, tests, examples and benches find it by themselves ...
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.display());
    if env::var("CARGO_CFG_TARGET_OS")? == "linux" {
        // ... with the CUDA backend registered: no symbol of it is referenced, so that the linker
        // drops it unless told to keep it.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch");
    }
    // Documentation tests and dependents get none of these arguments. But what Cargo runs has on its
    // library path each native search path that lies in the target folder; so make one there.
    let link = PathBuf::from(env::var("OUT_DIR")?).join("libtorch");
    link_folder(&libtorch, &link)?;
    println!("cargo:rustc-link-search=native={}", link.display());
    // For dependents' build scripts, as DEP_TCH_LOSSES_LIBTORCH_LIB.
    println!("cargo:libtorch_lib={}", libtorch.display());
    Ok(())
}

#[cfg(unix)]
fn link_folder(original: &Path, link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(original, link),
    }
}

/// Windows has no rpath, and torch-sys names no folder there: its users set PATH, as for tch itself.
#[cfg(not(unix))]
fn link_folder(_original: &Path, _link: &Path) -> io::Result<()> {
    Ok(())
}
