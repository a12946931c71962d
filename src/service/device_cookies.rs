//! Known devices: a sealed cookie identifies a device that has logged in before. Its login attempts are counted
//! separately from those of unknown devices.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Services, error::Error};
use crate::clock;

/// Device cookies are sealed for this id, so no other sealed value can replace one.
const SEAL_ID: Uuid = Uuid::from_u128(0x6465_7669_6365_4c6f_b067_696e_0000_0001);

#[derive(Serialize, Deserialize)]
struct Device {
    /// The account that the device has logged in to, with its name in the form that is unique.
    account: String,
    id: Uuid,
}

impl Services {
    /// Returns the cookie of a device that has just logged in to an account.
    pub(super) fn new_device_cookie(&self, account: &str) -> Result<String, Error> {
        let device = Device { account: account.to_owned(), id: clock::new_id() };
        let plain = serde_json::to_string(&device).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode(self.vault.seal(SEAL_ID, &plain)?))
    }

    /// Returns the id of a device that has logged in to this account before. None: the cookie is missing, invalid or
    /// for another account.
    pub(super) fn known_device(&self, cookie: Option<&str>, account: &str) -> Option<String> {
        let plain = self.vault.open(SEAL_ID, &URL_SAFE_NO_PAD.decode(cookie?).ok()?).ok()?;
        let device: Device = serde_json::from_str(&plain).ok()?;
        (device.account == account).then(|| device.id.to_string())
    }
}
