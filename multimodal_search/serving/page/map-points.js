// Draws the points: WebGL 2 where there is one, plain rectangles where there is none. Places are in the map's units.

const VERTEX = `#version 300 es
precision highp float;
in vec2 place; in float code; in float lit;
uniform vec2 centre, scale; uniform float size; uniform sampler2D palette; uniform float anyLit;
out vec4 colour;
void main() {
  gl_Position = vec4((place - centre) * scale, 0.0, 1.0);
  bool faint = anyLit > 0.5 && lit < 0.5;
  gl_PointSize = faint ? size * 0.8 : size;
  vec4 own = texelFetch(palette, ivec2(int(code), 0), 0);
  colour = vec4(own.rgb, faint ? 0.12 : own.a);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour; out vec4 shown; uniform float size;
void main() {
  float away = length(gl_PointCoord - 0.5) * 2.0;
  float soft = 2.0 / max(size, 2.0);
  float alpha = colour.a * (1.0 - smoothstep(1.0 - soft, 1.0, away));
  if (alpha < 0.004) discard;
  shown = vec4(colour.rgb * alpha, alpha);
}`;
const KINDS = 256; // codes are one byte
const COLUMNS = [["place", 2, "FLOAT", 8], ["code", 1, "UNSIGNED_BYTE", 1], ["lit", 1, "UNSIGNED_BYTE", 1]];

/** What draws on this canvas: {set, colour, light, draw}. */
export function painter(canvas) {
  const gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true, alpha: true });
  return gl ? webgl(canvas, gl) : rectangles(canvas);
}

function webgl(canvas, gl) {
  const kept = {}; // what was given, to be given again after the context was lost
  let count = 0;
  let stride = 0; // which of the points are drawn: every so many
  const where = {};
  const buffers = {};
  const begin = () => {
    const program = linked(gl);
    gl.useProgram(program);
    for (const name of ["centre", "scale", "size", "palette", "anyLit"]) where[name] = gl.getUniformLocation(program, name);
    for (const [name] of COLUMNS) {
      buffers[name] = gl.createBuffer();
      where[name] = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(where[name]);
    }
    stride = 0;
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  };
  const step = (every) => {
    if (every === stride) return;
    stride = every;
    for (const [name, width, type, bytes] of COLUMNS) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
      gl.vertexAttribPointer(where[name], width, gl[type], false, bytes * every, 0);
    }
  };
  const fill = (name, data) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
  };
  const api = {
    /** Interleaved places (2 n), float32. */
    set(places) {
      kept.places = places;
      count = places.length / 2;
      fill("place", places);
      api.colour(new Uint8Array(count), new Uint8Array(KINDS * 4).fill(128));
      api.light(null);
    },
    /** (n) a code a point, and (256 x RGBA) the colours. */
    colour(codes, palette) {
      Object.assign(kept, { codes, palette });
      fill("code", codes);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, KINDS, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, palette);
    },
    /** (n) 1 where a point is lit, the others fade; null lights all. */
    light(lit) {
      kept.lit = lit;
      fill("lit", lit ?? new Uint8Array(count));
    },
    /** {x, y} at the middle, `zoom` pixels a unit, points of `size` pixels (the canvas's own); one of `every` points. */
    draw({ x, y, zoom, size, every }) {
      step(every);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(where.centre, x, y);
      gl.uniform2f(where.scale, (2 * zoom) / canvas.width, (2 * zoom) / canvas.height);
      gl.uniform1f(where.size, size);
      gl.uniform1f(where.anyLit, kept.lit ? 1 : 0);
      gl.drawArrays(gl.POINTS, 0, Math.floor((count - 1) / every) + 1);
    },
  };
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    const { places, codes, palette, lit } = kept;
    begin();
    if (!places) return;
    api.set(places);
    api.colour(codes, palette);
    api.light(lit);
    canvas.dispatchEvent(new Event("redraw"));
  });
  begin();
  return api;
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
  return program;
}

function rectangles(canvas) {
  const context = canvas.getContext("2d");
  let [places, codes, colours, lit, order] = [new Float32Array(), new Uint8Array(), [], null, new Uint32Array()];
  const css = (palette, code) => `rgb(${palette.slice(4 * code, 4 * code + 3).join(" ")})`;
  return {
    set: (given) => (places = given),
    colour(given, palette) {
      codes = given;
      colours = Array.from({ length: KINDS }, (_, code) => css(palette, code));
      order = Uint32Array.from(codes.keys()).sort((one, other) => codes[one] - codes[other]); // one change of colour a kind
    },
    light: (given) => (lit = given),
    draw({ x, y, zoom, size, every }) {
      const { width, height } = canvas;
      context.clearRect(0, 0, width, height);
      let last = -1;
      for (let at = 0; at < order.length; at += every) {
        const point = order[at];
        const across = (places[2 * point] - x) * zoom + width / 2;
        const down = height / 2 - (places[2 * point + 1] - y) * zoom;
        if (across < 0 || down < 0 || across > width || down > height) continue;
        if (codes[point] !== last) context.fillStyle = colours[(last = codes[point])];
        context.globalAlpha = lit && !lit[point] ? 0.12 : 0.85;
        context.fillRect(across - size / 2, down - size / 2, size, size);
      }
    },
  };
}
