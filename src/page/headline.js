// How the gateway does: one word, since when and why, and the four figures that somebody asks for first.

import { h } from './dom.js';
import { brief, bytes, clock, count, duration, plural, rate, short, sum } from './format.js';
import { SIGNALS, STATES } from './words.js';

// A shape for each state, so that it is not told by its color alone.
const SHAPES = {
  normal: 'M5 12.5l4.5 4.5L19 7.5',
  replaying: 'M18.5 12a6.5 6.5 0 1 1-2-4.7M17 3.5v4h-4',
  on_fallback: 'M4 7h5c5 0 4 10 9 10h1M16 13.5l3.5 3.5L16 20.5',
  paused: 'M8.5 6v12M15.5 6v12',
  partitioned: 'M3 12h5.5M15.5 12H21M10.5 7l3 10',
  refusing: 'M7 7l10 10M17 7L7 17',
};

export const shape = (state) => h('svg', { viewBox: '0 0 24 24', class: 'shape', 'aria-hidden': 'true' }, h('path', { d: SHAPES[state] ?? '' }));

export const queued = (status) => SIGNALS.reduce((all, signal) => all + status.queue.signals[signal].items, 0);

// Items that nobody has: what was removed undelivered, and what the books are off by.
export const lost = (status) => status.books.imbalance_items
  + SIGNALS.reduce((all, signal) => all + sum(status.books.signals[signal].dropped), 0);

export function headline({ status, pace, link }) {
  const { state, since_ms, why } = status.headline;
  const [first, ...rest] = why.split('; ');
  const starting = status.phase === 'recovering';
  const name = { recovering: 'Starting', stopping: 'Stopping' }[status.phase] ?? STATES[state].name;
  const means = {
    recovering: 'The queue is being opened. Nothing is accepted until that is done; what was acknowledged before is on disk.',
    stopping: 'The process was asked to end. What was acknowledged is on disk and goes out after the next start.',
  }[status.phase] ?? STATES[state].means;
  return h('section', { class: `card headline tone-${state}`, 'aria-labelledby': 'state', key: 'headline', 'data-state': state, 'data-link': link },
    h('div', { class: 'verdict' },
      h('h1', { id: 'state' }, shape(state), h('span', {}, name)),
      h('p', { class: 'since' }, 'for ', h('strong', {}, duration((status.now_ms - since_ms) / 1000)), `, since ${clock(since_ms, status.now_ms)}`),
      h('p', { class: 'why' }, sentence(brief(first))),
      rest.map((cause) => h('p', { class: 'cause', title: cause }, brief(cause))),
      h('p', { class: 'means' }, means)),
    !starting && status.queue && figures(status, pace));
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function figures(status, pace) {
  const gone = lost(status);
  const waiting = queued(status);
  const off = status.books.imbalance_items;
  return h('dl', { class: 'figures' },
    figure('Coming in', rate(pace?.accepted), 'items/s', 'acknowledged once on disk'),
    figure('Going out', rate(pace?.out), 'items/s', pace?.replayed > 0 ? `${rate(pace.replayed)} of them replayed` : 'to all targets'),
    figure('Waiting', short(waiting), waiting === 1 ? 'item' : 'items', `${bytes(status.queue.used_bytes)} on disk`),
    figure('Lost', short(gone), gone === 1 ? 'item' : 'items', off ? `the books are off by ${count(off)}` : plural(gone, 'item was dropped', 'items were dropped').replace(/^0 .*/, 'the books balance'),
      gone ? 'lost bad' : 'lost good'));
}

const figure = (name, value, unit, note, more = '') => h('div', { class: `figure ${more}`, key: name },
  h('dt', {}, name),
  h('dd', {}, h('span', { class: 'value' }, value), ' ', h('span', { class: 'unit' }, unit), h('span', { class: 'note' }, note)));
