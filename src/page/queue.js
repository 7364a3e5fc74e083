// What waits: how full the disk is, and where each signal's items lie.

import { h } from './dom.js';
import { bytes, duration, short } from './format.js';
import { SIGNALS } from './words.js';

const STATES = { open: null, full: 'full', draining: 'being drained', poisoned: 'a write failed', recovering: 'being reopened', closing: 'being closed' };

export function queue({ status }) {
  const { queue } = status;
  const share = queue.capacity_bytes ? queue.used_bytes / queue.capacity_bytes : 0;
  const percent = share > 0 && share < 0.001 ? 'less than 0.1' : (share * 100).toFixed(share < 0.1 ? 1 : 0);
  const oldest = Math.min(...SIGNALS.map((signal) => queue.signals[signal].oldest_ms ?? Infinity));
  const trouble = STATES[queue.state];
  return h('section', { class: 'card queue', 'aria-labelledby': 'queue-title', key: 'queue' },
    h('header', {}, h('h2', { id: 'queue-title' }, 'Queue'), trouble && h('p', { class: 'pill tone-refusing' }, trouble)),
    h('div', { class: 'bar', role: 'img', 'aria-label': `${bytes(queue.used_bytes)} of ${bytes(queue.capacity_bytes)} are used, ${percent} percent` },
      SIGNALS.map((signal) => {
        const part = queue.capacity_bytes ? queue.signals[signal].bytes / queue.capacity_bytes : 0;
        return h('div', { key: signal, class: `part ${signal}`, style: `flex-basis: ${part * 100}%; min-width: ${part > 0 ? 3 : 0}px` });
      })),
    h('p', { class: 'under' }, h('strong', {}, bytes(queue.used_bytes)), ` of ${bytes(queue.capacity_bytes)}`, h('span', { class: 'right' }, `${percent} %`)),
    h('dl', { class: 'facts four' },
      fact('Oldest', oldest === Infinity ? 'nothing waits' : duration((status.now_ms - oldest) / 1000)),
      fact('Full in', queue.full_in_seconds === null ? 'not growing' : queue.full_in_seconds === 0 ? 'full' : duration(queue.full_in_seconds)),
      fact('Empty in', queue.empty_in_seconds === null ? 'not shrinking' : queue.empty_in_seconds === 0 ? 'empty' : duration(queue.empty_in_seconds)),
      fact('Free on the volume', bytes(queue.disk_free_bytes))),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Items by signal and lane' }, table(status)));
}

const fact = (name, value) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value));

const COLUMNS = [
  ['New', 'just committed, still in memory', (queued) => short(queued.fresh.items)],
  ['Backlog', 'on disk, waiting', (queued) => short(queued.backlog.items)],
  ['On its way', 'sent, not answered yet', (queued) => short(queued.leased.items)],
  ['Set apart', 'suspects, tried alone now and then', (queued) => short(queued.parked.items)],
  ['Owed', 'a fallback has it, the primary is still to get it', (queued) => short(queued.owed_items)],
  ['Bytes', 'on disk, compressed as they came', (queued) => bytes(queued.bytes)],
  ['Drained in', 'at the pace of the last minute', (queued) => (queued.backlog.items === 0 ? '–' : queued.replayed_in_seconds === null ? 'not draining' : duration(queued.replayed_in_seconds))],
];

const table = (status) => h('table', {},
  h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Items'), COLUMNS.map(([name, title]) => h('th', { scope: 'col', key: name, title }, name)))),
  h('tbody', {}, SIGNALS.map((signal) => h('tr', { key: signal },
    h('th', { scope: 'row' }, h('span', { class: `swatch ${signal}` }), signal),
    COLUMNS.map(([name, , value]) => h('td', { key: name }, value(status.queue.signals[signal])))))));
