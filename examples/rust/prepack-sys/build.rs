//! Finds libprepack: in the folder PREPACK_LIB_DIR, or by asking pkg-config.
use std::env;
use std::process::{exit, Command};

fn main() {
    for name in [
        "PREPACK_LIB_DIR",
        "PKG_CONFIG",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_LIBDIR",
        "PKG_CONFIG_SYSROOT_DIR",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let mut libraries = vec!["prepack"];
    if env::var_os("CARGO_FEATURE_TOKENIZER").is_some() {
        libraries.push("prepack-tokenizer");
    }
    if let Ok(folder) = env::var("PREPACK_LIB_DIR") {
        println!("cargo:rustc-link-search=native={folder}");
        for library in libraries {
            println!("cargo:rustc-link-lib={library}");
        }
        return;
    }
    match ask_pkg_config(&libraries) {
        Ok(words) => words.split_whitespace().for_each(pass_on),
        Err(reason) => {
            eprintln!(
                "libprepack was not found: {reason}\n\
                 Install it (meson install), and if it is not where pkg-config looks by itself, say so: \
                 PKG_CONFIG_PATH is the folder of prepack.pc, or PREPACK_LIB_DIR that of libprepack.so."
            );
            exit(1);
        }
    }
}

/// What a program links with, or a sentence.
fn ask_pkg_config(libraries: &[&str]) -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let output = Command::new(&program)
        .args(["--libs", "--print-errors"])
        .args(
            libraries
                .iter()
                .map(|library| format!("{library} >= 0.1.0")),
        )
        .output()
        .map_err(|e| format!("{program} could not be run: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} said: {}", said.trim()))
}

fn pass_on(word: &str) {
    if let Some(folder) = word.strip_prefix("-L") {
        println!("cargo:rustc-link-search=native={folder}");
    } else if let Some(library) = word.strip_prefix("-l") {
        println!("cargo:rustc-link-lib={library}");
    }
}
