/** Talking to the server: the only fetch there is. Paths are relative to the page, so that any prefix before it works. */

/** An answer that is not a success, or no answer: then `status` is 0. `message` is for people. */
export class ApiError extends Error {
  constructor(/** @type {number} */ status, /** @type {string} */ code, /** @type {string} */ message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Tells "away" when the server stops to answer and "back" when it answers again. */
export const server = new EventTarget();
let away = false;

/** The address of something on this server; arrays become repeated names. */
export function address(/** @type {string} */ path, /** @type {Record<string, any>} */ query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) for (const each of Array.isArray(value) ? value : [value]) if (each !== undefined && each !== null) url.searchParams.append(name, String(each));
  return url.href;
}

/** The address that a client is pointed at. */
export function trackingUri() {
  return new URL(".", document.baseURI).href.replace(/\/$/, "");
}

/** @param {string} path below ajax-api/ @param {Record<string, any>} query @param {{signal?: AbortSignal}} options @returns {Promise<any>} */
export function get(path, query = {}, { signal } = {}) {
  return send("GET", address(`ajax-api/${path}`, query), { signal });
}

/** @param {string} path below ajax-api/ @param {object} body @param {{signal?: AbortSignal, method?: string}} options @returns {Promise<any>} */
export function post(path, body = {}, { signal, method = "POST" } = {}) {
  return send(method, address(`ajax-api/${path}`), { signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

/** The bytes of a file on this server, at most `limit` of them. @param {string} url @param {{signal?: AbortSignal, limit?: number}} options @returns {Promise<Uint8Array>} */
export async function bytes(url, { signal, limit } = {}) {
  const answer = await ask("GET", url, { signal, headers: limit ? { Range: `bytes=0-${limit - 1}` } : {} });
  // An empty file has no range that could be satisfied.
  if (answer.status === 416) return new Uint8Array();
  if (!answer.ok) throw await failure(answer);
  const whole = new Uint8Array(await answer.arrayBuffer());
  return limit ? whole.subarray(0, limit) : whole;
}

/** @param {string} method @param {string} url @param {RequestInit} options @returns {Promise<any>} */
async function send(method, url, options) {
  const answer = await ask(method, url, options);
  if (!answer.ok) throw await failure(answer);
  return answer.json();
}

async function ask(/** @type {string} */ method, /** @type {string} */ url, /** @type {RequestInit} */ options) {
  try {
    const answer = await fetch(url, { method, ...options });
    // A proxy in front of a server that is gone answers in its place.
    if ([502, 504].includes(answer.status)) throw new TypeError("gateway");
    setAway(false);
    return answer;
  } catch (error) {
    if (options.signal?.aborted || (error instanceof DOMException && error.name === "AbortError")) throw error;
    setAway(true);
    throw new ApiError(0, "UNREACHABLE", "The server does not answer. This page goes on by itself when it is back.");
  }
}

async function failure(/** @type {Response} */ answer) {
  const text = await answer.text();
  try {
    const { error_code: code, message } = JSON.parse(text);
    return new ApiError(answer.status, code || "", message || text);
  } catch {
    return new ApiError(answer.status, "", text.slice(0, 500) || `The server answered ${answer.status}.`);
  }
}

function setAway(/** @type {boolean} */ now) {
  if (now === away) return;
  away = now;
  server.dispatchEvent(new Event(now ? "away" : "back"));
  if (now) knock();
}

/** Ask until there is an answer. */
function knock() {
  setTimeout(() => ask("GET", address("health"), {}).catch(() => away && knock()), 1000);
}

/** What `onChange` compares: ask for it before the data, so that no write in between is missed. @returns {Promise<string>} */
export async function changeVersion(/** @type {AbortSignal} */ signal) {
  return (await get("trackd/changes", {}, { signal })).version;
}

/**
 * Call `told` within a second of every write to the store, by whom ever, until the signal; not while nobody looks at the page.
 * @param {() => unknown} told @param {AbortSignal} signal @param {string | null} version what `changeVersion` said before the data was read;
 * without it `told` is called once more than needed, because something may have been written meanwhile
 */
export function onChange(told, signal, version = null) {
  /** @type {ReturnType<typeof setTimeout>} */ let timer;
  const again = () => {
    if (!signal.aborted) timer = setTimeout(look, 1000);
  };
  const look = async () => {
    try {
      if (!document.hidden) {
        const answer = await get("trackd/changes", {}, { signal });
        const news = version !== answer.version;
        version = answer.version;
        if (news) await told();
      }
    } catch (error) {
      // The banner says that the server is away; after it anything may have changed.
      if (!signal.aborted && error instanceof ApiError && !error.status) version = "";
      else if (!signal.aborted && !(error instanceof ApiError)) throw error;
    } finally {
      again();
    }
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  if (version === null) look();
  else again();
}
