// Keeps a map of very many points smooth where the graphics are slow: while it moves, it may be drawn with fewer.

const [SLOW_MS, QUICK_MS, REST_MS] = [45, 20, 180];
const FEWEST = 16; // one of so many

/** How many points to leave out; `rested()` is called when all may be drawn again. */
export class Pace {
  constructor(rested) {
    Object.assign(this, { rested, learnt: 1, last: 0, took: 0, moving: false, waiting: 0 });
  }

  /** The map is being moved. */
  moved() {
    this.moving = true;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.moving = false;
      this.last = 0;
      this.rested();
    }, Math.max(REST_MS, 3 * this.took)); // a slow frame is no rest
  }

  /** One of how many points this frame, which begins at `now` (ms), draws. */
  frame(now) {
    if (!this.moving) return 1;
    this.took = this.last ? now - this.last : 0;
    this.last = now;
    if (this.took > SLOW_MS) this.learnt = Math.min(FEWEST, this.learnt * 2);
    else if (this.took && this.took < QUICK_MS && this.learnt > 1) this.learnt -= 1;
    return this.learnt;
  }
}
