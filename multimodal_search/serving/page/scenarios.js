// Votes become scenarios: saved under a name, listed, asked again, deleted.

import { ask, getJson, inPath, post } from "./api.js";
import { byId, el, iconButton } from "./dom.js";
import { menu } from "./filters.js";
import { t } from "./language.js";
import { problem, toast } from "./notices.js";
import { asksSomething, emptyQuery, toRequest } from "./query.js";
import { change, on, state, tell } from "./store.js";

let known = []; // of GET /scenarios

/** The menu of saved scenarios; the bar with the votes draws itself under the hits. */
export function startScenarios() {
  const list = el("div", { class: "scenario-list" });
  const node = menu(t("scenarios"), list);
  node.id = "scenarios";
  on("votes", drawVotes);
  on("query", drawVotes);
  on("language", () => {
    drawList(node, list);
    drawVotes();
  });
  on("scenarios", () => drawList(node, list));
  load();
  return node;
}

async function load() {
  try {
    const found = await getJson("/scenarios");
    known = Array.isArray(found) ? found : found.scenarios;
    restoreVotes();
    tell("scenarios");
  } catch (error) {
    problem(error);
  }
}

function restoreVotes() {
  const one = known.find(({ name }) => name === state.query.scenario);
  if (!one || state.up.size || state.down.size) return;
  one.up.forEach((id) => state.up.add(id));
  one.down.forEach((id) => state.down.add(id));
  tell("votes");
}

function drawList(node, list) {
  node.querySelector("summary").replaceChildren(t("scenarios"), known.length ? el("b", {}, String(known.length)) : "");
  list.replaceChildren(...(known.length ? known.map((one) => entry(one, node)) : [el("p", { class: "hint" }, t("no_scenarios"))]));
}

function entry({ name, words, up, down }, node) {
  const run = () => {
    node.open = false;
    state.up.clear();
    state.down.clear();
    change({ ...emptyQuery(), scenario: name, colour: state.query.colour });
    restoreVotes();
  };
  return el("div", { class: "scenario" },
    el("button", { type: "button", class: "quiet", "aria-label": t("run_scenario", { name }), on: { click: run } },
      el("strong", {}, name), el("small", {}, [words, t("votes", { up: up.length, down: down.length })].filter(Boolean).join(" · "))),
    iconButton("close", t("delete_scenario", { name }), () => remove(name)));
}

async function remove(name) {
  if (!confirm(t("delete_sure", { name }))) return;
  try {
    await ask(`/scenarios/${inPath(name)}`, { method: "DELETE" });
    if (state.query.scenario === name) change({ scenario: "" });
    await load();
  } catch (error) {
    problem(error);
  }
}

function drawVotes() {
  const bar = byId("votes");
  const [up, down] = [state.up.size, state.down.size];
  bar.hidden = !up && !down && !takenBack(state.query.scenario).length;
  const before = bar.querySelector("input")?.value;
  const focused = bar.contains(document.activeElement) && document.activeElement.matches("input");
  const field = el("input", { type: "text", required: true, maxlength: 200, value: before || state.query.scenario || state.query.words, "aria-label": t("scenario_name"), placeholder: t("scenario_name") });
  bar.onsubmit = (event) => {
    event.preventDefault();
    save(field.value.trim());
  };
  bar.replaceChildren(el("span", { class: "count" }, t("votes", { up, down })), field,
    el("button", { class: "primary" }, t("save_scenario")),
    el("button", { type: "button", class: "quiet", on: { click: forget } }, t("clear_votes")));
  if (focused) field.focus();
}

function forget() {
  state.up.clear();
  state.down.clear();
  byId("votes").replaceChildren();
  tell("votes");
}

/** Votes of the scenario that is open, which somebody has cleared since. */
function takenBack(name) {
  const former = name === state.query.scenario ? known.find((one) => one.name === name) : null;
  return former ? [...former.up, ...former.down].filter((id) => !state.up.has(id) && !state.down.has(id)) : [];
}

async function save(name) {
  if (!name) return;
  // a scenario that is asked again keeps the query it grew from
  const grows = asksSomething(state.query) && !state.query.scenario;
  const query = grows ? toRequest(state.query, state.config.fields, null) : null;
  try {
    await post("/scenarios", { name, query, up: [...state.up], down: [...state.down], withdraw: takenBack(name) });
    await load();
    change({ ...emptyQuery(), scenario: name, colour: state.query.colour });
    toast(t("scenario_saved", { name }));
  } catch (error) {
    problem(error);
  }
}
