//! Test texts for cross-site scripting. Each contains a number that identifies where it was inserted, and reports that
//! number if it runs.

use std::sync::{Arc, Mutex, PoisonError};

/// Texts that break out of a template, each in its own way. At most 50 characters, the maximum length of a tag.
pub const KINDS: [fn(usize) -> String; 10] = [
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
pub fn all_in_one(n: usize) -> String {
    KINDS.iter().map(|kind| kind(n)).collect::<Vec<_>>().join(" ")
}

/// The place where each number was inserted.
#[derive(Clone, Default)]
pub struct Plant(Arc<Mutex<Vec<String>>>);

impl Plant {
    /// Records a place and returns a text of this kind for it.
    pub fn put(&self, kind: usize, place: &str) -> String {
        let mut places = self.places();
        places.push(place.to_owned());
        KINDS[kind](places.len() - 1)
    }

    /// Returns how many texts there are, which is also the next number.
    pub fn len(&self) -> usize {
        self.places().len()
    }

    /// Returns the place of a number.
    pub fn place(&self, n: usize) -> String {
        self.places().get(n).cloned().unwrap_or_default()
    }

    /// Returns the numbers of a place.
    pub fn numbers_of(&self, place: &str) -> impl Iterator<Item = usize> {
        let places = self.places();
        let numbers: Vec<usize> = (0..places.len()).filter(|n| places[*n] == place).collect();
        numbers.into_iter()
    }

    fn places(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[test]
fn every_text_fits_where_texts_are_shortest() {
    for kind in KINDS {
        assert!(kind(9_999).chars().count() <= 50 && !kind(9_999).contains(','), "{}", kind(9_999));
    }
}
