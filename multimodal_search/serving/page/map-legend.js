// What the colours of the map mean, beneath it.

import { el } from "./dom.js";
import { number, t, valueName } from "./language.js";
import { ramp } from "./map-colours.js";

const STEPS = 24;

/** Kinds with their counts, or a scale from low to high; `amount(value)` writes its ends. */
export function drawLegend(place, { kinds, low, high }, field, theme, amount = number) {
  if (!field) return place.replaceChildren();
  if (!kinds) {
    const scale = el("span", { class: "scale" }, Array.from({ length: STEPS }, (_, step) => coloured("i", ramp(step / (STEPS - 1), theme))));
    return place.replaceChildren(el("span", {}, amount(low)), scale, el("span", {}, amount(high)));
  }
  return place.replaceChildren(...kinds.map(({ name, key, count, colour }) =>
    el("span", { class: "kind" }, coloured("i", colour), name === null ? t(key) : valueName(name), el("small", {}, number(count)))));
}

function coloured(tag, colour) {
  const node = el(tag);
  node.style.background = colour;
  return node;
}
