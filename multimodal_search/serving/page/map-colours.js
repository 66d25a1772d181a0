// What the colours of the map mean: kinds, the most frequent first, or an amount from low to high.

// Okabe and Ito (2008) and more; the same as in the library's own maps, lighter where the ground is dark
const KINDS = {
  light: ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#a89a00", "#4d4d4d", "#882255", "#999933"],
  dark: ["#4aa3df", "#f0b429", "#2cc79b", "#ff7f3f", "#e59cc5", "#8fd3ff", "#d8cb3a", "#b9bec4", "#d0669a", "#bdbd5c"],
};
const GREY = { light: "#8a8f94", dark: "#70767c" };
// Viridis at nine places; dark ends are lifted where the ground is dark
const RAMP = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const MOST_KINDS = 20;
const UNKNOWN = 255;
const ALPHA = 217;

const rgb = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

/**
 * Codes, colours and a legend.
 * `column` is null (one colour), {names, codes} (a name a code) or {amounts} (NaN where unknown).
 * Returns {codes: Uint8Array, palette: RGBA bytes of 256, kinds: [{name, count, colour, code}] or null, low, high}.
 */
export function colouring(column, count, theme) {
  const palette = new Uint8Array(1024);
  const paint = (code, hex) => palette.set([...rgb(hex), ALPHA], 4 * code);
  paint(UNKNOWN, GREY[theme]);
  if (!column) {
    paint(0, KINDS[theme][0]);
    return { codes: new Uint8Array(count), palette, kinds: [] };
  }
  return column.names ? kinds(column, theme, paint, palette) : amounts(column.amounts, theme, paint, palette);
}

function kinds({ names, codes: given }, theme, paint, palette) {
  const counts = new Uint32Array(names.length + 1);
  for (const code of given) counts[Math.min(code, names.length)] += 1;
  const ranked = names.map((_, code) => code).filter((code) => counts[code]).sort((one, other) => counts[other] - counts[one]);
  const shown = ranked.length > MOST_KINDS ? ranked.slice(0, MOST_KINDS - 1) : ranked;
  const places = new Uint8Array(names.length + 1).fill(UNKNOWN - 1);
  places[names.length] = UNKNOWN;
  paint(UNKNOWN - 1, GREY[theme]);
  const legend = shown.map((code, place) => {
    places[code] = place;
    const colour = KINDS[theme][place % KINDS[theme].length];
    paint(place, colour);
    return { name: names[code], count: counts[code], colour, code: place };
  });
  const rest = ranked.slice(shown.length).reduce((sum, code) => sum + counts[code], 0);
  if (rest) legend.push({ name: null, key: "others", count: rest, colour: GREY[theme], code: UNKNOWN - 1 });
  if (counts[names.length]) legend.push({ name: null, key: "unknown", count: counts[names.length], colour: GREY[theme], code: UNKNOWN });
  const codes = new Uint8Array(given.length);
  for (let point = 0; point < given.length; point += 1) codes[point] = places[Math.min(given[point], names.length)];
  return { codes, palette, kinds: legend };
}

function amounts(values, theme, paint, palette) {
  // a few far-off values would leave one colour for all others: the ends are the 1st and 99th percentile
  const known = Float32Array.from(values.filter((one) => !Number.isNaN(one))).sort();
  const low = known[Math.floor(known.length * 0.01)] ?? 0;
  const high = known[Math.ceil(known.length * 0.99) - 1] ?? 1;
  for (let code = 0; code < UNKNOWN; code += 1) paint(code, ramp(code / (UNKNOWN - 1), theme));
  const codes = new Uint8Array(values.length);
  const step = (UNKNOWN - 1) / (high - low || 1);
  for (let point = 0; point < values.length; point += 1) {
    const value = values[point];
    codes[point] = Number.isNaN(value) ? UNKNOWN : Math.max(0, Math.min(UNKNOWN - 1, Math.round((value - low) * step)));
  }
  return { codes, palette, kinds: null, low, high };
}

/** The colour of a share from 0 to 1. */
export function ramp(share, theme) {
  const lifted = theme === "dark" ? 0.2 + 0.8 * share : 0.95 * share;
  const at = lifted * (RAMP.length - 1);
  const [one, other] = [rgb(RAMP[Math.floor(at)]), rgb(RAMP[Math.min(RAMP.length - 1, Math.floor(at) + 1)])];
  const mixed = one.map((value, channel) => Math.round(value + (at % 1) * (other[channel] - value)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}
