//! OctoPrint's settings, of which only the camera's address is wanted.

use serde::Deserialize;

use super::{
    Error, OctoPrint, RequestOptions,
    lenient::{Flag, List, Object, Text},
};

/// The largest settings that are read, in bytes: plugins keep theirs in them.
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
}

impl OctoPrint {
    /// The address of the camera's pictures, **as OctoPrint sees it**: often `http://127.0.0.1:8080/…`, or relative. Give it
    /// to [`picture_url`](Self::picture_url). `None` without a camera. Costs OctoPrint ten times a reading of the job
    /// (29 ms), so read it once. Needs the permission SETTINGS_READ.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn snapshot_url(&self, options: &RequestOptions) -> Result<Option<String>, Error> {
        let body: Body = self.get_json(self.endpoint(&["api", "settings"]), SETTINGS, options).await?;
        Ok(body.webcam.0.and_then(Webcam::snapshot))
    }
}

impl Webcam {
    fn snapshot(self) -> Option<String> {
        if self.webcam_enabled.0 == Some(false) {
            return None;
        }
        let of_any = |camera: Object<Camera>| camera.0?.compat.0?.snapshot.filled();
        self.snapshot_url.filled().or_else(|| self.webcams.0.into_iter().find_map(of_any))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::sample;

    #[test]
    fn the_cameras_address_is_found() {
        let found = sample::<Webcam>("settings-webcam").snapshot();
        assert_eq!(found.as_deref(), Some("http://127.0.0.1:9/snapshot.jpg"));
    }

    #[test]
    fn a_camera_that_is_switched_off_is_none() {
        let webcam: Webcam =
            serde_json::from_str(r#"{"webcamEnabled":false,"snapshotUrl":"http://x/"}"#).expect("json");
        assert_eq!(webcam.snapshot(), None);
    }
}
