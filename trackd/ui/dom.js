/** Nodes out of text. Nothing else in the pages makes elements, and nothing makes them out of markup. */

/** @typedef {Node | string | number | null | undefined | false | Child[]} Child */

/**
 * An element. Attributes whose names begin with "on" are listeners; true and false set and leave out; `style` is an object.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} attributes @param {Child[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, text] of Object.entries(value)) element.style.setProperty(property, String(text));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, ...children);
  return element;
}

/** Append children; what is null or false is left out. */
export function put(/** @type {Element} */ element, /** @type {Child[]} */ ...children) {
  for (const child of children) {
    if (Array.isArray(child)) put(element, ...child);
    else if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
}

/** Children in place of those that are there. */
export function fill(/** @type {Element} */ element, /** @type {Child[]} */ ...children) {
  element.replaceChildren();
  put(element, ...children);
  return element;
}

/** Line drawings of 16 by 16, as SVG paths. */
const ICONS = {
  search: "M7 12a5 5 0 1 1 0-10 5 5 0 0 1 0 10zm3.6-1.4L14 14", close: "M4 4l8 8M12 4l-8 8", plus: "M8 3v10M3 8h10", check: "M3 8.5l3.5 3.5L13 4.5",
  right: "M6 4l4 4-4 4", down: "M4 6l4 4 4-4", more: "M3.5 8h.01M8 8h.01M12.5 8h.01", edit: "M3 13l.7-3L10.5 3.2l2.3 2.3L6 12.3 3 13z",
  bin: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.6 8.5h5.8l.6-8.5", columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10", download: "M8 2.5v7M5 7l3 3 3-3M3 13h10",
  folder: "M2 12.5v-9h4l1.5 2H14v7z", file: "M4 2h5l3 3v9H4zM9 2v3h3", theme: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11", link: "M6.5 9.5l3-3M7 5l1.6-1.6a2.6 2.6 0 0 1 3.9 3.8L11 8.8M9 11l-1.6 1.6a2.6 2.6 0 0 1-3.9-3.8L5 7.2",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7", tree: "M3 3.5h5M6 8h6M6 12.5h6M4 4v8.5", back: "M10 4L6 8l4 4", curve: "M1.5 12.5l4-6 3 3.5 6-8", refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2v3h-3",
};

/** A drawing beside words; screen readers do not see it. @returns {SVGSVGElement} */
export function icon(/** @type {keyof typeof ICONS} */ name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button that is a drawing only; its words are for hovering and for screen readers. */
export function iconButton(/** @type {keyof typeof ICONS} */ name, /** @type {string} */ words, /** @type {(event: MouseEvent) => void} */ act, /** @type {Record<string, any>} */ more = {}) {
  return h("button", { type: "button", class: "icon-button", title: words, "aria-label": words, onclick: act, ...more }, icon(name));
}

/** Load a stylesheet of a part that not every view has, once. */
export function stylesheet(/** @type {string} */ path) {
  const href = `static-files/${path}`;
  if (!document.querySelector(`link[href="${href}"]`)) document.head.append(h("link", { rel: "stylesheet", href }));
}

/** Call `act` once, `wait` ms after the last time it was asked for. */
export function debounce(/** @type {() => void} */ act, /** @type {number} */ wait) {
  /** @type {ReturnType<typeof setTimeout>} */ let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}
