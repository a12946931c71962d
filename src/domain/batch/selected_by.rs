//! How the printers of a batch were selected, for people.

use serde::{Deserialize, Serialize};

use super::Selector;

/// How the printers of a batch were selected. Batches whose printers were named one by one have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectedBy {
    /// All enabled printers that the caller may see.
    All,
    /// The printers with these tags.
    Tags(Vec<String>),
}

impl SelectedBy {
    /// Returns how a selector selects. `None`: by names, by states only, or from another batch.
    pub fn from_selector(selector: &Selector) -> Option<Self> {
        match selector {
            Selector::All => Some(Self::All),
            Selector::Filter { tags_all, tags_any, .. } => {
                let tags = [&tags_all[..], tags_any].concat();
                (!tags.is_empty()).then_some(Self::Tags(tags))
            }
            Selector::Printers(_) | Selector::Batch { .. } => None,
        }
    }
}
