//! Devices that have logged in before: a sealed cookie that counts their attempts apart from those of strangers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Services, error::Error};
use crate::clock;

/// Device cookies are sealed for this id, so that nothing else that is sealed can stand for one.
const SEALED_FOR: Uuid = Uuid::from_u128(0x6465_7669_6365_4c6f_b067_696e_0000_0001);

#[derive(Serialize, Deserialize)]
struct Device {
    /// The account that it has logged in to, in the form in which its name is unique.
    account: String,
    id: Uuid,
}

impl Services {
    /// The cookie of a device that has just logged in to an account.
    pub(super) fn new_device(&self, account: &str) -> Result<String, Error> {
        let device = Device { account: account.to_owned(), id: clock::new_id() };
        let plain = serde_json::to_string(&device).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.vault.seal(SEALED_FOR, &plain)?))
    }

    /// The id of a device that has logged in to this account before.
    pub(super) fn known_device(&self, cookie: Option<&str>, account: &str) -> Option<String> {
        let plain = self.vault.open(SEALED_FOR, &URL_SAFE_NO_PAD.decode(cookie?).ok()?).ok()?;
        let device: Device = serde_json::from_str(&plain).ok()?;
        (device.account == account).then(|| device.id.to_string())
    }
}
