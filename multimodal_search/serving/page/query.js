// The query: what it holds, how it is written into the address bar, and how the server is asked.

/** A query with nothing in it. */
export function emptyQuery() {
  return {
    words: "", wordsWeight: 1, not: "", notWeight: 1,
    parts: [], // {kind: "id" | "image" | "series" | "stretch", value, weight, start, end}; start and end in seconds
    choices: {}, // field -> values, one of which it has
    ranges: {}, // field -> [lowest, highest], null where it is open
    where: "", after: "", before: "",
    modality: "", perScene: "", diverse: false,
    k: FIRST_K,
    area: [], // corners of what is selected on the map: x, y, x, y, ...
    scenario: "",
    moment: "", // the one that is open
    colour: null, // of the map: a field, "" for none, null for the page's own choice
  };
}

export const FIRST_K = 24;
export const MOST_K = 1000;
const PART_NAMES = { id: "like", image: "image", series: "series", stretch: "stretch" };
const WEIGHT = /~(-?\d+(?:\.\d+)?)$/;
const STRETCH = /@(-?\d+(?:\.\d+)?):(-?\d+(?:\.\d+)?)$/;

/** The query as the part of an address after "?". */
export function toAddress(query) {
  const address = new URLSearchParams();
  const put = (name, value) => value && address.append(name, value);
  put("q", query.words);
  put("not", query.not);
  if (query.words && query.wordsWeight !== 1) put("q-weight", query.wordsWeight);
  if (query.not && query.notWeight !== 1) put("not-weight", query.notWeight);
  for (const part of query.parts) put(PART_NAMES[part.kind], written(part));
  for (const [field, values] of Object.entries(query.choices)) for (const one of values) put(`f.${field}`, `=${one}`);
  for (const [field, [low, high]] of Object.entries(query.ranges)) put(`f.${field}`, `${low ?? ""}..${high ?? ""}`);
  for (const name of ["where", "after", "before", "scenario", "moment"]) put(name, query[name]);
  put("against", query.modality);
  put("per-scene", query.perScene);
  if (query.diverse) put("diverse", "1");
  if (query.k !== FIRST_K) put("k", String(query.k));
  put("area", query.area.map((one) => +one.toFixed(3)).join(","));
  if (query.colour !== null) address.append("colour", query.colour);
  return address.toString();
}

function written({ kind, value, weight, start, end }) {
  const stretch = kind === "stretch" ? `@${start}:${end}` : "";
  return `${value}${stretch}${weight === 1 && !WEIGHT.test(value) ? "" : `~${weight}`}`;
}

/** The query that an address holds; what it does not understand, it leaves out. */
export function fromAddress(search) {
  const query = emptyQuery();
  const kinds = Object.fromEntries(Object.entries(PART_NAMES).map(([kind, name]) => [name, kind]));
  for (const [name, value] of new URLSearchParams(search)) {
    if (name in kinds) query.parts.push(read(kinds[name], value));
    else if (name.startsWith("f.")) readFilter(query, name.slice(2), value);
    else if (["not", "where", "after", "before", "scenario", "moment", "colour"].includes(name)) query[name] = value;
    else if (name === "q") query.words = value;
    else if (name === "q-weight") query.wordsWeight = weightOf(value);
    else if (name === "not-weight") query.notWeight = weightOf(value);
    else if (name === "against") query.modality = value;
    else if (name === "per-scene") query.perScene = String(Number.parseInt(value, 10) || "");
    else if (name === "diverse") query.diverse = value === "1";
    else if (name === "k") query.k = Math.min(MOST_K, Math.max(1, Number.parseInt(value, 10) || FIRST_K));
    else if (name === "area") query.area = value.split(",").map(Number).filter(Number.isFinite);
  }
  if (query.area.length < 6) query.area = [];
  return query;
}

function read(kind, text) {
  const weight = WEIGHT.exec(text);
  let value = weight ? text.slice(0, weight.index) : text;
  const part = { kind, value, weight: weight ? weightOf(weight[1]) : 1 };
  const stretch = kind === "stretch" && STRETCH.exec(value);
  if (stretch) {
    value = value.slice(0, stretch.index);
    Object.assign(part, { value, start: Number(stretch[1]), end: Number(stretch[2]) });
  }
  return part;
}

const weightOf = (text) => Math.max(-2, Math.min(2, Number(text) || 0));

function readFilter(query, field, text) {
  const range = /^(-?[\d.e+-]*?)\.\.(-?[\d.e+-]*)$/i.exec(text);
  if (text.startsWith("=")) (query.choices[field] ??= []).push(text.slice(1));
  else if (range) query.ranges[field] = [bound(range[1]), bound(range[2])];
}

const bound = (text) => (text === "" || !Number.isFinite(Number(text)) ? null : Number(text));

/** Whether there is something to be near to; otherwise moments are listed. */
export const asksSomething = (query) => Boolean(query.words || query.not || query.parts.length || query.scenario);

/** Whether anything orders or narrows the moments. */
export const narrows = (query, fields) => asksSomething(query) || Boolean(query.after || query.before || condition(query, fields));

/** What POST /search takes. `within`: ids that are selected on the map, or null. */
export function toRequest(query, fields, within) {
  const parts = [];
  if (query.words) parts.push({ text: query.words, weight: query.wordsWeight });
  if (query.not) parts.push({ text: query.not, weight: -query.notWeight });
  for (const { kind, value, weight, start, end } of query.parts) {
    if (kind === "stretch") parts.push({ series_of: { id: value, start_seconds: start, end_seconds: end }, weight });
    else parts.push({ [kind]: value, weight });
  }
  return {
    parts: parts.filter((one) => one.weight !== 0),
    where: condition(query, fields),
    after: instant(query.after),
    before: instant(query.before),
    modality: query.modality || null,
    per_scene: query.perScene ? Number(query.perScene) : null,
    diverse: query.diverse,
    within,
    k: query.k,
  };
}

const instant = (text) => (text ? `${text}${/[zZ]|[+-]\d\d:\d\d$/.test(text) ? "" : "Z"}` : null);

/** All filters as one condition of the filter language, or null. */
function condition(query, fields) {
  const types = Object.fromEntries(fields.map((one) => [one.name, one.type]));
  const tests = [];
  for (const [field, values] of Object.entries(query.choices)) {
    const literals = values.map((one) => literal(one, types[field]));
    if (literals.length) tests.push(`${quotedName(field)} in [${literals.join(", ")}]`);
  }
  for (const [field, [low, high]] of Object.entries(query.ranges)) {
    if (low !== null) tests.push(`${quotedName(field)} >= ${low}`);
    if (high !== null) tests.push(`${quotedName(field)} <= ${high}`);
  }
  if (query.where.trim()) tests.push(tests.length ? `(${query.where})` : query.where);
  return tests.join(" and ") || null;
}

const quotedName = (name) => `\`${name.replace(/`/g, "``")}\``;

function literal(value, type) {
  if (type === "bool" || (type === "number" && Number.isFinite(Number(value)))) return value;
  return `'${value.replace(/[\\']/g, "\\$&").replace(/\n/g, "\\n").replace(/\r/g, "\\r")}'`;
}
