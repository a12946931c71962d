//! A change of the key that seals: what is stored is sealed once more, while a server may be running.
//!
//! It asks nobody's rights: who may run a command on the server's machine holds the keys anyway.

use uuid::Uuid;

use super::error::Error;
use crate::{
    secrets::{self, Vault},
    storage::{
        self, Db,
        printers::{Resealed, StoredKey},
    },
};

/// Keys in one statement.
const GROUP: i64 = 500;

/// What a change of the key did, and what it could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealing {
    /// How many keys were sealed with the current key.
    pub resealed: u64,
    /// The names of printers whose stored key no key opens.
    pub lost: Vec<String>,
}

/// Whether every stored key is held: fails where the vault is not that of this database.
pub async fn check_keys(db: &Db, vault: &Vault) -> Result<(), Error> {
    let mut stored = Vec::new();
    each_page(db, async |page| {
        stored.extend(page);
        Ok(())
    })
    .await?;
    Ok(vault.check(stored.iter().map(|key| (key.id, key.api_key.as_slice())))?)
}

/// Seals every stored key with the current key of the vault. It repeats until it finds nothing left to do, because a
/// running server may store a key meanwhile that it had sealed just before the current key came.
pub async fn reseal_keys(db: &Db, vault: &Vault) -> Result<Resealing, Error> {
    let mut done = Resealing::default();
    loop {
        let (mut found, mut lost) = (false, Vec::new());
        each_page(db, async |page| {
            let mut group = Vec::new();
            for key in page.into_iter().filter(|key| !vault.is_current(&key.api_key)) {
                match vault.open(key.id, &key.api_key) {
                    Ok(plain) => {
                        group.push(Resealed { id: key.id, sealed: vault.seal(key.id, &plain)?, was: key.api_key });
                    }
                    Err(secrets::Error::CannotOpen | secrets::Error::UnknownKey { .. }) => lost.push(key.name),
                    Err(error) => return Err(error.into()),
                }
            }
            if !group.is_empty() {
                found = true;
                done.resealed += storage::printers::reseal(db, &group).await?;
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

/// The names of printers whose stored key does not open with the current key alone.
pub async fn in_need_of_former_keys(db: &Db, vault: &Vault) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    each_page(db, async |page| {
        let needy = |key: &StoredKey| !vault.is_current(&key.api_key) || vault.open(key.id, &key.api_key).is_err();
        names.extend(page.into_iter().filter(needy).map(|key| key.name));
        Ok(())
    })
    .await?;
    Ok(names)
}

async fn each_page(db: &Db, mut visit: impl AsyncFnMut(Vec<StoredKey>) -> Result<(), Error>) -> Result<(), Error> {
    let mut after: Option<Uuid> = None;
    loop {
        let page = storage::printers::page_of_keys(db, after, GROUP).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        visit(page).await?;
    }
}
