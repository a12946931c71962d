//! Fills every form of a page with texts and sends it from the page itself. The response is a page that is checked too.

use std::time::Duration;

use serde_json::{Value, json};

use super::{detector::ScriptDetector, payloads::join_payloads};
use crate::support::wait;

const DEADLINE: Duration = Duration::from_secs(60);

/// Finds the submit buttons of a page, one of each kind: forms in many rows differ only by their ids. Leaves out logout
/// and removal, which would end the session or the subject of the test, and the switch of production, which has another
/// button afterwards (`tests/it/dashboard/production.rs` sends it). Leaves out requests that do not show their response.
const BUTTON_KINDS_SCRIPT: &str = r#"
const kinds = new Map();
for (const button of document.querySelectorAll("button")) {
  const form = button.form;
  if (!form || button.disabled || button.type !== "submit" || button.matches("[data-quiet]")) continue;
  const action = new URL(button.getAttribute("formaction") ?? form.getAttribute("action"), location).pathname.replace(/[0-9a-f-]{36}/g, "{id}");
  if (["/logout", "/queue/switch"].includes(action) || action.endsWith("/remove")) continue;
  const kind = [form.method, action, button.name, /xss/.test(button.value) ? "" : button.value].join(" ");
  if (!kinds.has(kind)) kinds.set(kind, button);
}
"#;

/// Fills the form of a button with a text and sends it with that button. With `all`, hidden fields and the button's
/// value are filled too. Without it, numbers are left out and known values stay valid.
const SEND_SCRIPT: &str = r#"
const [kind, text, all, known] = arguments;
const button = kinds.get(kind);
if (!button) return document.body.innerText;
const form = button.form;
for (const field of form.elements) {
  if (field.type === "checkbox") { field.checked = true; continue; }
  if (!field.name || (!all && (field.type === "hidden" || field.tagName !== "INPUT"))) continue;
  if (field.tagName === "BUTTON") { if (field === button) field.value = text; continue; }
  if (field.tagName === "SELECT") { field.append(new Option(text, text, true, true)); continue; }
  if (!all && field.type === "number") continue;
  if (field.type !== "hidden") field.type = "text";
  field.maxLength = 100000;
  field.value = (all ? undefined : known[field.name]) ?? text;
}
form.noValidate = true;
// Shows the response as a page, not in a frame and not by a script.
button.removeAttribute("formtarget");
for (const name of ["data-upload", "data-library", "data-start"]) form.removeAttribute(name);
for (const name of ["data-sheet", "data-command", "data-plates"]) button.removeAttribute(name);
window.__left = true;
form.requestSubmit(button);
"#;

/// Sends each form of a page twice: with texts in visible fields, and with texts in all fields.
pub async fn send_each_form(detector: &ScriptDetector, url: &str, known: &[(&str, String)]) {
    let known: Value = known.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.clone()))).collect();
    detector.visit(url).await;
    let buttons = detector
        .browser
        .run(&format!("{BUTTON_KINDS_SCRIPT} return [...kinds.keys()];"), Vec::new())
        .await
        .expect("buttons");
    for button in buttons.as_array().expect("a list") {
        for all in [false, true] {
            detector.browser.open(url).await;
            let n = detector.payloads.len();
            let _ = detector.payloads.create(0, &format!("a form: {}", button.as_str().unwrap_or_default().trim()));
            let arguments = vec![button.clone(), json!(join_payloads(n)), Value::from(all), known.clone()];
            let sent = detector.browser.run(&format!("{BUTTON_KINDS_SCRIPT} {SEND_SCRIPT}"), arguments).await;
            assert_eq!(sent, Ok(Value::Null), "{url} {button}");
            wait::until(&format!("{url} {button} was answered"), DEADLINE, async || {
                let done = "return document.readyState === 'complete' && !window.__left";
                match detector.browser.run(done, Vec::new()).await {
                    Ok(done) if done == true => Ok(()),
                    other => Err(other),
                }
            })
            .await;
            detector.check_page().await.unwrap_or_else(|error| panic!("{url} {button}: {error}"));
        }
    }
}
