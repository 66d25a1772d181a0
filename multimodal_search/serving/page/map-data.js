// The map's columns, as the server packs them: little endian, each with eight letters in front (serving/map_data.py).

import { getBytes, getJson, inPath } from "./api.js";

const [POINTS, COLUMN] = ["MMSMAP01", "MMSCOL01"];
const NUMBERS = 0;

function opened(bytes, magic) {
  const found = new TextDecoder().decode(bytes.slice(0, 8));
  if (found !== magic) throw new Error(`the map begins with ${found}, not with ${magic}`);
  return new DataView(bytes);
}

/** Places (2 n), interleaved, NaN where a moment has none; bounds [left, bottom, right, top]. */
export async function loadPlaces() {
  const bytes = await getBytes("/map");
  const count = opened(bytes, POINTS).getUint32(8, true);
  const xs = new Float32Array(bytes, 12, count);
  const ys = new Float32Array(bytes, 12 + 4 * count, count);
  const places = new Float32Array(2 * count);
  const bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (let point = 0; point < count; point += 1) {
    const [x, y] = [xs[point], ys[point]];
    places[2 * point] = x;
    places[2 * point + 1] = y;
    if (x < bounds[0]) bounds[0] = x;
    if (y < bounds[1]) bounds[1] = y;
    if (x > bounds[2]) bounds[2] = x;
    if (y > bounds[3]) bounds[3] = y;
  }
  return { places, count, bounds: bounds.every(Number.isFinite) ? bounds : [0, 0, 1, 1] };
}

/** A field of all points: {names, codes} or {amounts}. */
export async function loadColumn(field) {
  const bytes = await getBytes(`/map/column/${inPath(field)}`);
  const view = opened(bytes, COLUMN);
  const count = view.getUint32(12, true);
  if (view.getUint32(8, true) === NUMBERS) return { amounts: new Float32Array(bytes, 16, count) };
  const end = 16 + 2 * count + 2 * (count % 2);
  const length = view.getUint32(end, true);
  const names = JSON.parse(new TextDecoder().decode(bytes.slice(end + 4, end + 4 + length)));
  return { names, codes: new Uint16Array(bytes, 16, count) };
}

export const loadClusters = () => getJson("/map/clusters");

let ids = null;

/** Ids of all points, in their order; asked for once, when they are first needed. */
export function loadIds() {
  ids ??= getJson("/map/ids");
  ids.catch(() => (ids = null));
  return ids;
}
