//! Analyses a content while it is received: its format, what it says about itself, and the text that printers get.

use std::io::{self, Read, Seek};

use sha1::{Digest, Sha1};

use crate::domain::{
    bgcode::{BgcodeDecoder, BgcodeError, BgcodeSink, MetadataBlock},
    file::{FileFormat, MAX_FILE_BYTES},
    gcode::{GcodeFacts, GcodeParser, Thumbnail, ThumbnailKind},
    message::Message,
    sliced_3mf::Sliced3mf,
};

/// Bytes at the start of a file that must contain no NUL if the file is text.
const TEXT_PROBE: usize = 4_096;

/// Why a content cannot be a file of the library. The message is for the user.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnalysisError {
    #[error("{0}")]
    UnknownFormat(Message),
    #[error("the G-code of the file is too large")]
    TooLarge,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What an analysis found.
#[derive(Debug)]
pub(super) struct AnalyzedContent {
    pub format: FileFormat,
    pub facts: GcodeFacts,
    /// Bytes of the text that printers get.
    pub print_size: u64,
    /// SHA-1 of that text, in hexadecimal digits.
    pub print_sha1: String,
}

/// Reads a content in pieces.
pub(super) struct ContentAnalyzer {
    name: String,
    reader: FormatReader,
    text: PrintText,
}

enum FormatReader {
    /// Nothing was read.
    Start,
    Text,
    Binary(Box<BgcodeDecoder>),
    /// The list of its entries is at its end, so it is read from disk.
    Sliced3mf,
}

/// The text that printers get.
struct PrintText {
    parser: GcodeParser,
    size: u64,
    sha1: Sha1,
}

impl PrintText {
    fn push(&mut self, text: &[u8]) {
        self.size += text.len() as u64;
        self.sha1.update(text);
        self.parser.push(text);
    }
}

impl BgcodeSink for PrintText {
    fn metadata(&mut self, block: MetadataBlock, key: &str, value: &str) {
        if block == MetadataBlock::File && key == "Producer" {
            self.parser.set_producer(value);
        } else {
            self.parser.push_setting(key, value);
        }
    }

    fn thumbnail(&mut self, kind: ThumbnailKind, width: u16, height: u16, data: Vec<u8>) {
        self.parser.push_thumbnail(Thumbnail { width: width.into(), height: height.into(), kind, data });
    }

    fn gcode(&mut self, text: &[u8]) {
        self.push(text);
    }
}

impl ContentAnalyzer {
    /// Starts the analysis of a file with this name.
    pub fn new(name: &str) -> Self {
        let text = PrintText { parser: GcodeParser::new(), size: 0, sha1: Sha1::new() };
        Self { name: name.to_owned(), reader: FormatReader::Start, text }
    }

    /// Reads the next bytes. The first piece has at least [`TEXT_PROBE`] bytes, or the whole content.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), AnalysisError> {
        if matches!(self.reader, FormatReader::Start) {
            self.reader = self.recognize(bytes)?;
        }
        match &mut self.reader {
            FormatReader::Start | FormatReader::Sliced3mf => {}
            FormatReader::Text => self.text.push(bytes),
            FormatReader::Binary(decoder) => decoder.push(bytes, &mut self.text).map_err(damaged_binary)?,
        }
        Ok(())
    }

    /// Returns the reader for a content that begins with these bytes. The content decides, not the name. Only text needs
    /// an extension, because any text could be G-code.
    fn recognize(&self, start: &[u8]) -> Result<FormatReader, AnalysisError> {
        if start.starts_with(b"GCDE") {
            return Ok(FormatReader::Binary(Box::new(BgcodeDecoder::with_limit(MAX_FILE_BYTES))));
        }
        if start.starts_with(b"PK\x03\x04") {
            return Ok(FormatReader::Sliced3mf);
        }
        let is_text = !start.iter().take(TEXT_PROBE).any(|byte| *byte == 0);
        match FileFormat::from_name(&self.name) {
            Some(FileFormat::Gcode | FileFormat::Bgcode) if is_text && !start.is_empty() => Ok(FormatReader::Text),
            Some(_) | None => Err(AnalysisError::UnknownFormat(Message::new("refusal-unknown-format"))),
        }
    }

    /// Ends the analysis. `stored` is the whole content.
    pub fn finish(mut self, stored: impl Read + Seek) -> Result<AnalyzedContent, AnalysisError> {
        let format = match self.reader {
            FormatReader::Start => return Err(AnalysisError::UnknownFormat(Message::new("refusal-empty-file"))),
            FormatReader::Text => FileFormat::Gcode,
            FormatReader::Binary(decoder) => {
                decoder.finish().map_err(damaged_binary)?;
                FileFormat::Bgcode
            }
            FormatReader::Sliced3mf => {
                read_sliced_3mf(stored, &mut self.text)?;
                FileFormat::Gcode3mf
            }
        };
        if self.text.size > MAX_FILE_BYTES {
            return Err(AnalysisError::TooLarge);
        }
        let digest = self.text.sha1.finalize();
        Ok(AnalyzedContent {
            format,
            facts: self.text.parser.finish(),
            print_size: self.text.size,
            print_sha1: super::hex(&digest),
        })
    }
}

fn read_sliced_3mf(stored: impl Read + Seek, text: &mut PrintText) -> Result<(), AnalysisError> {
    let mut archive = Sliced3mf::open(stored).map_err(damaged_3mf)?;
    let [plate] = archive.plates()[..] else {
        let plates = archive.plates().len();
        let id = if plates == 0 { "refusal-3mf-not-sliced" } else { "refusal-3mf-several-plates" };
        return Err(AnalysisError::UnknownFormat(Message::new(id).with("plates", plates)));
    };
    if let Some(data) = archive.thumbnail(plate).map_err(damaged_3mf)? {
        // The parser does not need the size: it is read from the picture.
        text.parser.push_thumbnail(Thumbnail { width: 0, height: 0, kind: ThumbnailKind::Png, data });
    }
    let mut plate = archive.gcode(plate, MAX_FILE_BYTES).map_err(damaged_3mf)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // Errors of the archive, such as a wrong checksum, arrive as I/O errors.
        let read = plate.read(&mut buffer).map_err(damaged_3mf)?;
        if read == 0 {
            return Ok(());
        }
        text.push(&buffer[..read]);
    }
}

fn damaged_binary(error: BgcodeError) -> AnalysisError {
    if matches!(error, BgcodeError::TooLarge { .. }) {
        return AnalysisError::TooLarge;
    }
    AnalysisError::UnknownFormat(Message::new("refusal-damaged-file").with("cause", error))
}

fn damaged_3mf(error: impl std::fmt::Display) -> AnalysisError {
    AnalysisError::UnknownFormat(Message::new("refusal-damaged-file").with("cause", error))
}
