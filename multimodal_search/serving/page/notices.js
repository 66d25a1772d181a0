// What went wrong, where the hits would be; and short notes that go by themselves.

import { byId, el } from "./dom.js";

const TOAST_MS = 4000;
let leaving = 0;

/** Show why something failed, and what to do; null takes it away. */
export function problem(error) {
  const place = byId("problem");
  place.hidden = !error;
  if (!error) return place.replaceChildren();
  if (error.name === "AbortError") return undefined;
  if (error.status === undefined) console.error(error); // a mistake of the page, not a refusal of the server
  return place.replaceChildren(el("strong", {}, error.message), error.remedy ? el("span", {}, error.remedy) : "");
}

/** A note at the bottom, for a few seconds. */
export function toast(text) {
  const place = byId("toast");
  place.textContent = text;
  place.hidden = false;
  clearTimeout(leaving);
  leaving = setTimeout(() => (place.hidden = true), TOAST_MS);
}
