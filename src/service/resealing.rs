//! Reseals stored secrets with the current key, also while a server is running.
//!
//! No rights are checked: an operator who can run a command on the server's machine has the keys anyway.

use uuid::Uuid;

use super::error::Error;
use crate::{
    secrets::{self, Vault},
    storage::{
        self, Db,
        sealed::{ResealedSecret, SealedTable, StoredSecret},
    },
};

/// Number of values in one statement.
const PAGE_SIZE: i64 = 500;

/// Result of a change of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResealResult {
    /// Number of values that were sealed with the current key.
    pub resealed: u64,
    /// Owners of stored values that no key opens: names of printers, and webhooks.
    pub lost: Vec<String>,
}

/// Checks that the vault has every key that stored values need. Fails if the vault belongs to another database.
pub async fn check_keys(db: &Db, vault: &Vault) -> Result<(), Error> {
    let mut stored = Vec::new();
    visit_pages(db, async |_, page| {
        stored.extend(page);
        Ok(())
    })
    .await?;
    Ok(vault.check_stored_values(stored.iter().map(|value| (value.id, value.sealed.as_slice())))?)
}

/// Seals every stored value with the current key of the vault. Repeats until nothing is left, because a running server
/// may still store a value that it sealed just before the current key was added.
pub async fn reseal_keys(db: &Db, vault: &Vault) -> Result<ResealResult, Error> {
    let mut done = ResealResult::default();
    loop {
        let (mut found, mut lost) = (false, Vec::new());
        visit_pages(db, async |shelf, page| {
            let mut group = Vec::new();
            for value in page.into_iter().filter(|value| !vault.is_current(&value.sealed)) {
                match vault.open(value.id, &value.sealed) {
                    Ok(plain) => {
                        group.push(ResealedSecret {
                            id: value.id,
                            sealed: vault.seal(value.id, &plain)?,
                            previous: value.sealed,
                        });
                    }
                    Err(secrets::Error::CannotOpen | secrets::Error::UnknownKey { .. }) => lost.push(value.name),
                    Err(error) => return Err(error.into()),
                }
            }
            if !group.is_empty() {
                found = true;
                done.resealed += storage::sealed::reseal(db, shelf, &group).await?;
            }
            Ok(())
        })
        .await?;
        if !found {
            done.lost = lost;
            return Ok(done);
        }
    }
}

/// Returns the owners of stored values that do not open with the current key alone.
pub async fn find_former_key_owners(db: &Db, vault: &Vault) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    visit_pages(db, async |_, page| {
        let needs_former_key =
            |value: &StoredSecret| !vault.is_current(&value.sealed) || vault.open(value.id, &value.sealed).is_err();
        names.extend(page.into_iter().filter(needs_former_key).map(|value| value.name));
        Ok(())
    })
    .await?;
    Ok(names)
}

async fn visit_pages(
    db: &Db,
    mut visit: impl AsyncFnMut(SealedTable, Vec<StoredSecret>) -> Result<(), Error>,
) -> Result<(), Error> {
    for shelf in SealedTable::ALL {
        let mut after: Option<Uuid> = None;
        loop {
            let page = storage::sealed::list_page(db, shelf, after, PAGE_SIZE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            visit(shelf, page).await?;
        }
    }
    Ok(())
}
