//! Counts the printed objects: by the list of the slicer, or by the labels of the moves.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use serde::{Deserialize, de::IgnoredAny};

/// Distinct labels that are counted. With more, the number is unknown.
const MAX_LABELS: usize = 4_096;

/// What the file says about its objects, by source.
#[derive(Debug, Default)]
pub struct Objects {
    /// `; objects_info = {"objects":[…]}` (PrusaSlicer).
    listed: Option<u32>,
    /// `EXCLUDE_OBJECT_DEFINE NAME=…` (Klipper).
    defined: Labels,
    /// `M486 T<number>` (Marlin).
    announced: Option<u32>,
    /// `M486 S<index>` (Marlin).
    indexed: Labels,
    /// `; printing object NAME id:0 copy 0` (PrusaSlicer, OrcaSlicer) and `;PRINTING_ID:0` (ideaMaker).
    labelled: Labels,
    /// `; model label id: 88,103` (BambuStudio).
    bambu_ids: Option<u32>,
}

/// Hashes of distinct labels.
#[derive(Debug, Default)]
struct Labels {
    hashes: BTreeSet<u64>,
    overflown: bool,
}

#[derive(Deserialize)]
struct ObjectsInfo {
    objects: Vec<IgnoredAny>,
}

impl Objects {
    /// Processes the JSON of `objects_info`.
    pub fn set_info(&mut self, json: &str) {
        let info = serde_json::from_str::<ObjectsInfo>(json).ok();
        self.listed = info.and_then(|info| u32::try_from(info.objects.len()).ok());
    }

    /// Processes the rest of an `EXCLUDE_OBJECT_DEFINE` command.
    pub fn add_definition(&mut self, parameters: &[u8]) {
        let is_name = |word: &&[u8]| word.get(..5).is_some_and(|key| key.eq_ignore_ascii_case(b"NAME="));
        if let Some(name) = parameters.split(u8::is_ascii_whitespace).find(is_name) {
            self.defined.add(&name[5..]);
        }
    }

    /// Processes M486 with its parameters T and S.
    pub fn run_m486(&mut self, total: Option<f64>, index: Option<f64>) {
        if let Some(total) = total.filter(|total| (1.0..1e6).contains(total)) {
            self.announced = Some(total as u32);
        }
        if let Some(index) = index.filter(|index| (0.0..1e6).contains(index)) {
            self.indexed.add(&(index as u32).to_le_bytes());
        }
    }

    /// Processes the label of a printed object.
    pub fn add_label(&mut self, label: &str) {
        self.labelled.add(label.trim().as_bytes());
    }

    /// Processes BambuStudio's list of ids.
    pub fn set_bambu_ids(&mut self, ids: &str) {
        let valid = ids.split(',').all(|id| id.trim().parse::<u64>().is_ok());
        self.bambu_ids = valid.then(|| u32::try_from(ids.split(',').count()).ok()).flatten();
    }

    /// Returns the number of objects. An empty list means that labels are off, so it does not count.
    pub fn count_objects(&self) -> Option<u32> {
        self.listed
            .filter(|count| *count > 0)
            .or_else(|| self.defined.count())
            .or(self.announced)
            .or_else(|| self.indexed.count())
            .or_else(|| self.labelled.count())
            .or(self.bambu_ids)
    }
}

impl Labels {
    fn add(&mut self, label: &[u8]) {
        let mut hasher = DefaultHasher::new();
        label.hash(&mut hasher);
        let hash = hasher.finish();
        if self.hashes.contains(&hash) {
            return;
        }
        if self.hashes.len() >= MAX_LABELS {
            self.overflown = true;
        } else {
            self.hashes.insert(hash);
        }
    }

    fn count(&self) -> Option<u32> {
        let count = u32::try_from(self.hashes.len()).ok()?;
        (count > 0 && !self.overflown).then_some(count)
    }
}
