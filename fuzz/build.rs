//! The library's build script says where libtorch is; the fuzz targets must find it at run time.

fn main() {
    if let Ok(folder) = std::env::var("DEP_TCH_LOSSES_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
