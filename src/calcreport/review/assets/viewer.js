// Images of one study: slices one by one as HU, films as grey; outlines and callipers drawn over them.

const PRESETS = [["Soft tissue", 400, 40], ["Bone", 2000, 500], ["Calcification", 700, 250], ["Lung", 1500, -600]];
const FILM_PRESETS = [["As stored", 255, 128], ["Brighter", 255, 90], ["More contrast", 128, 128], ["Inverted", -255, 128]];
const CACHE_BYTES = 128 * 1024 * 1024, AHEAD = 14, BEHIND = 3, AT_ONCE = 4;

export const presetNames = (isFilm) => (isFilm ? FILM_PRESETS : PRESETS).map((preset) => preset[0]);

/** Letter of the direction, in LPS, that a vector mostly points to. */
function letterOf([x, y, z]) {
  const size = [x, y, z].map(Math.abs), most = size.indexOf(Math.max(...size));
  return [x > 0 ? "L" : "R", y > 0 ? "P" : "A", z > 0 ? "H" : "F"][most];
}
const OPPOSITE = { L: "R", R: "L", P: "A", A: "P", H: "F", F: "H" };

/** Cells of a mask as report.json packs it: zlib, one bit a cell, most significant bit first. */
async function unpack(mask) {
  const packed = Uint8Array.from(atob(mask.bits), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return { offset: mask.offset, shape: mask.shape, bits: new Uint8Array(await new Response(stream).arrayBuffer()) };
}

/** Outline of a mask in one slice (of a film without a slice), in (column, row) with whole numbers at pixel centres, and its corner. */
function outlineOf(mask, slice) {
  const [rows, columns] = mask.shape.slice(-2), [top, left] = mask.offset.slice(-2);
  const first = mask.shape.length === 3 ? (slice - mask.offset[0]) * rows * columns : 0;
  if (mask.shape.length === 3 && (slice < mask.offset[0] || slice >= mask.offset[0] + mask.shape[0])) return null;
  const isIn = (i, j) => {
    if (i < 0 || j < 0 || i >= rows || j >= columns) return false;
    const n = first + i * columns + j;
    return (mask.bits[n >> 3] >> (7 - (n & 7))) & 1;
  };
  const path = new Path2D(), corner = [-1, Infinity];
  const edge = (x, y, dx, dy) => { path.moveTo(left + x - 0.5, top + y - 0.5); path.lineTo(left + x + dx - 0.5, top + y + dy - 0.5); };
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
    if (!isIn(i, j)) continue;
    corner[0] = Math.max(corner[0], left + j);
    corner[1] = Math.min(corner[1], top + i);
    if (!isIn(i - 1, j)) edge(j, i, 1, 0);
    if (!isIn(i + 1, j)) edge(j, i + 1, 1, 0);
    if (!isIn(i, j - 1)) edge(j, i, 0, 1);
    if (!isIn(i, j + 1)) edge(j + 1, i, 0, 1);
  }
  return corner[0] < 0 ? null : { path, corner };
}

/** Leads from LPS mm to (slice, row, column). */
function inverse(affine) {
  const [a, b, c] = [0, 1, 2].map((axis) => affine.slice(0, 3).map((row) => row[axis])), origin = affine.slice(0, 3).map((row) => row[3]);
  const cross = (p, q) => [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]];
  const dot = (p, q) => p[0] * q[0] + p[1] * q[1] + p[2] * q[2], size = dot(a, cross(b, c)), rows = [cross(b, c), cross(c, a), cross(a, b)];
  return (place) => rows.map((row) => dot(row, place.map((value, n) => value - origin[n])) / size);
}

/** What is drawn over the images for each lesion, by its id, in indices of its stack or film. */
function shapesOf(info) {
  const shapes = {};
  for (const { id, series_instance_uid, shape, location } of info.lesions) {
    if (!shape) continue;
    const films = shape.films.map((film, n) => ({ film: info.films.findIndex((other) => other.sop_instance_uid === location.films[n]?.sop_instance_uid),
      mask: film.mineral, line: [film.longest.start, film.longest.end] })).filter((film) => film.film >= 0);
    const stack = info.stacks.findIndex((other) => other.series_instance_uid === series_instance_uid);
    if (stack < 0) { shapes[id] = { films, masks: null, lines: {} }; continue; }
    const toIndex = inverse(info.stacks[stack].affine), lines = Object.entries({ longest: shape.longest, axial: shape.axial_longest }).filter(([, line]) => line);
    shapes[id] = { stack, films: [], key_slice: shape.key_slice, masks: [shape.contour, shape.mineral].filter(Boolean),
      lines: Object.fromEntries(lines.map(([name, line]) => [name, [toIndex(line.start), toIndex(line.end)]])) };
  }
  return shapes;
}

