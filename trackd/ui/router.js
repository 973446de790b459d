/** Views and their URLs. What stands behind the # is a path, which says which view, and a query, which is all of its state. */

/**
 * What a view gets.
 * @typedef {object} View
 * @property {HTMLElement} el where it puts what it shows
 * @property {Record<string, string>} params what the `:names` of its path stand for
 * @property {State} state its query
 * @property {AbortSignal} signal aborted when the view is left: pass it to every request and listener
 * @property {(text: string) => void} title names the page
 * @typedef {(view: View) => void | Promise<void>} Show
 * @typedef {[string, () => Show | Promise<Show>]} Route
 */

/** The query of the current URL. `set` changes it without showing the view anew; going back shows it anew. */
export class State {
  /** @returns {string | null} */
  get(/** @type {string} */ name) { return here().query.get(name); }

  /** @returns {string[]} */
  all(/** @type {string} */ name) { return here().query.getAll(name); }

  /** Null, empty text and empty lists take a name away. `push`: a step that one can go back from. @param {Record<string, string | string[] | null>} patch */
  set(patch, { push = false } = {}) {
    const { path, query } = here();
    for (const [name, value] of Object.entries(patch)) {
      query.delete(name);
      for (const each of Array.isArray(value) ? value : value ? [value] : []) query.append(name, each);
    }
    const url = hash(path, query);
    if (url === location.hash) return;
    if (push) history.pushState(null, "", url);
    else history.replaceState(null, "", url);
  }
}

/** @returns {{path: string, query: URLSearchParams}} */
function here() {
  const text = location.hash.replace(/^#/, "") || "/";
  const at = text.indexOf("?");
  return { path: at < 0 ? text : text.slice(0, at), query: new URLSearchParams(at < 0 ? "" : text.slice(at + 1)) };
}

function hash(/** @type {string} */ path, /** @type {URLSearchParams} */ query) {
  const text = query.toString();
  return `#${path}${text ? `?${text}` : ""}`;
}

/** The link to a view: `link("experiments", id)`; an object at the end is its query. */
export function link(/** @type {(string | Record<string, string | string[]>)[]} */ ...parts) {
  const query = new URLSearchParams();
  const path = parts.map((part) => {
    if (typeof part === "string") return `/${encodeURIComponent(part)}`;
    for (const [name, value] of Object.entries(part)) for (const each of Array.isArray(value) ? value : [value]) query.append(name, each);
    return "";
  });
  return hash(path.join("") || "/", query);
}

/** Go to a view. */
export function go(/** @type {(string | Record<string, string | string[]>)[]} */ ...parts) {
  location.hash = link(...parts);
}

/** Whether a route's path fits, and what its names stand for. @returns {Record<string, string> | null} */
function fits(/** @type {string} */ pattern, /** @type {string} */ path) {
  const [wanted, given] = [pattern, path].map((each) => each.replace(/\/$/, "").split("/"));
  const rest = wanted[wanted.length - 1] === "*";
  if (rest ? given.length < wanted.length - 1 : given.length !== wanted.length) return null;
  /** @type {Record<string, string>} */ const params = {};
  for (const [n, part] of wanted.entries()) {
    if (part === "*") params.rest = given.slice(n).map(decode).join("/");
    else if (part.startsWith(":")) params[part.slice(1)] = decode(given[n]);
    else if (part !== given[n]) return null;
  }
  return params;
}

function decode(/** @type {string} */ text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Show the view of the URL, now and whenever it changes. `mount` shows one. @param {Route[]} routes @param {(load: Route[1] | null, params: Record<string, string>, path: string) => void} mount */
export function start(routes, mount) {
  const show = () => {
    const { path } = here();
    for (const [pattern, load] of routes) {
      const params = fits(pattern, path);
      if (params) return mount(load, params, path);
    }
    mount(null, {}, path);
  };
  addEventListener("hashchange", show);
  show();
  return show;
}

/** A module that not every view needs, by its path from here. @returns {Promise<any>} */
export function load(/** @type {string} */ path) { return import(`./${path}`); }
