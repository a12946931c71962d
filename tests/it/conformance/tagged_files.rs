//! Files with the tag of Printyard: how they are found again, and how they are deleted.

use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};

use super::subject::TestSubject;
use crate::support::{http_client, needs, octoprint::OctoPrintVersion};

async fn request(subject: &TestSubject, method: Method, path: &str) -> (StatusCode, Value) {
    let request = http_client().request(method, format!("{}/api/files/local/{path}", subject.url));
    let response = request.header("X-Api-Key", &subject.api_key).send().await.expect("an answer");
    (response.status(), response.json().await.unwrap_or(Value::Null))
}

async fn a_tagged_file_is_found_and_deleted(subject: &TestSubject) {
    let folder = format!("printyard/{}", "ab".repeat(32));
    let listed = format!("{folder}?recursive=true");
    let without_parent = match subject.version {
        OctoPrintVersion::V1 => StatusCode::INTERNAL_SERVER_ERROR,
        OctoPrintVersion::V2 => StatusCode::NOT_FOUND,
    };
    assert_eq!(request(subject, Method::GET, &listed).await.0, without_parent, "{}", subject.name);
    assert_eq!(request(subject, Method::GET, "printyard").await.0, StatusCode::NOT_FOUND, "{}", subject.name);
    let tag = json!({"printyard": {"sha256": "ab".repeat(32)}});
    let file = multipart::Part::text("G28\nG1 X1 Y1 E1\n").file_name("part 1.gcode");
    let form = multipart::Form::new().text("path", folder.clone()).text("userdata", tag.to_string()).part("file", file);
    let upload = http_client().post(format!("{}/api/files/local", subject.url)).header("X-Api-Key", &subject.api_key);
    let uploaded = upload.multipart(form).send().await.expect("an answer");
    assert_eq!(uploaded.status(), StatusCode::CREATED, "{}", subject.name);
    let (status, entry) = request(subject, Method::GET, &listed).await;
    assert_eq!(status, StatusCode::OK, "{}", subject.name);
    let file = &entry["children"][0];
    assert_eq!((&file["userdata"], &file["size"]), (&tag, &json!(16)), "{}: {entry}", subject.name);
    assert_eq!(file["path"], format!("{folder}/part 1.gcode"), "{}", subject.name);
    let hash = "7871ec3e8ea5c26544e9efd64e316c51f10a611a";
    let reported = (subject.version == OctoPrintVersion::V1).then_some(hash);
    assert_eq!(file["hash"].as_str(), reported, "{}", subject.name);
    let missing = format!("printyard/{}?recursive=true", "cd".repeat(32));
    assert_eq!(request(subject, Method::GET, &missing).await.0, StatusCode::NOT_FOUND, "{}", subject.name);
    let path = format!("{folder}/part%201.gcode");
    assert_eq!(request(subject, Method::DELETE, &path).await.0, StatusCode::NO_CONTENT, "{}", subject.name);
    let (status, entry) = request(subject, Method::GET, &listed).await;
    let children = entry["children"].as_array().map_or(0, Vec::len);
    assert_eq!((status, children), (StatusCode::OK, 0), "{}: {entry}", subject.name);
    assert_eq!(request(subject, Method::DELETE, &folder).await.0, StatusCode::NO_CONTENT, "{}", subject.name);
    assert_eq!(request(subject, Method::GET, &listed).await.0, StatusCode::NOT_FOUND, "{}", subject.name);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn octoprint_1_finds_a_tagged_file() {
    a_tagged_file_is_found_and_deleted(&needs!(TestSubject::start_real(OctoPrintVersion::V1).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real OctoPrint, which tests/run provides"]
async fn octoprint_2_finds_a_tagged_file() {
    a_tagged_file_is_found_and_deleted(&needs!(TestSubject::start_real(OctoPrintVersion::V2).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_finds_a_tagged_file() {
    for version in OctoPrintVersion::ALL {
        a_tagged_file_is_found_and_deleted(&TestSubject::start_simulated(version).await).await;
    }
}
