//! Bodies of library files.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        file::{AnalysisState, FileFormat, FileOverrides, LibraryFile, LibraryFolder, normalize_folder},
        gcode::{Bounds, Slicer, ToolFacts},
        validation::ValidationErrors,
    },
    http::api::{
        list::export::CsvRow,
        request::merge_patch::{deserialize_nullable, reject_null},
    },
    service::files::FilePatch,
};

/// The form of an upload to the library.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes the form for the document; the parts are read one by one")]
pub struct FileUploadForm {
    /// Folder in the library. Send it before the file. Empty or absent: the top folder.
    folder: Option<String>,
    /// The content, with a file name.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A file of the library. Null, and an empty list, mean that the file does not say.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = File)]
pub struct FileBody {
    id: Uuid,
    name: String,
    /// Folders are separated by `/`. Empty: the top folder.
    folder: String,
    /// Bytes.
    size: u64,
    /// Hash of the content, in hexadecimal digits.
    sha256: String,
    /// Printers get G-code as text, whatever the format is.
    format: FileFormat,
    created_at: DateTime<Utc>,
    /// When the content or the name changed last.
    updated_at: DateTime<Utc>,
    /// Name of the token or user that uploaded the content.
    created_by: String,
    analysis: AnalysisState,
    slicer: Option<FileSlicerBody>,
    printer_model: Option<String>,
    /// Millimetres, one for each tool.
    nozzle_mm: Vec<f64>,
    layer_height_mm: Option<f64>,
    /// The slicer's estimate.
    estimated_print_time_s: Option<u64>,
    /// Number of objects on the plate.
    objects: Option<u32>,
    tools: Vec<ToolFacts>,
    /// Bounds of the moves that extrude.
    bounds_mm: Option<FileBoundsBody>,
    /// Width and depth of the bed that the file is for.
    bed_mm: Option<[f64; 2]>,
    /// Sizes of the pictures, in pixels: `GET /files/{id}/thumbnail`.
    thumbnails: Vec<ThumbnailSizeBody>,
    /// Corrections of the fields above, which already contain them.
    overrides: FileOverrides,
    version: i64,
}

/// The program that made a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileSlicer)]
struct FileSlicerBody {
    name: String,
    version: Option<String>,
}

/// A box, in millimetres: x, y, z.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileBounds)]
struct FileBoundsBody {
    min: [f64; 3],
    max: [f64; 3],
}

/// Size of a picture, in pixels.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ThumbnailSize)]
struct ThumbnailSizeBody {
    width: u32,
    height: u32,
}

impl From<LibraryFile> for FileBody {
    fn from(file: LibraryFile) -> Self {
        let facts = file.facts();
        let thumbnails = file.content.thumbnails.iter();
        Self {
            thumbnails: thumbnails
                .map(|(width, height)| ThumbnailSizeBody { width: *width, height: *height })
                .collect(),
            id: file.id,
            name: file.name,
            folder: file.folder,
            size: file.content.size,
            sha256: file.content.sha256,
            format: file.content.format,
            created_at: file.created_at,
            updated_at: file.updated_at,
            created_by: file.created_by,
            analysis: file.content.analysis,
            slicer: facts.slicer.map(|Slicer { name, version }| FileSlicerBody { name, version }),
            printer_model: facts.printer_model,
            nozzle_mm: facts.nozzle_mm,
            layer_height_mm: facts.layer_height_mm,
            estimated_print_time_s: facts.estimated_print_time_s,
            objects: facts.objects,
            tools: facts.tools,
            bounds_mm: facts.bounds_mm.map(|Bounds { min, max }| FileBoundsBody { min, max }),
            bed_mm: facts.bed_mm,
            overrides: file.overrides,
            version: file.version,
        }
    }
}

impl CsvRow for FileBody {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "folder",
        "size",
        "sha256",
        "format",
        "created_at",
        "updated_at",
        "created_by",
        "analysis",
        "slicer",
        "printer_model",
        "nozzle_mm",
        "layer_height_mm",
        "estimated_print_time_s",
        "objects",
        "tools",
        "bounds_mm",
        "bed_mm",
        "thumbnails",
        "overrides",
        "version",
    ];
}

/// A folder with files.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileFolder)]
pub struct FileFolderBody {
    /// Empty: the top folder.
    folder: String,
    /// Number of files directly in it.
    files: u64,
}

impl From<LibraryFolder> for FileFolderBody {
    fn from(folder: LibraryFolder) -> Self {
        Self { folder: folder.folder, files: folder.files }
    }
}

/// A merge patch for a file.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FilePatch, example = json!({"folder": "brackets", "overrides": {"printer_model": "MK4"}}))]
pub struct FilePatchBody {
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Option<String>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<String>, max_length = 500)]
    folder: Option<Option<String>>,
    /// Null ends all corrections.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schema(value_type = Option<FileOverrides>)]
    overrides: Option<Option<OverridesPatchBody>>,
}

/// A merge patch for the corrections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverridesPatchBody {
    #[serde(default, deserialize_with = "deserialize_nullable")]
    printer_model: Option<Option<String>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    nozzle_mm: Option<Option<Vec<f64>>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    layer_height_mm: Option<Option<f64>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    estimated_print_time_s: Option<Option<u64>>,
    #[serde(default, deserialize_with = "deserialize_nullable")]
    tools: Option<Option<Vec<ToolFacts>>>,
}

impl FilePatchBody {
    /// Returns the change of a file with these corrections.
    pub fn into_patch(self, before: &FileOverrides) -> Result<FilePatch, ValidationErrors> {
        let mut invalid = ValidationErrors::default();
        let name = reject_null(self.name, || invalid.add("/name", "null", "rule-no-null"));
        let folder = self.folder.map(|folder| normalize_folder(&folder.unwrap_or_default()));
        let overrides = self.overrides.map(|patch| patch.map(|patch| patch.apply(before)).unwrap_or_default());
        invalid.into_result(FilePatch { name, folder, overrides })
    }
}

impl OverridesPatchBody {
    fn apply(self, before: &FileOverrides) -> FileOverrides {
        let before = before.clone();
        FileOverrides {
            printer_model: self.printer_model.unwrap_or(before.printer_model),
            nozzle_mm: self.nozzle_mm.unwrap_or(before.nozzle_mm),
            layer_height_mm: self.layer_height_mm.unwrap_or(before.layer_height_mm),
            estimated_print_time_s: self.estimated_print_time_s.unwrap_or(before.estimated_print_time_s),
            tools: self.tools.unwrap_or(before.tools),
        }
    }
}
