//! Reads the addresses of the camera from OctoPrint's settings.

use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Flag, List, Object, Text},
};

/// The largest settings that are read, in bytes: they include the settings of plugins.
const MAX_SETTINGS: usize = 4 * 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SettingsResponse {
    webcam: Object<WebcamSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WebcamSettings {
    webcam_enabled: Flag,
    snapshot_url: Text,
    stream_url: Text,
    webcams: List<Object<WebcamEntry>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WebcamEntry {
    compat: Object<WebcamAddresses>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WebcamAddresses {
    snapshot: Text,
    stream: Text,
}

/// The addresses of a camera, **as OctoPrint sees them**: often `http://127.0.0.1:8080/…`, or relative.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct CameraAddresses {
    pub snapshot: Option<String>,
    pub stream: Option<String>,
}

impl OctoPrint {
    /// Returns the addresses of the camera; none if it is disabled. This costs OctoPrint ten times as much as a reading of the
    /// job (29 ms). Needs the permission SETTINGS_READ.
    pub(super) async fn camera_addresses(&self, options: &RequestOptions) -> Result<CameraAddresses, Error> {
        let body: SettingsResponse = self.get_json(self.endpoint(&["api", "settings"]), MAX_SETTINGS, options).await?;
        Ok(body.webcam.0.map(WebcamSettings::into_addresses).unwrap_or_default())
    }
}

impl WebcamSettings {
    fn into_addresses(self) -> CameraAddresses {
        if self.webcam_enabled.0 == Some(false) {
            return CameraAddresses::default();
        }
        let mut found =
            CameraAddresses { snapshot: self.snapshot_url.non_empty(), stream: self.stream_url.non_empty() };
        for compat in self.webcams.0.into_iter().filter_map(|camera| camera.0?.compat.0) {
            found.snapshot = found.snapshot.or_else(|| compat.snapshot.non_empty());
            found.stream = found.stream.or_else(|| compat.stream.non_empty());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::sample;

    #[test]
    fn the_cameras_address_is_found() {
        let found = sample::<WebcamSettings>("settings-webcam").into_addresses();
        assert_eq!(found.snapshot.as_deref(), Some("http://127.0.0.1:9/snapshot.jpg"));
        let text = r#"{"streamUrl":"/webcam/?action=stream","snapshotUrl":""}"#;
        let found = serde_json::from_str::<WebcamSettings>(text).expect("json").into_addresses();
        assert_eq!((found.snapshot, found.stream.as_deref()), (None, Some("/webcam/?action=stream")));
    }

    #[test]
    fn a_disabled_camera_has_no_addresses() {
        let webcam: WebcamSettings =
            serde_json::from_str(r#"{"webcamEnabled":false,"snapshotUrl":"http://x/"}"#).expect("json");
        assert_eq!(webcam.into_addresses(), CameraAddresses::default());
    }
}
