// Makes elements. Whatever is shown goes in as text: nothing of the data is ever read as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Attributes whose value is null or false are left out, `on` holds listeners, `data` data attributes,
 * and children are elements, texts or numbers; null is skipped.
 */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

// Paths of 16 x 16 icons, drawn as strokes.
const ICONS = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.6 10.6 14 14",
  picture: "M2 3h12v10H2zM2 11l3.5-3.5L9 11l2-2 3 3M10.5 6.2a.8.8 0 1 0 0-.1",
  close: "M4 4l8 8M12 4l-8 8",
  up: "M5 7v6H2.5V7zM5 7l3-5c1.6 0 1.8 1 1.5 2.3L9 6.5h3.6c.9 0 1.4.6 1.2 1.5l-1 4c-.2.6-.6 1-1.2 1H5",
  down: "M11 9V3h2.5v6zM11 9l-3 5c-1.6 0-1.8-1-1.5-2.3L7 9.5H3.4c-.9 0-1.4-.6-1.2-1.5l1-4c.2-.6.6-1 1.2-1H11",
  like: "M5 4h9v7H5zM11 14H2V7",
  star: "M8 2l1.8 3.8 4.2.5-3.1 2.9.8 4.1L8 11.3l-3.7 2 .8-4.1L2 6.3l4.2-.5z",
  download: "M8 2v8M5 7.5 8 10.5l3-3M3 13.5h10",
  theme: "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
  keys: "M1.5 4h13v8h-13zM4 6.5h.01M6.7 6.5h.01M9.4 6.5h.01M12 6.5h.01M4.5 9.5h7",
  lasso: "M13.5 6c0 2.2-2.5 4-5.5 4S2.5 8.2 2.5 6 5 2.5 8 2.5s5.5 1.5 5.5 3.5ZM5 9.5c-1.5.5-1.5 2.5 0 2.5s1.5 2-.5 2",
  fit: "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4",
  link: "M6 3H3v10h10v-3M9 3h4v4M13 3 7 9",
  previous: "M10 3 5 8l5 5",
  next: "M6 3l5 5-5 5",
};

/** An icon; whoever holds it has the name. */
export function icon(name) {
  const path = svg("path", { d: ICONS[name] });
  return svg("svg", { class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true", focusable: "false" }, path);
}

/** A button with an icon alone, named for those who do not see it. */
export function iconButton(name, label, click, attributes = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click }, ...attributes }, icon(name));
}
