//! CSV lines for spreadsheets (RFC 4180).

use std::borrow::Cow;

use ::csv::{Terminator, WriterBuilder};

/// Returns a line with its line end.
pub fn format_row<S: AsRef<str>>(fields: &[S]) -> String {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    // Infallible: the record is written to memory, and is the only one.
    let _ = writer.write_record(fields.iter().map(|field| escape_formula(field.as_ref()).into_owned()));
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// Returns a cell that a spreadsheet does not execute: text that looks like a formula gets an apostrophe.
fn escape_formula(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        for (text, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x\r\ny", "\"'@x\r\ny\""),
        ] {
            assert_eq!(format_row(&["", text]), format!(",{written}\r\n"));
        }
        assert_eq!(format_row(&["a", "=b"]), "a,'=b\r\n");
    }
}
