// Which points lie near a place, and which inside an outline.

const POINTS_A_CELL = 4;
const MOST_CORNERS = 40;

/** Finds the nearest point: a grid over (n) places, interleaved. */
export class Picker {
  constructor(places, [left, bottom, right, top]) {
    const count = places.length / 2;
    this.places = places;
    this.across = Math.max(1, Math.round(Math.sqrt(count / POINTS_A_CELL)));
    Object.assign(this, { left, bottom, cellWidth: (right - left) / this.across || 1, cellHeight: (top - bottom) / this.across || 1 });
    const cells = new Uint32Array(count);
    this.starts = new Uint32Array(this.across ** 2 + 1);
    for (let point = 0; point < count; point += 1) {
      const cell = this.column(places[2 * point]) + this.across * this.line(places[2 * point + 1]);
      cells[point] = cell;
      this.starts[cell + 1] += 1;
    }
    for (let cell = 0; cell < this.across ** 2; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.points = new Uint32Array(count);
    for (let point = 0; point < count; point += 1) this.points[next[cells[point]]++] = point;
  }

  column(x) {
    return clamp(Math.floor((x - this.left) / this.cellWidth), this.across);
  }

  line(y) {
    return clamp(Math.floor((y - this.bottom) / this.cellHeight), this.across);
  }

  /** The point nearest to (x, y), at most `reach` away; -1 where there is none. */
  nearest(x, y, reach) {
    let [best, least] = [-1, reach * reach];
    for (let line = this.line(y - reach); line <= this.line(y + reach); line += 1) {
      const row = line * this.across;
      const end = this.starts[row + this.column(x + reach) + 1];
      for (let at = this.starts[row + this.column(x - reach)]; at < end; at += 1) {
        const point = this.points[at];
        const away = (this.places[2 * point] - x) ** 2 + (this.places[2 * point + 1] - y) ** 2;
        if (away <= least) [best, least] = [point, away];
      }
    }
    return best;
  }
}

// a point without a place (NaN) goes to the first cell, where it is near to nothing
const clamp = (value, count) => (value >= 0 ? Math.min(count - 1, value) : 0);

/** Numbers of the points inside an outline (x, y, x, y, ...), by the even-odd rule. */
export function inside(places, outline) {
  const xs = outline.filter((_, place) => place % 2 === 0);
  const ys = outline.filter((_, place) => place % 2 === 1);
  const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let point = 0; point < places.length / 2; point += 1) {
    const x = places[2 * point];
    const y = places[2 * point + 1];
    if (x < left || x > right || y < bottom || y > top) continue;
    let within = false;
    for (let one = 0, other = xs.length - 1; one < xs.length; other = one++) {
      if (ys[one] > y !== ys[other] > y && x < ((xs[other] - xs[one]) * (y - ys[one])) / (ys[other] - ys[one]) + xs[one]) within = !within;
    }
    if (within) found.push(point);
  }
  return found;
}

/** A drawn outline with few corners, so that it fits into an address: those nearest to a straight line go first. */
export function simplified(outline) {
  const corners = [];
  for (let place = 0; place < outline.length; place += 2) corners.push([outline[place], outline[place + 1]]);
  while (corners.length > MOST_CORNERS) {
    let [least, which] = [Infinity, 0];
    corners.forEach((corner, place) => {
      const before = corners.at(place - 1);
      const after = corners[(place + 1) % corners.length];
      const area = Math.abs((corner[0] - before[0]) * (after[1] - before[1]) - (after[0] - before[0]) * (corner[1] - before[1]));
      if (area < least) [least, which] = [area, place];
    });
    corners.splice(which, 1);
  }
  return corners.flat().map((one) => Math.round(one * 1000) / 1000);
}
