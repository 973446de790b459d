/** Scales and ticks: from values to pixels and to what people read beside an axis. */

/** A number as people write it: five digits, and powers of ten only where zeros would have to be counted. */
export function formatNumber(value) {
  if (value === null || value === undefined || value === "") return "";
  const number = Number(value);
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  if (size !== 0 && (size >= 1e7 || size < 1e-4)) return minus(number.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e"));
  if (Number.isInteger(number)) return minus(number.toLocaleString("en-US"));
  return minus(String(Number(number.toPrecision(6))));
}

/** With a real minus sign. */
function minus(text) {
  return text.replace(/^-/, "−").replace(/e-/, "e−");
}

/** A duration in ms: 850 ms, 12.5 s, 3 min 20 s, 2 h 5 min, 4 d 3 h. */
export function formatDuration(ms) {
  const sign = ms < 0 ? "−" : "";
  const size = Math.abs(ms);
  if (size < 1000) return `${sign}${Math.round(size)} ms`;
  const s = size / 1000;
  if (s < 60) return `${sign}${Number(s.toFixed(s < 10 ? 2 : 1))} s`;
  const pairs = /** @type {any[]} */ ([[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]);
  for (const [large, name, small, other] of pairs) {
    if (s < large) continue;
    let whole = Math.floor(s / large), rest = Math.round((s - whole * large) / small);
    if (rest * small >= large) [whole, rest] = [whole + 1, 0];
    return `${sign}${whole} ${name}${rest ? ` ${rest} ${other}` : ""}`;
  }
  return "";
}

/** A time in ms, local, to the second. */
export function formatTime(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return String(ms);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A value of an axis of this kind, for tooltips and tables. */
export function formatAs(kind, value) {
  return kind === "time" ? formatTime(value) : kind === "duration" ? formatDuration(value) : formatNumber(value);
}

/** Nice steps: 1, 2 or 5 times a power of ten. */
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const part = rough / power;
  return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

function multiples(span, step) {
  const [low, high] = span;
  const found = [];
  // Counted, not added up: no 0.30000000000000004.
  const first = Math.ceil(low / step - 1e-9);
  for (let n = first; n * step <= high + step * 1e-9 && found.length < 60; n++) found.push(n * step);
  return found;
}

/** A tick of a plain axis: as many decimals as the step has, thousands as k, M, G. */
function plainText(value, step, largest) {
  if (largest >= 1e15 || (largest < 1e-4 && largest > 0)) return formatNumber(Number(value.toPrecision(6)));
  for (const [size, unit] of /** @type {any[]} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])) {
    if (largest >= size * (size > 1e3 ? 1 : 10) && step >= size / 10) return value === 0 ? "0" : `${plainText(value / size, step / size, 1)}${unit}`;
  }
  const decimals = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 12);
  return decimals || largest < 1e4 ? minus(value.toFixed(decimals)) : formatNumber(Math.round(value));
}

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const TIME_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, SECOND, 2 * SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE,
  5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY,
  90 * DAY, 365 * DAY, 2 * 365 * DAY, 5 * 365 * DAY, 10 * 365 * DAY];

function timeStep(rough) {
  return TIME_STEPS.find((step) => step >= rough) || niceStep(rough / (365 * DAY)) * 365 * DAY;
}

function timeTicks(span, count) {
  const step = timeStep((span[1] - span[0]) / count);
  // Days begin at local midnight.
  const shift = new Date(span[0]).getTimezoneOffset() * MINUTE || 0;
  const two = (n) => String(n).padStart(2, "0");
  let day = "";
  return multiples([span[0] - shift, span[1] - shift], step).map((value) => {
    const date = new Date(value + shift);
    const today = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}`;
    const fine = step < SECOND ? `:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, "0")}` : step < MINUTE ? `:${two(date.getSeconds())}` : "";
    const text = step >= DAY ? today : day !== today && (day || span[1] - span[0] > DAY) ? `${today.slice(5)} ${clock}${fine}` : clock + fine;
    day = today;
    return { value: value + shift, text };
  });
}

function durationTicks(span, count) {
  const step = timeStep((span[1] - span[0]) / count);
  return multiples(span, step).map((value) => ({ value, text: value === 0 ? "0" : formatDuration(value) }));
}

function logTicks(span, count) {
  const [low, high] = span.map(Math.log10);
  if (high - low < 1) {
    const step = niceStep((span[1] - span[0]) / count);
    return multiples(span, step).filter((v) => v > 0).map((value) => ({ value, text: plainText(value, step, span[1]) }));
  }
  const every = Math.max(1, Math.ceil((high - low) / count));
  const found = [];
  for (let power = Math.floor(low); power <= high + 1e-9; power++) {
    // Two decades or less have room for 2 and 5, too.
    for (const part of every === 1 && high - low < 3 && count >= 4 ? [1, 2, 5] : [1]) {
      const value = Number((part * 10 ** power).toPrecision(3));
      if (power % every || value < span[0] * 0.999999 || value > span[1] * 1.000001) continue;
      found.push({ value, text: Math.abs(power) <= 3 ? String(value) : `${part}e${power}`.replace("-", "−") });
    }
  }
  return found;
}

export function makeScale(kind, domain, range) {
  let [low, high] = domain;
  if (!(high > low)) {
    const room = kind === "log" ? 0 : Math.abs(low) * 0.05 || 1;
    [low, high] = kind === "log" ? [low / 2, low * 2] : [low - room, high + room];
  }
  const log = kind === "log";
  const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  // Halved, so that the difference of the largest numbers is one, too.
  const factor = (range[1] - range[0]) / (b / 2 - a / 2);
  return {
    kind, domain: [low, high], range,
    to: (value) => range[0] + ((log ? Math.log10(value) : value) / 2 - a / 2) * factor,
    from: (pixel) => {
      const value = ((pixel - range[0]) / factor + a / 2) * 2;
      return log ? 10 ** value : value;
    },
    ticks(count) {
      const span = [low, high];
      count = Math.max(1, count);
      if (kind === "time") return timeTicks(span, count);
      if (kind === "duration") return durationTicks(span, count);
      if (log) return logTicks(span, count);
      const step = niceStep((high - low) / count);
      const largest = Math.max(Math.abs(low), Math.abs(high));
      return multiples(span, step).map((value) => ({ value, text: plainText(value, step, largest) }));
    },
  };
}

/** The span of finite numbers with some room around; of positive ones on a log axis. */
export function spanOf(values, kind = "linear", room = 0) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value) || (kind === "log" && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return null;
  if (low === high || !room) return [low, high];
  if (kind === "log") {
    const by = (high / low) ** room;
    return [low / by, high * by];
  }
  const by = (high - low) * room;
  return Number.isFinite(by) ? [low - by, high + by] : [low, high];
}
