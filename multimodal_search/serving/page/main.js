// The page begins here: it asks what the bundle has, and searches whenever the query changes.

import { getJson, inPath, postJson } from "./api.js";
import { byId, el, iconButton } from "./dom.js";
import { startExport } from "./export.js";
import { startFilters } from "./filters.js";
import { startHits } from "./hits.js";
import { showKeys, startKeys } from "./keys.js";
import { language, languages, speak, t, translatePage } from "./language.js";
import { selectedIds, startMap } from "./map.js";
import { loadIds } from "./map-data.js";
import { startMoment } from "./moment.js";
import { problem, toast } from "./notices.js";
import { startParts } from "./parts.js";
import { asksSomething, MOST_K, narrows, toRequest } from "./query.js";
import { startScenarios } from "./scenarios.js";
import { startSearchBox } from "./search-box.js";
import { change, on, state, tell } from "./store.js";

const MORE = 2; // times as many hits
const LISTED = 12; // moments that are shown before anything is asked
let running = null; // of the search that is under way
let summary = () => "";

async function start() {
  translatePage();
  drawTools();
  try {
    state.config = await getJson("/config");
  } catch (error) {
    return problem(error);
  }
  document.title = `${state.config.title} · multimodal-search`;
  startSearchBox();
  startParts();
  startFilters();
  startHits();
  startMoment();
  startKeys();
  byId("tools").prepend(startScenarios(), startExport());
  switchOnPhones();
  on("query", ({ quiet }) => quiet || search());
  on("language", () => {
    drawTools();
    say(summary);
  });
  byId("more").addEventListener("click", () => change({ k: Math.min(MOST_K, state.query.k * MORE) }, { replace: true }));
  const mapped = startMap();
  await search();
  return mapped;
}

function say(words) {
  summary = words;
  byId("summary").textContent = words();
}

/** Ask for the hits of the query; an answer that is overtaken by another question is dropped. */
async function search() {
  running?.abort();
  running = new AbortController();
  const mine = running;
  byId("hits").setAttribute("aria-busy", "true");
  byId("filters").inert = Boolean(state.query.scenario); // a scenario has its own
  try {
    const selected = await selectedIds();
    if (mine.signal.aborted) return;
    state.selected = selected;
    tell("selected");
    const { hits, took_ms: took } = await found(mine.signal);
    if (mine.signal.aborted) return;
    problem(null);
    state.hits = hits;
    const milliseconds = Math.ceil(took?.total ?? took?.search ?? 0);
    say(() => summaryOf(hits, milliseconds));
    byId("more").hidden = !asks() || hits.length < state.query.k || state.query.k >= MOST_K;
    drawEmpty(hits);
    tell("hits");
  } catch (error) {
    if (mine.signal.aborted) return;
    problem(error);
    say(() => "\u00a0");
  } finally {
    if (running === mine) byId("hits").setAttribute("aria-busy", "false");
  }
}

function summaryOf(hits, ms) {
  if (!asks()) return t("browsing", { n: hits.length, total: state.config.moments });
  if (!hits.length) return t("nothing");
  return t(hits.length === 1 ? "found_one" : "found", { n: hits.length, ms });
}

const asks = () => narrows(state.query, state.config.fields);

async function found(signal) {
  const { query, config, selected } = state;
  if (query.scenario) return postJson(`/scenarios/${inPath(query.scenario)}/run`, { k: query.k }, { signal });
  if (selected?.length === 0) return { hits: [] };
  if (!asks()) return { hits: await listed(selected, signal) };
  const answer = await postJson("/search", toRequest(query, config.fields, selected), { signal });
  return asksSomething(query) ? answer : { ...answer, hits: answer.hits.map(unscored) };
}

/** Moments from all over the bundle, or over what is selected on the map. */
async function listed(selected, signal) {
  const ids = selected ?? (await loadIds());
  const count = Math.min(ids.length, LISTED);
  const some = Array.from({ length: count }, (_, place) => ids[Math.floor((place * ids.length) / count)]);
  const moments = await Promise.all(some.map((id) => getJson(`/moments/${inPath(id)}`, { signal })));
  return moments.map(unscored);
}

const unscored = (hit) => ({ ...hit, score: null }); // it was near to nothing that was asked

function drawEmpty(hits) {
  const old = byId("nothing");
  if (old) old.remove();
  if (!hits.length) byId("hits").before(el("p", { id: "nothing", class: "hint" }, t("nothing_hint")));
}

function drawTools() {
  const tools = byId("tools");
  const kept = [...tools.querySelectorAll("#scenarios, #export")];
  const choice = el("select", { id: "language", "aria-label": "Language / 言語", on: { change: () => {
    speak(choice.value);
    tell("language");
  } } }, languages().map(([code, name]) => el("option", { value: code, lang: code }, name)));
  choice.value = language();
  tools.replaceChildren(...kept,
    iconButton("link", t("share"), copyLink, { id: "share" }),
    iconButton("keys", t("keys"), showKeys, { id: "show-keys" }),
    iconButton("theme", t("theme"), () => {}, { id: "theme" }),
    choice);
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(location.href);
    toast(t("shared"));
  } catch {
    toast(location.href); // no clipboard without https
  }
}

function switchOnPhones() {
  for (const shown of ["hits", "map"]) {
    byId(`show-${shown}`).addEventListener("click", () => {
      byId("main").dataset.shown = shown;
      for (const one of ["hits", "map"]) byId(`show-${one}`).setAttribute("aria-pressed", String(one === shown));
    });
  }
}

start();
