/** The frame of every chart with two axes: canvas, ticks, zoom, pan, reading by mouse and keyboard, the same as SVG. */

import { h } from "../dom.js";
import { fitted, onTheme, themeOf } from "./paint.js";
import { makeScale } from "./scale.js";

/** When the page was last scrolled by a wheel: a chart that comes under the pointer then does not take it over. */
let lastScroll = 0;
addEventListener("wheel", (event) => { if (!event.defaultPrevented) lastScroll = event.timeStamp; }, { passive: true });

export class Frame {
  /**
   * `paint` draws between the axes; `read` says what lies at a pixel; `view` is told of a new zoom, `null` is all of it. 
   *   read?: (x: Scale, y: Scale, px: number, py: number) => Reading | null, view?: (view: View) => void,
   *   steps?: () => number[]}} options
 */
  constructor(options) {
    this.options = options;
    this.x = { kind: "linear", domain: [0, 1], label: "" };
    this.y = { kind: "linear", domain: [0, 1], label: "" };
    this.note = "";
    this.canvas = h("canvas", { class: "chart-canvas", tabindex: 0, role: "application", "aria-roledescription": "chart", "aria-label": options.label });
    this.overlay = h("canvas", { class: "chart-overlay", "aria-hidden": "true" });
    this.tip = h("div", { class: "chart-tip", hidden: true });
    this.spoken = h("div", { class: "hush", "aria-live": "polite" });
    this.el = h("div", { class: "chart-frame" }, this.canvas, this.overlay, this.tip, this.spoken);
    this.width = this.height = 0;
    this.box = { left: 0, top: 0, right: 0, bottom: 0 };
    this.cursor = -1;
    this.asked = 0;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.el);
    this.themed = onTheme(() => this.draw());
    this.listen();
  }

  destroy() {
    this.observer.disconnect();
    this.themed();
    cancelAnimationFrame(this.asked);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.el;
    if (!width || !height || (width === this.width && height === this.height)) return;
    const before = this.width;
    [this.width, this.height] = [width, height];
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.draw();
    if (before !== width) this.el.dispatchEvent(new CustomEvent("chart-width"));
  }

  /** Draw before the next frame. */
  draw() {
    cancelAnimationFrame(this.asked);
    this.asked = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    if (!this.width) return;
    const ctx = this.canvas.getContext("2d");
    const ratio = devicePixelRatio || 1;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, this.width, this.height);
    this.box = this.paint(ctx, 0, 0, this.width, this.height, themeOf(this.el));
    this.clearOverlay();
  }

  /** Axes and marks into a part of a context; the box between the axes. */
  paint(ctx, left, top, width, height, theme) {
    ctx.font = `11px ${theme.font}`;
    const bottom = top + height - (this.x.label ? 34 : 22);
    const probe = makeScale(this.y.kind, this.y.domain, [bottom, top + 8]);
    const rows = this.y.names ? this.y.names.map((text, value) => ({ value, text })) : probe.ticks((bottom - top) / 38);
    const widest = Math.max(24, ...rows.map((tick) => ctx.measureText(tick.text).width));
    const start = left + Math.min(widest + 10, width * 0.4) + (this.y.label ? 16 : 0);
    const box = { left: start, top: top + 8, right: left + width - 14, bottom };
    const x = makeScale(this.x.kind, this.x.domain, [box.left, box.right]);
    const y = makeScale(this.y.kind, this.y.domain, [box.bottom, box.top]);
    this.scales = { x, y };
    this.paintAxes(ctx, box, x, y, rows, theme, left, top + height);
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.left, box.top - 1, box.right - box.left, box.bottom - box.top + 2);
    ctx.clip();
    this.options.paint(ctx, box, x, y, theme);
    ctx.restore();
    if (this.note) {
      ctx.fillStyle = theme.muted;
      [ctx.textAlign, ctx.textBaseline] = ["center", "middle"];
      ctx.font = `12px ${theme.font}`;
      ctx.fillText(fitted(ctx, this.note, box.right - box.left), (box.left + box.right) / 2, (box.top + box.bottom) / 2);
    }
    return box;
  }

  paintAxes(ctx, box, x, y, rows, theme, left, end) {
    ctx.lineWidth = 1;
    ctx.setLineDash([]);
    const half = (v) => Math.round(v) + 0.5;
    ctx.strokeStyle = theme.grid;
    ctx.fillStyle = theme.muted;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    let last = Infinity;
    ctx.beginPath();
    for (const { value, text } of rows) {
      const at = y.to(value);
      if (at < box.top - 1 || at > box.bottom + 1) continue;
      ctx.moveTo(box.left, half(at));
      ctx.lineTo(box.right, half(at));
      if (last - at < 12) continue;
      ctx.fillText(fitted(ctx, text, box.left - left - 8), box.left - 7, at);
      last = at;
    }
    // As many as have room: the widest text decides.
    const wide = box.right - box.left;
    let ticks = this.x.names ? this.x.names.map((text, value) => ({ value, text })) : [];
    for (let count = Math.min(wide / 60, 6 + wide / 300); !this.x.names && count >= 1; count /= 1.5) {
      ticks = x.ticks(count);
      if (ticks.reduce((sum, tick) => sum + ctx.measureText(tick.text).width + 14, 0) <= wide) break;
    }
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    const room = this.x.names ? wide / Math.max(this.x.names.length, 1) - 4 : Infinity;
    let free = left;
    for (const { value, text } of ticks) {
      const at = x.to(value);
      if (at < box.left - 1 || at > box.right + 1) continue;
      if (!this.x.names) {
        ctx.moveTo(half(at), box.top);
        ctx.lineTo(half(at), box.bottom);
      }
      const shown = room < Infinity ? fitted(ctx, text, room) : text;
      const wide = ctx.measureText(shown).width;
      const middle = Math.max(Math.min(at, box.right + 12 - wide / 2), left + wide / 2);
      if (middle - wide / 2 < free) continue;
      ctx.fillText(shown, middle, box.bottom + 6);
      free = middle + wide / 2 + 6;
    }
    ctx.stroke();
    ctx.strokeStyle = theme.axis;
    ctx.beginPath();
    ctx.moveTo(half(box.left), box.top);
    ctx.lineTo(half(box.left), half(box.bottom));
    ctx.lineTo(box.right, half(box.bottom));
    ctx.stroke();
    if (this.x.label) ctx.fillText(fitted(ctx, this.x.label, box.right - box.left), (box.left + box.right) / 2, end - 13);
    if (this.y.label) {
      ctx.save();
      ctx.translate(left + 6, (box.top + box.bottom) / 2);
      ctx.rotate(-Math.PI / 2);
      ctx.textBaseline = "middle";
      ctx.fillText(fitted(ctx, this.y.label, box.bottom - box.top), 0, 0);
      ctx.restore();
    }
  }

  // Reading

  clearOverlay() {
    const ctx = this.overlay.getContext("2d");
    const ratio = devicePixelRatio || 1;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, this.width, this.height);
    return ctx;
  }

  quiet() {
    this.clearOverlay();
    this.tip.hidden = true;
  }

  /** Show what lies at a pixel; without `py`, at its place on the x axis. */
  show(px, py) {
    const ctx = this.clearOverlay();
    const { x, y } = this.scales || {};
    const reading = x && y && this.options.read ? this.options.read(x, y, px, py) : null;
    this.tip.hidden = !reading;
    if (!reading) return null;
    const theme = themeOf(this.el);
    ctx.strokeStyle = theme.axis;
    ctx.beginPath();
    ctx.moveTo(Math.round(reading.px) + 0.5, this.box.top);
    ctx.lineTo(Math.round(reading.px) + 0.5, this.box.bottom);
    ctx.stroke();
    for (const row of reading.rows) {
      if (!(row.py >= this.box.top - 2 && row.py <= this.box.bottom + 2)) continue;
      ctx.beginPath();
      ctx.arc(row.px, row.py, row.near ? 4.5 : 3, 0, 7);
      ctx.fillStyle = row.colour;
      ctx.fill();
      ctx.strokeStyle = theme.ground;
      ctx.stroke();
    }
    this.tip.replaceChildren(
      h("div", { class: "chart-tip-title" }, reading.title),
      ...reading.rows.map((row) => {
        const swatch = h("i", { class: "swatch", style: { background: row.colour } });
        return h("div", { class: row.near ? "chart-tip-row near" : "chart-tip-row" }, swatch, h("span", {}, row.label), h("b", {}, row.text));
      }),
      reading.more ? h("div", { class: "chart-tip-more" }, `and ${reading.more} more`) : "",
    );
    const wide = this.tip.offsetWidth, high = this.tip.offsetHeight;
    const beside = reading.px + 14 + wide <= this.width ? reading.px + 14 : reading.px - 14 - wide;
    this.tip.style.left = `${Math.max(Math.min(beside, this.width - wide), 0)}px`;
    this.tip.style.top = `${Math.max(Math.min((py || this.height / 2) - high / 2, this.height - high), 0)}px`;
    return reading;
  }

  // Zoom and pan

  /** The view now. */
  now() {
    return { x: this.scales ? this.scales.x.domain : this.x.domain, y: this.scales ? this.scales.y.domain : this.y.domain };
  }

  /** Zoom to a part of the plot given in pixels; `null` keeps that axis as it is. */
  zoomTo(across, down) {
    if (!this.scales || !this.options.view) return;
    const { x, y } = this.scales;
    this.options.view({
      x: across && [x.from(across[0]), x.from(across[1])],
      y: down && [y.from(down[1]), y.from(down[0])],
    });
  }

  /** Zoom by a factor around a pixel of the x axis. */
  zoomBy(factor, px = (this.box.left + this.box.right) / 2) {
    this.zoomTo([px - (px - this.box.left) * factor, px + (this.box.right - px) * factor], null);
  }

  panBy(dx) {
    this.zoomTo([this.box.left + dx, this.box.right + dx], null);
  }

  reset() {
    if (this.options.view) this.options.view({ x: null, y: null });
  }

  listen() {
    const place = (event) => {
      const rect = this.canvas.getBoundingClientRect();
      return { px: event.clientX - rect.left, py: event.clientY - rect.top };
    };
    let drag = null;
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button > 1 || !this.options.view) return;
      const { px, py } = place(event);
      const pan = event.button === 1 || event.shiftKey || py > this.box.bottom;
      drag = { px, py, pan, x: this.now().x };
      canvas.setPointerCapture(event.pointerId);
      this.tip.hidden = true;
      if (event.button === 1) event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      const { px, py } = place(event);
      if (!drag) {
        if (px >= this.box.left - 8 && px <= this.box.right + 8) this.show(px, py);
        else this.quiet();
      } else if (drag.pan) {
        const { px: start } = drag;
        drag.px = px;
        this.panBy(start - px);
      } else {
        this.paintBox(drag.px, drag.py, px, py);
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (!drag) return;
      const { px, py } = place(event);
      const start = drag;
      drag = null;
      this.clearOverlay();
      if (start.pan) return;
      const { across, down } = this.sides(start.px, start.py, px, py);
      if (across || down) this.zoomTo(across, down);
      else this.show(px, py);
    });
    canvas.addEventListener("pointercancel", () => { drag = null; this.quiet(); });
    canvas.addEventListener("pointerleave", () => { if (!drag) this.quiet(); });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("blur", () => this.quiet());
    canvas.addEventListener("wheel", (event) => {
      const busy = event.timeStamp - lastScroll < 350 && !event.ctrlKey;
      if (busy || !this.options.view) return;
      event.preventDefault();
      if (event.shiftKey) this.panBy((event.deltaX || event.deltaY) * 0.5);
      else this.zoomBy(Math.exp(Math.max(-1, Math.min(1, event.deltaY * 0.002))), place(event).px);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** What a drag from one pixel to another means: a part of x, of y, or of both. */
  sides(x0, y0, x1, y1) {
    const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
    const xs = [x0, x1].map((v) => clamp(v, this.box.left, this.box.right)).sort((a, b) => a - b);
    const ys = [y0, y1].map((v) => clamp(v, this.box.top, this.box.bottom)).sort((a, b) => a - b);
    const dx = Math.abs(x1 - x0), dy = Math.abs(y1 - y0);
    return {
      across: (dx > 5 && dx > dy / 8 && xs[1] > xs[0] ? xs : null),
      down: (dy > 18 && dy > dx / 8 && ys[1] > ys[0] ? ys : null),
    };
  }

  paintBox(x0, y0, x1, y1) {
    const ctx = this.clearOverlay();
    const { across, down } = this.sides(x0, y0, x1, y1);
    if (!across && !down) return;
    const [left, right] = across || [this.box.left, this.box.right];
    const [top, bottom] = down || [this.box.top, this.box.bottom];
    ctx.fillStyle = themeOf(this.el).grid;
    ctx.fillRect(left, top, right - left, bottom - top);
    ctx.strokeStyle = themeOf(this.el).axis;
    ctx.strokeRect(left + 0.5, top + 0.5, right - left, bottom - top);
  }

  key(event) {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[key];
    if (move && event.shiftKey) this.panBy((Math.sign(move) * (this.box.right - this.box.left)) / 5);
    else if (move) this.walk(move);
    else if (key === "+" || key === "=") this.zoomBy(0.5, this.cursor > this.box.left ? this.cursor : undefined);
    else if (key === "-") this.zoomBy(2);
    else if (key === "0" || key === "Escape") this.reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Read the next place to the left or right, aloud. */
  walk(move) {
    const { x } = this.scales || {};
    if (!x) return;
    const steps = (this.options.steps ? this.options.steps() : []).map((value) => x.to(value)).filter((px) => px >= this.box.left - 1 && px <= this.box.right + 1);
    let next = Math.min(Math.max(this.cursor + move * 8, this.box.left), this.box.right);
    if (steps.length) {
      const at = steps.findIndex((px) => px >= this.cursor - 0.01);
      const from = at < 0 ? steps.length - 1 : move > 0 && steps[at] > this.cursor + 0.01 ? at - 1 : at;
      next = steps[Math.min(Math.max(from + move, 0), steps.length - 1)];
    }
    this.cursor = next;
    const reading = this.show(next, NaN);
    if (reading) this.spoken.textContent = `${reading.title}: ${reading.rows.map((row) => `${row.label} ${row.text}`).join(", ")}`;
  }
}

