//! Reads the addresses of the camera from OctoPrint's settings.

use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Flag, List, Object, Text},
};

/// The largest settings that are read, in bytes: they include the settings of plugins.
const SETTINGS: usize = 4 * 1024 * 1024;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    webcam: Object<Webcam>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Webcam {
    webcam_enabled: Flag,
    snapshot_url: Text,
    stream_url: Text,
    webcams: List<Object<Camera>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Camera {
    compat: Object<Compat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Compat {
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
        let body: Body = self.get_json(self.endpoint(&["api", "settings"]), SETTINGS, options).await?;
        Ok(body.webcam.0.map(Webcam::addresses).unwrap_or_default())
    }
}

impl Webcam {
    fn addresses(self) -> CameraAddresses {
        if self.webcam_enabled.0 == Some(false) {
            return CameraAddresses::default();
        }
        let mut found = CameraAddresses { snapshot: self.snapshot_url.filled(), stream: self.stream_url.filled() };
        for compat in self.webcams.0.into_iter().filter_map(|camera| camera.0?.compat.0) {
            found.snapshot = found.snapshot.or_else(|| compat.snapshot.filled());
            found.stream = found.stream.or_else(|| compat.stream.filled());
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
        let found = sample::<Webcam>("settings-webcam").addresses();
        assert_eq!(found.snapshot.as_deref(), Some("http://127.0.0.1:9/snapshot.jpg"));
        let text = r#"{"streamUrl":"/webcam/?action=stream","snapshotUrl":""}"#;
        let found = serde_json::from_str::<Webcam>(text).expect("json").addresses();
        assert_eq!((found.snapshot, found.stream.as_deref()), (None, Some("/webcam/?action=stream")));
    }

    #[test]
    fn a_camera_that_is_switched_off_is_none() {
        let webcam: Webcam =
            serde_json::from_str(r#"{"webcamEnabled":false,"snapshotUrl":"http://x/"}"#).expect("json");
        assert_eq!(webcam.addresses(), CameraAddresses::default());
    }
}
