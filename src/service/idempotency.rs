//! Idempotent requests: one request at a time per key, and a repeated request gets the result of the first one.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use super::{Services, error::Error};
use crate::{
    clock,
    domain::{
        idempotency::{KeyBinding, KeyUse},
        message::Message,
    },
    secrets, storage,
};

/// Keys whose first request this server processes at the moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldKeys(Arc<Mutex<HashSet<(Uuid, String)>>>);

/// A key that is held until this value is dropped.
#[derive(Debug)]
pub struct HeldKey {
    keys: HeldKeys,
    key: (Uuid, String),
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Returns the fingerprint of a request. Two requests with the same fingerprint are the same request.
pub fn fingerprint(method: &str, target: &str, body: &str) -> Vec<u8> {
    secrets::token_hash(&format!("{method} {target}\n{body}")).to_vec()
}

impl Services {
    /// Holds a key while its request is processed. Fails with `request_in_progress` if the key is held already.
    pub fn hold_key(&self, key: &KeyUse) -> Result<HeldKey, Error> {
        let pair = (key.scope, key.key.clone());
        let mut held = self.idempotency_keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.insert(pair.clone()) {
            return Err(Error::request_in_progress());
        }
        Ok(HeldKey { keys: self.idempotency_keys.clone(), key: pair })
    }

    /// Returns the result of the first request with this key. None: there was no such request, or it had no effect.
    /// Fails if the key was used for another request.
    pub async fn find_first_response(&self, key: &KeyUse) -> Result<Option<KeyBinding>, Error> {
        let Some(bound) = storage::idempotency::get(&self.db, key.scope, &key.key, clock::now()).await? else {
            return Ok(None);
        };
        if bound.fingerprint != key.fingerprint {
            let detail = Message::new("refusal-idempotency-key-reused");
            return Err(Error::Unprocessable { code: "idempotency_key_reused", detail });
        }
        Ok(Some(bound))
    }

    /// Stores the status of a response for replays. Stores its body too if there is no resource to read again.
    pub async fn store_response(&self, key: &KeyUse, status: u16, body: Option<&str>) -> Result<(), Error> {
        Ok(storage::idempotency::store_response(&self.db, key, status, body, clock::now()).await?)
    }
}
