/** A table of any length that makes only the rows one sees. Columns are sorted, moved and resized at their heads; rows are reached by arrows. */

import { fill, h, put } from "../dom.js";

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} id
 * @property {string} label
 * @property {number} width in pixels
 * @property {(row: Row) => import("../dom.js").Child} cell
 * @property {"right"} [align]
 * @property {boolean} [sortable]
 * @property {boolean} [fixed] stays at the left when the table is scrolled, and in its place
 * @property {string} [note] small text behind the label
 */
/**
 * @template Row
 * @typedef {object} Options
 * @property {string} label what the table holds, for screen readers
 * @property {(row: Row) => string} key
 * @property {(row: Row) => string} [href] where a row leads
 * @property {(row: Row) => string} [name] what a row is called
 * @property {(id: string) => void} [sort] a head was chosen
 * @property {() => void} [select] the selection has changed; there are boxes to tick only with it
 * @property {(ids: string[]) => void} [arrange] columns were moved; all ids in their new order
 * @property {(id: string, width: number) => void} [resize]
 * @property {(row: Row) => number} [depth] in a tree
 * @property {(row: Row) => boolean | null} [expanded] null for a row without children
 * @property {(row: Row, open: boolean) => void} [expand]
 * @property {(row: Row) => string} [look] a class of the row
 * @property {(first: number, last: number) => void} [seen] these rows are on the screen now
 */

const ROW_HEIGHT = 34, ROWS_AROUND = 6, ROWS_AT_ONCE = 6, LEAST_WIDTH = 48, MOST_WIDTH = 1600, BOX_WIDTH = 34;

