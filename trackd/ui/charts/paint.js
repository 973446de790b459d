/** Colours, and a drawing context that writes SVG instead of pixels. */

import { h } from "../dom.js";

/** Told apart with every kind of colour blindness (after Okabe and Ito), and at least 3:1 on white and on dark grey. */
export const PALETTE = ["#2f74e0", "#d26a00", "#0d9270", "#d0438c", "#8a63d2", "#1295b5", "#c2452d", "#8a8000", "#6d7f97", "#a06438"];

/** The colour of the n-th curve: ten hues, then the same lighter and darker. */
export function colour(n) {
  const base = PALETTE[n % PALETTE.length];
  const round = Math.floor(n / PALETTE.length);
  if (!round) return base;
  const shift = (round % 2 ? 1 : -1) * Math.min(0.12 * Math.ceil(round / 2), 0.36);
  const parts = [1, 3, 5].map((at) => parseInt(base.slice(at, at + 2), 16));
  const moved = parts.map((part) => Math.round(shift > 0 ? part + (255 - part) * shift : part * (1 + shift)));
  return `#${moved.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** Viridis, from 0 to 1: the lightness alone tells the order. */
export function shade(part) {
  const stops = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]];
  const place = Math.min(Math.max(part, 0), 1) * (stops.length - 1);
  const at = Math.min(Math.floor(place), stops.length - 2);
  return `rgb(${stops[at].map((low, n) => Math.round(low + (stops[at + 1][n] - low) * (place - at))).join(",")})`;
}

/** Dash patterns for the metrics of one chart, where colours tell runs apart. */
export const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [12, 4]];

export function themeOf(element) {
  const style = getComputedStyle(element);
  const text = style.color;
  const faint = (alpha) => text.replace(/rgba?\((\d+),\s*(\d+),\s*(\d+).*/, `rgba($1,$2,$3,${alpha})`);
  let ground = "#fff";
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour && !/transparent|rgba\(.*, 0\)/.test(colour)) {
      ground = colour;
      break;
    }
  }
  return { text, muted: faint(0.72), grid: faint(0.1), axis: faint(0.35), ground, font: style.fontFamily };
}

/** Call ``told`` when the page turns dark or light; what is returned ends that. */
export function onTheme(told) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const observer = new MutationObserver(told);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  media.addEventListener("change", told);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", told);
  };
}

/** The part of CanvasRenderingContext2D that charts use, written down as SVG. */
export class SvgContext {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.strokeStyle = this.fillStyle = "#000";
    this.lineWidth = 1;
    this.globalAlpha = 1;
    this.font = "12px sans-serif";
    this.textAlign = "left";
    this.textBaseline = "alphabetic";
    this.lineJoin = this.lineCap = "round";
    this.parts = [];
    this.path = [];
    this.dash = [];
    this.stack = [];
    this.depth = 0;
    this.turned = "";
    this.clips = 0;
    this.measure = h("canvas").getContext("2d");
  }
  save() {
    const { strokeStyle, fillStyle, lineWidth, globalAlpha, font, textAlign, textBaseline, dash, turned } = this;
    this.stack.push({ depth: this.depth, turn: 0, state: { strokeStyle, fillStyle, lineWidth, globalAlpha, font, textAlign, textBaseline, dash, turned } });
  }
  restore() {
    const last = this.stack.pop();
    if (!last) return;
    for (; this.depth > last.depth; this.depth--) this.parts.push("</g>");
    Object.assign(this, last.state);
  }
  beginPath() { this.path = []; }
  moveTo(x, y) { this.path.push(`M${round(x)} ${round(y)}`); }
  lineTo(x, y) { this.path.push(`L${round(x)} ${round(y)}`); }
  closePath() { this.path.push("Z"); }
  rect(x, y, w, h) {
    this.path.push(`M${round(x)} ${round(y)}h${round(w)}v${round(h)}h${round(-w)}Z`);
  }
  arc(x, y, r) {
    this.path.push(`M${round(x - r)} ${round(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`);
  }
  clip() {
    const id = `c${++this.clips}`;
    this.parts.push(`<clipPath id="${id}"><path d="${this.path.join("")}"/></clipPath><g clip-path="url(#${id})">`);
    this.depth++;
  }
  setLineDash(dash) { this.dash = dash; }
  stroke() {
    if (!this.path.length) return;
    const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
    this.parts.push(`<path d="${this.path.join("")}" fill="none" stroke="${this.strokeStyle}" stroke-width="${this.lineWidth}" stroke-linejoin="round"${dash}${this.alpha()}/>`);
  }
  fill() { this.parts.push(`<path d="${this.path.join("")}" fill="${this.fillStyle}"${this.alpha()}/>`); }
  fillRect(x, y, w, h) {
    this.parts.push(`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" fill="${this.fillStyle}"${this.alpha()}/>`);
  }
  alpha() { return this.globalAlpha < 1 ? ` opacity="${this.globalAlpha}"` : ""; }
  measureText(text) {
    this.measure.font = this.font;
    return this.measure.measureText(text);
  }
  translate(x, y) { this.turned += `translate(${round(x)} ${round(y)})`; }
  rotate(angle) { this.turned += `rotate(${round((angle * 180) / Math.PI)})`; }
  fillText(text, x, y) {
    const anchor = { center: "middle", right: "end" }[this.textAlign] || "start";
    const shift = { middle: "0.35em", top: "0.85em" }[this.textBaseline];
    const [, weight, size, family] = /^(\S+ )?(\d+)px (.*)$/.exec(this.font) || ["", "", "12", "sans-serif"];
    this.parts.push(`<text x="${round(x)}" y="${round(y)}"${shift ? ` dy="${shift}"` : ""} text-anchor="${anchor}" fill="${this.fillStyle}"` +
      ` font-size="${size}" font-weight="${(weight || "normal").trim()}" font-family="${escape(family)}"${this.turned ? ` transform="${this.turned}"` : ""}${this.alpha()}>${escape(text)}</text>`);
  }
  toString() {
    return `<svg xmlns="http://www.w3.org/2000/svg" width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}">${this.parts.join("")}</svg>\n`;
  }
}

function round(value) {
  return Math.round(value * 100) / 100;
}

function escape(text) {
  // XML has no control characters.
  // eslint-disable-next-line no-control-regex
  return String(text).replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd").replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Text that fits into so many pixels, with an ellipsis in the middle where it does not. */
export function fitted(ctx, text, width) {
  if (text.length < 400 && ctx.measureText(text).width <= width) return text;
  let low = 0, high = Math.min(text.length, 400);
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    const short = cut(text, middle);
    if (ctx.measureText(short).width <= width) low = middle;
    else high = middle - 1;
  }
  return cut(text, low);
}

function cut(text, length) {
  const head = Math.ceil(length / 2);
  return `${text.slice(0, head)}…${length > 1 ? text.slice(-(length - head) || text.length) : ""}`;
}