export class Viewer {
  /** `fetchStudy(path)` gives the Response for what lies under the study's address. */
  constructor(root, name, fetchStudy) {
    Object.assign(this, { root, name, fetchStudy, cache: new Map(), inFlight: new Map(), queue: [], masks: {}, zoom: 1, pan: [0, 0] });
    Object.assign(this, { preset: 0, window: null, at: [0, 0, 0], stack: 0, shown: -1, direction: 1, reduced: null, lesion: null });
    this.hidden = new Set();
    this.hasOutlines = true;
    this.onMove = () => {};
    this.lut = new Uint8ClampedArray(65536);
    this.observer = new ResizeObserver(() => this.draw());
  }

  async load(info) {
    this.info = info;
    this.shapes = shapesOf(info);
    this.isFilm = info.films.length > 0;
    if (info.problem || !(info.stacks.length || info.films.length)) return this.showPictures();
    this.build();
    await Promise.all(Object.entries(this.shapes).map(async ([id, shape]) => {
      const packed = shape.masks ?? shape.films.map((film) => film.mask);
      this.masks[id] = await Promise.all(packed.map(unpack)).catch(() => []);
    }));
    this.draw();
  }

  /** Without images the key pictures of the report are shown, and why there is nothing else. */
  async showPictures() {
    const box = document.createElement("div"), words = document.createElement("p");
    box.className = "gone";
    box.tabIndex = 0;
    words.textContent = `The images cannot be shown: ${this.info.problem || "the report is not about images"}. ` +
      "You see the pictures made with the report.";
    box.append(words);
    this.root.replaceChildren(box);
    for (const name of this.info.pictures) {
      const answer = await this.fetchStudy(`pictures/${encodeURIComponent(name)}`);
      if (!answer.ok) continue;
      const picture = document.createElement("img");
      picture.src = URL.createObjectURL(await answer.blob());
      picture.alt = `Picture ${name.replace(".png", "")} of the report`;
      box.append(picture);
    }
  }

