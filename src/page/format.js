// Figures as people read them.

const grouping = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

// 1234567 as 1,234,567.
export const count = (number) => grouping.format(number ?? 0);

// A count that has to fit: 12,345 as it is, from a million on 1.23 M.
export function short(number) {
  for (const [unit, size] of [['T', 1e12], ['G', 1e9], ['M', 1e6]]) {
    if (number >= size) return `${(number / size).toPrecision(3)} ${unit}`;
  }
  return count(number);
}

// Items a second.
export function rate(number) {
  if (number === null || number === undefined) return '–';
  if (number > 0 && number < 10) return number.toFixed(1);
  return short(Math.round(number));
}

export function bytes(number) {
  if (number === null || number === undefined) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = number;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

// 192 seconds as 3 min 12 s: the two largest units.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  const whole = Math.max(0, Math.round(seconds));
  if (whole > 90 * 86400) return 'over 90 d';
  const parts = [[Math.floor(whole / 86400), 'd'], [Math.floor(whole / 3600) % 24, 'h'], [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's']];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return '0 s';
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0).map(([amount, unit]) => `${amount} ${unit}`).join(' ');
}

// A short time: 3.2 ms, 48 ms, 1.3 s.
export function trip(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds >= 1) return `${seconds.toFixed(1)} s`;
  const ms = seconds * 1000;
  return `${ms >= 10 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

// The time on the wall here; with the date, if that is not today's.
export function clock(ms, now) {
  const at = new Date(ms);
  const time = at.toLocaleTimeString('en-GB');
  if (at.toDateString() === new Date(now).toDateString()) return time;
  return `${at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}

// A target's error without the layers of libraries that only pass it on.
export const brief = (text) => text.replace(/(?:tcp connect|transport|dispatch) error: /g, '').replace(/ \(os error \d+\)/g, '');

// How long ago that was.
export const ago = (ms, now) => {
  const seconds = Math.round((now - ms) / 1000);
  return seconds < 2 ? 'just now' : `${duration(seconds)} ago`;
};

export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;
export const sum = (values) => Object.values(values ?? {}).reduce((all, value) => all + value, 0);
