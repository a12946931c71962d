//! Values of slicer comments: decimals, lists, durations, colours. All return `None` for a value that is not plain.

use super::{MAX_TEXT_CHARS, MAX_TOOLS};

/// Returns a decimal with a point or a comma, without unit. Not negative, and finite.
pub fn parse_decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b',');
    if !plain || text.bytes().filter(|byte| !byte.is_ascii_digit()).count() > 1 {
        return None;
    }
    text.replace(',', ".").parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Returns a decimal above 0.
pub fn parse_positive(text: &str) -> Option<f64> {
    parse_decimal(text).filter(|value| *value > 0.0)
}

/// Returns a list of decimals, each with `unit` behind it (`""`: none). A comma separates, or is the decimal separator
/// of a German or French slicer: `0.4,0.6` and `12,5, 8,0` have two entries, `12,5` has one.
pub fn parse_decimals(text: &str, unit: &str) -> Option<Vec<f64>> {
    let number = |item: &str| parse_decimal(item.trim().strip_suffix(unit)?);
    let spaced: Vec<&str> = text.split(", ").take(MAX_TOOLS).collect();
    if !text.contains('.') && (spaced.len() > 1 || !unit.is_empty() || text.matches(',').count() == 1) {
        return spaced.into_iter().map(number).collect();
    }
    text.split(',').take(MAX_TOOLS).map(number).collect()
}

/// Returns a list of sizes, which are never 0. `0,4` is 0.4 and `1,1` is a list of two.
pub fn parse_sizes(text: &str) -> Option<Vec<f64>> {
    let items: Vec<&str> = text.split([',', '|']).map(str::trim).take(2 * MAX_TOOLS).collect();
    let values: Option<Vec<f64>> = items.iter().map(|item| parse_decimal(item)).collect();
    let values = values.filter(|values| values.iter().all(|value| *value > 0.0));
    if values.is_some() || text.contains('.') || !items.len().is_multiple_of(2) {
        return values.map(|values| values.into_iter().take(MAX_TOOLS).collect());
    }
    items.chunks_exact(2).take(MAX_TOOLS).map(|pair| parse_positive(&pair.join("."))).collect()
}

/// Returns the entries of a list of texts: separated by `;`, an entry with special characters in quotes, as PrusaSlicer
/// and its relatives write them. Empty entries are `None`.
pub fn parse_texts(list: &str) -> Vec<Option<String>> {
    let mut entries = Vec::new();
    let (mut entry, mut quoted) = (String::new(), false);
    let mut chars = list.chars();
    loop {
        let next = chars.next();
        match next {
            None => {}
            Some('"') => quoted = !quoted,
            Some('\\') if quoted => match chars.next() {
                Some('n' | 'r' | 't') => entry.push(' '),
                Some(other) => entry.push(other),
                None => {}
            },
            Some(';') if !quoted => {}
            Some(other) => entry.push(other),
        }
        if next.is_none() || next == Some(';') && !quoted {
            entries.push(parse_name(&entry));
            entry.clear();
            if next.is_none() || entries.len() >= MAX_TOOLS {
                return entries;
            }
        }
    }
}

/// Returns a name without quotes, cut to 256 characters. `None` if it is empty.
pub fn parse_name(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"').trim();
    (!text.is_empty()).then(|| text.chars().filter(|char| !char.is_control()).take(MAX_TEXT_CHARS).collect())
}

/// Returns `#RRGGBB` for `#rrggbb` and `#rrggbbaa`.
pub fn parse_color(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix('#')?;
    let valid = matches!(digits.len(), 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| format!("#{}", digits[..6].to_ascii_uppercase()))
}

/// Returns seconds for `1d 2h 3m 4s`, `14m 54s` and `1 hours 2 minutes`. Every part needs a unit.
pub fn parse_duration(text: &str) -> Option<u64> {
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor = match unit {
            "d" | "day" | "days" => 86_400.0,
            "h" | "hour" | "hours" => 3_600.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "second" | "seconds" => 1.0,
            _ => return None,
        };
        seconds += parse_decimal(number)? * factor;
        rest = after.trim_start_matches([' ', ',']);
    }
    round_seconds(seconds)
}

/// Returns whole seconds of a positive time. A time of 0 means that the slicer did not know it.
pub fn round_seconds(seconds: f64) -> Option<u64> {
    let rounded = seconds.round();
    (1.0..=1e9).contains(&rounded).then_some(rounded as u64)
}

/// Returns width and depth of a polygon `0x0,250x0,250x210,0x210` in mm.
pub fn parse_polygon_size(text: &str) -> Option<[f64; 2]> {
    let (mut min, mut max) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for point in text.split(',') {
        let (x, y) = point.trim().split_once('x')?;
        for (axis, value) in [x, y].into_iter().enumerate() {
            let value = value.parse::<f64>().ok().filter(|value| value.abs() < 1e6)?;
            min[axis] = value.min(min[axis]);
            max[axis] = value.max(max[axis]);
        }
    }
    let size = [max[0] - min[0], max[1] - min[1]];
    size.iter().all(|length| *length > 0.0).then_some(size)
}
