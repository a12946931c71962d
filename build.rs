//! Compresses static files at build time: the files in `static/`, and those of Swagger UI, whose version `Cargo.lock` pins.
//!
//! The only encoding is gzip. Browsers accept Brotli only over HTTPS, and most farms use plain HTTP in their own network.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    io::{Cursor, Read as _, Write as _},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// Files of Swagger UI that the page of the API needs, and its license.
const SWAGGER_UI: [&str; 4] = ["LICENSE", "NOTICE", "dist/swagger-ui.css", "dist/swagger-ui-bundle.js"];

/// A path below `/static/` and its content.
type StaticFile = (String, Vec<u8>);

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=static");
    // `sqlx::migrate!` does not notice a new file by itself.
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("static");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut contents = swagger_ui()?;
    for file in files(&root)? {
        let path = file.strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
        contents.push((path, fs::read(&file)?));
    }

    let mut table = String::from("/// The path below `/static/` and the compressed content of each file.\n");
    table.push_str("const COMPRESSED: &[(&str, &[u8])] = &[\n");
    for (number, (path, content)) in contents.iter().enumerate() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content)?;
        let compressed = out.join(format!("{number}.gz"));
        fs::write(&compressed, encoder.finish()?)?;
        writeln!(table, "    ({path:?}, include_bytes!({compressed:?})),")?;
    }
    table.push_str("];\n");
    fs::write(out.join("static_files.rs"), table)?;
    Ok(())
}

/// Returns the files of Swagger UI, each with its path below `/static/`.
fn swagger_ui() -> Result<Vec<StaticFile>, Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let folder = archive.by_index(0)?.name()?.into_owned();
    let read = |file: &str| {
        let mut content = Vec::new();
        archive.by_name(&format!("{folder}{file}"))?.read_to_end(&mut content)?;
        Ok((format!("vendor/swagger-ui/{}", file.trim_start_matches("dist/")), content))
    };
    SWAGGER_UI.into_iter().map(read).collect()
}

/// Returns all files below a folder. Each folder is sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>, std::io::Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
