//! CSV lines for spreadsheets (RFC 4180).

/// Returns a line with its line end.
pub fn line<S: AsRef<str>>(fields: &[S]) -> String {
    let cells: Vec<String> = fields.iter().map(|field| cell(field.as_ref())).collect();
    cells.join(",") + "\r\n"
}

/// Returns a cell that a spreadsheet does not execute: text that looks like a formula gets an apostrophe.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
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
            ("=1+1", "\"'=1+1\""),
            ("@x\r\ny", "\"'@x\r\ny\""),
        ] {
            assert_eq!(cell(text), written);
        }
        assert_eq!(line(&["a", "=b"]), "a,\"'=b\"\r\n");
    }
}
