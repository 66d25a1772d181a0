// Talks to the server: errors that say what to do, a token when it wants one, one more try when it is busy.

import { el, byId } from "./dom.js";
import { t } from "./language.js";

/** The server's refusal, in its words. */
export class Refusal extends Error {
  constructor(status, what, remedy = "") {
    super(what);
    this.status = status;
    this.remedy = remedy;
  }
}

const RETRY_AFTER_SECONDS = 1;
let asking = null; // the token form that is open, shared by all who wait for it

/** Ask for a path; the response, or a Refusal. Waits for a token where the server wants one. */
export async function ask(path, options = {}, again = true) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, t("offline"));
  }
  if (response.ok) return response;
  if (response.status === 401) {
    asking ??= tokenForm().finally(() => (asking = null));
    await asking;
    return ask(path, options, again);
  }
  if ((response.status === 429 || response.status === 503) && again) {
    const seconds = Number(response.headers.get("retry-after")) || RETRY_AFTER_SECONDS;
    await new Promise((done) => setTimeout(done, 1000 * Math.min(seconds, 5)));
    return ask(path, options, false);
  }
  const body = await response.json().catch(() => ({}));
  const detail = typeof body.error === "string" ? body.error : `${t("failed")} (${response.status})`;
  throw new Refusal(response.status, detail, typeof body.remedy === "string" ? body.remedy : "");
}

export const getJson = async (path, options) => (await ask(path, options)).json();

export const post = (path, body, options = {}) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), ...options });

export const postJson = async (path, body, options) => (await post(path, body, options)).json();

/** Bytes, little endian. */
export const getBytes = async (path) => (await ask(path)).arrayBuffer();

/** Leave a picture or a signal with the server; {upload_id, kind}. */
export async function upload(file) {
  const form = new FormData();
  form.append("file", file, file.name || "picture.png");
  return (await ask("/uploads", { method: "POST", body: form })).json();
}

/** An id as one piece of a path. */
export const inPath = (id) => encodeURIComponent(id);

/** Ask for the token until it is right. */
function tokenForm() {
  const dialog = byId("login");
  const field = el("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const problem = el("p", { class: "problem", role: "alert" });
  const form = el(
    "form",
    { method: "dialog" },
    el("h2", { id: "login-title" }, t("token_title")),
    el("p", { class: "hint" }, t("token_hint")),
    el("label", { for: "token" }, t("token")),
    field,
    problem,
    el("button", { class: "primary" }, t("token_go")),
  );
  dialog.replaceChildren(form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const response = await fetch("/login", {
        method: "POST",
        credentials: "same-origin",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ token: field.value }),
      }).catch(() => null);
      if (response?.ok) {
        dialog.close();
        done();
      } else {
        problem.textContent = t(response ? (response.status === 401 ? "token_wrong" : "failed") : "offline");
        field.select();
      }
    });
  });
}
