// The parts of the query beside each other, each with its weight and a way out.

import { inPath } from "./api.js";
import { byId, el, iconButton } from "./dom.js";
import { number, t } from "./language.js";
import { pictures } from "./search-box.js";
import { change, clear, on, state } from "./store.js";

export function startParts() {
  on("query", draw);
  on("hits", draw); // the count of what is selected comes with them
  on("language", draw);
  draw();
}

function draw() {
  const { query } = state;
  const chips = [];
  const texts = Boolean(query.words) + Boolean(query.not);
  const several = texts + query.parts.length > 1;
  if (query.scenario) chips.push(chip({ name: t("part_scenario"), label: query.scenario, remove: { scenario: "" } }));
  if (query.words && several) chips.push(textChip("words", "wordsWeight", t("part_words")));
  if (query.not && several) chips.push(textChip("not", "notWeight", t("part_not")));
  query.parts.forEach((part, place) => chips.push(partChip(part, place)));
  if (query.area.length) {
    chips.push(chip({ name: t("map"), label: t("part_area", { n: state.selected?.length ?? "…" }), remove: { area: [] } }));
  }
  const place = byId("parts");
  place.hidden = chips.length === 0;
  // the slider that is being moved stays: a new one would lose the pointer
  if (place.contains(document.activeElement) && place.children.length === chips.length + 1 && sliding) return;
  const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  place.replaceChildren(...chips, el("button", { type: "button", class: "quiet", on: { click: clear } }, t("clear_query")));
  if (focused) [...place.querySelectorAll("[aria-label]")].find((one) => one.getAttribute("aria-label") === focused)?.focus();
}

let sliding = false;

function textChip(text, weight, name) {
  return chip({
    name,
    label: state.query[text],
    weight: state.query[weight],
    lowest: 0,
    setWeight: (value) => change({ [weight]: value }, { replace: true }),
    remove: { [text]: "" },
  });
}

function partChip(part, place) {
  const parts = state.query.parts;
  const { kind, value, start, end } = part;
  const known = kind === "id" || kind === "stretch";
  const source = known ? `/thumbnails/${inPath(value)}?w=160` : pictures.get(value);
  const name = kind === "stretch" ? t("part_stretch", { start: number(start, 1), end: number(end, 1) }) : t(`part_${kind}`);
  return chip({
    name,
    label: known ? value : "",
    source,
    weight: part.weight,
    lowest: -2,
    setWeight: (weight) => change({ parts: parts.with(place, { ...part, weight }) }, { replace: true }),
    remove: { parts: parts.filter((_, other) => other !== place) },
  });
}

function chip({ name, label, source, weight, lowest, setWeight, remove }) {
  const whole = label ? `${name}: ${label}` : name;
  const node = el("div", { class: "chip", data: { sign: weight < 0 ? "minus" : "plus" } });
  if (source) {
    const picture = el("img", { src: source, alt: "", width: 40, height: 26 });
    picture.addEventListener("error", () => picture.remove());
    node.append(picture);
  }
  node.append(el("span", { class: "chip-name" }, name), label ? el("span", { class: "chip-label", title: label }, label) : "");
  if (setWeight) node.append(...slider(whole, weight, lowest, setWeight));
  node.append(iconButton("close", t("remove", { part: whole }), () => change(remove)));
  return node;
}

function slider(name, weight, lowest, setWeight) {
  const shown = el("output", {}, number(weight, 1));
  const input = el("input", {
    type: "range", min: lowest, max: 2, step: 0.1, value: weight, "aria-label": t("weight", { part: name }),
    on: {
      input: () => (shown.textContent = number(Number(input.value), 1)),
      change: () => {
        sliding = true;
        setWeight(Number(input.value));
        sliding = false;
      },
    },
  });
  return [input, shown];
}
