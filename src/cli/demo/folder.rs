//! The folder with the data of the demo.

use std::path::{Path, PathBuf};

/// A private folder in the system's temporary folder. It is deleted on drop.
pub struct DemoFolder(PathBuf);

impl DemoFolder {
    /// Creates the folder.
    pub fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("printyard-demo-{}", printyard::clock::new_id()));
        create_private_folder(&path)?;
        Ok(Self(path))
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        // If this fails, the folder stays. It contains only the demo's data.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn create_private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}
