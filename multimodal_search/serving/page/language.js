// Which language the page speaks, and how it says things in it.

import { WORDS } from "./words.js";

const KEPT = "multimodal-search-language";
const CJK = /[\u3040-\u30ff\u3400-\u9fff]/;

let now = kept() ?? (navigator.languages ?? [navigator.language]).map(short).find((one) => one in WORDS) ?? "en";

function short(tag) {
  return tag.slice(0, 2).toLowerCase();
}

function kept() {
  const name = localStorage.getItem(KEPT);
  return name in WORDS ? name : null;
}

export const language = () => now;
export const languages = () => Object.entries(WORDS).map(([code, words]) => [code, words.language]);

/** Speak this language from now on, here and on the next visit. */
export function speak(code) {
  now = code;
  localStorage.setItem(KEPT, code);
  translatePage();
}

/** The words of this name, with {places} filled in. */
export function t(name, values = {}) {
  const words = WORDS[now][name] ?? WORDS.en[name] ?? name;
  return words.replace(/\{(\w+)\}/g, (whole, key) => (key in values ? show(values[key]) : whole));
}

const show = (value) => (typeof value === "number" ? number(value) : String(value));

/** What a field of the metadata is called. */
export const fieldName = (name) => WORDS[now].fields[name] ?? name.replace(/_/g, " ");

/** A value of the metadata as the data has it; names lose their underscores. */
export function valueName(value) {
  if (value === true || value === false) return t(value ? "yes" : "no");
  if (typeof value === "number") return number(value);
  if (value === null || value === undefined) return t("unknown");
  return typeof value === "object" ? JSON.stringify(value) : String(value).replace(/_/g, " ");
}

export const number = (value, digits = 2) => value.toLocaleString(now, { maximumFractionDigits: digits });

/** Microseconds since the epoch -> 2024-02-08 16:03:44 UTC, the same in every language; `day` alone is short. */
export function moment(us, { day = false } = {}) {
  if (us === null || us === undefined) return "";
  const iso = new Date(us / 1000).toISOString();
  return day ? iso.slice(0, 10) : `${iso.slice(0, 19).replace("T", " ")} UTC`;
}

/** Of several descriptions the one in the page's language, as far as there is one. */
export function described(hit) {
  const texts = hit.texts?.length ? hit.texts : [hit.text].filter(Boolean);
  return texts.find((one) => CJK.test(one) === (now === "ja")) ?? texts[0] ?? "";
}

/** Say everything that index.html holds in this language. */
export function translatePage() {
  document.documentElement.lang = now;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    if (node.matches("button, summary, canvas")) node.title = t(node.dataset.tLabel);
  }
  for (const node of document.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
