//! Test texts for cross-site scripting. Each contains a number that identifies where it was inserted, and reports that
//! number if it runs.

use std::sync::{Arc, Mutex, PoisonError};

/// Texts that break out of a template, each in its own way. At most 50 characters, the maximum length of a tag.
pub const PAYLOADS: [fn(usize) -> String; 10] = [
    |n| format!("<script data-xss>__xss({n})</script>"),
    |n| format!("\"><img src=x onerror=__xss({n}) data-xss>"),
    |n| format!("\" onmouseover=\"__xss({n})\" data-xss=\""),
    |n| format!("' autofocus onfocus='__xss({n})' data-xss='"),
    |n| format!("javascript:__xss({n})"),
    |n| format!("</title><svg onload=__xss({n}) data-xss>"),
    |n| format!("</script><script>__xss({n})</script>"),
    |n| format!("{{{{__xss({n})}}}}${{__xss({n})}}"),
    |n| format!("--><img src=x onerror=__xss({n}) data-xss>"),
    // For code that decodes once too often.
    |n| format!("&lt;img src=x onerror=__xss({n}) data-xss&gt;"),
];

/// Joins all kinds into one text, for fields without a small length limit.
pub fn join_payloads(n: usize) -> String {
    PAYLOADS.iter().map(|kind| kind(n)).collect::<Vec<_>>().join(" ")
}

/// The place where each number was inserted.
#[derive(Clone, Default)]
pub struct PayloadLog(Arc<Mutex<Vec<String>>>);

impl PayloadLog {
    /// Records a place and returns a text of this kind for it.
    pub fn create(&self, kind: usize, place: &str) -> String {
        let mut places = self.lock_places();
        places.push(place.to_owned());
        PAYLOADS[kind](places.len() - 1)
    }

    /// Returns how many texts there are, which is also the next number.
    pub fn len(&self) -> usize {
        self.lock_places().len()
    }

    /// Returns the place of a number.
    pub fn get_place(&self, n: usize) -> String {
        self.lock_places().get(n).cloned().unwrap_or_default()
    }

    /// Returns the numbers of a place.
    pub fn numbers_at(&self, place: &str) -> impl Iterator<Item = usize> {
        let places = self.lock_places();
        let numbers: Vec<usize> = (0..places.len()).filter(|n| places[*n] == place).collect();
        numbers.into_iter()
    }

    fn lock_places(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[test]
fn every_payload_fits_into_a_tag() {
    for kind in PAYLOADS {
        assert!(kind(9_999).chars().count() <= 50 && !kind(9_999).contains(','), "{}", kind(9_999));
    }
}
