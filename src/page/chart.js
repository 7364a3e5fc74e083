// The last quarter of an hour: what came in against where it went, what waited meanwhile, and the state over it all.

import { h } from './dom.js';
import { clock, rate, short } from './format.js';
import { STATES } from './words.js';

const SERIES = [['primary', 'to the primary'], ['replayed', 'to the primary, replayed'], ['fallback', 'to fallbacks']];
const WINDOWS = [[60, '1 min'], [300, '5 min'], [900, '15 min']];
const [LEFT, RIGHT, TOP, FLOW, GAP, DEPTH, STRIP] = [54, 6, 8, 170, 18, 46, 6];
const HEIGHT = TOP + FLOW + GAP + DEPTH + 8 + STRIP + 22;

const delivered = (target) => Object.values(target.delivered).reduce((all, { fresh, backlog }) => all + fresh + backlog, 0);
const backlog = (target) => Object.values(target.delivered).reduce((all, lanes) => all + lanes.backlog, 0);
const total = (values) => Object.values(values).reduce((all, value) => all + value, 0);

// Items a second over the last frames; null before there are two.
export function pace({ seen }) {
  const [first, last] = [seen.find((status) => status.queue), seen.at(-1)];
  if (!first || first === last || !last.queue) return null;
  const seconds = (last.now_ms - first.now_ms) / 1000;
  const per = (now, before) => Math.max(0, now - before) / seconds;
  const targets = {};
  let replayed = 0;
  for (const target of last.targets) {
    const before = first.targets.find(({ name }) => name === target.name);
    targets[target.name] = before ? per(delivered(target), delivered(before)) : 0;
    if (before && target.role === 'primary') replayed += per(backlog(target), backlog(before));
  }
  return { targets, replayed, out: total(targets), accepted: per(total(last.doors.accepted_items), total(first.doors.accepted_items)) };
}

// Points put together, so that a wide window shows no more of them than a narrow one; each with its rates.
function bins(history, from, size) {
  const found = new Map();
  history.seconds.forEach((second, index) => {
    if (second < from) return;
    const step = index ? second - history.seconds[index - 1] : 2;
    const key = Math.floor((history.from_ms / 1000 + second) / size);
    const bin = found.get(key) ?? { step: 0, accepted: 0, primary: 0, replayed: 0, fallback: 0 };
    bin.second = second;
    bin.step += step;
    bin.queued = history.queued[index];
    for (const name of ['accepted', 'primary', 'replayed', 'fallback']) bin[name] += history[name][index];
    found.set(key, bin);
  });
  return [...found.values()].map((bin) => {
    for (const name of ['accepted', 'primary', 'replayed', 'fallback']) bin[name] /= bin.step;
    return bin;
  });
}

// The next round number.
function round(number) {
  const size = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((step) => step >= number);
}

export function chart(model, draw) {
  const { history, status } = model;
  const view = model.chart;
  const span = history?.seconds.at(-1) ?? 0;
  const named = view.window ?? (WINDOWS.find(([seconds]) => seconds >= span) ?? WINDOWS[2])[0];
  const window = view.window || span > 60 ? named : Math.max(span, 20); // a gateway that just started fills the width
  const choose = (seconds) => () => { view.window = seconds; view.at = null; draw(); };
  return h('section', { class: 'card flow', 'aria-labelledby': 'flow-title', key: 'flow' },
    h('header', {}, h('h2', { id: 'flow-title' }, 'Intake and delivery'),
      h('div', { class: 'choice', role: 'group', 'aria-label': 'Time shown' }, WINDOWS.map(([seconds, name]) => h('button', { key: name, type: 'button', 'aria-pressed': String(seconds === named), onclick: choose(seconds) }, name)))),
    h('ul', { class: 'legend' }, h('li', { class: 'accepted' }, 'coming in'), SERIES.map(([name, words]) => h('li', { key: name, class: name }, words)), h('li', { class: 'queued' }, 'waiting (below)')),
    span === 0 ? h('p', { class: 'quiet tall' }, 'The first figures come in a few seconds.') : plot(model, window, draw, status));
}