/** @template Row */
export class Table {
  /** @param {Options<Row>} options */
  constructor(options) {
    this.options = options;
    /** @type {Row[]} */ this.rows = [];
    /** @type {Column<Row>[]} */ this.columns = [];
    /** @type {{id: string, descending: boolean} | null} */ this.order = null;
    /** @type {Set<string>} */ this.selected = new Set();
    /** @type {Map<string, {row: Row, tr: HTMLTableRowElement}>} */ this.made = new Map();
    this.active = 0;
    this.anchor = 0;
    this.cols = h("colgroup");
    this.head = h("tr", { "aria-rowindex": "1" });
    this.top = h("tbody", { "aria-hidden": "true" }, h("tr"));
    this.body = h("tbody");
    this.bottom = h("tbody", { "aria-hidden": "true" }, h("tr"));
    this.table = h("table", { role: options.depth ? "treegrid" : "grid", "aria-label": options.label, "aria-multiselectable": options.select ? "true" : null }, this.cols, h("thead", {}, this.head), this.top, this.body, this.bottom);
    this.el = h("div", { class: "table" }, this.table);
    this.el.addEventListener("scroll", () => {
      // Cells that stay in their place cost time at every step of scrolling: only where something can get below them.
      this.el.classList.toggle("slid", this.el.scrollLeft > 0);
      const { first, last } = this.range();
      if (first !== this.drawn.first || last !== this.drawn.last) this.draw();
    }, { passive: true });
    this.drawn = { first: -1, last: -1 };
    this.body.addEventListener("keydown", (event) => this.press(event));
    this.body.addEventListener("click", (event) => this.click(event));
    this.body.addEventListener("focusin", (event) => {
      const at = this.indexOf(/** @type {Element} */ (event.target));
      if (at >= 0 && at !== this.active) this.activate(at, false);
    });
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this.el);
  }

  /** @param {Column<Row>[]} columns */
  setColumns(columns) {
    this.columns = [...columns.filter((each) => each.fixed), ...columns.filter((each) => !each.fixed)];
    const { select } = this.options;
    this.cols.replaceChildren();
    let left = select ? BOX_WIDTH : 0;
    if (select) this.cols.append(h("col", { style: { width: `${BOX_WIDTH}px` } }));
    for (const column of this.columns) this.cols.append(h("col", { style: { width: `${column.width}px` } }));
    this.cols.append(h("col"));
    this.table.style.minWidth = `${left + this.columns.reduce((sum, each) => sum + each.width, 0)}px`;
    this.all = select ? h("input", { type: "checkbox", "aria-label": "Select all rows", onclick: () => this.selectAll() }) : null;
    fill(this.head, this.all && h("th", { class: "fixed box", scope: "col" }, this.all), this.columns.map((column, n) => {
      const th = this.heading(column, n);
      if (column.fixed) {
        th.style.left = `${left}px`;
        left += column.width;
      }
      return th;
    }), h("th", { class: "rest", "aria-hidden": "true" }));
    this.table.setAttribute("aria-colcount", String(this.head.children.length));
    this.forget();
  }

  /** @param {Column<Row>} column @param {number} n */
  heading(column, n) {
    const { sort, arrange, resize } = this.options;
    const sorted = this.order?.id === column.id ? (this.order.descending ? "descending" : "ascending") : null;
    const words = [h("span", { class: "head-text" }, column.label), column.note && h("small", {}, column.note), sorted && h("span", { class: "arrow", "aria-hidden": "true" }, sorted === "ascending" ? "↑" : "↓")];
    const face = column.sortable && sort ? h("button", { type: "button", title: `${column.label}${column.note ? ` (${column.note})` : ""}: sort`, onclick: () => sort(column.id) }, words) : h("span", { class: "head", title: column.label }, words);
    const th = h("th", { scope: "col", class: [column.fixed ? "fixed" : "", column.align || ""].join(" ").trim(), "aria-sort": sorted }, face);
    if (resize) put(th, h("span", { class: "grip", "aria-hidden": "true", onpointerdown: (/** @type {PointerEvent} */ event) => this.grab(event, column) }));
    if (arrange && !column.fixed) face.addEventListener("pointerdown", (event) => this.carry(event, column, th));
    face.addEventListener("keydown", (event) => {
      if (!event.altKey || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      event.preventDefault();
      const by = event.key === "ArrowRight" ? 1 : -1;
      if (!event.shiftKey) resize?.(column.id, Math.max(LEAST_WIDTH, column.width + 20 * by));
      else if (arrange && !column.fixed) this.move(column, n + by);
      const heads = this.head.querySelectorAll("th:not(.box) > button, th:not(.box) > .head");
      /** @type {HTMLElement | undefined} */ (heads[this.columns.findIndex((each) => each.id === column.id)])?.focus();
    });
    return th;
  }

  /** @param {Column<Row>} column @param {number} to */
  move(column, to) {
    const ids = this.columns.map((each) => each.id).filter((id) => id !== column.id);
    const least = this.columns.filter((each) => each.fixed).length;
    ids.splice(Math.max(least, to), 0, column.id);
    this.options.arrange?.(ids);
  }

  /** Make a column wider or narrower with the pointer. @param {PointerEvent} event @param {Column<Row>} column */
  grab(event, column) {
    event.preventDefault();
    event.stopPropagation();
    const grip = /** @type {HTMLElement} */ (event.target), from = event.clientX, first = column.width;
    const col = /** @type {HTMLElement} */ (this.cols.children[this.columns.indexOf(column) + (this.options.select ? 1 : 0)]);
    let width = first;
    grip.setPointerCapture(event.pointerId);
    grip.onpointermove = (move) => {
      width = Math.min(MOST_WIDTH, Math.max(LEAST_WIDTH, first + move.clientX - from));
      col.style.width = `${width}px`;
    };
    grip.onpointerup = grip.onpointercancel = () => {
      grip.onpointermove = grip.onpointerup = grip.onpointercancel = null;
      if (width !== first) this.options.resize?.(column.id, Math.round(width));
    };
  }

  /** Take a column elsewhere with the pointer. @param {PointerEvent} event @param {Column<Row>} column @param {HTMLElement} th */
  carry(event, column, th) {
    if (event.button || event.pointerType === "touch") return;
    const from = event.clientX;
    let to = -1;
    const heads = () => /** @type {HTMLElement[]} */ ([...this.head.querySelectorAll("th:not(.box, .rest)")]);
    const move = (/** @type {PointerEvent} */ at) => {
      if (to < 0 && Math.abs(at.clientX - from) < 8) return;
      th.classList.add("carried");
      const all = heads();
      to = all.findIndex((each) => at.clientX < each.getBoundingClientRect().right);
      if (to < 0) to = all.length - 1;
      all.forEach((each, n) => each.classList.toggle("target", n === to));
    };
    const end = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      th.classList.remove("carried");
      for (const each of heads()) each.classList.remove("target");
      if (to < 0) return;
      // The click that ends the way is not meant to sort.
      addEventListener("click", (click) => { click.stopPropagation(); click.preventDefault(); }, { capture: true, once: true });
      this.move(column, to);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  /** @param {Row[]} rows @param {{top?: boolean}} options */
  setRows(rows, { top = false } = {}) {
    const here = this.rows[this.active] && this.options.key(this.rows[this.active]);
    this.rows = rows;
    if (top) {
      this.el.scrollTop = 0;
      this.active = 0;
    } else if (here !== undefined) {
      const at = rows.findIndex((row) => this.options.key(row) === here);
      this.active = at >= 0 ? at : Math.min(this.active, Math.max(0, rows.length - 1));
    }
    this.table.setAttribute("aria-rowcount", String(rows.length + 1));
    this.draw();
    this.told();
  }

  /** Make the cells anew, all or those of some rows. @param {Set<string>} [keys] */
  forget(keys) {
    for (const key of keys || [...this.made.keys()]) {
      const found = this.made.get(key);
      if (found) found.tr.dataset.old = "";
    }
    this.draw();
  }

  /** Rows that are on the screen, as far as the table is scrolled now. */
  range() {
    const head = this.head.offsetHeight || ROW_HEIGHT;
    const from = Math.floor(this.el.scrollTop / ROW_HEIGHT / ROWS_AT_ONCE) * ROWS_AT_ONCE;
    const first = Math.max(0, from - ROWS_AROUND);
    const last = Math.min(this.rows.length, from + Math.ceil((this.el.clientHeight - head) / ROW_HEIGHT) + ROWS_AT_ONCE + ROWS_AROUND);
    return { first, last: Math.max(first, last) };
  }

  draw() {
    const { first, last } = this.drawn = this.range();
    const { key } = this.options;
    const focused = document.activeElement && this.body.contains(document.activeElement) ? this.indexOf(document.activeElement) : -1;
    /** @type {Map<string, {row: Row, tr: HTMLTableRowElement}>} */ const now = new Map();
    /** @type {HTMLTableRowElement | null} */ let previous = null;
    for (let n = first; n < last; n++) {
      const row = this.rows[n], id = key(row);
      let found = this.made.get(id);
      // A row whose menu is open waits.
      if (found && (found.row !== row || "old" in found.tr.dataset) && !found.tr.querySelector("details[open]")) {
        const had = found.tr.contains(document.activeElement) && document.activeElement === found.tr;
        const tr = this.make(row, n);
        this.mark(tr, id, n);
        found.tr.replaceWith(tr);
        if (had) tr.focus({ preventScroll: true });
        found = { row, tr };
      }
      found ||= { row, tr: this.make(row, n) };
      this.mark(found.tr, id, n);
      const place = /** @type {Element | null} */ (previous ? previous.nextSibling : this.body.firstChild);
      if (place !== found.tr) this.body.insertBefore(found.tr, place);
      previous = found.tr;
      now.set(id, found);
    }
    for (const [id, { tr }] of this.made) if (now.get(id)?.tr !== tr) tr.remove();
    this.made = now;
    this.space(this.top, first);
    this.space(this.bottom, this.rows.length - last);
    if (focused >= 0 && focused < this.rows.length && document.activeElement === document.body) this.el.focus({ preventScroll: true });
    this.options.seen?.(first, last);
  }

  /** @param {HTMLTableSectionElement} part @param {number} rows */
  space(part, rows) {
    part.hidden = !rows;
    /** @type {HTMLElement} */ (part.firstChild).style.height = `${rows * ROW_HEIGHT}px`;
  }

  /** @param {Row} row @param {number} n */
  make(row, n) {
    const { select, name, look, depth, expanded } = this.options;
    let left = select ? BOX_WIDTH : 0;
    const cells = this.columns.map((column, place) => {
      const td = h("td", { class: [column.fixed ? "fixed" : "", column.align || ""].join(" ").trim() || null });
      if (column.fixed) {
        td.style.left = `${left}px`;
        left += column.width;
      }
      if (!place && depth) {
        const open = expanded?.(row) ?? null;
        td.append(h("span", { class: `twig${open === null ? "" : open ? " open" : " closed"}`, "data-twig": open === null ? null : "", "aria-hidden": "true", style: { "margin-left": `${depth(row) * 16}px` } }));
      }
      put(td, column.cell(row));
      return td;
    });
    return h("tr", { class: look?.(row) || null },
      select && h("td", { class: "fixed box" }, h("input", { type: "checkbox", tabindex: "-1", "aria-label": `Select ${name?.(row) ?? `row ${n + 1}`}` })),
      cells, h("td", { class: "rest" }));
  }

  /** What changes without the cells: place, selection, focus. @param {HTMLTableRowElement} tr @param {string} id @param {number} n */
  mark(tr, id, n) {
    const { select, expanded, depth } = this.options;
    tr.setAttribute("aria-rowindex", String(n + 2));
    tr.tabIndex = n === this.active ? 0 : -1;
    if (select) {
      const chosen = this.selected.has(id);
      tr.setAttribute("aria-selected", String(chosen));
      /** @type {HTMLInputElement} */ (tr.querySelector(".box input")).checked = chosen;
    }
    if (depth && expanded) {
      const open = expanded(this.rows[n]);
      if (open === null) tr.removeAttribute("aria-expanded");
      else tr.setAttribute("aria-expanded", String(open));
    }
  }

  indexOf(/** @type {Element} */ element) {
    const tr = element.closest("tr");
    return tr && tr.parentElement === this.body ? Number(tr.getAttribute("aria-rowindex")) - 2 : -1;
  }

  /** Make a row the one that arrows start from. */
  activate(/** @type {number} */ n, focus = true) {
    if (!this.rows.length) return;
    this.active = Math.min(Math.max(n, 0), this.rows.length - 1);
    const head = this.head.offsetHeight, top = this.active * ROW_HEIGHT;
    if (focus) {
      if (top < this.el.scrollTop) this.el.scrollTop = top;
      else if (top + ROW_HEIGHT > this.el.scrollTop + this.el.clientHeight - head) this.el.scrollTop = top + ROW_HEIGHT - this.el.clientHeight + head;
    }
    this.draw();
    if (focus) this.made.get(this.options.key(this.rows[this.active]))?.tr.focus({ preventScroll: true });
  }

  press(/** @type {KeyboardEvent} */ event) {
    const at = this.indexOf(/** @type {Element} */ (event.target)), row = this.rows[at];
    const onRow = /** @type {Element} */ (event.target).tagName === "TR";
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.el.clientHeight / ROW_HEIGHT) - 2);
    /** @type {Record<string, number>} */ const ways = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.rows.length - 1, PageDown: at + page, PageUp: at - page };
    const { href, select, expanded, expand } = this.options;
    const open = expanded?.(row) ?? null;
    if (event.key in ways) {
      this.activate(ways[event.key]);
      if (event.shiftKey && select) this.choose(this.active, true);
    } else if (event.key === "Enter" && onRow && href) location.hash = href(row);
    else if (event.key === " " && onRow && select) this.choose(at, !this.selected.has(this.options.key(row)));
    else if (event.key === "ArrowRight" && onRow && open === false) expand?.(row, true);
    else if (event.key === "ArrowLeft" && onRow && open === true) expand?.(row, false);
    else return;
    event.preventDefault();
  }

  click(/** @type {MouseEvent} */ event) {
    const target = /** @type {HTMLElement} */ (event.target), at = this.indexOf(target);
    if (at < 0) return;
    const id = this.options.key(this.rows[at]);
    if (target.closest(".box")) {
      const on = !this.selected.has(id);
      if (event.shiftKey) for (let n = Math.min(at, this.anchor); n <= Math.max(at, this.anchor); n++) this.pick(n, on);
      this.anchor = at;
      this.choose(at, on);
    } else if (target.closest("[data-twig]")) this.options.expand?.(this.rows[at], !this.options.expanded?.(this.rows[at]));
  }

  pick(/** @type {number} */ n, /** @type {boolean} */ on) {
    const id = this.options.key(this.rows[n]);
    if (on) this.selected.add(id);
    else this.selected.delete(id);
  }

  choose(/** @type {number} */ n, /** @type {boolean} */ on) {
    this.pick(n, on);
    this.draw();
    this.told();
  }

  selectAll() {
    const on = this.rows.some((row) => !this.selected.has(this.options.key(row)));
    for (let n = 0; n < this.rows.length; n++) this.pick(n, on);
    this.draw();
    this.told();
  }

  /** @param {Iterable<string>} ids */
  setSelected(ids) {
    this.selected = new Set(ids);
    this.draw();
    this.told();
  }

  told() {
    if (this.all) {
      const chosen = this.rows.reduce((sum, row) => sum + Number(this.selected.has(this.options.key(row))), 0);
      this.all.checked = chosen > 0 && chosen === this.rows.length;
      this.all.indeterminate = chosen > 0 && chosen < this.rows.length;
    }
    this.options.select?.();
  }

  destroy() { this.watch.disconnect(); }
}