  build() {
    const planes = document.createElement("div"), bar = document.createElement("div");
    planes.className = this.isFilm ? "planes single" : "planes";
    bar.className = "where";
    const names = this.isFilm ? ["film"] : ["axial", "coronal", "sagittal"];
    this.canvases = names.map((plane, number) => {
      const canvas = document.createElement("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${this.name}, ${plane} image`);
      if (number === 0) canvas.tabIndex = 0;
      planes.append(canvas);
      this.observer.observe(canvas);
      this.listen(canvas, number);
      return canvas;
    });
    this.range = document.createElement("input");
    this.range.type = "range";
    this.range.min = 0;
    this.range.setAttribute("aria-label", `${this.name}: ${this.isFilm ? "film" : "slice"}`);
    this.range.addEventListener("input", () => this.go(Number(this.range.value)));
    this.where = document.createElement("span");
    this.under = document.createElement("span");
    const name = document.createElement("strong");
    name.textContent = this.name;
    bar.append(name, this.where, this.range, this.under);
    this.root.replaceChildren(planes, bar);
    this.count = this.isFilm ? this.info.films.length : this.info.stacks[0].shape[0];
    const shape = this.isFilm ? [0, 0, 0] : this.info.stacks[0].shape;
    this.at = shape.map((size) => size >> 1);
    this.setPreset(0);
    this.go(this.isFilm ? 0 : this.at[0]);
  }

  listen(canvas, number) {
    let start = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) this.zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15);
      else this.step(event.deltaY < 0 ? -1 : 1);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      start = { x: event.offsetX, y: event.offsetY, pan: [...this.pan], window: [...this.window], slice: this.at[0], moved: false };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (number === 0) this.showUnder(event.offsetX, event.offsetY);
      if (!start) return;
      const dx = event.offsetX - start.x, dy = event.offsetY - start.y;
      start.moved ||= Math.hypot(dx, dy) > 4;
      if (!start.moved || number !== 0) return;
      if (event.shiftKey || event.buttons === 2) this.setWindow(Math.max(1, start.window[0] + dx * 2), start.window[1] - dy * 2);
      else if (event.pointerType === "touch" && this.zoom === 1 && !this.isFilm) this.go(start.slice + Math.round(dy / 6));
      else { this.pan = [start.pan[0] + dx, start.pan[1] + dy]; this.draw(); }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start && !start.moved && !this.isFilm) this.pick(number, event.offsetX, event.offsetY);
      start = null;
    });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** A click moves the other planes to the place. */
  pick(number, x, y) {
    const place = this.frames?.[number]?.toIndex(x, y);
    if (!place) return;
    const size = this.info.stacks[this.stack].shape, axes = [[2, 1], [2, 0], [1, 0]][number];
    axes.forEach((axis, n) => { this.at[axis] = Math.min(size[axis] - 1, Math.max(0, Math.round(place[n]))); });
    this.go(this.at[0]);
  }

  showUnder(x, y) {
    const place = this.frames?.[0]?.toIndex(x, y);
    const pixels = this.cache.get(`${this.stack}/${this.at[0]}`);
    if (!place || !pixels || this.isFilm) return;
    const [, rows, columns] = this.info.stacks[this.stack].shape, j = Math.round(place[0]), i = Math.round(place[1]);
    const hu = i >= 0 && j >= 0 && i < rows && j < columns ? pixels[i * columns + j] : -2048;
    this.under.textContent = hu > -2048 ? `${hu} HU` : "";
  }

  setPreset(number) {
    this.preset = number;
    const [, width, centre] = (this.isFilm ? FILM_PRESETS : PRESETS)[number];
    this.setWindow(width, centre);
  }

  setWindow(width, centre) {
    this.window = [width, centre];
    const low = centre - Math.abs(width) / 2, span = Math.abs(width);
    for (let n = 0; n < 65536; n++) {
      const share = (((n << 16) >> 16) - low) / span * 255;
      this.lut[n] = width < 0 ? 255 - share : share;
    }
    this.draw();
  }

  zoomBy(factor) {
    this.zoom = Math.min(40, Math.max(1, this.zoom * factor));
    this.pan = this.zoom === 1 ? [0, 0] : this.pan.map((shift) => shift * factor);
    this.draw();
  }

  reset() { this.zoom = 1; this.pan = [0, 0]; this.setPreset(this.preset); }
  toggleOutlines() { this.hasOutlines = !this.hasOutlines; this.draw(); }
  step(count) { this.go(this.at[0] + count); }

  go(index) {
    if (!this.canvases) return;
    const slice = Math.min(this.count - 1, Math.max(0, index)), before = this.at[0];
    if (slice !== before) this.direction = Math.sign(slice - before);
    this.at[0] = slice;
    this.range.max = this.count - 1;
    this.range.value = slice;
    this.fill();
    this.draw();
    if (slice !== before) this.onMove(slice - before);
  }

  /** Shows a lesion: its key slice and middle, or the film that shows it best. */
  select(id) {
    this.lesion = id;
    const shape = this.shapes?.[id];
    if (!this.canvases || !shape) return;
    if (this.isFilm) { if (shape.films.length) this.at[0] = -1, this.go(shape.films[0].film); return; }
    this.stack = shape.stack;
    this.count = this.info.stacks[this.stack].shape[0];
    const box = shape.masks.at(-1);
    this.at = box ? box.offset.map((first, axis) => first + (box.shape[axis] >> 1)) : this.at;
    this.go(shape.key_slice ?? this.at[0]);
    this.loadReduced();
  }

  address(index) { return this.isFilm ? `films/${index}` : `stacks/${this.stack}/${index}`; }

  /** Asks for the slice that is wanted, then for those that come next in the direction of scrolling. */
  fill() {
    const wanted = [this.at[0]];
    if (!this.isFilm) {
      for (let n = 1; n <= AHEAD; n++) wanted.push(this.at[0] + n * this.direction);
      for (let n = 1; n <= BEHIND; n++) wanted.push(this.at[0] - n * this.direction);
    }
    this.queue = wanted.filter((index) => index >= 0 && index < this.count && !this.cache.has(`${this.stack}/${index}`));
    this.pump();
  }

  pump() {
    while (this.inFlight.size < AT_ONCE && this.queue.length) {
      const index = this.queue.shift(), key = `${this.stack}/${index}`;
      if (this.cache.has(key) || this.inFlight.has(key)) continue;
      this.inFlight.set(key, this.fetchOne(key, index));
    }
  }

  async fetchOne(key, index) {
    try {
      const answer = await this.fetchStudy(this.address(index));
      if (!answer.ok) throw new Error((await answer.json()).message);
      const bytes = await answer.arrayBuffer();
      this.cache.set(key, this.isFilm ? new Uint8Array(bytes) : new Int16Array(bytes));
      let size = 0;
      for (const held of this.cache.values()) size += held.byteLength;
      for (const [old, held] of this.cache) {
        if (size <= CACHE_BYTES || old === key) break;
        this.cache.delete(old);
        size -= held.byteLength;
      }
      if (key === `${this.stack}/${this.at[0]}`) { this.draw(); if (!this.isFilm) this.loadReduced(); }
    } catch (error) {
      this.where.textContent = `This image cannot be shown: ${error.message}`;
    } finally {
      this.inFlight.delete(key);
      this.pump();
    }
  }

  async loadReduced() {
    if (this.reduced?.stack === this.stack) return;
    this.reduced = { stack: this.stack };
    const stack = this.stack, answer = await this.fetchStudy(`stacks/${stack}`);
    if (!answer.ok || stack !== this.stack) return;
    this.reduced = { stack, ...JSON.parse(answer.headers.get("X-Layout")), pixels: new Int16Array(await answer.arrayBuffer()) };
    this.draw();
  }

  draw() {
    if (this.isDrawing || !this.canvases) return;
    this.isDrawing = true;
    requestAnimationFrame(() => { this.isDrawing = false; this.drawNow(); });
  }

  drawNow() {
    this.frames = [];
    if (this.isFilm) return this.drawFilm();
    const { shape, spacing_mm: mm, affine, numbers } = this.info.stacks[this.stack], [k, i, j] = this.at;
    const pixels = this.cache.get(`${this.stack}/${k}`);
    const [along, down, right] = [0, 1, 2].map((axis) => letterOf(affine.slice(0, 3).map((row) => row[axis])));
    if (pixels) {
      const image = this.toImage(shape[1], shape[2], (row, column) => row * shape[2] + column, pixels);
      this.frames[0] = this.paint(0, image, [mm[2], mm[1]], [1, 1], [right, down], false);
      this.drawOutlines(this.frames[0], k);
      this.shown = k;
      this.canvases[0].dataset.slice = k;
      const number = numbers[k] === null ? "" : `Im ${numbers[k]}, `;
      this.where.textContent = `${number}slice ${k + 1} of ${shape[0]} · W ${Math.round(this.window[0])} L ${Math.round(this.window[1])}`;
    }
    const cut = this.reduced?.stack === this.stack && this.reduced.pixels;
    if (!cut) return;
    const [slices, rows, columns] = this.reduced.shape, [sk, si, sj] = this.reduced.steps, isUp = along === "H";
    const row = Math.min(rows - 1, Math.round(i / si)), column = Math.min(columns - 1, Math.round(j / sj));
    const coronal = this.toImage(slices, columns, (s, c) => (s * rows + row) * columns + c, cut, isUp);
    const sagittal = this.toImage(slices, rows, (s, r) => (s * rows + r) * columns + column, cut, isUp);
    this.frames[1] = this.paint(1, coronal, [mm[2] * sj, mm[0] * sk], [sj, sk], [right, isUp ? OPPOSITE[along] : along], isUp);
    this.frames[2] = this.paint(2, sagittal, [mm[1] * si, mm[0] * sk], [si, sk], [down, isUp ? OPPOSITE[along] : along], isUp);
    [j, i].forEach((across, number) => this.drawCross(this.frames[number + 1], across, k));
  }

  toImage(rows, columns, indexOf, pixels, isFlipped = false) {
    const image = new ImageData(columns, rows), words = new Uint32Array(image.data.buffer), isGrey = pixels instanceof Uint8Array;
    for (let row = 0; row < rows; row++) {
      let n = indexOf(isFlipped ? rows - 1 - row : row, 0), to = row * columns;
      const stride = columns > 1 ? indexOf(0, 1) - indexOf(0, 0) : 1;
      for (let column = 0; column < columns; column++, n += stride, to++) {
        const grey = this.lut[isGrey ? pixels[n] : pixels[n] & 0xffff];
        words[to] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
      }
    }
    this.scratch ??= document.createElement("canvas");
    return image;
  }

  /** Paints an image into a canvas, to scale in mm; gives how to get from its pixels to the canvas and back. */
  paint(number, image, mm, steps, [right, down], isFlipped) {
    const canvas = this.canvases[number], ratio = window.devicePixelRatio || 1, context = canvas.getContext("2d");
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.scratch.width = image.width;
    this.scratch.height = image.height;
    this.scratch.getContext("2d").putImageData(image, 0, 0);
    const fit = Math.min(width / (image.width * mm[0]), height / (image.height * mm[1])) * (number === 0 ? this.zoom : 1);
    const sx = fit * mm[0], sy = fit * mm[1], pan = number === 0 ? this.pan : [0, 0];
    const left = (width - image.width * sx) / 2 + pan[0], top = (height - image.height * sy) / 2 + pan[1];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.scratch, left, top, image.width * sx, image.height * sy);
    context.fillStyle = "#dfe3e7";
    context.font = "bold 13px system-ui, sans-serif";
    context.textAlign = "center";
    if (right) {
      context.fillText(OPPOSITE[right], 10, height / 2);
      context.fillText(right, width - 10, height / 2);
      context.fillText(OPPOSITE[down], width / 2, 14);
      context.fillText(down, width / 2, height - 5);
    }
    const last = image.height - 1, flip = (y) => (isFlipped ? last - y : y);
    return {
      context, left, top, sx, sy, ratio, width, height,
      toCanvas: (x, y) => [left + (x / steps[0] + 0.5) * sx, top + (flip(y / steps[1]) + 0.5) * sy],
      toIndex: (x, y) => [((x - left) / sx - 0.5) * steps[0], flip((y - top) / sy - 0.5) * steps[1]],
    };
  }

  drawCross({ context, toCanvas, width, height }, across, slice) {
    const [x, y] = toCanvas(across, slice);
    context.strokeStyle = "#7ab8f588";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, y); context.lineTo(width, y);
    context.moveTo(x, 0); context.lineTo(x, height);
    context.stroke();
  }

  drawOutlines(frame, index) {
    if (!this.hasOutlines) return;
    const { context, left, top, sx, sy, ratio } = frame;
    for (const [id, shape] of Object.entries(this.shapes)) {
      const isCurrent = id === this.lesion, isRejected = this.hidden.has(id);
      const parts = this.isFilm
        ? shape.films.flatMap((film, n) => (film.film === index ? [[this.masks[id]?.[n], film.line]] : []))
        : shape.stack === this.stack ? (this.masks[id] ?? []).map((mask) => [mask, null]) : [];
      context.strokeStyle = context.fillStyle = isRejected ? "#9aa1a8" : isCurrent ? "#ffd84d" : "#52d0e0";
      for (const [mask, line] of parts) {
        const outline = mask && outlineOf(mask, index);
        if (!outline) continue;
        context.setTransform(ratio * sx, 0, 0, ratio * sy, ratio * (left + sx / 2), ratio * (top + sy / 2));
        context.lineWidth = (isCurrent ? 1.8 : 1.1) / Math.max(sx, sy);
        context.stroke(outline.path);
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        const [x, y] = frame.toCanvas(...outline.corner);
        context.textAlign = "left";
        context.fillText(isRejected ? `${id} rejected` : id, x + 5, y);
        if (line && isCurrent) this.drawLine(frame, line[0], line[1], false);
      }
      if (isCurrent && !this.isFilm && shape.stack === this.stack) {
        for (const [name, [start, end]] of Object.entries(shape.lines)) {
          const isHere = [start, end].every((place) => Math.abs(place[0] - index) <= 0.75);
          const isCrossing = index >= Math.min(start[0], end[0]) - 0.5 && index <= Math.max(start[0], end[0]) + 0.5;
          if (isHere || (name === "longest" && isCrossing)) this.drawLine(frame, start.slice(1), end.slice(1), !isHere);
        }
      }
    }
  }

  drawLine({ context, toCanvas }, start, end, isDashed) {
    context.strokeStyle = "#ff8a5c";
    context.lineWidth = 1.6;
    context.setLineDash(isDashed ? [5, 4] : []);
    context.beginPath();
    context.moveTo(...toCanvas(start[1], start[0]));
    context.lineTo(...toCanvas(end[1], end[0]));
    context.stroke();
    context.setLineDash([]);
  }

  drawFilm() {
    const { rows, columns, view, instance_number } = this.info.films[this.at[0]], pixels = this.cache.get(`${this.stack}/${this.at[0]}`);
    if (!pixels) return;
    const image = this.toImage(rows, columns, (row, column) => row * columns + column, pixels);
    this.frames[0] = this.paint(0, image, [1, 1], [1, 1], [], false);
    this.drawOutlines(this.frames[0], this.at[0]);
    this.shown = this.at[0];
    this.canvases[0].dataset.slice = this.at[0];
    this.where.textContent = `${view ?? `image ${instance_number ?? ""}`}, film ${this.at[0] + 1} of ${this.count}`;
  }
}
