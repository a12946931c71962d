// Uploads to the library, and the start sheet as a dialog. Every form works without this script.
"use strict";

for (const part of document.querySelectorAll("[data-origin]")) part.textContent = location.origin;

// --- Uploads to the library ------------------------------------------------------------------------------------------

/** Uploads one file with a line of progress. Returns the path of its page, or null. */
function uploadFile(file, folder, list) {
  const line = document.createElement("p");
  const [name, bar, said] = ["span", "progress", "span"].map((tag) => line.appendChild(document.createElement(tag)));
  line.className = "upload-line";
  name.textContent = file.name;
  bar.max = 100;
  bar.value = 0;
  bar.setAttribute("aria-label", file.name);
  said.setAttribute("role", "status");
  list.append(line);
  return new Promise((resolve) => {
    const over = (text, path) => {
      said.textContent = text;
      bar.hidden = true;
      line.classList.toggle("bad", !path);
      resolve(path);
    };
    const request = new XMLHttpRequest();
    request.open("POST", "/files/upload");
    request.responseType = "document";
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = (100 * loaded) / total;
      said.textContent = Math.floor(bar.value) + " %";
    });
    request.addEventListener("load", () => {
      const path = new URL(request.responseURL).pathname;
      if (request.status < 400 && path.startsWith("/files/")) return over(say("script-uploaded"), path);
      if (request.status < 400) return location.reload();
      over(sentences(request.response?.querySelector("main")) ?? say("script-upload-failed"), null);
    });
    request.addEventListener("error", () => over(say("script-connection-lost"), null));
    const body = new FormData();
    body.append("folder", folder);
    body.append("file", file);
    request.send(body);
  });
}

/** Uploads files one after the other. Shows the new list if all of them were stored. */
async function uploadFiles(form, files) {
  const list = form.querySelector("[data-uploads]");
  const button = form.querySelector("button");
  list.replaceChildren();
  button.disabled = true;
  let failed = false;
  for (const file of files) {
    if (!(await uploadFile(file, form.elements.folder.value, list))) failed = true;
  }
  button.disabled = false;
  if (!failed) location.assign(location.pathname + location.search);
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-library]")) return;
  event.preventDefault();
  uploadFiles(event.target, [...event.target.elements.file.files]);
});

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("[data-library]");
  if (form && event.target.type === "file" && event.target.files.length > 0) form.requestSubmit();
});

const drop = document.querySelector("[data-library]");
if (drop) {
  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") uploadFiles(drop, [...event.dataTransfer.files]);
    });
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-choose-all]");
  if (!button) return;
  const on = Boolean(button.dataset.chooseAll);
  button.closest("details").querySelectorAll("[type=checkbox]:not(:disabled)").forEach((box) => { box.checked = on; });
});

// --- The start sheet -------------------------------------------------------------------------------------------------

/** The parts of the sheet that follow the choice. Fields outside them keep what the user types. */
const PARTS = ["start-error", "start-selected", "start-files", "start-checks", "start-summary", "start-acts"];
let asked = 0;
let asking = 0;

/** Requests the sheet. Returns it, or the text of an error, or undefined if the batch was created. */
async function requestSheet(fields) {
  const { done, page, error } = await sendForm("/batches/start", fields);
  if (done) {
    document.querySelector("dialog[open]")?.close();
    showBatch(done);
    return undefined;
  }
  return page?.getElementById("start") ?? error ?? sentences(page?.querySelector("main")) ?? say("script-not-sent");
}

function showError(place, text) {
  const line = document.createElement("p");
  line.className = "say bad";
  line.setAttribute("role", "alert");
  line.textContent = text;
  place.replaceChildren(line);
}

/** Prepares a new sheet: its upload works now. */
function prepare(sheet) {
  for (const part of sheet.querySelectorAll("[data-upload-now]")) part.hidden = false;
  localise(sheet);
}

/** Opens the sheet over the page. */
async function openSheet(form, button) {
  button.disabled = true;
  const fields = fieldsOf(form, button);
  fields.delete("plate");
  const sheet = await requestSheet(fields);
  button.disabled = false;
  if (sheet === undefined) return;
  if (typeof sheet === "string") return byId("forecast") ? showBarError(sheet) : showError(form, sheet);
  prepare(sheet);
  const dialog = openDialog(sheet, "start-heading", button);
  (dialog.querySelector("[name=file]:checked") ?? dialog.querySelector("[type=search]"))?.focus();
}

/** Shows what the current choice would do. */
async function refreshSheet(form, chosen) {
  const turn = ++asked;
  const fields = fieldsOf(form);
  if (chosen) fields.set("file", chosen);
  form.setAttribute("aria-busy", "true");
  const sheet = await requestSheet(fields);
  if (turn !== asked) return;
  form.removeAttribute("aria-busy");
  if (sheet === undefined) return;
  if (typeof sheet === "string") return showError(byId("start-error"), sheet);
  for (const id of PARTS) {
    const [old, fresh] = [byId(id), sheet.querySelector("#" + id)];
    const active = old.contains(document.activeElement) ? document.activeElement : null;
    // Keep a field that the user is typing in.
    if (old.outerHTML === fresh.outerHTML || active?.matches("input:not([type=radio], [type=checkbox])")) continue;
    old.replaceWith(fresh);
    if (!active) continue;
    const same = [...fresh.querySelectorAll("input, button, summary, a")];
    same.find((one) => one.name === active.name && one.value === active.value)?.focus({ preventScroll: true });
  }
}

document.addEventListener("submit", async (event) => {
  if (event.submitter?.matches("[data-sheet]")) {
    event.preventDefault();
    return openSheet(event.target, event.submitter);
  }
  if (!event.target.matches("[data-start]")) return;
  event.preventDefault();
  const [form, button] = [event.target, event.submitter];
  if (button?.name !== "confirm") return refreshSheet(form);
  clearTimeout(asking);
  asked += 1;
  button.disabled = true;
  const sheet = await requestSheet(fieldsOf(form, button));
  if (sheet === undefined) return;
  button.disabled = false;
  if (typeof sheet === "string") return showError(byId("start-error"), sheet);
  form.closest("#start").replaceWith(sheet);
  prepare(sheet);
  (sheet.querySelector("[aria-invalid]") ?? sheet.querySelector("[name=confirm]")).focus();
});

for (const kind of ["change", "input"]) {
  document.addEventListener(kind, (event) => {
    const form = event.target.closest?.("[data-start]");
    if (!form || event.target.type === "file") return;
    const isSearch = event.target.type === "search";
    if (isSearch !== (kind === "input")) return;
    clearTimeout(asking);
    asking = setTimeout(() => refreshSheet(form), isSearch ? 250 : 0);
  });
}

document.addEventListener("change", async (event) => {
  if (!event.target.matches("[data-upload-now] [type=file]")) return;
  const form = event.target.form;
  const [file] = event.target.files;
  if (!file) return;
  const path = await uploadFile(file, "", form.querySelector("[data-uploads]"));
  event.target.value = "";
  if (path) refreshSheet(form, path.split("/").pop());
});

document.querySelectorAll("#start").forEach(prepare);