function plot({ history, chart: view }, window, draw, status) {
  const width = view.width ?? 900;
  const end = history.seconds.at(-1);
  const shown = bins(history, end - window, Math.max(window / 75, 2));
  const x = (second) => LEFT + (1 - (end - second) / window) * (width - LEFT - RIGHT);
  const most = round(Math.max(...shown.map((bin) => Math.max(bin.accepted, bin.primary + bin.replayed + bin.fallback)), 1));
  const deepest = round(Math.max(...shown.map((bin) => bin.queued), 1));
  const y = (items) => TOP + FLOW - (items / most) * FLOW;
  const base = TOP + FLOW + GAP + DEPTH;
  const deep = (items) => base - (items / deepest) * DEPTH;
  const line = (points) => points.map(([a, b], index) => `${index ? 'L' : 'M'}${a.toFixed(1)} ${b.toFixed(1)}`).join('');
  const area = (upper, lower) => `${line(upper)}${line(lower.reverse()).replace('M', 'L')}Z`;
  let floor = shown.map(() => 0);
  const areas = SERIES.map(([name]) => {
    const below = floor;
    floor = shown.map((bin, index) => below[index] + bin[name]);
    const top = floor;
    return h('path', { key: name, class: `area ${name}`, d: area(shown.map((bin, index) => [x(bin.second), y(top[index])]), shown.map((bin, index) => [x(bin.second), y(below[index])])) });
  });
  const at = view.at === null || view.at === undefined ? null : shown.reduce((best, bin) => (Math.abs(bin.second - view.at) < Math.abs(best.second - view.at) ? bin : best), shown[0]);
  const point = (event) => { const box = event.currentTarget.getBoundingClientRect(); view.at = end - (1 - (event.clientX - box.left - LEFT) / (width - LEFT - RIGHT)) * window; draw(); };
  const step = (event) => {
    const index = shown.indexOf(at);
    const next = { ArrowLeft: index < 0 ? shown.length - 1 : Math.max(index - 1, 0), ArrowRight: index < 0 ? shown.length - 1 : Math.min(index + 1, shown.length - 1), Home: 0, End: shown.length - 1 }[event.key];
    if (event.key === 'Escape') view.at = null; else if (next === undefined) return; else view.at = shown[next].second;
    event.preventDefault();
    draw();
  };
  const last = shown.at(-1);
  const label = `Now ${rate(last.accepted)} items a second come in, ${rate(last.primary + last.replayed)} go to the primary, ${rate(last.fallback)} to fallbacks, ${short(last.queued)} wait. Arrow keys read earlier moments.`;
  return h('div', { class: 'plot', id: 'plot', tabindex: '0', role: 'group', 'aria-label': label, onpointermove: point, onpointerleave: () => { view.at = null; draw(); }, onkeydown: step, onblur: () => { view.at = null; draw(); } },
    h('svg', { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, 'aria-hidden': 'true' },
      [0, most / 2, most].map((items) => [h('line', { key: `l${items}`, class: 'grid', x1: LEFT, x2: width - RIGHT, y1: y(items), y2: y(items) }),
        h('text', { key: `t${items}`, class: 'axis', x: LEFT - 8, y: y(items) + 4, 'text-anchor': 'end' }, short(items))]),
      areas,
      h('path', { key: 'accepted', class: 'line accepted', d: line(shown.map((bin) => [x(bin.second), y(bin.accepted)])) }),
      h('line', { key: 'floor', class: 'grid', x1: LEFT, x2: width - RIGHT, y1: base, y2: base }),
      h('text', { key: 'deepest', class: 'axis', x: LEFT - 8, y: base - DEPTH + 8, 'text-anchor': 'end' }, short(deepest)),
      h('path', { key: 'queued', class: 'area queued', d: area(shown.map((bin) => [x(bin.second), deep(bin.queued)]), shown.map((bin) => [x(bin.second), base])) }),
      strip(history, end - window, end, x, base + 8),
      ticks(history, end, window, x, width, status),
      at && h('line', { key: 'cursor', class: 'cursor', x1: x(at.second), x2: x(at.second), y1: TOP, y2: base + 8 + STRIP })),
    h('div', { class: 'tip', key: 'tip', 'aria-live': 'polite', hidden: !at, style: at ? `left: ${Math.min(Math.max(x(at.second), 90), width - 90)}px` : '' }, at && tip(at, history, status)));
}

const stateAt = (history, second) => history.states.findLast((stretch) => stretch.seconds <= second)?.state ?? 'normal';

const tip = (at, history, status) => [
  h('p', { key: 'when' }, h('strong', {}, clock(history.from_ms + at.second * 1000, status.now_ms)), ` ${STATES[stateAt(history, at.second)].name}`),
  h('dl', { key: 'what' }, [['coming in', at.accepted, '/s'], ['to the primary', at.primary, '/s'], ['replayed', at.replayed, '/s'], ['to fallbacks', at.fallback, '/s'], ['waiting', at.queued, '']]
    .map(([name, items, unit]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, `${unit ? rate(items) : short(items)}${unit}`)))),
];

function strip(history, from, end, x, y) {
  return history.states.map(({ seconds, state }, index) => {
    const until = history.states[index + 1]?.seconds ?? end;
    if (until < from) return null;
    const [left, right] = [x(Math.max(seconds, from)), x(until)];
    return h('rect', { key: `s${seconds}`, class: `stretch tone-${state}`, x: left, y, width: Math.max(right - left, 1), height: STRIP, rx: 2 });
  });
}

// The time on the wall, at some round moments.
function ticks(history, end, window, x, width, status) {
  const step = Math.max(Math.round(window / (width < 520 ? 3 : 5) / 5), 1) * 5;
  const found = [];
  const endMs = history.from_ms + end * 1000;
  for (let ms = Math.ceil((endMs - window * 1000) / (step * 1000)) * step * 1000; ms <= endMs; ms += step * 1000) {
    const text = clock(ms, status.now_ms);
    const place = x((ms - history.from_ms) / 1000);
    if (place < LEFT + 16 || place > width - 28) continue;
    found.push(h('text', { key: `k${ms}`, class: 'axis', x: place, y: HEIGHT - 4, 'text-anchor': 'middle' }, window < 300 ? text : text.slice(0, 5)));
  }
  return found;
}
