// Filters made from the metadata there is: kinds to choose, numbers between bounds, a stretch of time, an expression.

import { byId, el } from "./dom.js";
import { fieldsInOrder, tells } from "./fields.js";
import { fieldName, number, t, valueName } from "./language.js";
import { change, on, state } from "./store.js";

const SHOWN_AT_FIRST = 8;

export function startFilters() {
  on("query", refresh);
  on("language", draw);
  document.addEventListener("click", (event) => closeOthers(event.target.closest?.("details.menu")));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (!open) return;
    open.open = false;
    open.querySelector("summary").focus();
    event.preventDefault();
  });
  draw();
}

function closeOthers(but) {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== but) menu.open = false;
}

let shown = []; // one {menu, name, chosen(), fill()} a filter
let rest = []; // those of them that are folded away
let unfolded = false;

function unfold() {
  unfolded = !unfolded;
  byId("filters").querySelector(".more-filters").setAttribute("aria-expanded", String(unfolded));
  refresh();
}

function draw() {
  const fields = fieldsInOrder();
  const made = fields.map((field) => ({ field, one: filter(field) })).filter(({ one }) => one);
  const first = made.filter(({ field }, place) => place < SHOWN_AT_FIRST && tells(field)).map(({ one }) => one);
  rest = made.map(({ one }) => one).filter((one) => !first.includes(one));
  shown = [...first, ...rest, expression(), options()];
  const more = el("button", { type: "button", class: "quiet more-filters", hidden: !rest.length, "aria-expanded": String(unfolded), on: { click: unfold } }, t("more_filters"));
  byId("filters").replaceChildren(...[...first, ...rest].map((one) => one.menu), more, ...shown.slice(-2).map((one) => one.menu));
  refresh();
}

/** What is chosen, on each filter's button and in its fields. */
function refresh() {
  for (const one of shown) {
    const chosen = one.chosen();
    one.menu.dataset.chosen = chosen ? "yes" : "no";
    one.menu.querySelector("summary").replaceChildren(one.name, chosen ? el("b", {}, chosen) : "");
    one.menu.hidden = rest.includes(one) && !unfolded && !chosen;
    if (!one.menu.contains(document.activeElement)) one.fill();
  }
}

/** A button that opens a panel. */
export function menu(name, ...panel) {
  return el("details", { class: "menu" }, el("summary", {}, name), el("div", { class: "panel" }, ...panel));
}

function filter(field) {
  if (field.type === "time") return time(field);
  if (field.type === "number" && !field.values?.length) return range(field);
  if (field.type === "bool") return choice({ ...field, values: [true, false] });
  return field.values?.length ? choice(field) : null;
}

function choice(field) {
  const name = fieldName(field.name);
  const boxes = field.values.map((value) => {
    const box = el("input", { type: "checkbox", value: String(value), on: { change: take } });
    return { box, label: el("label", {}, box, el("span", {}, valueName(value))) };
  });
  function take() {
    const values = boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
    const { [field.name]: _, ...others } = state.query.choices;
    change({ choices: values.length ? { ...others, [field.name]: values } : others });
  }
  const now = () => state.query.choices[field.name] ?? [];
  return {
    menu: menu(name, el("fieldset", { class: "choices" }, el("legend", {}, name), boxes.map(({ label }) => label))),
    name,
    chosen: () => now().map(choiceName(field)).join(", "),
    fill: () => boxes.forEach(({ box }) => (box.checked = now().includes(box.value))),
  };
}

const choiceName = (field) => (text) => valueName(field.type === "bool" ? text === "true" : text);

function range(field) {
  const name = fieldName(field.name);
  const step = niceStep((field.max ?? 1) - (field.min ?? 0));
  const bounds = ["from", "to"].map((side) => {
    const hint = side === "from" ? Math.floor(field.min / step) * step : Math.ceil(field.max / step) * step;
    return el("input", { type: "number", step: "any", placeholder: number(hint, 3), "aria-label": `${name}: ${t(side)}`, on: { change: take } });
  });
  function take() {
    const values = bounds.map(({ value }) => (value === "" ? null : Number(value)));
    const { [field.name]: _, ...others } = state.query.ranges;
    change({ ranges: values.some((one) => one !== null) ? { ...others, [field.name]: values } : others });
  }
  const now = () => state.query.ranges[field.name] ?? [null, null];
  return {
    menu: menu(name, el("div", { class: "between" }, bounds[0], el("span", {}, "–"), bounds[1])),
    name,
    chosen: () => (now().some((one) => one !== null) ? now().map((one) => (one === null ? "" : number(one, 3))).join(" – ") : ""),
    fill: () => bounds.forEach((box, side) => (box.value = now()[side] ?? "")),
  };
}

const niceStep = (width) => 10 ** Math.floor(Math.log10((width || 1) / 20));

function time(field) {
  const isMicroseconds = Number.isFinite(field.min);
  const day = (value) => (value === undefined || value === null ? null : new Date(isMicroseconds ? value / 1000 : value).toISOString().slice(0, 16));
  const [first, last] = [day(field.min), day(field.max)];
  const sides = ["after", "before"].map((side) =>
    el("label", {}, t(side === "after" ? "from" : "to"), el("input", {
      type: "datetime-local", min: first?.slice(0, 11).concat("00:00"), max: last?.slice(0, 11).concat("23:59"),
      on: { change: (event) => change({ [side]: event.target.value }) },
    })),
  );
  return {
    menu: menu(t("time"), el("div", { class: "stacked" }, ...sides, el("p", { class: "hint" }, `${first ?? ""} – ${last ?? ""}`.replaceAll("T", " ")))),
    name: t("time"),
    chosen: () => (state.query.after || state.query.before ? `${state.query.after} – ${state.query.before}`.replaceAll("T", " ") : ""),
    fill: () => sides.forEach((label, place) => (label.querySelector("input").value = state.query[place ? "before" : "after"])),
  };
}

function expression() {
  const field = el("input", { type: "text", spellcheck: "false", maxlength: 4000, "aria-label": t("expression_label"), placeholder: t("expression_hint") });
  const form = el("form", { class: "expression", on: { submit: (event) => {
    event.preventDefault();
    change({ where: field.value.trim() });
  } } }, field, el("button", { class: "primary" }, t("apply")));
  return { menu: menu(t("expression"), form), name: t("expression"), chosen: () => state.query.where, fill: () => (field.value = state.query.where) };
}

function options() {
  const against = el("select", { on: { change: () => change({ modality: against.value }) } },
    el("option", { value: "" }, t("automatic")),
    state.config.modalities.map((one) => el("option", { value: one }, t(one))));
  const most = el("input", { type: "number", min: 1, max: 1000, on: { change: () => change({ perScene: most.value }) } });
  const diverse = el("input", { type: "checkbox", on: { change: () => change({ diverse: diverse.checked }) } });
  const panel = el("div", { class: "stacked" },
    el("label", {}, t("against"), against),
    el("label", {}, t("per_scene"), most),
    el("label", { class: "inline" }, diverse, t("diverse")));
  return {
    menu: menu(t("options"), panel),
    name: t("options"),
    chosen: () => [state.query.modality && t(state.query.modality), state.query.perScene && `≤ ${state.query.perScene}`, state.query.diverse && "≠"].filter(Boolean).join(", "),
    fill: () => {
      against.value = state.query.modality;
      most.value = state.query.perScene;
      diverse.checked = state.query.diverse;
    },
  };
}
