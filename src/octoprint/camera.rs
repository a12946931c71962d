//! Fetches one picture from a printer's camera.
//!
//! OctoPrint 1.11 has no proxy for its camera. Its settings contain an address as seen from OctoPrint's own host, and any user
//! with permission to change the settings chooses it. So the address is mapped to the printer's own host, the size of the
//! picture is limited, and the API key is not sent.

use reqwest::{Method, Request, header::AUTHORIZATION};
use url::{Host, Url};

use super::{Error, OctoPrint, RequestOptions, request, settings::CameraAddresses};
use crate::domain::{camera::CameraPicture, message::Message};

/// The largest picture, in bytes.
const MAX_PICTURE: usize = 8 * 1024 * 1024;

impl OctoPrint {
    /// Fetches a picture of the camera in OctoPrint's settings. Returns `None` without a camera. If the snapshot address is
    /// missing or fails, the address is derived from the stream. If the snapshot address is a loopback address of OctoPrint's
    /// host, the derived address is tried first.
    ///
    /// # Errors
    /// [`Error`] of the last address that was tried.
    pub async fn fetch_camera_picture(&self, options: &RequestOptions) -> Result<Option<CameraPicture>, Error> {
        let mut last = None;
        for url in self.picture_urls(&self.camera_addresses(options).await?) {
            match self.fetch_picture(&url?, options).await {
                Ok(picture) => return Ok(Some(picture)),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(None), Err)
    }

    /// Returns the addresses at which a picture may be, the most likely first.
    fn picture_urls(&self, camera: &CameraAddresses) -> Vec<Result<Url, Error>> {
        let stream_url =
            camera.stream.as_deref().and_then(|stream| self.base().join(stream).ok()).and_then(derive_snapshot_url);
        let from_stream = stream_url.map(|url| self.picture_url(url.as_str()));
        let from_snapshot = camera.snapshot.as_deref().map(|snapshot| self.picture_url(snapshot));
        let snapshot_url = camera.snapshot.as_deref().and_then(|snapshot| self.base().join(snapshot).ok());
        let mut urls: Vec<_> = from_snapshot.into_iter().chain(from_stream).collect();
        if snapshot_url.is_some_and(|url| is_loopback(url.host().map(|host| host.to_owned()).as_ref())) {
            urls.reverse();
        }
        urls.dedup();
        // A refused address goes last: it matters only if no other address works.
        urls.sort_by_key(Result::is_err);
        urls
    }

    /// Maps an address as OctoPrint sees it to an address that this server can fetch. Relative and loopback addresses lead to
    /// the printer's host. Other addresses must already name that host.
    fn picture_url(&self, address: &str) -> Result<Url, Error> {
        let invalid = |id: &'static str| Error::Invalid { detail: Message::new(id) };
        let mut url = self.base().join(address).map_err(|_| invalid("cause-camera-address-invalid"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("cause-camera-address-not-http"));
        }
        let host = url.host().map(|host| host.to_owned());
        if is_loopback(host.as_ref()) {
            // Fails only for a base URL without a host, which is blocked anyway.
            let _ = url.set_host(self.base().host_str());
        } else if host != self.base().host().map(|host| host.to_owned()) {
            return Err(invalid("cause-camera-other-host"));
        }
        Ok(url)
    }

    /// Fetches one picture (at most 8 MB). The address guard of `outbound` checks the address. The printer's key is not sent.
    /// The printer's other headers are sent only to OctoPrint's own host and port.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the response is not a picture, for example a stream.
    pub async fn fetch_picture(&self, url: &Url, options: &RequestOptions) -> Result<CameraPicture, Error> {
        self.0.outbound.check_literal(url).map_err(Error::Blocked)?;
        let basic = request::basic_auth_from_url(url);
        let mut url = url.clone();
        // Fails only for an address without a host, which was blocked above.
        let _ = url.set_username("").and_then(|()| url.set_password(None));
        let is_own = url.origin() == self.base().origin();
        let mut request = Request::new(Method::GET, url);
        if is_own {
            request.headers_mut().extend(self.0.credentials.clone());
            request.headers_mut().remove(request::X_API_KEY);
        }
        if let Some(basic) = basic {
            request.headers_mut().insert(AUTHORIZATION, basic);
        }
        let response = self.send_with_general_client(request, options).await?;
        let content_type = response.content_type().unwrap_or_default();
        if !is_picture(&content_type) {
            return Err(Error::protocol("cause-camera-no-picture"));
        }
        Ok(CameraPicture { content_type, bytes: response.bytes(MAX_PICTURE).await? })
    }
}

/// Derives the address of a single picture from a stream: `?action=stream` of mjpg-streamer, `/stream` of ustreamer and
/// camera-streamer.
fn derive_snapshot_url(mut stream: Url) -> Option<Url> {
    let query = stream.query().unwrap_or_default();
    if query.split('&').any(|part| part == "action=stream") {
        let parts: Vec<&str> =
            query.split('&').map(|part| if part == "action=stream" { "action=snapshot" } else { part }).collect();
        stream.set_query(Some(&parts.join("&")));
        return Some(stream);
    }
    let path = stream.path().trim_end_matches('/');
    let parent = path.strip_suffix("/stream").or_else(|| path.strip_suffix("/stream.mjpg"))?;
    stream.set_path(&format!("{parent}/snapshot"));
    Some(stream)
}

/// Whether the content type names a picture and nothing else: it is forwarded to browsers. SVG is excluded, because it may
/// contain scripts.
fn is_picture(content_type: &str) -> bool {
    let kind = content_type.strip_prefix("image/").unwrap_or_default();
    (1..=64).contains(&kind.len())
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !kind.starts_with("svg")
}

/// Whether the host is a loopback or unspecified address of the machine that wrote it.
fn is_loopback(host: Option<&Host>) -> bool {
    match host {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.to_ipv4_mapped().is_some_and(|address| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::octoprint::testing::{StubServer, client};

    #[test]
    fn a_cameras_address_leads_to_the_printers_host() {
        let printer = client("http://octopi-7.local:5000/octoprint/");
        for (address, url) in [
            ("http://127.0.0.1:8080/?action=snapshot", "http://octopi-7.local:8080/?action=snapshot"),
            ("http://localhost:8080/shot", "http://octopi-7.local:8080/shot"),
            ("http://[::1]:8080/shot", "http://octopi-7.local:8080/shot"),
            ("http://octopi-7.local/shot", "http://octopi-7.local/shot"),
            ("/webcam/?action=snapshot", "http://octopi-7.local:5000/webcam/?action=snapshot"),
        ] {
            assert_eq!(printer.picture_url(address).map(String::from).as_deref(), Ok(url), "{address}");
        }
    }

    #[test]
    fn a_stream_stands_in_for_a_snapshot_that_is_missing_or_local() {
        let printer = client("http://octopi-7.local/octoprint/");
        let urls = |snapshot: &str, stream: &str| {
            let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let addresses = CameraAddresses { snapshot: filled(snapshot), stream: filled(stream) };
            printer.picture_urls(&addresses).into_iter().flatten().map(String::from).collect::<Vec<_>>()
        };
        let (stream, derived) = ("/webcam/?action=stream", "http://octopi-7.local/webcam/?action=snapshot");
        let local = "http://127.0.0.1:8080/?action=snapshot";
        let on_printer_host = "http://octopi-7.local:8080/?action=snapshot";
        assert_eq!(urls("", stream), [derived]);
        assert_eq!(urls(local, stream), [derived, on_printer_host]);
        assert_eq!(urls(local, ""), [on_printer_host]);
        assert_eq!(urls("/shot.jpg", stream), ["http://octopi-7.local/shot.jpg", derived]);
        assert_eq!(urls("http://elsewhere/shot.jpg", stream), [derived]);
        assert_eq!(urls("", "webcam/stream"), ["http://octopi-7.local/octoprint/webcam/snapshot"]);
        assert_eq!(urls("", "http://octopi-7.local:8081/stream.mjpg"), ["http://octopi-7.local:8081/snapshot"]);
        assert!(urls("", "http://elsewhere/?action=stream").is_empty());
        assert!(urls("", "/hls/stream.m3u8").is_empty());
    }

    #[test]
    fn only_a_plain_image_content_type_is_a_picture() {
        for kind in ["image/jpeg", "image/png", "image/x-icon", "image/vnd.ms-photo"] {
            assert!(is_picture(kind), "{kind}");
        }
        for kind in ["", "image/", "image/svg+xml", "text/html", "image/jpeg\tx: 1", "image/a b", "image/\u{e9}"] {
            assert!(!is_picture(kind), "{kind:?}");
        }
        assert!(!is_picture(&format!("image/{}", "x".repeat(65))));
    }

    #[test]
    fn a_camera_on_another_host_is_refused() {
        let printer = client("http://octopi-7.local/");
        for address in ["http://octopi-8.local/shot", "http://169.254.169.254/latest", "file:///etc/passwd", "//evil/x"]
        {
            assert!(matches!(printer.picture_url(address), Err(Error::Invalid { .. })), "{address}");
        }
    }

    #[tokio::test]
    async fn a_picture_is_fetched_without_the_key_and_a_page_is_refused() {
        let server =
            StubServer::start_replying("HTTP/1.1 200 OK\r\ncontent-type: image/jpeg\r\ncontent-length: 3\r\n\r\njpg")
                .await;
        let picture = server.client().fetch_picture(&server.url(), &RequestOptions::default()).await.expect("picture");
        assert_eq!((picture.content_type.as_str(), &picture.bytes[..]), ("image/jpeg", &b"jpg"[..]));
        assert!(!server.next_request().await.to_lowercase().contains("x-api-key"));
        let page =
            StubServer::start_replying("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1\r\n\r\nx")
                .await;
        let result = page.client().fetch_picture(&page.url(), &RequestOptions::default()).await;
        assert!(matches!(result, Err(Error::Protocol { .. })), "{result:?}");
    }
}
