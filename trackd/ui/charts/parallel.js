/** Parallel coordinates: an axis for each param or metric, a line for each run, a brush on every axis. */

import { h } from "../dom.js";
import { placeOf, valueOf } from "./fields.js";
import { fitted, onTheme, shade, themeOf } from "./paint.js";
import { formatNumber, makeScale, spanOf } from "./scale.js";

export class Parallel {
  /** ``brushed`` is told of a changed selection, ``open`` of a run that was clicked. */
  constructor(told) {
    this.told = told;
    this.runs = [];
    this.fields = [];
    this.brushes = {};
    this.near = null;
    this.canvas = h("canvas", { class: "chart-canvas", "aria-hidden": "true" });
    this.handles = h("div", { class: "parallel-axes" });
    this.tip = h("div", { class: "chart-tip", hidden: true });
    this.el = h("div", { class: "chart-frame parallel" }, this.canvas, this.handles, this.tip);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.el);
    this.themed = onTheme(() => this.draw());
    this.el.addEventListener("pointermove", (event) => this.point(event));
    this.el.addEventListener("pointerleave", () => this.leave());
    this.el.addEventListener("click", () => { if (this.near) this.told.open(this.near); });
  }

  destroy() {
    this.observer.disconnect();
    this.themed();
    cancelAnimationFrame(this.asked || 0);
  }

  set(runs, fields, brushes) {
    const same = fields.map((field) => field.id).join() === this.fields.map((field) => field.id).join();
    [this.runs, this.fields, this.brushes] = [runs, fields, { ...brushes }];
    this.draw();
    if (!same || !this.handles.children.length) this.makeHandles();
    this.count();
  }

  draw() {
    cancelAnimationFrame(this.asked || 0);
    this.asked = requestAnimationFrame(() => {
      const { clientWidth: width, clientHeight: height } = this.el;
      if (!width) return;
      const ratio = devicePixelRatio || 1;
      [this.canvas.width, this.canvas.height] = [width * ratio, height * ratio];
      const ctx = this.canvas.getContext("2d");
      ctx.scale(ratio, ratio);
      this.paint(ctx, 0, 0, width, height, themeOf(this.el));
      this.placeHandles();
    });
  }

  axes(left, top, width, height) {
    const count = this.fields.length;
    return this.fields.map((field, n) => {
      const values = this.runs.map((run) => placeOf(field, run));
      const span = field.numeric ? spanOf(values) || [0, 1] : [-0.5, field.words.length - 0.5];
      const positive = values.filter((v) => v > 0);
      // Learning rates and the like: over three powers of ten a plain axis shows nothing.
      const log = field.numeric && field.id.startsWith("params") && positive.length === values.filter((v) => Number.isFinite(v)).length && span[1] / span[0] >= 100;
      const scale = makeScale(log ? "log" : "linear", span, [top + height - 26, top + 34]);
      return { field, x: left + 60 + (count > 1 ? (n * (width - 150)) / (count - 1) : (width - 150) / 2), scale };
    });
  }

  kept(run) {
    return this.fields.every((field) => {
      const brush = this.brushes[field.id];
      const place = placeOf(field, run);
      return !brush || (place >= brush[0] && place <= brush[1]);
    });
  }

  paint(ctx, left, top, width, height, theme) {
    const axes = this.axes(left, top, width, height);
    if (width === this.el.clientWidth) this.shown = axes;
    const last = axes[axes.length - 1];
    const lines = this.runs.map((run) => ({ run, kept: this.kept(run) })).sort((a, b) => Number(a.kept) - Number(b.kept));
    for (const { run, kept } of lines) {
      const part = last ? (last.scale.to(placeOf(last.field, run)) - last.scale.range[0]) / (last.scale.range[1] - last.scale.range[0]) : 0;
      ctx.strokeStyle = kept ? (Number.isFinite(part) ? shade(0.08 + part * 0.84) : theme.muted) : theme.muted;
      ctx.globalAlpha = kept ? 0.85 : 0.08;
      ctx.lineWidth = run === this.near ? 3.5 : 1.4;
      ctx.beginPath();
      let down = false;
      for (const { field, x, scale } of axes) {
        const y = scale.to(placeOf(field, run));
        if (!Number.isFinite(y)) down = false;
        else if (down) ctx.lineTo(x, y);
        else [down] = [true, ctx.moveTo(x, y)];
      }
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    axes.forEach((axis, n) => this.paintAxis(ctx, axis, n, axes, theme, top));
  }

  paintAxis(ctx, { field, x, scale }, n, axes, theme, top) {
    const room = axes.length > 1 ? axes[1].x - axes[0].x - 12 : 200;
    const [bottom, up] = scale.range;
    ctx.strokeStyle = theme.axis;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(Math.round(x) + 0.5, up);
    ctx.lineTo(Math.round(x) + 0.5, bottom);
    ctx.stroke();
    ctx.fillStyle = theme.text;
    ctx.font = `600 12px ${theme.font}`;
    [ctx.textAlign, ctx.textBaseline] = ["center", "middle"];
    ctx.fillText(fitted(ctx, field.label, Math.max(room, 60)), x, top + 14);
    ctx.font = `11px ${theme.font}`;
    ctx.fillStyle = theme.muted;
    ctx.textAlign = "left";
    const ticks = field.numeric ? scale.ticks((bottom - up) / 70) : field.words.map((text, value) => ({ value, text }));
    let free = Infinity;
    for (const { value, text } of ticks) {
      const y = scale.to(value);
      if (free - y < 12) continue;
      free = y;
      ctx.fillRect(x - 2, Math.round(y), 5, 1);
      const shown = fitted(ctx, text, Math.max(Math.min(room - 14, 110), 30));
      ctx.globalAlpha = 0.75;
      ctx.fillStyle = theme.ground;
      ctx.fillRect(x + 5, y - 7, ctx.measureText(shown).width + 4, 14);
      ctx.globalAlpha = 1;
      ctx.fillStyle = theme.muted;
      ctx.fillText(shown, x + 7, y);
    }
    const brush = this.brushes[field.id];
    if (!brush) return;
    const [a, b] = brush.map((value) => Math.min(Math.max(scale.to(value), up), bottom));
    ctx.globalAlpha = 0.25;
    ctx.fillStyle = theme.text;
    ctx.fillRect(x - 7, b, 14, Math.max(a - b, 2));
    ctx.globalAlpha = 1;
  }

  // Brushes

  makeHandles() {
    this.handles.replaceChildren(...this.fields.map((field, n) => {
      const handle = h("div", { class: "parallel-axis", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-label": `Selection on ${field.label}; arrow keys move it, plus and minus change it, Escape clears it` });
      let start = NaN;
      const scale = () => (this.shown || [])[n].scale;
      const at = (event) => event.clientY - this.el.getBoundingClientRect().top;
      handle.addEventListener("pointerdown", (event) => { start = at(event); handle.setPointerCapture(event.pointerId); event.stopPropagation(); });
      handle.addEventListener("pointermove", (event) => {
        if (Number.isNaN(start)) return;
        const ends = [start, at(event)].map((y) => scale().from(Math.min(Math.max(y, scale().range[1] - 8), scale().range[0] + 8)));
        if (Math.abs(at(event) - start) > 3) this.brush(field.id, [Math.min(...ends), Math.max(...ends)], false);
      });
      handle.addEventListener("pointerup", (event) => {
        if (Math.abs(at(event) - start) <= 3) this.brush(field.id, null, true);
        else this.told.brushed(this.brushes);
        start = NaN;
      });
      handle.addEventListener("click", (event) => event.stopPropagation());
      handle.addEventListener("keydown", (event) => this.key(event, field, scale()));
      return handle;
    }));
  }

  key(event, field, scale) {
    const { range } = scale;
    const now = (this.brushes[field.id] || [scale.from(range[0] + 8), scale.from((range[0] + range[1]) / 2)]).map((v) => scale.to(v));
    const step = (range[0] - range[1]) / 10;
    const move = { ArrowUp: [-step, -step], ArrowDown: [step, step], "+": [0, -step], "-": [0, step] }[event.key];
    if (event.key === "Escape") this.brush(field.id, null, true);
    else if (move) this.brush(field.id, [scale.from(now[0] + move[0]), scale.from(Math.min(now[1] + move[1], now[0] + move[0] - 2))], true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  brush(id, span, done) {
    if (span) this.brushes[id] = span;
    else delete this.brushes[id];
    this.draw();
    this.count();
    if (done) this.told.brushed(this.brushes);
  }

  count() {
    const kept = this.runs.filter((run) => this.kept(run)).length;
    this.el.dataset.kept = String(kept);
    this.told.count(`${kept} of ${this.runs.length} runs`);
  }

  placeHandles() {
    (this.shown || []).forEach(({ x, scale, field }, n) => {
      const handle = /** @type {any} */ (this.handles.children[n]);
      if (!handle) return;
      Object.assign(handle.style, { left: `${x - 12}px`, top: `${scale.range[1] - 8}px`, height: `${scale.range[0] - scale.range[1] + 16}px` });
      const brush = this.brushes[field.id];
      const say = (v) => (field.numeric ? formatNumber(v) : field.words[Math.round(v)] || "");
      handle.setAttribute("aria-valuetext", brush ? `${say(brush[0])} to ${say(brush[1])}` : "all");
      handle.setAttribute("aria-valuenow", String(brush ? brush[0] : 0));
    });
  }

  // Reading

  point(event) {
    const rect = this.el.getBoundingClientRect();
    const px = event.clientX - rect.left, py = event.clientY - rect.top;
    const axes = this.shown || [];
    const right = axes.findIndex((axis) => axis.x >= px);
    const before = this.near;
    this.near = null;
    if (right > 0) {
      const [a, b] = [axes[right - 1], axes[right]];
      const part = (px - a.x) / (b.x - a.x);
      let least = 8;
      for (const run of this.runs) {
        const y0 = a.scale.to(placeOf(a.field, run)), y1 = b.scale.to(placeOf(b.field, run));
        const far = Math.abs(y0 + (y1 - y0) * part - py);
        if (far < least && this.kept(run)) [least, this.near] = [far, run];
      }
    }
    if (this.near !== before) this.draw();
    this.el.style.cursor = this.near ? "pointer" : "";
    this.tip.hidden = !this.near;
    if (!this.near) return;
    const run = this.near;
    this.tip.replaceChildren(h("div", { class: "chart-tip-title" }, run.name), ...this.fields.map((field) => h("div", { class: "chart-tip-row" }, h("span", {}, field.label), h("b", {}, show(valueOf(run, field.id))))));
    this.tip.style.left = `${px + 16 + this.tip.offsetWidth < rect.width ? px + 16 : px - 16 - this.tip.offsetWidth}px`;
    this.tip.style.top = `${Math.max(0, Math.min(py, rect.height - this.tip.offsetHeight))}px`;
  }

  leave() {
    this.near = null;
    this.tip.hidden = true;
    this.draw();
  }

  table() {
    return { head: ["run", "run_id", ...this.fields.map((field) => field.label)], rows: this.runs.filter((run) => this.kept(run)).map((run) => [run.name, run.id, ...this.fields.map((field) => valueOf(run, field.id) ?? "")]) };
  }
}

/** A value for reading: numbers short, words as they are. */
export function show(value) {
  return typeof value === "number" ? formatNumber(value) : value === undefined ? "–" : value;
}
