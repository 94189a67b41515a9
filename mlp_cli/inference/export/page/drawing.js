// The paper to draw on: strokes by mouse, finger, pen or keyboard, and a picture beneath them.

const PAPER_SIDE = 280; // pixels of the longer side, for the network
const SHARPER = 4; // times as many on the screen
const PEN = PAPER_SIDE / 16; // width of a stroke
const STEP = PAPER_SIDE / 56; // of the keyboard's pen

class Paper {
  // `colours` are those of paper and ink; `changed` is called after each change.
  constructor(canvas, [height, width], colours, changed) {
    const size = (n) => Math.max(1, Math.round((PAPER_SIDE * n) / Math.max(height, width)));
    [this.height, this.width] = [size(height), size(width)];
    [canvas.height, canvas.width] = [SHARPER * this.height, SHARPER * this.width];
    this.canvas = canvas;
    this.small = new OffscreenCanvas(this.width, this.height);
    this.colours = colours;
    this.changed = changed;
    this.items = []; // strokes, as arrays of points, and pictures, as `readPicture` returns them
    this.pointer = null; // the id of the pointer that draws
    this.pen = { x: this.width / 2, y: this.height / 2, down: false }; // of the keyboard
    this.redraw();
    canvas.addEventListener("pointerdown", (event) => this.start(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.end(event));
    }
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.pen.down = false; });
  }

  // The picture, if there is nothing else on the paper; otherwise what the paper looks like.
  get picture() {
    if (this.items.length === 1 && this.items[0].picture) return this.items[0].picture;
    return greyOf(this.small);
  }

  add(item) {
    this.items.push(item);
    this.update();
  }

  undo() {
    this.lift();
    this.items.pop();
    this.update();
  }

  clear() {
    this.lift();
    this.items = [];
    this.update();
  }

  // Save the picture that the network gets of a drawing.
  async save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await this.small.convertToBlob());
    link.download = "drawing.png";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  lift() {
    this.pointer = null;
    this.pen.down = false;
  }

  update() {
    this.redraw();
    this.changed();
  }

  start(event) {
    if (this.pointer !== null || event.button > 0) return;
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.add([this.point(event)]);
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const all = event.getCoalescedEvents?.() ?? []; // not in every browser
    this.items.at(-1).push(...(all.length ? all : [event]).map((moved) => this.point(moved)));
    this.update();
  }

  end(event) {
    if (event.pointerId === this.pointer) this.pointer = null;
  }

  point({ clientX, clientY }) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [((clientX - left) / width) * this.width, ((clientY - top) / height) * this.height];
  }

  // Arrows move the keyboard's pen; the space bar puts it down or lifts it.
  key(event) {
    const { pen } = this;
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (event.key !== " " && !move) return;
    event.preventDefault();
    if (move) {
      pen.x = Math.min(Math.max(pen.x + STEP * move[0], 0), this.width);
      pen.y = Math.min(Math.max(pen.y + STEP * move[1], 0), this.height);
      if (pen.down) this.items.at(-1).push([pen.x, pen.y]);
    } else {
      pen.down = !pen.down;
      if (pen.down) this.items.push([[pen.x, pen.y]]);
    }
    this.update();
  }

  redraw() {
    this.draw(this.small.getContext("2d", { willReadFrequently: true }), 1);
    this.draw(this.canvas.getContext("2d"), SHARPER);
  }

  draw(context, scale) {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    [context.fillStyle, context.strokeStyle] = this.colours;
    context.fillRect(0, 0, this.width, this.height);
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const item of this.items) {
      if (item.bitmap) this.drawPicture(context, item.bitmap);
      else drawStroke(context, item);
    }
  }

  drawPicture(context, bitmap) {
    const { left, top, scale } = this.placeOf(bitmap);
    context.drawImage(bitmap, left, top, scale * bitmap.width, scale * bitmap.height);
  }

  // Where a picture lies on the paper: as large as fits, in the middle.
  placeOf({ width, height }) {
    const scale = Math.min(this.width / width, this.height / height);
    const left = (this.width - scale * width) / 2, top = (this.height - scale * height) / 2;
    return { left, top, scale };
  }
}

// A curve through the middles of all pairs of points.
function drawStroke(context, points) {
  context.beginPath();
  context.moveTo(...points[0]);
  for (let i = 1; i < points.length - 1; i++) {
    const [x, y] = points[i], [nextX, nextY] = points[i + 1];
    context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
  }
  context.lineTo(...points.at(-1));
  context.stroke();
}
